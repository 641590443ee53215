"""Copies of the published tree elsewhere."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from conveyor.model.mirror import Copied, Mirror, MirrorState


class MirrorStates(Protocol):
    """How mirrors stand. Each method is one transaction."""

    def of(self, mirror: str, target: str) -> MirrorState:
        """How a mirror stands with a target; a fresh one where it was never tried."""

    def succeeded(self, mirror: str, target: str, at: datetime) -> None:
        """Remember that it has everything as of a moment."""

    def failed(self, mirror: str, target: str, at: datetime, cause: str) -> None:
        """Remember that a try failed, and why."""


class Copier(Protocol):
    """Copies targets' trees to mirrors."""

    def alone(self, mirror: Mirror) -> AbstractContextManager[bool]:
        """Hold the place of a mirror's one writer, across processes; False where another holds it."""

    def copy(self, mirror: Mirror, target: str, commits: Collection[str] | None, *, dry_run: bool = False) -> Copied:
        """Bring a mirror's copy of a target's tree up to date: content first, then pointers, then what goes.

        A pointer is set there only when all that it leads to is there. What was interrupted is taken up again.

        Args:
            mirror: where to.
            target: the target's name.
            commits: whose snapshots to copy beside those that pointers lead to; None for all there are, after which
                what is not here any more is removed there if the mirror says so.
            dry_run: only count what would be done.

        Raises:
            MirroringFailed: it could not be reached, had no room, or stood still for too long.
            CommandMissing: rsync is not installed.
        """
