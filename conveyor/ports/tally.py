"""Counting builds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from conveyor.model.tally import Ended, Totals


class Tally(Protocol):
    """Counts builds of the trunk. Each method is one transaction."""

    def ended(self, target: str, *, since: datetime, until: datetime, package: str | None = None) -> Ended:
        """Builds for a target that succeeded or failed, by when their last attempt ended.

        Args:
            target: the target's name.
            since: leaves out those that ended before.
            until: leaves out those that ended then or later.
            package: leaves out those of other packages.
        """

    def totals(self) -> Mapping[str, Totals]:
        """All builds, by the target's name."""
