"""Builds, commits and packages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from conveyor.documents.builds import build_as_json
from conveyor.errors import UnknownName
from conveyor.model.build import Build, Outcome, State
from conveyor.model.search import Query as Wanted
from conveyor.web.access.guard import Reader
from conveyor.web.api import models, parts
from conveyor.web.api.answering import Changes, answer, unchanged
from conveyor.web.api.parts import BuildNumber, Cursor, Limit, Named, OfPackage, OfTarget, versioned
from conveyor.web.overview import Looked
from conveyor.web.site import Here

router = APIRouter(tags=["builds"])

Begins = Annotated[str | None, Query(max_length=300)]


@router.get("/builds", response_model=models.BuildsPage, summary="Search all builds, newest first")
def builds(
    request: Request,
    site: Here,
    _reader: Reader,
    changes: Changes,
    package: OfPackage = None,
    target: OfTarget = None,
    commit: Annotated[Begins, Query(description="The beginning of the commit's id.")] = None,
    version: Annotated[Begins, Query(description="The beginning of the version.")] = None,
    file: Annotated[Begins, Query(description="The beginning of the name of a file that it made.")] = None,
    state: State | None = None,
    outcome: Outcome | None = None,
    since: Annotated[datetime | None, Query(description="Queued then or later; UTC without a zone.")] = None,
    until: Annotated[datetime | None, Query(description="Queued before; UTC without a zone.")] = None,
    maintainer: Annotated[Begins, Query(description="A part of the name or address of a maintainer.")] = None,
    trunk: Annotated[bool | None, Query(description="False for working copies only.")] = True,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """Those that fit everything that is given. Pages stay as they are while builds come."""
    same = unchanged(request, changes)
    if same is not None:
        return same
    page = site.conveyor.lookup.search(
        Wanted(
            packages=_packages(site, package, maintainer),
            target=target,
            commit=commit,
            version=version,
            file=file,
            state=state,
            outcome=outcome,
            since=_zoned(since),
            until=_zoned(until),
            trunk=trunk,
            before=int(cursor) if cursor else None,
            limit=limit,
        )
    )
    document = versioned(
        builds=[build_as_json(build) for build in page.builds], next=str(page.before) if page.before else None
    )
    return answer(request, document, tag=changes)


def _packages(site: Here, package: str | None, maintainer: str | None) -> tuple[str, ...] | None:
    if maintainer is None:
        return None if package is None else (package,)
    return tuple(name for name in parts.maintained_by(site, maintainer) if package in {None, name})


def _zoned(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.utcoffset() is None else moment


@router.get("/builds/{number}", response_model=models.OneBuild, summary="A build")
def build(request: Request, site: Here, _reader: Reader, number: BuildNumber) -> Response:
    """A build, with its commit, why it is there, its log and its snapshot."""
    return answer(request, parts.one_build(site, site.conveyor.store.build(number)))


@router.get("/builds/{number}/attempts", response_model=models.Attempts, summary="The attempts of a build")
def attempts(request: Request, site: Here, _reader: Reader, number: BuildNumber) -> Response:
    """The first one first, each with its cause, stages and log."""
    store = site.conveyor.store
    store.build(number)
    found = [parts.attempt_as_json(site, number, each) for each in store.attempts(number)]
    return answer(request, versioned(attempts=found))


@router.get("/builds/{number}/artifacts", response_model=models.Artifacts, summary="The files of a build")
def artifacts(request: Request, site: Here, _reader: Reader, number: BuildNumber) -> Response:
    """What a successful build of the trunk made; nothing of others."""
    store = site.conveyor.store
    chosen = store.build(number)
    made = store.entry(number).artifacts if chosen.commit.trunk and chosen.outcome is Outcome.SUCCEEDED else ()
    base = parts.snapshot_url(site, chosen)
    return answer(request, versioned(artifacts=[parts.artifact_as_json(each, base) for each in made]))


@router.get("/builds/{number}/provenance", response_model=models.ProvenanceDocument, summary="How a build was made")
def provenance(request: Request, site: Here, _reader: Reader, number: BuildNumber) -> Response:
    """Builder, branches, the packaging's commit, and what was installed in its root."""
    store = site.conveyor.store
    store.build(number)
    made = store.provenance(number)
    if made is None:
        raise UnknownName(f"nothing tells how build {number} was made", hint="that is recorded of successful builds")
    return answer(request, parts.provenance_as_json(made))


@router.get("/commits/{commit}", response_model=models.CommitBuilds, summary="A commit across all targets")
def commit(
    request: Request,
    site: Here,
    _reader: Reader,
    commit: Named,
    package: OfPackage = None,
) -> Response:
    """The builds of the trunk's commit whose id begins so, in the order in which they were made."""
    found = [each for each in _of_commit(site, commit) if package in {None, each.commit.package}]
    if not found:
        raise UnknownName(f"there is no commit {commit!r} of the trunk", hint="name four digits of its sha, or more")
    ids = {(each.commit.package, each.commit.id) for each in found}
    if len(ids) > 1:
        told = [f"{name} {commit_id}" for name, commit_id in sorted(ids)]
        raise UnknownName(f"{commit!r} is more than one commit", hint="name more of it", details=told[:20])
    document = versioned(
        commit=parts.commit_as_json(found[0].commit.upstream), builds=[build_as_json(each) for each in found]
    )
    return answer(request, document)


# As short as git takes them: fewer digits would find too much.
_SHORTEST = 4


def _of_commit(site: Here, prefix: str) -> tuple[Build, ...]:
    return site.conveyor.store.of_commit(prefix) if len(prefix) >= _SHORTEST else ()


@router.get("/packages", response_model=models.PackagesPage, summary="The packages, with their latest builds")
def packages(
    request: Request,
    site: Here,
    look: Looked,
    _reader: Reader,
    maintainer: Annotated[Begins, Query(description="A part of the name or address of a maintainer.")] = None,
    cursor: Annotated[str | None, Query(max_length=200, description="`next` of the page before.")] = None,
    limit: Limit = 50,
) -> Response:
    """By name."""
    names = sorted(site.repos.packages if maintainer is None else parts.maintained_by(site, maintainer))
    following = [name for name in names if cursor is None or name > cursor]
    page = following[:limit]
    document = versioned(
        packages=[parts.package_as_json(site.repos.packages[name], look) for name in page],
        next=page[-1] if len(following) > limit else None,
    )
    return answer(request, document)


@router.get("/packages/{name}", response_model=models.OnePackage, summary="A package")
def package(request: Request, site: Here, look: Looked, _reader: Reader, name: Named) -> Response:
    """A package of repos.yaml, with its latest builds."""
    return answer(request, versioned(package=parts.package_as_json(site.repos.package(name), look)))
