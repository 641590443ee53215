"""Notices that the clock was set, or stood still while the machine slept."""

from __future__ import annotations

import time

LARGEST = 5.0  # seconds; what is less is no jump: clocks are slewed, and processes wait


class Jumps:
    """Compares the wall clock with one that only goes on."""

    def __init__(self) -> None:
        self._apart = _apart()

    def look(self) -> float:
        """Seconds that the clock has jumped by since the last look, back where negative; 0 for no jump."""
        before, self._apart = self._apart, _apart()
        jump = self._apart - before
        return jump if abs(jump) > LARGEST else 0.0


def _apart() -> float:
    return time.time() - time.monotonic()
