"""Parts of the daemon that need no process: its clock, the end, the disk, what is said to workers."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import namedtuple
from collections.abc import Sequence
from datetime import datetime
from io import StringIO
from pathlib import Path
from threading import Event

import pytest
import structlog

from conveyor.daemon import guard as guard_module
from conveyor.daemon import stop
from conveyor.daemon.diary import Diary
from conveyor.daemon.guard import Guard
from conveyor.daemon.jobs import Jobs
from conveyor.daemon.jumps import Jumps
from conveyor.daemon.log import Log, set_up
from conveyor.daemon.room import Room
from conveyor.daemon.stop import Phase, Stop
from conveyor.errors import Interrupted, StoreUnusable
from conveyor.model.build import Outcome, Stage
from conveyor.model.event import Event as RecordedEvent
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.work import Chore, Said, SaidKind, Task, to_line, to_said, to_task
from conveyor.wiring.configurationfiles import look
from tests.fakes.clock import NOON, FakeClock
from tests.fakes.events import MemoryEvents

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def output() -> StringIO:
    return StringIO()


@pytest.fixture
def log(output: StringIO) -> Log:
    return set_up(output)


def lines(output: StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.getvalue().splitlines()]


class TestWork:
    @pytest.mark.parametrize("task", [Task(build=7), Task(chore=Chore.MIRROR)])
    def test_a_task_is_a_line(self, task: Task) -> None:
        assert "\n" not in to_line(task)
        assert to_task(to_line(task)) == task

    @pytest.mark.parametrize(
        "said",
        [
            Said(kind=SaidKind.READY, memory=5),
            Said(kind=SaidKind.STAGE, build=1, attempt=2, stage=Stage.BUILD),
            Said(kind=SaidKind.ENDED, build=1, attempt=2, outcome=Outcome.FAILED, seconds=1.5, text="ä\n\N{SNOWMAN}"),
        ],
    )
    def test_what_is_said_is_a_line(self, said: Said) -> None:
        assert "\n" not in to_line(said)
        assert to_said(to_line(said)) == said


class TestLog:
    def test_each_line_is_an_object(self, log: Log, output: StringIO) -> None:
        log.info("build ended", build=7, cause="it said \x1b[31m\nthis")
        (line,) = lines(output)
        assert (line["event"], line["level"], line["build"]) == ("build ended", "info", 7)
        assert line["cause"] == "it said \x1b[31m\nthis"
        assert "\x1b" not in output.getvalue()
        assert str(line["timestamp"]).endswith("Z")

    def test_libraries_are_heard_from_warnings_on(self, log: Log, output: StringIO) -> None:
        library = structlog.stdlib.get_logger("somebody.else").bind()
        library.info("nothing much")
        library.warning("look at this")
        log.info("ours")
        assert [line["event"] for line in lines(output)] == ["look at this", "ours"]

    def test_people_get_words(self, monkeypatch: pytest.MonkeyPatch, output: StringIO) -> None:
        monkeypatch.setattr(output, "isatty", lambda: True)
        set_up(output).info("build ended", cause="it said \x1b[31m")
        assert "build ended" in output.getvalue()
        assert "\\x1b[31m" in output.getvalue()


class TestGuard:
    @pytest.mark.parametrize(
        ("error", "level"),
        [(StoreUnusable("the store is gone", hint="wait"), "warning"), (ZeroDivisionError(), "error")],
    )
    def test_what_goes_wrong_is_logged_and_no_more(
        self, log: Log, output: StringIO, error: Exception, level: str
    ) -> None:
        def work() -> None:
            raise error

        assert not Guard(log)("poll", work)
        (line,) = lines(output)
        assert (line["level"], line["job"]) == (level, "poll")
        assert ("Traceback" in str(line.get("exception"))) is (level == "error")

    def test_what_was_stopped_is_no_failure_to_tell_of(self, log: Log, output: StringIO) -> None:
        def work() -> None:
            raise Interrupted("stopped")

        assert not Guard(log)("poll", work)
        assert output.getvalue() == ""

    def test_the_same_trouble_is_told_now_and_then_only(
        self, log: Log, output: StringIO, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        guard, troubles = Guard(log), ["gone", "gone", "locked", "locked", "gone"]

        def work() -> None:
            raise StoreUnusable(troubles[0])

        while len(troubles) > 1:
            guard("poll", work)
            troubles.pop(0)
        guard("poll", work)
        assert [line["cause"] for line in lines(output)] == ["gone", "locked", "gone"]
        monkeypatch.setattr(guard_module, "AGAIN_SECONDS", 0)
        guard("poll", work)
        guard("poll", lambda: None)
        monkeypatch.setattr(guard_module, "AGAIN_SECONDS", 60)
        guard("poll", work)
        assert [line["cause"] for line in lines(output)][3:] == ["gone", "gone"]

    def test_what_goes_well(self, log: Log) -> None:
        assert Guard(log)("poll", lambda: None)


class TestJobs:
    def test_a_failing_job_runs_again_and_stops_no_other(self, log: Log) -> None:
        tried, other = Event(), Event()
        calls: list[int] = []

        def fail() -> None:
            calls.append(1)
            if len(calls) > 1:
                tried.set()
            raise ZeroDivisionError

        jobs = Jobs(Guard(log))
        jobs.add("bad", 0.05, fail)
        jobs.add("good", 3600, other.set)
        jobs.start()
        assert tried.wait(20)
        assert other.wait(20)
        jobs.stop()
        jobs.stop()

    def test_a_job_can_be_run_now_once_there_is_a_clock(self, log: Log) -> None:
        ran = Event()
        jobs = Jobs(Guard(log))
        jobs.add("rare", 3600, ran.set, first=3600)
        jobs.run_now("rare")
        jobs.start()
        assert not ran.is_set()
        jobs.run_now("another")
        jobs.run_now("rare")
        assert ran.wait(20)
        jobs.stop()

    def test_after_the_clock_was_set_back_no_job_waits_for_longer_than_its_interval(self, log: Log) -> None:
        ran = Event()
        jobs = Jobs(Guard(log))
        jobs.add("often", 0.05, ran.set, first=3600)
        jobs.start()
        jobs.put_right()
        assert ran.wait(20)
        jobs.stop()

    def test_after_the_clock_was_set_on_by_decades_nothing_is_made_up_for(self, log: Log) -> None:
        ran = Event()
        jobs = Jobs(Guard(log))
        jobs.add("often", 1, ran.set, first=-50 * 365 * 86400)
        jobs.start()
        assert ran.wait(20)
        jobs.stop()


class SilentEvents(MemoryEvents):
    """Events of a store that does not always answer."""

    answers = True

    def record(self, events: Sequence[NewEvent], at: datetime) -> tuple[RecordedEvent, ...]:
        if not self.answers:
            raise StoreUnusable("the store does not answer")
        return super().record(events, at)


class TestDiary:
    def test_what_the_store_did_not_take_is_recorded_later_in_order_and_with_its_time(self, log: Log) -> None:
        events = SilentEvents()
        diary = Diary(events, FakeClock(NOON), Guard(log))
        events.answers = False
        diary.tell(NewEvent(kind=EventKind.DISK_LOW, summary="first"))
        diary.catch_up()
        assert events.recorded == []
        events.answers = True
        diary.tell(NewEvent(kind=EventKind.DISK_FINE, summary="second"))
        diary.catch_up()
        assert [(event.summary, (event.at - NOON).seconds) for event in events.recorded] == [
            ("first", 1),
            ("second", 2),
        ]


class TestJumps:
    @pytest.mark.parametrize(("moved", "jump"), [(3600, 3600), (-86400, -86400), (4, 0), (-4, 0), (0, 0)])
    def test_the_wall_clock_is_compared_with_one_that_only_goes_on(
        self, monkeypatch: pytest.MonkeyPatch, moved: float, jump: float
    ) -> None:
        watch = Jumps()
        wall = time.time
        monkeypatch.setattr("time.time", lambda: wall() + moved)
        assert watch.look() == pytest.approx(jump, abs=1)
        assert watch.look() == 0

    def test_many_small_steps_are_no_jump(self, monkeypatch: pytest.MonkeyPatch) -> None:
        watch = Jumps()
        wall = time.time
        for step in range(1, 20):
            monkeypatch.setattr("time.time", lambda step=step: wall() + step)
            assert watch.look() == 0


class TestRoom:
    def test_low_and_fine_are_told_once_each(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        room = Room(tmp_path)
        told = []
        for free in (2000, 999, 500, 1050, 1101, 2000):
            monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: Usage(10_000, 0, free))
            event = room.look(1000)
            told.append((event.kind if event else None, room.low))
        assert told == [
            (None, False),
            (EventKind.DISK_LOW, True),
            (None, True),
            (None, True),  # a little is not enough: the next build would need it
            (EventKind.DISK_FINE, False),
            (None, False),
        ]


class TestStop:
    def at(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        monkeypatch.setattr("time.monotonic", lambda: 1000 + seconds)

    def test_builds_have_their_time_then_some_to_be_put_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = Stop()
        assert asked.phase is Phase.RUNNING
        self.at(monkeypatch, 0)
        asked.ask("SIGTERM", 60)
        phases = []
        for seconds in (0, 59, 61, 60 + stop.GRACE - 1, 60 + stop.GRACE + 1):
            self.at(monkeypatch, seconds)
            phases.append(asked.phase)
        assert phases == [Phase.ENDING, Phase.ENDING, Phase.PUTTING_BACK, Phase.PUTTING_BACK, Phase.KILLING]

    def test_asked_again_there_is_no_time_left(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = Stop()
        self.at(monkeypatch, 0)
        asked.ask("SIGTERM", 60)
        self.at(monkeypatch, 1)
        asked.ask("SIGINT", 60)
        assert (asked.phase, asked.reason) == (Phase.PUTTING_BACK, "SIGTERM")
        self.at(monkeypatch, 5)
        asked.ask("SIGINT", 60)
        self.at(monkeypatch, 1 + stop.GRACE)
        assert asked.phase is Phase.KILLING


class TestLook:
    def test_a_file_that_is_replaced_is_another_even_if_it_looks_the_same(self, tmp_path: Path) -> None:
        file, other = tmp_path / "file", tmp_path / "other"
        assert look(file) is None
        for path in (file, other):
            path.write_text("same")
            os.utime(path, (1, 1))
        before = look(file)
        assert before == look(file)
        other.rename(file)
        assert look(file) != before
