"""Pointers that go back: to where they were before their last move, or to where somebody says."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from conveyor.errors import PromotionRefused, UnknownName, UserError
from conveyor.model.promotion import LedgerEntry, MoveKind
from conveyor.pipeline.looking.find_snapshot import find_snapshot
from conveyor.pipeline.pointing.pointers import Pointers
from conveyor.ports import Ledger, Repository, Store

_NUMBER = re.compile(r"[0-9]{1,9}")
_Steps = list[tuple[str, str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants to roll back.

    Attributes:
        pointer: the pointer's name.
        targets: names of the targets; none for all that have it.
        to: the number of a ledger entry, or what `find_snapshot` takes; None for where it was before its last move.
        actor: who wants it.
        note: a person's words.
    """

    pointer: str
    targets: tuple[str, ...] = ()
    to: str | None = None
    actor: str
    note: str = ""


class Rollback:
    """Rolls pointers back, all targets of a move together.

    Args:
        ledger: where pointers were.
        store: what was published.
        repository: the published tree.
        pointers: moves pointers.
        targets: names of the configured targets.
    """

    def __init__(
        self, *, ledger: Ledger, store: Store, repository: Repository, pointers: Pointers, targets: Collection[str]
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._repository = repository
        self._pointers = pointers
        self._targets = tuple(targets)

    def run(self, wish: Wish) -> tuple[LedgerEntry, ...]:
        """Move the pointer back; returns what the ledger then has of it, which is nothing where it was there already.

        Raises:
            UnknownName: there is no such pointer, snapshot or entry.
            UserError: it does not say which move is meant.
            PromotionRefused: there is nowhere to go back to.
            DiskFull, StoreUnusable, SigningFailed: see `Pointers.move`.
        """
        having = self._having(wish)
        with self._pointers.writing(having):
            steps, evidence = self._steps(wish, having)
            return self._pointers.move_held(
                MoveKind.ROLLED_BACK, steps, actor=wish.actor, note=wish.note, evidence=evidence
            )

    def _having(self, wish: Wish) -> tuple[str, ...]:
        """The targets that have the pointer."""
        having = tuple(target for target in self._targets if self._repository.pointed(target, wish.pointer) is not None)
        lacking = [target for target in wish.targets if target not in having]
        if lacking or not having:
            there = lacking or self._targets
            known = sorted({name for target in there for name in self._repository.pointers(target)})
            raise UnknownName(
                f"{lacking[0] if lacking else 'no target'} has {'no' if lacking else 'a'} pointer {wish.pointer!r}",
                hint=f"pointers there are: {', '.join(known) or 'none'}",
            )
        return having

    def _steps(self, wish: Wish, having: tuple[str, ...]) -> tuple[_Steps, Mapping[str, object]]:
        if wish.to is None:
            return self._before_last_move(wish, having)
        if _NUMBER.fullmatch(wish.to):
            return self._after_entry(wish, int(wish.to))
        chosen = wish.targets or having
        found = [(target, find_snapshot(self._store, self._repository, target, wish.to)) for target in chosen]
        return [(target, wish.pointer, snapshot.commit) for target, snapshot in found], {}

    def _before_last_move(self, wish: Wish, having: tuple[str, ...]) -> tuple[_Steps, Mapping[str, object]]:
        last = {target: self._last(target, wish.pointer) for target in having}
        moves = {entry.move for target, entry in last.items() if target in (wish.targets or having)}
        if len(moves) > 1 and not wish.targets:
            raise UserError(
                f"{wish.pointer} was last moved by different moves on different targets",
                hint="say which one is meant with --target: all targets of its last move go back together",
                details=[
                    f"{target}: move {entry.move}, {entry.kind} by {entry.actor} at {entry.at.isoformat()}"
                    for target, entry in last.items()
                ],
            )
        undone = [entry for entry in last.values() if entry.move in moves]
        steps = [(entry.step.target, wish.pointer, _before(entry)) for entry in undone]
        return steps, {"undone_moves": sorted(moves)}

    def _last(self, target: str, pointer: str) -> LedgerEntry:
        entries = self._ledger.entries(target=target, pointer=pointer, limit=1)
        if not entries:
            raise PromotionRefused(
                f"the ledger does not know where {pointer} of {target} was before",
                hint="say where to: conveyor rollback --to COMMIT",
            )
        return entries[0]

    def _after_entry(self, wish: Wish, number: int) -> tuple[_Steps, Mapping[str, object]]:
        entry = self._ledger.entry(number)
        together = {
            each.step.target: each.step.after
            for each in self._ledger.of_move(entry.move)
            if each.step.pointer == wish.pointer
        }
        missing = [target for target in wish.targets if target not in together]
        if missing or not together:
            raise UserError(
                f"entry {number} of the ledger says nothing of {wish.pointer}{f' of {missing[0]}' if missing else ''}",
                hint=f"'conveyor ledger --pointer {wish.pointer}' lists its moves",
            )
        steps = [(target, wish.pointer, together[target]) for target in wish.targets or together]
        return steps, {"as_of_entry": number}


def _before(entry: LedgerEntry) -> str:
    step = entry.step
    if step.before is None:
        raise PromotionRefused(
            f"{step.pointer} of {step.target} was nowhere before",
            cause=f"its last move, entry {entry.number} of the ledger, was its first",
            hint="say where to: conveyor rollback --to COMMIT",
        )
    return step.before
