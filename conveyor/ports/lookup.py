"""Looking at many builds at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from conveyor.model.build import AttemptRecord, Build
from conveyor.model.search import Latest, Page, Query


class Lookup(Protocol):
    """Finds builds. Each method is one transaction."""

    def search(self, query: Query) -> Page:
        """The builds that are wanted, newest first: by their numbers, so that pages stay while builds come."""

    def latest(self, of: Collection[int] | None = None) -> tuple[Latest, ...]:
        """How the trunk of each package stands on each target that it was ever built for.

        Args:
            of: numbers of builds; leaves out all but their packages on their targets. None for everything.
        """

    def copies(self, package: str | None, *, among: int) -> tuple[Build, ...]:
        """Builds that are no part of the trunk, newest first.

        Args:
            package: whose builds; None for all.
            among: how many of these builds, those that were made last, are looked through.
        """

    def attempts(self, builds: Collection[int]) -> Mapping[int, tuple[AttemptRecord, ...]]:
        """The attempts of builds, by their numbers, the first one first; a build without is left out."""
