"""Fairness between packages: how much each had of a target lately.

Each start of a build counts for its package, and the package that had least goes first. What a start counts halves
while the packages that have builds on the target get `ROUNDS` turns each. So a package that was quiet for a while has a
few starts ahead of those that never stop, and these take turns; and nobody pays for long for having had a target for
itself while no other wanted it. Starts are the measure and not hours: nothing depends on a clock, and a night without
builds does not make all alike.

All that was before loses weight alike, so the order of two packages changes with their own starts only. Therefore a
share is kept as a number that stands still: the logarithm of what its starts would count if the newest weighed most.
"""

from __future__ import annotations

import math

ROUNDS = 4
# A target that few packages have builds on forgets no faster than with so many.
FEWEST = 4
NONE = -math.inf


def half_lives(busy: int) -> float:
    """How many half-lives one start takes.

    Args:
        busy: how many packages have builds on the target.
    """
    return 1 / (ROUNDS * max(busy, FEWEST))


def with_start(share: float, age: float) -> float:
    """A package's share after one more start of it.

    Args:
        share: its share before; `NONE` for none.
        age: how many half-lives all starts on the target took so far.
    """
    more, less = max(share, age), min(share, age)
    return more + math.log2(1 + 2 ** (less - more))
