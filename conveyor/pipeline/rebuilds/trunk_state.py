"""What a target's trunk holds at a moment, as far as rebuilds go by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from conveyor.model.artifact import Artifact, ArtifactKind, SnapshotEntry
from conveyor.model.commit import commit_id
from conveyor.ports import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The newest good builds of a target.

    Attributes:
        newest: their numbers, by package.
        entries: what they made, by package.
        makers: who makes a binary package, and what it is, by its name.
        names: the binary packages' names.
    """

    newest: Mapping[str, int]
    entries: Mapping[str, SnapshotEntry]
    makers: Mapping[str, tuple[SnapshotEntry, Artifact]]
    names: frozenset[str]

    @classmethod
    def of(cls, store: Store, target: str) -> Contents:
        """As the store has it now."""
        newest = store.newest_builds(target)
        entries = {entry.package: entry for entry in store.entries(target)}
        makers = {
            artifact.name: (entry, artifact)
            for entry in entries.values()
            for artifact in entry.artifacts
            if artifact.kind is ArtifactKind.BINARY
        }
        return cls(newest=newest, entries=entries, makers=makers, names=frozenset(makers))


@dataclass(slots=True)
class TrunkState:
    """The same, and since when others can build with it.

    Attributes:
        store: what happened.
        target: the target's name.
        contents: the newest good builds.
    """

    store: Store
    target: str
    contents: Contents
    _published: dict[str, datetime | None] = field(default_factory=dict)

    def published_at(self, package: str) -> datetime | None:
        """Since when the newest good build of a package is in the trunk; None where it is not there."""
        if package not in self.contents.newest:
            return None
        if package not in self._published:
            number, entry = self.contents.newest[package], self.contents.entries[package]
            # By its commit, which leads to few; a target has published a hundred thousand.
            commit = commit_id(entry.upstream_sha, entry.packaging_sha, entry.extended)
            found = self.store.published(self.target, package=package, commit=commit)
            self._published[package] = next((each.published_at for each in found if each.build == number), None)
        return self._published[package]

    def since(self, package: str, moment: datetime | None) -> bool:
        """Whether the newest good build of a package came into the trunk after a moment; after any where it is None."""
        published = self.published_at(package)
        return published is not None and (moment is None or moment < published)

    def cascade(self, package: str) -> int:
        """How many builds led to one another up to the newest good build of a package."""
        return self.store.reason(self.contents.newest[package])[1].cascade
