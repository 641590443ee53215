"""How many builds there are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Builds that ended within a time.

    Attributes:
        succeeded: how many succeeded.
        failed: how many failed, through their packages' fault.
    """

    succeeded: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Builds of the trunk for a target.

    Attributes:
        all: how many there are, whatever became of them.
        succeeded: how many succeeded.
        failed: how many failed, through their packages' fault.
        errored: how many errored, and wait to be tried again or were given up.
    """

    all: int
    succeeded: int
    failed: int
    errored: int
