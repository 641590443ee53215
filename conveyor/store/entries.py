"""Statements on what successful builds bring into snapshots. The caller brings the transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    Exists,
    FromClause,
    ScalarSelect,
    Select,
    Text,
    bindparam,
    exists,
    func,
    insert,
    literal,
    select,
    tuple_,
    type_coerce,
    update,
)

from conveyor.errors import ContentChanged
from conveyor.model.artifact import Artifact, ArtifactKind, SnapshotEntry
from conveyor.model.build import Build
from conveyor.store.builds import find_or_insert
from conveyor.store.tables import artifact, build, build_artifact, entry, trunk_package, upstream_commit

_ARTIFACT_COLUMNS = (
    build_artifact.c.filename,
    build_artifact.c.sha256,
    artifact.c.size,
    build_artifact.c.kind,
    build_artifact.c.name,
    build_artifact.c.version,
    build_artifact.c.architecture,
)
# A statement cannot have any number of parameters.
_BUILDS_AT_ONCE = 500
_KINDS = {kind.value: kind for kind in ArtifactKind}


class NewestBuild(NamedTuple):
    """A package's newest successful build of a trunk commit.

    Attributes:
        package: the package's name.
        build_id: the build.
        succeeded_at: when it ended, as the database has it.
        failed_since: whether a newer build of its package failed.
    """

    package: str
    build_id: int
    succeeded_at: object
    failed_since: bool


def add_artifacts(connection: Connection, build_id: int, artifacts: tuple[Artifact, ...]) -> None:
    """Remember the files of a successful build."""
    # In one order everywhere, so that two transactions that add the same files do not wait for each other.
    for made in sorted(artifacts, key=lambda one: one.sha256):
        known = select(literal(1)).where(artifact.c.sha256 == made.sha256)
        find_or_insert(connection, known, insert(artifact).values(sha256=made.sha256, size=made.size))
    if artifacts:
        connection.execute(
            insert(build_artifact),
            [_from_artifact(build_id, position, made) for position, made in enumerate(artifacts)],
        )


def _from_artifact(build_id: int, position: int, made: Artifact) -> dict[str, object]:
    return {
        "build_id": build_id,
        "position": position,
        "filename": made.filename,
        "sha256": made.sha256,
        "kind": made.kind,
        "name": made.name,
        "version": made.version,
        "architecture": made.architecture,
    }


def add_entry(connection: Connection, finished: Build, brought: SnapshotEntry) -> None:
    """Remember what a successful build of a trunk commit brings.

    Raises:
        ContentChanged: one of its packages is known with other content.
    """
    connection.execute(
        insert(entry).values(
            build_id=finished.id,
            package=finished.commit.package,
            target=finished.target,
            upstream_url=brought.upstream_url,
            packaging_url=brought.packaging_url,
            component=brought.component,
            version=brought.version,
            succeeded_at=brought.succeeded_at,
        )
    )
    positions = {made: position for position, made in enumerate(brought.artifacts) if made.kind is ArtifactKind.BINARY}
    for made in sorted(positions, key=lambda one: (one.name, one.version, one.architecture)):
        _add_package(connection, finished, made, positions[made])


def _add_package(connection: Connection, finished: Build, made: Artifact, position: int) -> None:
    """Take the name, version and architecture for this content, or find that they are taken."""
    key = {"target": finished.target, "name": made.name, "version": made.version, "architecture": made.architecture}
    first = find_or_insert(
        connection,
        select(trunk_package.c.build_id).filter_by(**key),
        insert(trunk_package).values(build_id=finished.id, position=position, **key),
    )
    known = connection.execute(_select_package(finished.target, made.name, made.version, made.architecture)).one()
    if known.sha256 != made.sha256:
        raise ContentChanged(
            f"{made.filename} is already published for {finished.target} with other content",
            cause=f"build {first} made {made.name} {made.version} ({made.architecture}) with sha256 "
            f"{known.sha256[:12]}, this one with {made.sha256[:12]}",
            hint="what is published never changes: raise the version with a new upstream commit, or the release by "
            "changing the packaging",
        )


def _select_package(target: str, name: str, version: str, architecture: str) -> Select[*tuple[Any, ...]]:
    columns = trunk_package.c
    source = trunk_package.join(build_artifact).join(artifact)
    return (
        select(*_ARTIFACT_COLUMNS)
        .select_from(source)
        .where(
            columns.target == target,
            columns.name == name,
            columns.version == version,
            columns.architecture == architecture,
        )
    )


def package_artifact(
    connection: Connection, target: str, name: str, version: str, architecture: str
) -> Artifact | None:
    """The binary artifact that is known under this name, version and architecture."""
    row = connection.execute(_select_package(target, name, version, architecture)).one_or_none()
    return None if row is None else _to_artifact(*row)


def _to_artifact(
    filename: str, sha256: str, size: int, kind: str, name: str, version: str, architecture: str
) -> Artifact:
    return Artifact(
        filename=filename,
        sha256=sha256,
        size=size,
        kind=_KINDS[kind],
        name=name,
        version=version,
        architecture=architecture,
    )


def publish(connection: Connection, build_id: int, seconds: float, at: datetime) -> bool:
    """Remember that the build's snapshot is published; what was remembered first stays.

    False where the build brings nothing into snapshots, so it has none.
    """
    statement = update(entry).where(entry.c.build_id == build_id, entry.c.published_at.is_(None))
    if connection.execute(statement.values(published_at=at, publish_seconds=seconds)).rowcount == 1:
        return True
    return connection.scalar(select(entry.c.build_id).where(entry.c.build_id == build_id)) is not None


def unpublished_ids() -> Select[int]:
    """The builds whose snapshot is not published."""
    return select(entry.c.build_id).where(entry.c.published_at.is_(None))


def versions(connection: Connection, target: str, package: str) -> tuple[str, ...]:
    """EVR strings of the package's successful trunk builds, the first that succeeded first."""
    statement = (
        select(build.c.version)
        .join(entry, entry.c.build_id == build.c.id)
        .where(entry.c.target == target, entry.c.package == package)
        .order_by(entry.c.succeeded_at, entry.c.build_id)
    )
    return tuple(connection.scalars(statement))


def newest(connection: Connection, target: str) -> list[NewestBuild]:
    """For each package of the target its newest successful build."""
    return [NewestBuild(*row) for row in connection.execute(_NEWEST, {"target": target}).all()]


def newest_by_package(connection: Connection, target: str) -> dict[str, int]:
    """For each package of the target the number of its newest successful build."""
    return {build.package: build.build_id for build in newest(connection, target)}


def of_builds(connection: Connection, builds: Sequence[int]) -> dict[int, SnapshotEntry]:
    """What builds bring, by build; nothing for those that are no successful builds of a trunk commit."""
    found: dict[int, SnapshotEntry] = {}
    for start in range(0, len(builds), _BUILDS_AT_ONCE):
        wanted = {"builds": builds[start : start + _BUILDS_AT_ONCE]}
        artifacts: dict[int, list[Artifact]] = defaultdict(list)
        for build_id, *columns in connection.execute(_ARTIFACTS, wanted):
            artifacts[build_id].append(_to_artifact(*columns))
        found.update((row[0], _to_entry(artifacts[row[0]], *row)) for row in connection.execute(_ENTRIES, wanted))
    return found


def publishers(connection: Connection, target: str, names: Collection[str]) -> dict[str, tuple[str, ...]]:
    """By name, the packages whose newest successful build brings a binary package of that name, sorted."""
    packages = _packages(target)
    statement = (
        select(build_artifact.c.name, packages.c.package)
        .select_from(packages)
        .join(build_artifact, build_artifact.c.build_id == _newest_id(target, packages))
        .where(build_artifact.c.kind == ArtifactKind.BINARY)
    )
    found: dict[str, set[str]] = defaultdict(set)
    wanted = frozenset(names)
    # Not in SQL: a build may name more packages than a statement can have parameters.
    for name, package in connection.execute(statement):
        if name in wanted:
            found[name].add(package)
    return {name: tuple(sorted(found[name])) for name in sorted(found)}


def failing(connection: Connection, target: str) -> tuple[str, ...]:
    """Packages of which no trunk build has succeeded since the last one that failed or errored, sorted."""
    return tuple(sorted(connection.scalars(_FAILING, {"target": target})))


def _to_entry(
    artifacts: Sequence[Artifact],
    _build_id: int,
    package: str,
    upstream_url: str,
    upstream_sha: str,
    packaging_url: str,
    packaging_sha: str,
    extended: str,
    component: str,
    version: str,
    succeeded_at: datetime,
    failed_since: bool,
) -> SnapshotEntry:
    return SnapshotEntry(
        package=package,
        upstream_url=upstream_url,
        upstream_sha=upstream_sha,
        packaging_url=packaging_url,
        packaging_sha=packaging_sha,
        extended=extended,
        component=component,
        version=version,
        succeeded_at=succeeded_at,
        latest_succeeded=not failed_since,
        artifacts=tuple(artifacts),
    )


def _packages(target: str | BindParameter[str]) -> FromClause:
    """The names of the packages that have an entry."""
    return _each(entry.c.package, entry.c.target == target)


def _each(package: Column[str], wanted: ColumnElement[bool]) -> FromClause:
    """The different names in a column: a hop from name to name in its index.

    A plain GROUP BY reads the whole history, and a snapshot must not take longer because there is more of it. See
    https://wiki.postgresql.org/wiki/Loose_indexscan.
    """
    names = select(func.min(package).label("package")).where(wanted).cte("names", recursive=True)
    following = select(func.min(package)).where(wanted, package > names.c.package)
    return names.union_all(select(following.scalar_subquery()).where(names.c.package.is_not(None)))


def _newest_id(target: str | BindParameter[str], packages: FromClause) -> ScalarSelect[int]:
    """The build that a package's newest entry is of; of two that ended at the same moment, the one made later."""
    candidate = entry.alias("candidate")
    return (
        select(candidate.c.build_id)
        .where(candidate.c.target == target, candidate.c.package == packages.c.package)
        .order_by(candidate.c.succeeded_at.desc(), candidate.c.build_id.desc())
        .limit(1)
        .correlate(packages)
        .scalar_subquery()
    )


def _failed_since(of: FromClause) -> Exists:
    """Whether a trunk build of an entry's package failed after the entry's build succeeded."""
    failure = build.alias("failure")
    return (
        exists(failure.c.id)
        .where(
            failure.c.target == of.c.target,
            failure.c.package == of.c.package,
            failure.c.trunk,
            failure.c.failed_at >= of.c.succeeded_at,
            tuple_(failure.c.failed_at, failure.c.id) > tuple_(of.c.succeeded_at, of.c.build_id),
        )
        .correlate(of)
    )


def _select_failing(target: BindParameter[str]) -> Select[str]:
    """The packages whose newest failure, among those of the trunk, has no success after it."""
    of_trunk = (build.c.target == target) & build.c.trunk & build.c.failed_at.is_not(None)
    packages = _each(build.c.package, of_trunk)
    newest = (
        select(build.c.id)
        .where(of_trunk, build.c.package == packages.c.package)
        .order_by(build.c.failed_at.desc(), build.c.id.desc())
        .limit(1)
        .correlate(packages)
        .scalar_subquery()
    )
    failed = build.alias("failed")
    mended = (
        exists(entry.c.build_id)
        .where(
            entry.c.target == failed.c.target,
            entry.c.package == failed.c.package,
            entry.c.succeeded_at >= failed.c.failed_at,
            tuple_(entry.c.succeeded_at, entry.c.build_id) > tuple_(failed.c.failed_at, failed.c.id),
        )
        .correlate(failed)
    )
    return select(failed.c.package).select_from(packages).join(failed, failed.c.id == newest).where(~mended)


def _select_newest(target: BindParameter[str]) -> Select[*tuple[Any, ...]]:
    """The arguments of `NewestBuild`: a hop from package to package in the index, see `_each`."""
    first = select(*_of_package(entry)).where(entry.c.target == target).order_by(*_newest_first(entry)).limit(1)
    newest = select(first.subquery()).cte("newest", recursive=True)
    candidate, following = entry.alias("candidate"), entry.alias("following")
    next_id = (
        select(candidate.c.build_id)
        .where(candidate.c.target == target, candidate.c.package < newest.c.package)
        .order_by(*_newest_first(candidate))
        .limit(1)
        .correlate(newest)
        .scalar_subquery()
    )
    others = select(*_of_package(following)).join(newest, following.c.build_id == next_id)
    found = newest.union_all(others)
    # The moment as the database has it: it is only compared.
    return select(found.c.package, found.c.build_id, type_coerce(found.c.succeeded_at, Text), _failed_since(found))


def _of_package(of: FromClause) -> tuple[ColumnElement[Any], ...]:
    return of.c.build_id, of.c.target, of.c.package, of.c.succeeded_at


def _newest_first(of: FromClause) -> tuple[ColumnElement[Any], ...]:
    return of.c.package.desc(), of.c.succeeded_at.desc(), of.c.build_id.desc()


def _select_entries(builds: BindParameter[Sequence[int]]) -> Select[*tuple[Any, ...]]:
    """The arguments of `_to_entry` after the first."""
    commit = upstream_commit.c
    return (
        select(
            entry.c.build_id,
            entry.c.package,
            entry.c.upstream_url,
            commit.upstream_sha,
            entry.c.packaging_url,
            commit.packaging_sha,
            commit.extended,
            entry.c.component,
            entry.c.version,
            entry.c.succeeded_at,
            _failed_since(entry),
        )
        .join(build, build.c.id == entry.c.build_id)
        .join(upstream_commit, upstream_commit.c.id == build.c.commit_id)
        .where(entry.c.build_id.in_(builds))
    )


def _select_artifacts(builds: BindParameter[Sequence[int]]) -> Select[*tuple[Any, ...]]:
    """The files of builds, each build's in their order."""
    return (
        select(build_artifact.c.build_id, *_ARTIFACT_COLUMNS)
        .join(artifact, artifact.c.sha256 == build_artifact.c.sha256)
        .where(build_artifact.c.build_id.in_(builds))
        .order_by(build_artifact.c.build_id, build_artifact.c.position)
    )


# Made once: to put them together takes longer than to run them.
_FAILING = _select_failing(bindparam("target"))
_NEWEST = _select_newest(bindparam("target"))
_ENTRIES = _select_entries(bindparam("builds", expanding=True))
_ARTIFACTS = _select_artifacts(bindparam("builds", expanding=True))
