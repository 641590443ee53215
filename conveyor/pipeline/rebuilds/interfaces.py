"""What others are built against, compared between builds of a package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from conveyor.model.artifact import Artifact, ArtifactKind, SnapshotEntry
from conveyor.model.provenance import InstalledPackage
from conveyor.model.target import Format, Target
from conveyor.ports import Describer, Repository, Store

# What rpm writes before a version without an epoch, in some lists.
NO_EPOCH = "0:"
ANY_ARCHITECTURE = ("all", "noarch")
# Files never change, so what was compared is remembered.
MOST_COMPARED = 10_000
Compared = tuple[str, tuple[InstalledPackage, ...], tuple[str, ...]]


class Interfaces:
    """Reads packages of the pool.

    Args:
        store: which packages were published.
        repository: where they are.
        describers: read them.
    """

    def __init__(self, store: Store, repository: Repository, describers: Mapping[Format, Describer]) -> None:
        self._store = store
        self._repository = repository
        self._describers = describers
        self._compared: dict[Compared, tuple[str, ...]] = {}

    def gone(self, target: Target, old: Sequence[InstalledPackage], new: SnapshotEntry) -> tuple[str, ...] | None:
        """What packages offered to build against that a newer build of their package does not, sorted.

        None where one of them cannot be read any more, or never was one of the trunk.
        """
        files = tuple(artifact.sha256 for artifact in new.artifacts)
        key = target.name, tuple(old), files
        if key not in self._compared:
            gone = self._gone(target, old, new)
            if gone is None:
                return None
            if len(self._compared) >= MOST_COMPARED:
                self._compared.clear()
            self._compared[key] = gone
        return self._compared[key]

    def _gone(self, target: Target, old: Sequence[InstalledPackage], new: SnapshotEntry) -> tuple[str, ...] | None:
        before: set[str] = set()
        for one in old:
            artifact = self._published(target, one)
            offered = None if artifact is None else self._offered(target, artifact)
            if offered is None:
                return None
            before.update(offered)
        after: set[str] = set()
        for artifact in new.artifacts:
            if artifact.kind is ArtifactKind.BINARY:
                after.update(self._offered(target, artifact) or ())
        return tuple(sorted(before - after))

    def _published(self, target: Target, package: InstalledPackage) -> Artifact | None:
        version = package.version.removeprefix(NO_EPOCH)
        architectures = (package.architecture or target.architecture, *ANY_ARCHITECTURE)
        found = (
            self._store.published_artifact(target.name, package.name, version, architecture)
            for architecture in architectures
        )
        return next((artifact for artifact in found if artifact is not None), None)

    def _offered(self, target: Target, artifact: Artifact) -> tuple[str, ...] | None:
        path = self._repository.artifact_path(target.name, artifact)
        return self._describers[target.format].abi(path) if path.exists() else None
