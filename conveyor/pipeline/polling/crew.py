"""Threads that wait for servers: so many for each kind of work, and so many at one host."""

from __future__ import annotations

import queue
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum, auto

from conveyor.pipeline.polling.hosts import Hosts


class Work(Enum):
    """What a job is."""

    ASK = auto()  # what a place has
    FETCH = auto()  # what is new there
    FIND = auto()  # what that means for a package


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something to do.

    Attributes:
        work: what it is.
        name: the repository, folder or package that it is about.
        host: where it goes; empty for this machine.
        run: does it.
        is_urgent: whether it goes before others of its kind and host.
    """

    work: Work
    name: str
    host: str = ""
    run: Callable[[], object]
    is_urgent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A job that has ended.

    Attributes:
        job: the job.
        outcome: what `run` returned, or raised.
    """

    job: Job
    outcome: Future[object]


class Crew:
    """Does jobs in threads. It is used by one thread.

    Args:
        places: how many jobs of each kind run at once.
        hosts: how many go to one host.
    """

    def __init__(self, places: Mapping[Work, int], hosts: Hosts) -> None:
        self._places = places
        self._hosts = hosts
        self._threads = ThreadPoolExecutor(sum(places.values()), thread_name_prefix="poll")
        self._waiting: dict[tuple[Work, str], deque[Job]] = defaultdict(deque)
        self._running: Counter[Work] = Counter()
        self._ended: queue.SimpleQueue[Done] = queue.SimpleQueue()

    @property
    def is_busy(self) -> bool:
        """Whether anything waits or runs."""
        return self._running.total() > 0 or any(self._waiting.values())

    def add(self, job: Job) -> None:
        """Do a job, as soon as there is room."""
        waiting = self._waiting[job.work, job.host]
        (waiting.appendleft if job.is_urgent else waiting.append)(job)
        self._start()

    def next(self, seconds: float) -> Done | None:
        """A job that has ended; None where none does within so many seconds."""
        try:
            done = self._ended.get(timeout=max(seconds, 0))
        except queue.Empty:
            return None
        self._running[done.job.work] -= 1
        self._hosts.ended(done.job.host)
        return done

    def start_more(self) -> None:
        """Use the room that ended jobs have left."""
        self._start()

    def withdraw(self, work: Work, host: str) -> list[Job]:
        """Take back what waits to go to a host, but for what is urgent."""
        waiting = self._waiting.pop((work, host), deque())
        self._waiting[work, host] = deque(job for job in waiting if job.is_urgent)
        return [job for job in waiting if not job.is_urgent]

    def close(self) -> None:
        """Forget what waits, and wait for what runs."""
        self._waiting.clear()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _start(self) -> None:
        for (work, host), jobs in self._waiting.items():
            while jobs and self._running[work] < self._places[work] and self._hosts.has_room(host):
                self._begin(jobs.popleft())
        for emptied in [key for key, jobs in self._waiting.items() if not jobs]:
            del self._waiting[emptied]

    def _begin(self, job: Job) -> None:
        self._running[job.work] += 1
        self._hosts.began(job.host)
        future = self._threads.submit(job.run)
        future.add_done_callback(lambda ended: self._ended.put(Done(job=job, outcome=ended)))
