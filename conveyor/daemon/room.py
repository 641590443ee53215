"""Whether there is room on the disk for one more build."""

from __future__ import annotations

import shutil
from pathlib import Path

from conveyor.model.event import EventKind, NewEvent

# What is free has to be so much more than the least before builds are taken again: else each would end that.
ENOUGH = 1.1
MIB = 1024**2


class Room:
    """Looks at the disk of the data directory.

    Args:
        data: the data directory.
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        self.low = False

    def look(self, least: int) -> NewEvent | None:
        """Look at the disk; gives the event where it has become low, or fine again.

        Args:
            least: bytes that must be free.
        """
        free = shutil.disk_usage(self._data).free
        low = free < (least * ENOUGH if self.low else least)
        if low == self.low:
            return None
        self.low = low
        told = "no build is taken" if low else "builds are taken again"
        return NewEvent(
            kind=EventKind.DISK_LOW if low else EventKind.DISK_FINE,
            summary=f"{free // MIB} MiB are free below {self._data}, {least // MIB} are needed: {told}",
            detail={"free": free, "least": least},
        )
