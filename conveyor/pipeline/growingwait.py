"""How long to wait after failures in a row: longer after each, up to a limit."""

from __future__ import annotations

from datetime import timedelta

# Beyond, any wait has reached its limit.
_MOST_STEPS = 20


def growing_wait(first: timedelta, failures: int, longest: timedelta, *, factor: int = 2) -> timedelta:
    """How long to wait after so many failures in a row.

    Args:
        first: after one failure, or none.
        failures: how many.
        longest: at most.
        factor: how many times as long each wait is as the one before.
    """
    times = int(factor ** min(max(failures - 1, 0), _MOST_STEPS))
    return min(first * times, longest)
