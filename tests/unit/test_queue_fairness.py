"""Who gets how much, over many builds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import count
from random import Random

import pytest

from conveyor.model.build import State
from conveyor.model.queue import QueueItem
from conveyor.queue import Scheduler
from tests.support.queue import NOON, finish, item, start

MINUTE = timedelta(minutes=1)


class Farm:
    """Workers whose builds take their time."""

    def __init__(self, workers: int, minutes: Mapping[str, int] | None = None) -> None:
        self.scheduler = Scheduler(workers=workers)
        self.now = NOON
        self.minutes = minutes or {}
        self.started: list[tuple[int, QueueItem]] = []
        self._numbers = count(1)
        self._running: list[tuple[int, QueueItem]] = []
        self._minute = 0

    def queue(self, package: str, builds: int = 1, target: str = "deb") -> int:
        """Number of the last one."""
        items = [item(next(self._numbers), package, target, queued_at=self.now) for _ in range(builds)]
        self.scheduler.apply(items)
        return items[-1].build

    def work(self, minutes: int) -> None:
        for _ in range(minutes):
            for end, build in [each for each in self._running if each[0] <= self._minute]:
                finish(self.scheduler, build)
                self._running.remove((end, build))
            while (following := self.scheduler.next(self.now)) is not None:
                self.scheduler.started(following.build)
                self.started.append((self._minute, following))
                self._running.append((self._minute + self.minutes.get(following.target, 1), following))
            self._minute += 1
            self.now += MINUTE

    def minute_of(self, build: int) -> int:
        return next(minute for minute, each in self.started if each.build == build)

    def by_package(self, since: int = 0) -> Counter[str]:
        return Counter(build.package for minute, build in self.started if minute >= since)


def test_one_build_starts_at_once_behind_three_thousand_of_another_package() -> None:
    farm = Farm(workers=1)
    farm.queue("big", 3000)
    farm.work(100)
    small = farm.queue("small")
    farm.work(2)
    assert farm.minute_of(small) == 100


def test_a_few_builds_pass_two_hundred_packages_with_long_queues() -> None:
    farm = Farm(workers=4)
    for number in range(200):
        farm.queue(f"big{number}", 50)
    farm.work(500)
    last = farm.queue("small", 5)
    farm.work(20)
    assert farm.minute_of(last) < 510


def test_packages_that_always_have_builds_get_the_same() -> None:
    farm = Farm(workers=3)
    for number in range(7):
        farm.queue(f"p{number}", 400)
    farm.work(500)
    started = farm.by_package()
    assert sum(started.values()) == 1500
    assert max(started.values()) - min(started.values()) <= 2


def test_who_had_all_for_long_waits_a_while_and_then_gets_the_same() -> None:
    farm = Farm(workers=1)
    farm.queue("old", 3000)
    farm.work(1000)
    for number in range(9):
        farm.queue(f"new{number}", 500)
    farm.work(1000)
    waited = min(minute for minute, build in farm.started if build.package == "old" and minute >= 1000) - 1000
    assert waited < 100
    assert 95 <= farm.by_package(since=1000 + waited)["old"] / (1000 - waited) * 1000 <= 105


def test_targets_share_workers_by_their_time() -> None:
    """Builds that take long must not crowd out those that are quick."""
    farm = Farm(workers=4, minutes={"deb": 10, "rpm": 1})
    for number in range(10):
        farm.queue(f"p{number}", 100, "deb")
        farm.queue(f"p{number}", 100, "rpm")
    farm.work(200)
    worked = Counter[str]()
    for _, build in farm.started:
        worked[build.target] += farm.minutes[build.target]
    assert 0.9 <= worked["deb"] / worked["rpm"] <= 1.1


@pytest.mark.parametrize("seed", range(3))
def test_a_busy_night_of_pushes_leaves_nobody_behind(seed: int) -> None:
    """Forty packages of very different zeal, a little more work than workers can do: the quiet ones do not notice."""
    random = Random(seed)
    farm = Farm(workers=2)
    zeal = [0.6, 0.5, *(0.03 for _ in range(38))]
    queued: dict[int, int] = {}
    for minute in range(600):
        for number, likely in enumerate(zeal):
            if random.random() < likely:
                queued[farm.queue(f"p{number}")] = minute
        farm.work(1)
    started = {build.build: minute for minute, build in farm.started}
    waits = [
        started[build.build] - queued[build.build] for _, build in farm.started if build.package not in {"p0", "p1"}
    ]
    assert sum(waits) / len(waits) < 3
    # A package's own builds go one after the other, whatever comes at once.
    assert max(waits) < 20


def test_starts_are_counted_by_the_worker_that_is_given_one() -> None:
    scheduler = Scheduler(workers=1)
    builds = [item(1, "a"), item(2, "a"), item(3, "b")]
    scheduler.apply(builds)
    assert start(scheduler) == 1
    scheduler.ended(1)
    scheduler.apply([replace(builds[0], state=State.FINISHED)])
    assert start(scheduler) == 3
