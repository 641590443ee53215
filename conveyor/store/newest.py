"""The newest entries of targets. What a build brings never changes, so it is read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy import Connection

from conveyor.model.artifact import SnapshotEntry
from conveyor.store import entries
from conveyor.store.entries import NewestBuild

# A store that was restored from a backup gives numbers again, but not at the same moment.
_Key = tuple[int, object]


class NewestEntries:
    """Reads the newest entries, and keeps of each target those that were the newest when it was asked last.

    Its threads may use it at once: what is kept is replaced as a whole, and is never wrong, only of use or not.
    """

    def __init__(self) -> None:
        self._kept: dict[str, Mapping[_Key, SnapshotEntry]] = {}

    def read(self, connection: Connection, target: str) -> tuple[SnapshotEntry, ...]:
        """For each package of the target what its newest successful build brings, sorted by package."""
        kept = self._kept.get(target, {})
        newest = {(build.build_id, build.succeeded_at): build for build in entries.newest(connection, target)}
        read = entries.of_builds(connection, [build_id for build_id, at in newest if (build_id, at) not in kept])
        found = {key: _as_now(kept.get(key) or read[build.build_id], build) for key, build in newest.items()}
        self._kept[target] = found
        return tuple(sorted(found.values(), key=lambda entry: entry.package))


def _as_now(entry: SnapshotEntry, build: NewestBuild) -> SnapshotEntry:
    """The entry, with what later builds say of it."""
    if entry.latest_succeeded is not build.failed_since:
        return entry
    return replace(entry, latest_succeeded=not build.failed_since)
