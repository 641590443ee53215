"""When repositories are asked, and how many at once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest

from conveyor.model.watch import Polling, Remote
from conveyor.pipeline.polling.crew import Crew, Job, Work
from conveyor.pipeline.polling.due import Timetable, backoff
from conveyor.pipeline.polling.hosts import PATIENCE, Hosts
from tests.fakes.store_samples import NOON

POLLING = Polling(interval=300, at_once=8, per_host=2, retry_start=60, retry_limit=3600)
URL = "https://git.example.org/nova"
SECOND = timedelta(seconds=1)


def always(number: float) -> Callable[[], float]:
    return lambda: number


def known(**values: object) -> Remote:
    return Remote(
        **{"url": URL, "polled_at": NOON, "answered_at": NOON, "failures": 0, "cause": "", "next_at": NOON, **values}  # type: ignore[arg-type]
    )


def timetable(chance: float = 0.5, interval: int | None = None, **remote: object) -> Timetable:
    table = Timetable(POLLING, always(chance))
    table.follow({URL: interval}, {URL: known(**remote)} if remote else {})
    return table


class TestTimetable:
    def test_what_was_never_asked_is_due_before_all_others(self) -> None:
        table = Timetable(POLLING, always(0.5))
        remotes = {url: known(url=url, next_at=NOON - age * SECOND) for url, age in (("a", 5), ("b", 50), ("c", -5))}
        table.follow(dict.fromkeys("abcd"), remotes)
        assert table.due(NOON) == ["d", "b", "a"]
        assert table.next_due(NOON) == NOON

    @pytest.mark.parametrize(("chance", "seconds"), [(0.0, 270), (0.5, 300), (1.0, 330)])
    def test_an_answer_makes_it_due_after_the_interval_give_or_take(self, chance: float, seconds: int) -> None:
        remote = timetable(chance, next_at=NOON).answered(URL, NOON + SECOND)
        assert remote.next_at == NOON + timedelta(seconds=1 + seconds)

    def test_a_packages_interval(self) -> None:
        assert timetable(interval=10, next_at=NOON).answered(URL, NOON).next_at == NOON + 10 * SECOND

    @pytest.mark.parametrize("chance", [0.0, 0.25, 1.0])
    def test_what_was_asked_all_at_once_is_spread_over_the_interval(self, chance: float) -> None:
        for table in (timetable(chance), timetable(chance, next_at=NOON - timedelta(days=3))):
            assert table.answered(URL, NOON).next_at == NOON + timedelta(seconds=300 * chance)

    def test_failures_wait_longer_each_time_up_to_the_limit(self) -> None:
        table = timetable(1.0)
        waits = [(table.failed(URL, NOON, "why").next_at - NOON).total_seconds() for _ in range(2000)]
        assert waits[:7] == [60, 120, 240, 480, 960, 1920, 3600]
        assert waits[-1] == 3600
        assert table.failures(URL) == 2000
        assert table.failed(URL, NOON, "why").answered_at is None
        assert table.answered(URL, NOON).failures == 0
        assert backoff(POLLING, 1, 0.0) == 30 * SECOND

    @pytest.mark.parametrize("ahead", [timedelta(days=1), timedelta(days=3650)])
    def test_a_clock_that_was_wrong_puts_nothing_off_for_long(self, ahead: timedelta) -> None:
        assert timetable(next_at=NOON + ahead).due(NOON) == [URL]
        assert timetable(next_at=NOON - ahead).due(NOON) == [URL]
        assert timetable(next_at=NOON + timedelta(hours=1)).due(NOON) == []

    def test_what_is_followed_no_more_is_not_due(self) -> None:
        table = timetable(next_at=NOON)
        table.follow({"other": None}, {})
        assert table.due(NOON) == ["other"]
        table.follow({}, {})
        assert (table.due(NOON), table.next_due(NOON)) == ([], None)

    def test_the_next_one(self) -> None:
        assert timetable(next_at=NOON + SECOND).next_due(NOON) == NOON + SECOND


class TestHosts:
    def test_so_many_at_one_host(self) -> None:
        hosts = Hosts(POLLING, always(1.0))
        for _ in range(2):
            assert hosts.has_room("a")
            hosts.began("a")
        assert not hosts.has_room("a")
        assert hosts.has_room("b")
        hosts.ended("a")
        assert hosts.has_room("a")

    def test_this_machine_has_no_limit(self) -> None:
        hosts = Hosts(POLLING, always(1.0))
        for _ in range(50):
            hosts.began("")
            hosts.was_silent("", NOON)
        assert hosts.has_room("")
        assert hosts.left_alone_until("", NOON) is None

    def test_one_that_is_silent_is_asked_one_by_one_and_then_left_alone(self) -> None:
        hosts = Hosts(POLLING, always(1.0))
        hosts.was_silent("a", NOON)
        hosts.began("a")
        assert not hosts.has_room("a")
        hosts.ended("a")
        for _ in range(PATIENCE - 1):
            assert hosts.left_alone_until("a", NOON) is None
            hosts.was_silent("a", NOON)
        assert hosts.left_alone_until("a", NOON) == NOON + 60 * SECOND
        assert hosts.left_alone_until("a", NOON + 60 * SECOND) is None
        hosts.was_silent("a", NOON)
        assert hosts.left_alone_until("a", NOON) == NOON + 120 * SECOND
        hosts.answered("a")
        assert hosts.left_alone_until("a", NOON) is None
        assert hosts.has_room("a")


class TestCrew:
    def test_limits_of_kinds_and_hosts(self) -> None:
        hosts, lock = Hosts(POLLING, always(1.0)), threading.Lock()
        crew = Crew({Work.ASK: 3, Work.FETCH: 1, Work.FIND: 1}, hosts)
        running: Counter[object] = Counter()
        most: Counter[object] = Counter()

        def run(work: Work, host: str) -> None:
            with lock:
                for key in (work, host):
                    running[key] += 1
                    most[key] = max(most[key], running[key])
            threading.Event().wait(0.01)
            with lock:
                running.subtract((work, host))

        def job(number: int, work: Work, host: str) -> Job:
            return Job(work=work, name=str(number), host=host, run=lambda: run(work, host))

        for number in range(12):
            crew.add(job(number, Work.ASK, "a"))
            crew.add(job(number, Work.ASK, "b"))
            crew.add(job(number, Work.FETCH, "b"))
        count = 0
        while crew.is_busy:
            count += crew.next(5) is not None
            crew.start_more()
        crew.close()
        assert count == 36
        assert most[Work.ASK] == 3
        assert most[Work.FETCH] == 1
        assert most["a"] == most["b"] == 2

    def test_what_is_urgent_goes_first_and_is_not_withdrawn(self) -> None:
        crew = Crew({Work.ASK: 1}, Hosts(POLLING, always(1.0)))
        free = threading.Event()
        for name, is_urgent in (("first", False), ("second", False), ("urgent", True)):
            crew.add(Job(work=Work.ASK, name=name, host="a", run=free.wait, is_urgent=is_urgent))
        assert crew.next(0.01) is None
        assert [job.name for job in crew.withdraw(Work.ASK, "a")] == ["second"]
        free.set()
        names = []
        while crew.is_busy:
            done = crew.next(5)
            names.append(done.job.name if done else "")
            crew.start_more()
        crew.close()
        assert names == ["first", "urgent"]

    def test_what_waits_is_forgotten_in_the_end(self) -> None:
        crew = Crew({Work.ASK: 1}, Hosts(POLLING, always(1.0)))
        free, ran = threading.Event(), threading.Event()
        crew.add(Job(work=Work.ASK, name="first", run=free.wait))
        crew.add(Job(work=Work.ASK, name="second", run=ran.set))
        threading.Timer(0.05, free.set).start()
        crew.close()
        assert not ran.is_set()
