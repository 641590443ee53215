"""Finds commits that were ordered, many at once: one whose server says nothing holds up nobody else's."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from typing import cast

from conveyor.errors import ConveyorError, HostUnreachable, Interrupted
from conveyor.model.commit import Commit, CommitInfo
from conveyor.model.package import Package, PackagingRepository
from conveyor.model.watch import Polling
from conveyor.pipeline.poll import Poll, Wanted
from conveyor.pipeline.polling.crew import Crew, Done, Job, Work
from conveyor.pipeline.polling.hosts import Hosts
from conveyor.ports import Clock, Git

# How often it is looked whether to stop.
LOOK_SECONDS = 0.2

Way = Generator[Job, object, Commit]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """How looking for a commit has ended.

    Attributes:
        package: the name of the package whose commit it is.
        commit: the commit, or why there is none: an error, or a defect.
    """

    package: str
    commit: Commit | BaseException


class Finding:
    """Looks for commits: of different packages at once, of one package one after the other. It is used by one thread.

    A server is asked what it has before anything is fetched, as polls do: so one that hangs is noticed within a poll's
    time limit, however long a first clone may take.

    Args:
        poll: finds a commit.
        git: asks servers.
        host_of: the host of a URL; empty for this machine.
        polling: how many at once, and how many of them on one host.
        clock: the time.
        stop: once it is set, nothing is waited for any more.
    """

    def __init__(
        self,
        *,
        poll: Poll,
        git: Git,
        host_of: Callable[[str], str],
        polling: Polling,
        clock: Clock,
        stop: threading.Event | None = None,
    ) -> None:
        self._poll = poll
        self._git = git
        self._host_of = host_of
        self._clock = clock
        self._stop = stop or threading.Event()
        self._hosts = Hosts(polling, random.SystemRandom().random)
        fetches = max(1, polling.at_once // 2)
        self._crew = Crew({Work.ASK: polling.at_once, Work.FETCH: fetches, Work.FIND: fetches}, self._hosts)
        self._ways: dict[str, Way] = {}

    def looks_for(self, package: str) -> bool:
        """Whether it looks for a commit of a package already."""
        return package in self._ways

    def begin(self, package: Package, wanted: Wanted) -> None:
        """Look for a commit of a package of which no other is looked for."""
        way = self._way(package, wanted)
        self._ways[package.name] = way
        self._crew.add(next(way))

    def ended(self, patience: float | None) -> Iterator[Found]:
        """What has been found or not, until all that was begun is over, meanwhile too.

        Args:
            patience: seconds to wait for it; what takes longer goes on, for the next call. None for no limit.
        """
        deadline = None if patience is None else time.monotonic() + patience
        while self._crew.is_busy and not self._stop.is_set():
            left = LOOK_SECONDS if deadline is None else min(LOOK_SECONDS, deadline - time.monotonic())
            if left < 0:
                return
            done = self._crew.next(left)
            found = None if done is None else self._take(done)
            self._crew.start_more()
            if found is not None:
                yield found

    def close(self) -> None:
        """End what runs, and forget the rest."""
        self._stop.set()
        self._crew.close()

    def _take(self, done: Done) -> Found | None:
        """Go on where a step went well."""
        job, error = done.job, done.outcome.exception()
        if isinstance(error, HostUnreachable):
            self._hosts.was_silent(job.host, self._clock.now())
        elif job.work is Work.ASK and (error is None or isinstance(error, ConveyorError)):
            self._hosts.answered(job.host)
        if error is not None:
            del self._ways[job.name]
            return None if isinstance(error, Interrupted) else Found(package=job.name, commit=error)
        try:
            self._crew.add(self._ways[job.name].send(done.outcome.result()))
        except StopIteration as over:
            del self._ways[job.name]
            return Found(package=job.name, commit=over.value)
        return None

    def _way(self, package: Package, wanted: Wanted) -> Way:
        """The steps to a commit; each is given what the one before it came to."""
        host = self._host_of(package.upstream)
        yield self._asking(package, package.upstream, package.branch)
        look = partial(self._poll.upstream, package, wanted)
        upstream = cast(CommitInfo, (yield Job(work=Work.FETCH, name=package.name, host=host, run=look)))
        work, host = Work.FIND, ""
        if isinstance(package.packaging, PackagingRepository):
            work, host = Work.FETCH, self._host_of(package.packaging.url)
            yield self._asking(package, package.packaging.url, package.packaging.branch)
        read = partial(self._poll.commit, package, wanted, upstream)
        return cast(Commit, (yield Job(work=work, name=package.name, host=host, run=read)))

    def _asking(self, package: Package, url: str, branch: str) -> Job:
        """The question whether a server is there."""
        ask = partial(self._git.refs, url, branches=(branch,), tags=False)
        return Job(work=Work.ASK, name=package.name, host=self._host_of(url), run=ask)
