"""Last stage of the way of a commit: from a successful build to its snapshot and the pointers."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from conveyor.model.artifact import Artifact, ArtifactKind, Snapshot, SnapshotEntry
from conveyor.model.build import Build
from conveyor.model.promotion import CONSISTENT, CURRENT, MoveKind, consistent_of
from conveyor.model.provenance import Provenance
from conveyor.model.target import Target
from conveyor.pipeline import happenings
from conveyor.pipeline.pointing.pointers import ACTOR, Pointers
from conveyor.pipeline.provenance import Statements
from conveyor.ports import Repository, Store

PUBLISHED_LOG = 32 * 1024**2  # bytes


class Publisher:
    """Publishes one build at a time for each target; every step can be repeated.

    Args:
        store: what happened.
        repository: the published tree.
        pointers: moves `current` and `consistent`.
        data: the data directory, which logs are relative to.
        components: by target, the components of the packages that are configured for it: only these can hold its
            `consistent` back.
        statements: says in each snapshot how it was made.
    """

    def __init__(
        self,
        store: Store,
        repository: Repository,
        pointers: Pointers,
        data: Path,
        components: Mapping[str, Mapping[str, str]],
        statements: Statements | None = None,
    ) -> None:
        self._store = store
        self._repository = repository
        self._pointers = pointers
        self._data = data
        self._components = components
        self._statements = statements

    def keeping(self, target: Target) -> AbstractContextManager[None]:
        """What `keep` brings into the pool stays there to the end of this block: until the store knows of it."""
        return self._repository.bringing(target.name)

    def keep(self, target: Target, files: Sequence[tuple[Path, Artifact]]) -> tuple[Artifact, ...]:
        """Bring a build's files into the pool, before the store knows of them; returns what they have become there.

        Packages may be signed on the way, which changes their bytes. One that is published already stays what it is:
        a second signature would differ from the first one.

        Raises:
            SigningFailed: a package was not signed; nothing is in the pool.
        """
        known = [self._known(target, path, artifact) for path, artifact in files]
        new = [file for file, published in zip(files, known, strict=True) if published is None]
        with self._repository.signed(target.name, new) as signed:
            added = iter([self._repository.add(target.name, path, artifact) for path, artifact in signed])
            return tuple(next(added) if published is None else published for published in known)

    def _known(self, target: Target, path: Path, artifact: Artifact) -> Artifact | None:
        """The published package that a file is; None where there is none."""
        if artifact.kind is not ArtifactKind.BINARY:
            return None
        known = self._store.published_artifact(target.name, artifact.name, artifact.version, artifact.architecture)
        if known is not None and known.sha256 == artifact.sha256:
            # Retention may have removed it. It is no other than it was: a signature would make it one.
            return self._repository.add(target.name, path, known)
        return known if known is not None and self._repository.holds(target.name, path, known) else None

    def publish(self, build: Build, target: Target) -> Path:
        """Publish a successful build's snapshot and move the pointers; returns the snapshot's folder.

        A build that is published stays as it is: its snapshot may have been collected since.
        """
        started = time.monotonic()
        with self._pointers.writing([target.name]):
            if self._store.build(build.id).published:  # meanwhile; it may even have been collected since
                return self._repository.snapshot_folder(target.name, build.commit.id)
            own = self._store.entry(build.id)
            newest = {entry.package: entry for entry in self._store.entries(target.name)}
            is_newest = newest.get(own.package) == own
            snapshot = _snapshot(build, target, own, newest, self._store.provenance(build.id))
            folder = self._repository.publish(
                snapshot, {**self._log(build), **self._provenance(build, target, snapshot)}
            )
            if is_newest:
                self._move(target, snapshot)
            self._store.mark_published(build.id, time.monotonic() - started, events=happenings.published(build))
        return folder

    def _move(self, target: Target, snapshot: Snapshot) -> None:
        configured = self._components.get(target.name, {})
        failing = [configured[package] for package in self._store.failing(target.name) if package in configured]
        components = {entry.component for entry in snapshot.entries} if target.indexes.by_component else set()
        moved = [CURRENT, *_consistent(components, failing)]
        steps = [(target.name, pointer, snapshot.commit_id) for pointer in moved]
        self._pointers.move_held(MoveKind.PUBLISHED, steps, actor=ACTOR)

    def _log(self, build: Build) -> dict[str, bytes]:
        log = self._data / build.log if build.log else None
        return {"logs/build.log": _end_of(log)} if log is not None and log.exists() else {}

    def _provenance(self, build: Build, target: Target, snapshot: Snapshot) -> dict[str, bytes]:
        if self._statements is None:
            return {}
        return self._statements.files(build, target, snapshot)


def _consistent(components: Collection[str], failing: Collection[str]) -> Iterator[str]:
    """The pointers that no package of a failing component holds back."""
    if not failing:
        yield CONSISTENT
    yield from (consistent_of(component) for component in sorted({*components} - {*failing}))


def _end_of(log: Path) -> bytes:
    """A log, or the end of one that is larger than anybody reads: it is copied into the snapshot."""
    with log.open("rb") as file:
        left_out = file.seek(0, os.SEEK_END) - PUBLISHED_LOG
        file.seek(max(0, left_out))
        told = f"[the first {left_out} bytes of this log are left out]\n" if left_out > 0 else ""
        return told.encode() + file.read(PUBLISHED_LOG)


def _snapshot(
    build: Build,
    target: Target,
    own: SnapshotEntry,
    newest: dict[str, SnapshotEntry],
    provenance: Provenance | None,
) -> Snapshot:
    entries = {**newest, own.package: own}
    return Snapshot(
        target=target.name,
        architecture=target.architecture,
        commit_id=build.commit.id,
        package=own.package,
        created_at=build.commit.upstream.committed_at,
        entries=tuple(entries[name] for name in sorted(entries)),
        provenance=provenance,
    )
