"""What several routes of the API take, and documents that no command prints."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any

from fastapi import Depends, Path, Query

from conveyor.documents import FORMAT_VERSION
from conveyor.documents.builds import build_as_json, cause_as_json
from conveyor.documents.moments import iso
from conveyor.errors import UnknownName
from conveyor.model.addresses import mailbox_name, public_url
from conveyor.model.artifact import Artifact
from conveyor.model.build import AttemptRecord, Build
from conveyor.model.commit import CommitInfo
from conveyor.model.package import Package, PackagingRepository
from conveyor.model.provenance import Provenance
from conveyor.pipeline.flakiness import flaky
from conveyor.web.api import models
from conveyor.web.overview import Look
from conveyor.web.site import Here, Site
from conveyor.wiring import LocalDesk

# The highest number that a build can have.
LAST = 2**31 - 1
PREFIX = "/api/v1"

BuildNumber = Annotated[int, Path(ge=1, le=LAST, description="A build's number.")]
Named = Annotated[str, Path(min_length=1, max_length=200)]
OfPackage = Annotated[str | None, Query(max_length=200, description="Only of this package.")]
OfTarget = Annotated[str | None, Query(max_length=200, description="Only for this target.")]
Limit = Annotated[int, Query(ge=1, le=500, description="How many at most.")]
Cursor = Annotated[str | None, Query(pattern=r"^[0-9]{1,9}$", description="`next` of the page before.")]

PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"model": models.Problem, "description": words, "content": {"application/problem+json": {}}}
    for code, words in (
        (401, "Nobody knows who asks."),
        (403, "It may not."),
        (404, "There is no such thing."),
        (409, "It does not go with the state that something is in, or something is missing."),
        (422, "The request has mistakes."),
        (429, "Too many requests; `Retry-After` tells when to come again."),
        (500, "Conveyor's fault."),
        (503, "A server does not answer."),
    )
}


async def _desk(site: Here) -> LocalDesk:
    return site.desk


Desked = Annotated[LocalDesk, Depends(_desk)]


def versioned(**members: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """A whole answer."""
    return {"format_version": FORMAT_VERSION, **members}


def one_build(site: Site, build: Build) -> dict[str, Any]:
    """A build, with what is told of one only."""
    store = site.conveyor.store
    priority, reason = store.reason(build.id)
    attempts = store.attempts(build.id)
    return versioned(
        build=build_as_json(build),
        commit=commit_as_json(build.commit.upstream),
        trunk=build.commit.trunk,
        reason={
            "kind": reason.kind,
            "detail": reason.detail,
            "build": reason.build,
            "cascade": reason.cascade,
            "priority": priority.name.lower(),
        },
        flaky=flaky(attempts) is not None,
        cancelled_by=build.cancelled_by or None,
        ended=build.ended or None,
        errors=build.errors,
        not_before=iso(build.not_before),
        log=_log(site, build.id, build.attempt, build.log),
        snapshot=snapshot_url(site, build),
    )


def commit_as_json(commit: CommitInfo) -> dict[str, Any]:
    """An upstream commit."""
    return {
        "sha": commit.sha,
        "committed_at": commit.committed_at.isoformat(),
        "author": commit.author,
        "subject": commit.subject,
    }


def attempt_as_json(site: Site, build: int, attempt: AttemptRecord) -> dict[str, Any]:
    """One try at a build."""
    return {
        "number": attempt.number,
        "outcome": attempt.outcome,
        "cause": cause_as_json(attempt.cause) if attempt.cause else None,
        "stages": [{"stage": each.stage, "seconds": round(each.seconds, 3)} for each in attempt.stages],
        "queued_at": attempt.queued_at.isoformat(),
        "started_at": attempt.started_at.isoformat(),
        "finished_at": iso(attempt.finished_at),
        "buildroot": attempt.buildroot,
        "log": _log(site, build, attempt.number, attempt.log),
    }


def _log(site: Site, build: int, attempt: int, log: str | None) -> dict[str, Any] | None:
    if log is None:
        return None
    size = None
    with suppress(OSError):
        size = (site.settings.data_dir / log).stat().st_size
    return {"url": f"{PREFIX}/builds/{build}/attempts/{attempt}/log", "size": size}


def snapshot_url(site: Site, build: Build) -> str | None:
    """Where the snapshot of a build is."""
    return site.desk.repository(build) or None


def artifact_as_json(artifact: Artifact, base: str | None) -> dict[str, Any]:
    """A file that a build made."""
    return {
        "filename": artifact.filename,
        "sha256": artifact.sha256,
        "size": artifact.size,
        "kind": artifact.kind,
        "name": artifact.name,
        "version": artifact.version,
        "architecture": artifact.architecture,
        "url": None if base is None else f"{base.rstrip('/')}/pool/{artifact.pool_path}",
    }


def provenance_as_json(made: Provenance) -> dict[str, Any]:
    """How a build was made."""
    root = made.buildroot
    return versioned(
        builder=made.builder,
        conveyor_version=made.conveyor_version,
        upstream_branch=made.upstream_branch,
        packaging_branch=made.packaging_branch or None,
        packaging_commit=made.packaging_commit or None,
        packaged_at=iso(made.packaged_at),
        bootstrap=made.bootstrap,
        buildroot=None
        if root is None
        else [{"name": each.name, "version": each.version, "architecture": each.architecture} for each in root],
    )


def package_as_json(package: Package, look: Look) -> Mapping[str, Any]:
    """A package, with its latest builds. Of maintainers only the names: their addresses are theirs."""
    cells = [look.cells[package.name, target] for target in package.targets if (package.name, target) in look.cells]
    packaging = package.packaging
    return {
        "name": package.name,
        "upstream": public_url(package.upstream),
        "branch": package.branch,
        "packaging": public_url(packaging.url) if isinstance(packaging, PackagingRepository) else packaging.path.name,
        "targets": list(package.targets),
        "version_scheme": package.version_scheme,
        "maintainers": [maintainer_name(each) for each in package.maintainers],
        "component": package.component,
        "builds": [build_as_json(cell.newest) for cell in cells],
        "flaky": [cell.newest.id for cell in cells if cell.flaky],
    }


def maintainer_name(maintainer: str) -> str:
    """What a maintainer is called in public: the name, or what stands before "@"."""
    return mailbox_name(maintainer) or maintainer.partition("@")[0]


def maintained_by(site: Site, who: str) -> tuple[str, ...]:
    """Names of the packages that somebody maintains: by a part of the name or address, whatever its case."""
    wanted = who.casefold()
    packages = site.repos.packages.items()
    return tuple(name for name, each in packages if any(wanted in one.casefold() for one in each.maintainers))


def require_target(site: Site, name: str | None) -> None:
    """See that there is a target of this name.

    Raises:
        UnknownName: there is none.
    """
    if name is not None and name not in site.repos.targets:
        raise UnknownName(f"there is no target {name!r}", hint=f"{PREFIX}/targets lists them")
