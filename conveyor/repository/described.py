"""What an entry brings into every snapshot that has it: worked out once, as most entries are in the next one again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from conveyor.model.artifact import Snapshot, SnapshotEntry
from conveyor.repository import names, records


@dataclass(frozen=True, slots=True)
class Described:
    """An entry, and what is a function of it.

    Attributes:
        entry: the entry.
        version: its row of versions.csv.
        manifest: its line of manifest.json.
        paths: those of its artifacts in the pool.
    """

    entry: SnapshotEntry
    version: bytes
    manifest: bytes
    paths: tuple[str, ...]


Descriptions = Sequence[Described]


class Describing:
    """Describes entries, and keeps those of each target's last snapshot.

    Threads may use it at once: what is kept is replaced as a whole, and is never wrong, only of use or not.
    """

    def __init__(self) -> None:
        self._kept: dict[str, Mapping[str, Described]] = {}  # by target, then by package

    def of(self, snapshot: Snapshot) -> Descriptions:
        """The snapshot's entries, in its order.

        Raises:
            SourceInvalid: a name is not fit to be published.
        """
        kept = self._kept.get(snapshot.target, {})
        described = tuple(_described(entry, kept.get(entry.package)) for entry in snapshot.entries)
        self._kept[snapshot.target] = {each.entry.package: each for each in described}
        return described


def _described(entry: SnapshotEntry, before: Described | None) -> Described:
    if before is not None and before.entry == entry:
        return before
    for artifact in entry.artifacts:
        names.check_artifact(artifact)
    return Described(
        entry=entry,
        version=records.versions_row(entry),
        manifest=records.manifest_line(entry),
        paths=tuple(artifact.pool_path for artifact in entry.artifacts),
    )
