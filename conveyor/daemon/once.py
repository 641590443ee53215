"""One pass, as a timer runs it: poll, build all that waits, end."""

from __future__ import annotations

from threading import Event, Thread

from conveyor.daemon.errands import Errands
from conveyor.errors import EXIT_CODES, Fault
from conveyor.model.build import Outcome
from conveyor.model.work import Said, SaidKind

EXIT_INTERRUPTED = 130


class Once:
    """The pass.

    Args:
        errands: what is done beside builds.
        poll: whether it looks for new commits.
    """

    def __init__(self, errands: Errands, *, poll: bool) -> None:
        self._errands = errands
        self._poll = poll
        self._polled, self._done = Event(), Event()
        self._outcomes: dict[int, Outcome] = {}
        self._failed = False

    def begin(self) -> None:
        """Bring everything into order, and poll, while the main thread builds what waits already."""
        Thread(target=self._first, name="once", daemon=True).start()

    @property
    def is_polled(self) -> bool:
        """Whether all that is to be built is in the queue."""
        return self._polled.is_set()

    def finish(self) -> None:
        """Do what is left when all is built."""
        if self._polled.is_set():
            self._polled.clear()
            Thread(target=self._last, name="once", daemon=True).start()

    @property
    def is_done(self) -> bool:
        """Whether nothing is left."""
        return self._done.is_set()

    def heard(self, said: Said) -> None:
        """A worker said something."""
        if said.kind is SaidKind.ENDED and said.outcome is not None and said.build is not None:
            self._outcomes[said.build] = said.outcome
        if said.kind in {SaidKind.PROBLEM, SaidKind.BROKEN}:
            self._failed = True

    def lost(self) -> None:
        """A worker has died with a build."""
        self._failed = True

    def exit_code(self, *, interrupted: bool) -> int:
        """What a package is to blame for, before what trying again may mend; 0 where all went well."""
        if interrupted:
            return EXIT_INTERRUPTED
        outcomes = self._outcomes.values()
        if Outcome.FAILED in outcomes:
            return EXIT_CODES[Fault.PACKAGE]
        return EXIT_CODES[Fault.OURS] if self._failed or Outcome.ERRORED in outcomes else 0

    def _first(self) -> None:
        try:
            self._failed |= not self._errands.first(poll=self._poll)
        finally:
            self._polled.set()

    def _last(self) -> None:
        if self._errands.more():
            self._polled.set()
            return
        try:
            self._failed |= not self._errands.last()
        finally:
            self._done.set()
