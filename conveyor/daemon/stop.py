"""The end of the daemon: who asked for it, and how much time running builds have left."""

from __future__ import annotations

import time
from enum import StrEnum

# What builds are given to go back into the queue once their time is over, before they are killed.
GRACE = 20.0


class Phase(StrEnum):
    """How far the end has come."""

    RUNNING = "running"
    ENDING = "ending"  # no build is taken; those that run go on
    PUTTING_BACK = "putting back"  # those that run go back into the queue
    KILLING = "killing"


class Stop:
    """Says what is to be done about the end now."""

    def __init__(self) -> None:
        self.reason = ""
        self._asked = 0
        self._deadline = 0.0

    def ask(self, reason: str, within: float) -> None:
        """Ask for the end; asked again, at once.

        Args:
            reason: why, in a word.
            within: seconds that running builds have.
        """
        self._asked += 1
        self.reason = self.reason or reason
        if self._asked == 1:
            self._deadline = time.monotonic() + within
        else:
            self._deadline = min(self._deadline, time.monotonic())

    @property
    def phase(self) -> Phase:
        """How far it has come."""
        if not self._asked:
            return Phase.RUNNING
        late = time.monotonic() - self._deadline
        if late < 0:
            return Phase.ENDING
        return Phase.PUTTING_BACK if late < GRACE else Phase.KILLING
