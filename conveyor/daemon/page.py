"""The status page beside the daemon, by a process of its own: nothing that goes wrong there reaches builds."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from queue import SimpleQueue
from threading import Thread

from conveyor.command import Process
from conveyor.daemon.log import Log
from conveyor.daemon.vitals import Serving
from conveyor.errors import ConveyorError
from conveyor.pipeline.growingwait import growing_wait

# One that ends by itself is started again after a second, then after twice as long each time.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(minutes=5)
# One that lived so long had started well: its end is the first of its kind.
STEADY_SECONDS = 60.0
# What answers have until it is killed.
CLOSING_SECONDS = 10.0
NOT_SERVED = "the page is not served: it is started again"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageGone:
    """The process that serves the page has ended.

    Attributes:
        process: which.
    """

    process: Process


class Page:
    """Keeps the page served. The daemon's main thread alone uses this: the process dies with the thread that starts it.

    Args:
        start: starts the process.
        inbox: where its end is told, as `PageGone`.
        log: the daemon's.
        monotonic: a clock that nobody sets, in seconds.
    """

    def __init__(
        self,
        start: Callable[[], Process],
        inbox: SimpleQueue[object],
        log: Log,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start = start
        self._inbox = inbox
        self._log = log
        self._monotonic = monotonic
        self._process: Process | None = None
        self._begun_at = 0.0
        self._not_before = 0.0
        self._failures = 0
        self._starts = 0
        self._stopping = False

    @property
    def serving(self) -> Serving:
        """How it goes."""
        return Serving(runs=self._process is not None, restarts=max(0, self._starts - 1), trouble=self.trouble)

    @property
    def trouble(self) -> str:
        """Why it is not served now; empty where it is, or is to end."""
        return NOT_SERVED if self._process is None and self._failures and not self._stopping else ""

    def look(self) -> None:
        """Start it where there is none, and the last one has not ended just now."""
        if self._process is not None or self._stopping or self._monotonic() < self._not_before:
            return
        try:
            process = self._start()
        except (OSError, ConveyorError) as error:  # too many processes, too little memory
            self._log.error("the page could not be started", cause=str(error))
            self._wait_longer()
            return
        self._process, self._begun_at = process, self._monotonic()
        self._starts += 1
        Thread(target=self._listen, args=(process,), name=f"page {process.pid}", daemon=True).start()
        self._log.info("page started", pid=process.pid)

    def ended(self, gone: PageGone) -> None:
        """Take note of its end."""
        if self._process is not gone.process:
            return
        code = self._close(gone.process)
        self._process = None
        if self._stopping:
            self._log.info("page ended", pid=gone.process.pid)
            return
        if self._monotonic() - self._begun_at >= STEADY_SECONDS:
            self._failures = 0
        self._wait_longer()
        self._log.error("page lost: its own words are before this", pid=gone.process.pid, code=code)

    def stop(self) -> None:
        """Have it end, and start none any more."""
        if not self._stopping:
            self._stopping = True
            if self._process is not None:
                self._process.signal(signal.SIGTERM)

    def end(self) -> None:
        """See that it has ended."""
        self.stop()
        if self._process is not None:
            self._close(self._process)
            self._process = None

    def _close(self, process: Process) -> int | None:
        code = process.end(CLOSING_SECONDS)
        if code is None:
            process.kill()
            code = process.end(CLOSING_SECONDS)
        return code

    def _wait_longer(self) -> None:
        self._failures += 1
        pause = growing_wait(FIRST_PAUSE, self._failures, LONGEST_PAUSE)
        self._not_before = self._monotonic() + pause.total_seconds()

    def _listen(self, process: Process) -> None:
        for _ in process.lines():  # it says what it has to say on standard error
            pass
        self._inbox.put(PageGone(process=process))
