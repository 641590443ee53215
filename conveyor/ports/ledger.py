"""What moved pointers, and what tests say of what they point at."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from conveyor.model.event import NewEvent
from conveyor.model.promotion import LedgerEntry, Move, Vote, VotesWanted


class Ledger(Protocol):
    """Who moved which pointer, when, on which evidence; only ever added to. Each method is one transaction."""

    def begin(self, move: Move) -> int:
        """Say what is about to be moved, before anything is; returns the move's number."""

    def complete(self, number: int, at: datetime, *, events: Sequence[NewEvent] = ()) -> tuple[LedgerEntry, ...]:
        """Write down that a move has happened: an entry for each step, and the events. Again, it changes nothing.

        Raises:
            ValueError: no such move was begun.
        """

    def abandon(self, number: int) -> None:
        """Forget a move that was begun and taken back: nothing of it happened.

        Raises:
            ValueError: the ledger has it.
        """

    def pending(self) -> tuple[tuple[int, Move], ...]:
        """Moves that were begun and neither completed nor abandoned, oldest first, with their numbers."""

    def entries(
        self,
        *,
        target: str | None = None,
        pointer: str | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> tuple[LedgerEntry, ...]:
        """Entries, newest first; with `until`, those of moves that were done by then."""

    def promotions(
        self,
        target: str,
        *,
        pointer: str | None = None,
        commits: Collection[str] | None = None,
        component: str | None = None,
        offset: int = 0,
        limit: int = 100,
    ) -> tuple[LedgerEntry, ...]:
        """Entries of pointers that do not follow builds, newest first.

        Args:
            target: the target's name.
            pointer: leaves out those of other pointers.
            commits: leaves out those that led to others than the commits of these ids.
            component: leaves out those that led to commits of packages of other components.
            offset: how many of the newest are left out.
            limit: how many at most.
        """

    def entry(self, number: int) -> LedgerEntry:
        """One entry.

        Raises:
            UnknownName: there is none.
        """

    def of_move(self, number: int) -> tuple[LedgerEntry, ...]:
        """The entries of one move, in the order of its steps; none where it was not completed."""

    def kept(self, target: str) -> frozenset[str]:
        """Ids of the commits whose snapshots of a target an entry says to keep."""

    def broken(self) -> LedgerEntry | None:
        """The first entry that does not follow from the ones before, or was changed; None where all is well."""


class Votes(Protocol):
    """What tests say of published commits. Each method is one transaction."""

    def add(self, vote: Vote) -> Vote:
        """Remember a vote; earlier ones of the same job stay."""

    def of(self, subject: str, *, target: str | None = None) -> tuple[Vote, ...]:
        """Votes on a commit or an aggregated repository file, oldest first; of one target those on all are in it."""

    def newest(self, wanted: VotesWanted) -> tuple[Vote, ...]:
        """The votes that are wanted, the latest first."""
