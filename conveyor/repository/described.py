"""What an entry brings into every snapshot that has it: worked out once, as most entries are in the next one again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from conveyor.model.artifact import Snapshot, SnapshotEntry
from conveyor.repository import names, records


@dataclass(frozen=True, slots=True)
class Described:
    """A function of one entry.

    Attributes:
        version: its row of versions.csv.
        manifest: its line of manifest.json.
        paths: those of its artifacts in the pool.
    """

    version: str
    manifest: str
    paths: tuple[str, ...]


Descriptions = Mapping[SnapshotEntry, Described]


class Describing:
    """Describes entries, and keeps those of each target's last snapshot.

    Threads may use it at once: what is kept is replaced as a whole, and is never wrong, only of use or not.
    """

    def __init__(self) -> None:
        self._kept: dict[str, Descriptions] = {}

    def of(self, snapshot: Snapshot) -> Descriptions:
        """The snapshot's entries, in its order.

        Raises:
            SourceInvalid: a name is not fit to be published.
        """
        kept = self._kept.get(snapshot.target, {})
        described = {entry: kept.get(entry) or _described(entry) for entry in snapshot.entries}
        self._kept[snapshot.target] = described
        return described


def _described(entry: SnapshotEntry) -> Described:
    for artifact in entry.artifacts:
        names.check_artifact(artifact)
    return Described(
        version=records.versions_row(entry),
        manifest=records.manifest_line(entry),
        paths=tuple(artifact.pool_path for artifact in entry.artifacts),
    )
