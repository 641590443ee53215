"""The only one that moves pointers: what is to be moved is written down first, and stands in the ledger afterwards."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import ParamSpec

from conveyor.errors import ConveyorError, DiskFailed, DiskFull, UnknownName
from conveyor.model.promotion import LedgerEntry, Move, MoveKind, Step
from conveyor.pipeline.happenings import moved
from conveyor.pipeline.pointing.verify_ledger import head_of
from conveyor.ports import Clock, Ledger, Repository

ACTOR = "conveyor"
P = ParamSpec("P")
_NO_EVIDENCE: Mapping[str, object] = {}


class Pointers:
    """Moves pointers: all of a move, or none, and never through a moment without one.

    First the intent is written into the ledger, then each symlink is replaced, then the ledger has the entries. What is
    killed on the way is carried out by whoever next writes to one of the targets, or starts.

    Args:
        ledger: who moved what.
        repository: the published tree.
        clock: the time of moves.
    """

    def __init__(self, ledger: Ledger, repository: Repository, clock: Clock) -> None:
        self._ledger = ledger
        self._repository = repository
        self._clock = clock

    @contextmanager
    def writing(self, targets: Collection[str]) -> Iterator[None]:
        """Hold the writers' places of targets, after completing what others were interrupted in.

        Places are taken in sorted order, so that no two wait for each other; so it cannot be nested.
        """
        while True:
            with self._holding(targets):
                interrupted = self._interrupted(targets)
                if not interrupted:
                    yield
                    return
            # They may need the places of further targets, which can only be taken together with these.
            for number, move in interrupted:
                self._carry_out(number, move)

    def move(
        self,
        kind: MoveKind,
        steps: Sequence[tuple[str, str, str]],
        *,
        actor: str,
        note: str = "",
        evidence: Mapping[str, object] = _NO_EVIDENCE,
        keep: bool = False,
    ) -> tuple[LedgerEntry, ...]:
        """Move pointers; returns what the ledger then has of it, less what was there already.

        Args:
            kind: why.
            steps: target, pointer, and the id of the commit to point at.
            actor: who or what moves them.
            note: a person's words.
            evidence: on what it stands, in JSON's types.
            keep: whether retention keeps the snapshots for ever.

        Raises:
            UnknownName: a snapshot or a target does not exist, or no pointer can be called that; nothing is moved.
            DiskFull, StoreUnusable: nothing is moved, or all is and the next start writes it down.
        """
        with self.writing({target for target, _, _ in steps}):
            return self.move_held(kind, steps, actor=actor, note=note, evidence=evidence, keep=keep)

    def move_held(
        self,
        kind: MoveKind,
        steps: Sequence[tuple[str, str, str]],
        *,
        actor: str,
        note: str = "",
        evidence: Mapping[str, object] = _NO_EVIDENCE,
        keep: bool = False,
    ) -> tuple[LedgerEntry, ...]:
        """See `move`, for a caller that is within `writing` of all targets."""
        for target, pointer, commit_id in steps:
            self._repository.check_pointer(target, pointer, commit_id)
        whole = tuple(self._step(*step) for step in steps)
        changes = tuple(step for step in whole if step.before != step.after)
        if not changes:
            return ()
        move = Move(
            kind=kind, actor=actor, note=note, evidence=evidence, keep=keep, at=self._clock.now(), steps=changes
        )
        number = self._ledger.begin(move)
        try:
            self._point(move)
        except (ConveyorError, OSError):
            # Should this fail too, the move stays pending, and is carried out as soon as it can be.
            self._take_back(number, move)
            raise
        return self._complete(number, move)

    def recover(self, targets: Collection[str]) -> tuple[ConveyorError, ...]:
        """Carry out what was interrupted, and write down what was moved by others; returns what cannot be mended.

        Args:
            targets: names of the targets whose pointers are looked at.
        """
        problems = [self._problem(self._carry_out, number, move) for number, move in self._ledger.pending()]
        unfinished = frozenset[str]().union(*(_targets(move) for _, move in self._ledger.pending()))
        problems += [self._problem(self._look_at, target) for target in sorted({*targets} - unfinished)]
        return tuple(problem for problem in problems if problem is not None)

    def _problem(
        self, work: Callable[P, ConveyorError | None], *args: P.args, **named: P.kwargs
    ) -> ConveyorError | None:
        """What kept the work from being done: it is no reason to leave the rest undone."""
        try:
            return work(*args, **named)
        except ConveyorError as error:
            return error

    def _look_at(self, target: str) -> None:
        # Most starts find nothing, and need not wait for whoever is publishing.
        if self._found(target):
            with self.writing([target]):
                self._write_down(self._found(target))

    @contextmanager
    def _holding(self, targets: Collection[str]) -> Iterator[None]:
        with ExitStack() as held:
            for target in sorted(set(targets)):
                held.enter_context(self._repository.writing(target))
            yield

    def _interrupted(self, targets: Collection[str]) -> tuple[tuple[int, Move], ...]:
        """Moves of these targets that nobody will complete: who began them held places that are now ours."""
        return tuple(
            (number, move) for number, move in self._ledger.pending() if not _targets(move).isdisjoint(targets)
        )

    def _carry_out(self, number: int, move: Move) -> ConveyorError | None:
        """Complete a move that was interrupted. One whose snapshots are gone is taken back, and the error says so."""
        with self._holding(_targets(move)):
            if number not in dict(self._ledger.pending()):
                return None  # it was not interrupted, or somebody else has completed it
            if move.kind is MoveKind.FOUND:
                self._ledger.abandon(number)  # nothing was to be moved, and it will be found again
                return None
            try:
                self._check(move)
            except UnknownName as error:
                self._take_back(number, move)
                what = f"the interrupted move of {_told(move)} was taken back"
                return UnknownName(what, cause=error.summary, hint="move it to a snapshot that is there")
            self._point(move)
            self._complete(number, move)
        return None

    def _check(self, move: Move) -> None:
        for step in move.steps:
            self._repository.check_pointer(step.target, step.pointer, step.after)

    def _point(self, move: Move) -> None:
        """Move the pointers that are not there yet."""
        for step in move.steps:
            if self._repository.pointed(step.target, step.pointer) != step.after:
                self._repository.point(step.target, step.pointer, step.after)

    def _take_back(self, number: int, move: Move) -> None:
        for step in reversed(move.steps):
            if self._repository.pointed(step.target, step.pointer) == step.after:
                self._take_step_back(step)
        self._ledger.abandon(number)

    def _take_step_back(self, step: Step) -> None:
        if step.before is None:
            self._repository.unpoint(step.target, step.pointer)
            return
        # Where that snapshot is gone, the pointer is left where it is, and the next start writes that down.
        with suppress(UnknownName):
            self._repository.point(step.target, step.pointer, step.before)

    def _complete(self, number: int, move: Move) -> tuple[LedgerEntry, ...]:
        entries = self._ledger.complete(number, self._clock.now(), events=moved(move))
        head = head_of(entries[-1])
        for target in sorted({entry.step.target for entry in entries}):
            with suppress(DiskFull, DiskFailed):  # it is only told to people, and with the next move again
                self._repository.set_ledger_head(target, head)
        return entries

    def _found(self, target: str) -> tuple[Step, ...]:
        """Pointers that are elsewhere than the ledger says."""
        steps = []
        for pointer, commit_id in self._repository.pointers(target).items():
            last = self._ledger.entries(target=target, pointer=pointer, limit=1)
            known = last[0].step.after if last else None
            if commit_id != known:
                steps.append(Step(target=target, pointer=pointer, before=known, after=commit_id))
        return tuple(steps)

    def _write_down(self, found: tuple[Step, ...]) -> None:
        if found:
            move = Move(kind=MoveKind.FOUND, actor=ACTOR, at=self._clock.now(), steps=found)
            self._complete(self._ledger.begin(move), move)

    def _step(self, target: str, pointer: str, commit_id: str) -> Step:
        before = self._repository.pointed(target, pointer)
        return Step(target=target, pointer=pointer, before=before, after=commit_id)


def _targets(move: Move) -> frozenset[str]:
    return frozenset(step.target for step in move.steps)


def _told(move: Move) -> str:
    pointers = ", ".join(sorted({step.pointer for step in move.steps}))
    return f"{pointers} of {', '.join(sorted(_targets(move)))}"
