"""Sample values for a store, each different where they must differ."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from conveyor.errors import Fault
from conveyor.model.artifact import Artifact, ArtifactKind, SnapshotEntry
from conveyor.model.build import Build, Cause, Claim, Outcome, Stage, StageTime
from conveyor.model.commit import Commit, CommitInfo
from conveyor.model.provenance import InstalledPackage, Provenance
from conveyor.model.target import BuilderKind
from conveyor.ports import Store

TARGET = "debian-13-amd64"
OTHER_TARGET = "centos-10-x86_64"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STAGES = (StageTime(stage=Stage.RENDER, seconds=0.125), StageTime(stage=Stage.BUILD, seconds=3.5))
CAUSE = Cause(
    fault=Fault.PACKAGE,
    stage=Stage.BUILDROOT,
    kind="BuildDependencyMissing",
    summary="python3-nothing is nowhere",
    hint="add it to the target",
    details=("line 1", "line 2"),
)


def minute(count: float) -> datetime:
    """So many minutes after noon."""
    return NOON + timedelta(minutes=count)


def sha1(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def commit(name: str = "1", *, package: str = "nova", trunk: bool = True, extended: str = "") -> Commit:
    """A commit, different for each name."""
    info = CommitInfo(sha=sha1(name), committed_at=NOON, author="Ada", subject=f"Do {name}")
    return Commit(package=package, upstream=info, packaging_sha=sha1("packaging"), extended=extended, trunk=trunk)


def claim(token: str, at: datetime = NOON) -> Claim:
    return Claim(token=token, host="builder", pid=4711, process_started=2**40, heartbeat_at=at)


def artifact(
    filename: str = "nova_1_all.deb",
    *,
    content: str = "",
    kind: ArtifactKind = ArtifactKind.BINARY,
    name: str = "nova",
    version: str = "1-1",
    architecture: str = "all",
) -> Artifact:
    """An artifact; its content is its filename unless given."""
    digest = hashlib.sha256((content or filename).encode()).hexdigest()
    return Artifact(
        filename=filename,
        sha256=digest,
        size=2**33,
        kind=kind,
        name=name,
        version=version,
        architecture=architecture,
    )


def entry(build: Build, at: datetime, *artifacts: Artifact, version: str = "1-1") -> SnapshotEntry:
    """What a successful build brings."""
    return SnapshotEntry(
        package=build.commit.package,
        upstream_url=f"https://git.example.org/{build.commit.package}",
        upstream_sha=build.commit.upstream.sha,
        packaging_url="https://git.example.org/packaging",
        packaging_sha=build.commit.packaging_sha,
        extended=build.commit.extended,
        component="compute",
        version=version,
        succeeded_at=at,
        latest_succeeded=True,
        artifacts=artifacts,
    )


def provenance(*packages: str, upstream_branch: str = "master", bootstrap: bool = False) -> Provenance:
    """How a build was made in a root with these packages."""
    return Provenance(
        builder=BuilderKind.OVERLAY,
        conveyor_version="0.1.0",
        buildroot=tuple(InstalledPackage(name=name, version="1:2-3", architecture="amd64") for name in packages),
        upstream_branch=upstream_branch,
        packaging_branch="rpm-master",
        packaging_commit=sha1("packaging"),
        packaged_at=NOON,
        bootstrap=bootstrap,
    )


def start(store: Store, what: Commit, token: str, *, target: str = TARGET, at: datetime = NOON) -> Build:
    """Queue (again) and claim."""
    claimed = store.claim(store.queue(what, target, retry=True).id, claim(token, at))
    assert claimed is not None
    return claimed


def succeed(
    store: Store,
    what: Commit,
    at: datetime,
    *artifacts: Artifact,
    target: str = TARGET,
    version: str = "1-1",
    provenance: Provenance | None = None,
) -> Build:
    """Queue, claim and finish a build with success."""
    build = start(store, what, f"{target} {what} {at}", target=target, at=at)
    return store.finish(
        build.id,
        f"{target} {what} {at}",
        outcome=Outcome.SUCCEEDED,
        at=at,
        version=version,
        cause=None,
        stages=STAGES,
        entry=entry(build, at, *artifacts, version=version),
        provenance=provenance,
    )


def end(store: Store, what: Commit, at: datetime, outcome: Outcome = Outcome.FAILED, *, target: str = TARGET) -> Build:
    """Queue, claim and finish a build without success."""
    build = start(store, what, f"{target} {what} {at}", target=target, at=at)
    return store.finish(
        build.id,
        f"{target} {what} {at}",
        outcome=outcome,
        at=at,
        version=None,
        cause=CAUSE,
        stages=STAGES,
        entry=None,
    )
