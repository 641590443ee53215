"""The ports `Ledger` and `Votes` in memory. They pass the same contract suite as the real ones."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from conveyor.errors import UnknownName
from conveyor.model import chain
from conveyor.model.event import NewEvent
from conveyor.model.promotion import LedgerEntry, Move, MoveKind, Vote, VotesWanted, follows_builds
from conveyor.ports import Store
from conveyor.store.types import harmless, utc
from tests.fakes.events import MemoryEvents


def _is_published(store: Store | None, target: str, commit: str, component: str | None, *, there: bool = False) -> bool:
    """Whether a commit was published for a target, by a package of a component."""
    found = store.published(target, commit=commit) if store else ()
    return any(
        each.commit == commit
        and not (there and each.collected_at)
        and component in {None, store.entry(each.build).component if store else None}
        for each in found
    )


class MemoryLedger:
    """See `conveyor.ports.Ledger`."""

    def __init__(self, events: MemoryEvents | None = None, store: Store | None = None) -> None:
        self.events = events or MemoryEvents()
        self._store = store
        self.written: list[LedgerEntry] = []
        self._begun: dict[int, Move] = {}
        self._last_number = 0

    def begin(self, move: Move) -> int:
        if not move.steps or len({(step.target, step.pointer) for step in move.steps}) < len(move.steps):
            raise ValueError("no steps, or one pointer twice")
        evidence = json.loads(chain.canonical(move.evidence))
        clean = replace(move, actor=harmless(move.actor), note=harmless(move.note), evidence=evidence, at=utc(move.at))
        self._last_number += 1
        self._begun[self._last_number] = clean
        return self._last_number

    def complete(self, number: int, at: datetime, *, events: Sequence[NewEvent] = ()) -> tuple[LedgerEntry, ...]:
        move = self._begun.pop(number, None)
        if move is not None:
            last = self.written[-1] if self.written else None
            self.written += chain.follow(last, number, move, at.astimezone(UTC))
            self.events.record(events, at)
        done = self.of_move(number)
        if not done:
            raise ValueError(f"there is no move {number}")
        return done

    def abandon(self, number: int) -> None:
        if self.of_move(number):
            raise ValueError(f"move {number} has happened")
        self._begun.pop(number, None)

    def pending(self) -> tuple[tuple[int, Move], ...]:
        return tuple(sorted(self._begun.items(), key=lambda item: item[0]))

    def entries(
        self,
        *,
        target: str | None = None,
        pointer: str | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> tuple[LedgerEntry, ...]:
        found = [
            entry
            for entry in reversed(self.written)
            if target in {None, entry.step.target} and pointer in {None, entry.step.pointer}
            if until is None or entry.at <= until
        ]
        return tuple(found[:limit])

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
        found = [
            entry
            for entry in self.entries(target=target, pointer=pointer)
            if entry.kind is not MoveKind.PUBLISHED and not follows_builds(entry.step.pointer)
            if commits is None or entry.step.after in commits
            if component is None or _is_published(self._store, target, entry.step.after, component)
        ]
        return tuple(found[offset : offset + limit])

    def entry(self, number: int) -> LedgerEntry:
        if not 0 < number <= len(self.written):
            raise UnknownName(f"the ledger has no entry {number}")
        return self.written[number - 1]

    def of_move(self, number: int) -> tuple[LedgerEntry, ...]:
        return tuple(entry for entry in self.written if entry.move == number)

    def kept(self, target: str) -> frozenset[str]:
        return frozenset(entry.step.after for entry in self.written if entry.keep and entry.step.target == target)

    def broken(self) -> LedgerEntry | None:
        return chain.first_broken(self.written)


class MemoryVotes:
    """See `conveyor.ports.Votes`."""

    def __init__(self, store: Store | None = None) -> None:
        self._store = store
        self._votes: list[Vote] = []

    def add(self, vote: Vote) -> Vote:
        clean = replace(
            vote,
            subject=harmless(vote.subject),
            target=harmless(vote.target),
            job=harmless(vote.job),
            url=harmless(vote.url),
            notes=harmless(vote.notes),
            user=harmless(vote.user),
            at=utc(vote.at),
        )
        self._votes.append(clean)
        return self._votes[-1]

    def of(self, subject: str, *, target: str | None = None) -> tuple[Vote, ...]:
        return tuple(
            vote for vote in self._votes if vote.subject == subject and (target is None or vote.target in {target, ""})
        )

    def newest(self, wanted: VotesWanted) -> tuple[Vote, ...]:
        found = [vote for vote in reversed(self._votes) if self._is_wanted(wanted, vote)]
        latest_first = sorted(found, key=lambda vote: vote.at, reverse=True)
        return tuple(latest_first[wanted.offset : wanted.offset + wanted.limit])

    def _is_wanted(self, wanted: VotesWanted, vote: Vote) -> bool:
        fits = (
            vote.target in {wanted.target, ""},
            wanted.since is None or vote.at > wanted.since,
            wanted.job in {None, vote.job},
            wanted.success in {None, bool(vote.success)},
            len(vote.subject) == 32
            if wanted.aggregates
            else _is_published(self._store, wanted.target, vote.subject, wanted.component, there=wanted.there),
        )
        return all(fits)
