"""Chores: work that is no build, each in a process of its own for as long as it lasts.

So nothing of it stays in the daemon's memory, and it can be stopped at any point.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from threading import Lock

from conveyor.command import Process
from conveyor.daemon.log import Log
from conveyor.model.work import Chore, SaidKind, Task, to_line, to_said

CLOSING_SECONDS = 5.0


class Chores:
    """Carries out chores. Any number of threads may ask for one at once.

    Args:
        start: starts a worker's process.
        log: the daemon's.
    """

    def __init__(self, start: Callable[[], Process], log: Log) -> None:
        self._start = start
        self._log = log
        self._running: set[Process] = set()
        self._stopping = False
        self._lock = Lock()

    def run(self, chore: Chore, configuration: str) -> bool:
        """Carry out a chore, to its end; tells whether all of it went well.

        Args:
            chore: which.
            configuration: what to work with, as a line.
        """
        process = self._begin()
        if process is None:
            return False
        try:
            process.send(configuration)
            process.send(to_line(Task(chore=chore)))
            return self._listen(process, chore)
        except ValueError as error:  # it is none of ours any more
            self._log.error("chore", chore=chore, problem=str(error))
            return False
        finally:
            with self._lock:
                self._running.discard(process)
            process.kill()
            process.end(CLOSING_SECONDS)

    def stop(self) -> None:
        """Have all chores end, and begin none any more."""
        with self._lock:
            if not self._stopping:  # twice would disturb what they do about the first time
                self._stopping = True
                for process in self._running:
                    process.signal(signal.SIGTERM)

    def kill(self) -> None:
        """End what is left."""
        with self._lock:
            for process in self._running:
                process.kill()

    def _begin(self) -> Process | None:
        with self._lock:
            if self._stopping:
                return None
            process = self._start()
            self._running.add(process)
            return process

    def _listen(self, process: Process, chore: Chore) -> bool:
        good = True
        for line in process.lines():
            said = to_said(line)
            if said.kind is SaidKind.NOTE:
                self._log.info("chore", chore=chore, told=said.text)
            elif said.kind in {SaidKind.PROBLEM, SaidKind.BROKEN}:
                good = False
                self._log.warning("chore", chore=chore, problem=said.text)
            elif said.kind is SaidKind.DONE:
                return good
        return False
