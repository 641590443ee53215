"""The worker processes: started, given builds, replaced, stopped. The daemon's main thread alone uses this."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from queue import SimpleQueue
from threading import Thread

from conveyor.command import Process
from conveyor.daemon.log import Log
from conveyor.model.queue import QueueItem
from conveyor.model.work import Said, SaidKind, Task, to_line, to_said
from conveyor.pipeline.growingwait import growing_wait

# A worker that cannot start is tried again after a second, then after twice as long each time.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(minutes=1)
CLOSING_SECONDS = 5.0
# A signal that was lost in a place where Python drops what handlers raise is sent again.
AGAIN_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Something that a worker said.

    Attributes:
        worker: which.
        said: what; None for its end.
    """

    worker: Worker
    said: Said | None


class Worker:
    """One worker process.

    Args:
        process: the process.
        configuration: what it is to work with, as a line.
        heard: where what it says is put.

    Attributes:
        build: number of the build that it was given; None while it is free.
        names: what that is called in the log.
        ready: whether it takes builds.
        leaving: whether it is to end after its build.
        builds: how many it has carried out.
        memory: bytes that it occupied when it last said.
        cancelled_at: when it was last told to cancel its build, in monotonic seconds; None for never.
    """

    def __init__(self, process: Process, configuration: str, heard: Callable[[Heard], None]) -> None:
        self.process = process
        self.build: int | None = None
        self.names: Mapping[str, object] = {}
        self.ready = False
        self.leaving = False
        self.builds = 0
        self.memory = 0
        self.cancelled_at: float | None = None
        self._ending = False
        self._configuration = configuration
        self._heard = heard
        Thread(target=self._listen, name=f"worker {process.pid}", daemon=True).start()

    @property
    def free(self) -> bool:
        """Whether it can be given a build."""
        return self.ready and not self.leaving and self.build is None

    def give(self, item: QueueItem) -> None:
        """Have it build."""
        self.build = item.build
        self.names = {"build": item.build, "package": item.package, "target": item.target}
        self.cancelled_at = None
        self.process.send(to_line(Task(build=item.build)))

    def leave(self) -> None:
        """Have it end after its build, or now where it has none."""
        self.leaving = True
        if self.build is None:
            self.end()

    def end(self) -> None:
        """Have it end, and give back its build."""
        self.leaving = True
        if not self._ending:  # twice would disturb what it does about the first time
            self._ending = True
            self.process.signal(signal.SIGTERM)

    def _listen(self) -> None:
        # What is said here may be longer than a pipe holds, and it listens only once it has loaded its modules.
        self.process.send(self._configuration)
        try:
            for line in self.process.lines():
                self._heard(Heard(worker=self, said=to_said(line)))
        except ValueError:  # it is none of ours any more
            self.process.kill()
        self._heard(Heard(worker=self, said=None))


class Workers:
    """As many workers as there are to be.

    Args:
        start: starts a process.
        inbox: where what they say is put, as `Heard`.
        log: the daemon's.
    """

    def __init__(self, start: Callable[[], Process], inbox: SimpleQueue[object], log: Log) -> None:
        self._start = start
        self._inbox = inbox
        self._log = log
        self._workers: list[Worker] = []
        self._configuration = ""
        self._count = 0
        self._builds_each = 0
        self._memory_each = 0
        self._failures = 0
        self._not_before = 0.0

    def configure(self, configuration: str, *, count: int, builds_each: int, memory_each: int) -> None:
        """How workers are to be from now on; those that are there leave when they have no build."""
        self._configuration = configuration
        self._count = count
        self._builds_each = builds_each
        self._memory_each = memory_each
        for worker in self._workers:
            worker.leave()

    def fill(self) -> None:
        """Start workers until there are enough; those that leave count until they are gone."""
        while len(self._workers) < self._count and time.monotonic() >= self._not_before:
            try:
                process = self._start()
            except OSError as error:  # too many processes, too little memory
                self._log.error("no worker could be started", cause=str(error))
                self._wait_longer()
                return
            self._workers.append(Worker(process, self._configuration, self._inbox.put))
            self._log.info("worker started", pid=process.pid)

    def free(self) -> Iterator[Worker]:
        """Those that can be given a build."""
        return (worker for worker in list(self._workers) if worker.free)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._workers)

    def builds(self) -> frozenset[int]:
        """Numbers of the builds that workers have."""
        return frozenset(worker.build for worker in self._workers if worker.build is not None)

    def of(self, build: int) -> Worker | None:
        """The worker that has a build."""
        return next((worker for worker in self._workers if worker.build == build), None)

    def cancel(self, build: int) -> bool:
        """Have a build cancelled; False where no worker has it."""
        worker = self.of(build)
        if worker is None:
            return False
        now = time.monotonic()
        if worker.cancelled_at is None or now - worker.cancelled_at > AGAIN_SECONDS:
            worker.cancelled_at = now
            worker.process.signal(signal.SIGINT)
        return True

    def said(self, worker: Worker, said: Said) -> None:
        """Take note of what a worker said."""
        if said.memory:
            worker.memory = said.memory
        if said.kind is SaidKind.READY:
            worker.ready = True
            self._failures = 0
        elif said.kind is SaidKind.DONE:
            worker.build = None
            worker.names = {}
            worker.builds += 1
            if worker.leaving or worker.builds >= self._builds_each or worker.memory > self._memory_each:
                worker.leave()

    def ended(self, worker: Worker) -> int | None:
        """Take note of a worker's end; gives the build that it had."""
        code = worker.process.end(CLOSING_SECONDS)
        if code is None:  # it says nothing more, but goes on
            worker.process.kill()
            code = worker.process.end(CLOSING_SECONDS)
        self._workers.remove(worker)
        expected = worker.leaving and worker.build is None
        if expected:
            self._log.info("worker ended", pid=worker.process.pid, builds=worker.builds, memory=worker.memory)
        else:
            self._log.warning("worker lost", pid=worker.process.pid, code=code, build=worker.build)
        if not worker.ready:
            self._wait_longer()
        return worker.build

    def _wait_longer(self) -> None:
        self._failures += 1
        pause = growing_wait(FIRST_PAUSE, self._failures, LONGEST_PAUSE)
        self._not_before = time.monotonic() + pause.total_seconds()

    def dismiss(self) -> None:
        """Start no workers any more, and have those end that have no build."""
        self._count = 0
        for worker in self._workers:
            worker.leave()

    def put_back(self) -> None:
        """Have all builds given back to the queue; their workers end."""
        for worker in self._workers:
            worker.end()

    def kill(self) -> None:
        """End all that are left."""
        for worker in self._workers:
            worker.process.kill()

    @property
    def gone(self) -> bool:
        """Whether there is none left."""
        return not self._workers
