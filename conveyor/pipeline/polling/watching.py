"""Looks after all repositories: asks those that are due, and brings what is new into the queue.

What an answer means is worked out in threads; what is done to the store, the thread that polls does alone. Nothing is
known here for good that the store does not know, so a kill at any point costs some answers, which are asked for again.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import cast

from conveyor.errors import ConveyorError, HostUnreachable, Interrupted
from conveyor.model.commit import Commit
from conveyor.model.package import Package
from conveyor.model.queue import Relations
from conveyor.model.watch import Poke, Polling, Side
from conveyor.pipeline.polling.crew import Crew, Done, Job, Work
from conveyor.pipeline.polling.intake import Intake
from conveyor.pipeline.polling.places import Answer, Place, ask, place_of, places_of
from conveyor.pipeline.polling.reach import Reach
from conveyor.pipeline.polling.sightings import Known, Lookout, PackagingSighting, Sighting
from conveyor.pipeline.polling.versiontags import TagVersion
from conveyor.ports import Clock, Git, PackagingSource, Queue, Store, Watch

# For so long an answer is good enough for another package that needs it.
FRESH_SECONDS = 30.0
# How often it is looked whether to stop.
LOOK_SECONDS = 0.2


Foresee = Callable[[Package, Commit], Mapping[str, Relations]]
Found = tuple[Sighting, PackagingSighting, Mapping[str, Relations]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What the watcher works with.

    Attributes:
        git: the mirrors.
        packaging: where templates come from.
        queue: takes what is new.
        watch: what polls know.
        store: what was built.
        clock: the time.
        tag_version: the version that a tag stands for, given the upstream's URL and the tag's name.
        host_of: the host of a URL; empty for this machine.
        foresee: what a commit's packaging declares, by target.
    """

    git: Git
    packaging: PackagingSource
    queue: Queue
    watch: Watch
    store: Store
    clock: Clock
    tag_version: TagVersion
    host_of: Callable[[str], str]
    foresee: Foresee = lambda *_: {}


class Watcher:
    """Polls. One thread at a time calls `poll`; others may call `follow` and `next_due`.

    Args:
        watched: what it works with.
        packages: the packages by name.
        polling: how often and how gently.
        stop: once it is set, `poll` returns.
        patience: seconds for which `poll` waits for answers; those that take longer, the next one takes. None to wait
            for all.
        chance: a number from 0 to 1, another one each time; by default the machine's.
    """

    def __init__(
        self,
        watched: Watched,
        packages: Mapping[str, Package],
        polling: Polling,
        *,
        stop: threading.Event | None = None,
        patience: float | None = 1.0,
        chance: Callable[[], float] | None = None,
    ) -> None:
        self._watched = watched
        self._stop = stop or threading.Event()
        self._patience = patience
        chance = chance or random.SystemRandom().random
        self._reach = Reach(watched.watch, watched.queue, watched.clock, polling, chance)
        self._intake = Intake(watched.queue, watched.watch, watched.store, watched.clock)
        self._lookout = Lookout(watched.git, watched.tag_version)
        fetches = max(1, polling.at_once // 2)
        self._crew = Crew({Work.ASK: polling.at_once, Work.FETCH: fetches, Work.FIND: fetches}, self._reach.hosts)
        self._new_packages: Mapping[str, Package] | None = packages
        self._packages: Mapping[str, Package] = {}
        self._places: Mapping[str, Place] = {}
        self._answers: dict[str, tuple[Answer | None, float]] = {}
        self._asked: dict[str, Place] = {}  # places whose answer, or what it tells of, is not here yet
        self._heard: dict[str, Answer] = {}  # answers of which not all has been made yet that is to be made
        self._open: dict[str, set[str]] = {}  # packages with news, and the places that they wait for
        self._finding: set[str] = set()  # packages that are looked into
        self._again: set[str] = set()  # packages to be looked into once more
        self._defects: list[BaseException] = []  # which end a poll, but not before all others were looked after
        self._begun: dict[str, Poke] = {}  # pokes that something is being done for

    def follow(self, packages: Mapping[str, Package]) -> None:
        """Follow these packages, and no others, from the next poll on."""
        self._new_packages = packages

    def next_due(self) -> datetime | None:
        """When there is something to do next; None where there never is. Pokes are not looked for."""
        now = self._watched.clock.now()
        if self._new_packages is not None or self._crew.is_busy:
            return now
        return self._reach.next_due(now)

    def restless(self) -> frozenset[str]:
        """Packages whose packaging was being changed when it was last looked at. For the thread that polls."""
        answers = [answer for answer, _ in self._answers.values() if answer is not None]
        return frozenset(name for answer in answers for name, sha in answer.packaging.items() if sha is None)

    def poll(self, now: datetime) -> int:
        """Ask what is due or wanted, and bring what is new into the queue; how many places were asked.

        It may be called again at any time, also after it failed or its process was killed.

        Raises:
            ConveyorError: the store cannot be used.
        """
        try:
            asked = self._poll(now)
        except BaseException:
            # What was under way is asked for again: the store may know less of it than this does.
            if self._new_packages is None:
                self._new_packages = self._packages
            for known in (self._asked, self._heard, self._finding, self._again, self._open, self._begun):
                known.clear()
            self._reach.forget()
            raise
        defects, self._defects = self._defects, []
        for defect in defects:
            raise defect
        return asked

    def close(self) -> None:
        """End what runs, as far as `stop` reaches it, and forget the rest."""
        self._stop.set()
        self._crew.close()

    def _poll(self, now: datetime) -> int:
        if self._new_packages is not None:
            self._take_up(self._new_packages)
        pokes = self._watched.watch.pokes()
        new = [poke for poke in pokes if self._can_begin(poke)]
        self._begun |= {poke.package: poke for poke in new}
        poked = [url for poke in new for url in self._places_of(poke.package)]
        asked = self._ask(poked, now, is_urgent=True) + self._ask(self._reach.due(now), now)
        self._work()
        self._reach.write()
        self._answer(pokes)
        return asked

    def _take_up(self, packages: Mapping[str, Package]) -> None:
        self._packages = packages
        before, self._places = self._places, places_of(packages.values(), self._watched.host_of)
        # Of a place that is followed for something else, other things are asked.
        same = {url for url, place in self._places.items() if before.get(url) == place}
        self._answers = {url: answer for url, answer in self._answers.items() if url in same}
        self._intake.follow(packages, self._reach.follow(self._places))
        # What was to be made of answers is made of new ones.
        for known in (self._heard, self._open, self._again):
            known.clear()
        self._new_packages = None

    def _ask(self, urls: Iterable[str], now: datetime, *, is_urgent: bool = False) -> int:
        """Ask places that are not being asked already; how many. Urgent ones are asked even where no host answers."""
        idle = [url for url in dict.fromkeys(urls) if url not in self._asked and (is_urgent or url not in self._heard)]
        places = [self._places[url] for url in idle]
        chosen = [place for place in places if is_urgent or self._reach.may_ask(place, now)]
        self._asked |= {place.url: place for place in chosen}
        for place in chosen:
            run = partial(ask, place, self._watched.git, self._watched.packaging)
            self._crew.add(Job(work=Work.ASK, name=place.url, host=place.host, run=run, is_urgent=is_urgent))
        return len(chosen)

    def _work(self) -> None:
        """Take what has ended, until all has, the patience is over or there is to be an end."""
        deadline = None if self._patience is None else time.monotonic() + self._patience
        while self._crew.is_busy and not self._stop.is_set():
            left = LOOK_SECONDS if deadline is None else min(LOOK_SECONDS, deadline - time.monotonic())
            if left < 0:
                return
            done = self._crew.next(left)
            if done is not None:
                self._take(done)
                self._crew.start_more()
            self._reach.write(at_any_rate=False)

    def _take(self, done: Done) -> None:
        job = done.job
        if done.outcome.cancelled() or not self._is_wanted(job):
            self._drop(job)
            return
        match done.outcome.exception():
            case None:
                self._take_success(job, done.outcome.result())
            case Interrupted():
                self._drop(job)
            case ConveyorError() as error:
                self._take_failure(job, error)
            case defect:
                self._defects.append(defect)
                self._take_failure(job, ConveyorError(f"{job.name} cannot be looked after", cause=repr(defect)))

    def _is_wanted(self, job: Job) -> bool:
        """Whether a job is still of use: not of before everything was forgotten, or something else is followed."""
        if job.work is Work.FIND:
            return job.name in self._finding and job.name in self._packages
        return job.name in self._asked and self._asked[job.name] == self._places.get(job.name)

    def _drop(self, job: Job) -> None:
        if job.work is Work.FIND:
            self._finding.discard(job.name)
        else:
            self._asked.pop(job.name, None)

    def _take_success(self, job: Job, outcome: object) -> None:
        match job.work:
            case Work.ASK:
                self._take_answer(self._places[job.name], cast(Answer, outcome))
            case Work.FETCH:
                self._settle(self._places[job.name], cast(Answer, outcome))
            case Work.FIND:
                seen, packaging, declared = cast(Found, outcome)
                self._intake.bring(self._packages[job.name], seen, packaging, declared)
                self._found(job.name)

    def _take_failure(self, job: Job, error: ConveyorError) -> None:
        if job.work is Work.FIND:
            url = self._packages[job.name].upstream
            self._heard.pop(url, None)
            self._reach.failed(self._places[url], error)
            self._found(job.name)
            return
        place = self._places[job.name]
        self._reach.failed(place, error)
        if isinstance(error, HostUnreachable):
            self._leave_alone(place.host)
        self._settle(place, None)

    def _leave_alone(self, host: str) -> None:
        """Ask a host nothing more for a while, if it is to be left alone."""
        now = self._watched.clock.now()
        if self._reach.hosts.left_alone_until(host, now) is None:
            return
        for job in self._crew.withdraw(Work.ASK, host):
            self._reach.may_ask(self._places[job.name], now)
            self._settle(self._places[job.name], None)

    def _take_answer(self, place: Place, answer: Answer) -> None:
        """Fetch where there is news: what is new has to be here before anything is made of it."""
        self._reach.heard(place)
        if place.is_folder or not any(self._is_news(package, side, answer) for package, side in place.users):
            self._settle(place, answer)
            return
        run = partial(self._fetch, place, answer)
        self._crew.add(Job(work=Work.FETCH, name=place.url, host=place.host, run=run))

    def _fetch(self, place: Place, answer: Answer) -> Answer:
        self._watched.git.update(place.url)
        return answer

    def _settle(self, place: Place, answer: Answer | None) -> None:
        """A place has its answer, or has none."""
        self._asked.pop(place.url, None)
        self._answers[place.url] = (answer, time.monotonic())
        if answer is not None:
            self._heard[place.url] = answer
        for package, side in place.users:
            name = package.name
            if name in self._open:
                self._open[name].discard(place.url)
            elif answer is not None and self._concerns(package, side, answer):
                self._open[name] = self._ask_others(package, place.url)
            self._find(package)
        self._write_down(place)

    def _write_down(self, place: Place) -> None:
        """A place counts as polled when all is made of its answer that is to be made: so a kill costs no time."""
        is_done = not any(name in self._open or name in self._finding for name in place.names)
        if place.url in self._heard and is_done:
            answer = self._heard.pop(place.url)
            self._reach.answered(place, is_restless=answer.is_restless)

    def _concerns(self, package: Package, side: Side, answer: Answer) -> bool:
        """Whether a package is to be looked into."""
        is_new = self._is_news(package, side, answer) or package.name in self._again
        if package.name in self._finding:
            self._again |= {package.name} if is_new else set()
            return False
        return is_new or bool(self._intake.missing(package))

    def _is_news(self, package: Package, side: Side, answer: Answer) -> bool:
        name = package.name
        return self._lookout.is_news(
            package, side, self._intake.head(name, side), self._intake.followed_tags(name), answer
        )

    def _ask_others(self, package: Package, url: str) -> set[str]:
        """Have all places of a package answer, before anything is made of one answer; those to be waited for."""
        others = {other for other in self._places_of(package.name) if other != url}
        stale = [other for other in others if self._fresh(other) is None and not self._reach.fails(other)]
        self._ask(stale, self._watched.clock.now())
        return others & self._asked.keys()

    def _find(self, package: Package) -> None:
        """Look into a package all of whose places have their answers."""
        name = package.name
        if name not in self._open or self._open[name]:
            return
        del self._open[name]
        self._again.discard(name)
        answers = {side: answer for side in Side if (answer := self._fresh(place_of(package, side))) is not None}
        if any(answer.packaging.get(name, "") is None for answer in answers.values()):
            self._again.add(name)  # its packaging is being changed
            for url in self._places_of(name):
                self._write_down(self._places[url])
            return
        self._finding.add(name)
        run = partial(self._look, package, self._intake.known(package), answers, self._watched.clock.now())
        self._crew.add(Job(work=Work.FIND, name=name, run=run))

    def _look(self, package: Package, known: Known, answers: Mapping[Side, Answer], now: datetime) -> Found:
        """Make out what answers mean for a package, and what its newest commit declares: that counts for its order."""
        seen, packaging = self._lookout.look(package, known, answers, now)
        if seen.newest is None or not packaging.sha:
            return seen, packaging, {}
        commit = Commit(package=package.name, upstream=seen.newest, packaging_sha=packaging.sha)
        return seen, packaging, self._watched.foresee(package, commit)

    def _found(self, name: str) -> None:
        """A package was looked into."""
        self._finding.discard(name)
        if name in self._again:
            self._open[name] = set()
            self._find(self._packages[name])
        for url in self._places_of(name):
            self._write_down(self._places[url])

    def _fresh(self, url: str) -> Answer | None:
        """A place's answer, unless that is too long ago."""
        answer, at = self._answers.get(url, (None, 0.0))
        return answer if time.monotonic() - at < FRESH_SECONDS else None

    def _places_of(self, package: str) -> frozenset[str]:
        return frozenset(place_of(self._packages[package], side) for side in Side)

    def _answer(self, pokes: Sequence[Poke]) -> None:
        """Answer those pokes for whose packages nothing is under way any more."""
        if self._stop.is_set():
            return
        answered = [poke for poke in pokes if poke.package not in self._packages or self._is_answered(poke)]
        if answered:
            self._watched.watch.poked(answered)
        for poke in answered:
            self._begun.pop(poke.package, None)

    def _can_begin(self, poke: Poke) -> bool:
        """Whether something is to be done for a poke now. An answer that is under way may be older than the poke."""
        if poke.package not in self._packages or self._begun.get(poke.package) == poke:
            return False
        return not self._asked.keys() & self._places_of(poke.package)

    def _is_answered(self, poke: Poke) -> bool:
        under_way = {*self._finding, *self._open, *self._asked}
        places = self._places_of(poke.package)
        return self._begun.get(poke.package) == poke and not under_way & {poke.package, *places}
