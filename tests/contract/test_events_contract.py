"""What every list of events does, whatever it keeps them in."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta, timezone
from pathlib import Path

import pytest

from conveyor.model.event import EventKind, NewEvent
from conveyor.ports import Events
from conveyor.store import open_books
from tests.fakes.events import MemoryEvents
from tests.fakes.processes import ended, spawn, wait_for
from tests.fakes.store_samples import NOON, OTHER_TARGET, TARGET, minute


@pytest.fixture(params=["memory", "sqlite_url", "emptied_postgresql_url"])
def events(request: pytest.FixtureRequest) -> Iterator[Events]:
    if request.param == "memory":
        yield MemoryEvents()
        return
    books = open_books(request.getfixturevalue(request.param))
    yield books.events
    books.store.close()


def event(summary: str = "it failed", kind: EventKind = EventKind.FAILED, **more: object) -> NewEvent:
    return NewEvent(kind=kind, summary=summary, **more)  # type: ignore[arg-type]


def test_they_are_numbered_from_1_in_order(events: Events) -> None:
    first = events.record([event("a"), event("b")], NOON)
    (third,) = events.record([event("c")], minute(-5))

    assert [(one.number, one.summary, one.at) for one in (*first, third)] == [
        (1, "a", NOON),
        (2, "b", NOON),
        (3, "c", minute(-5)),
    ]
    assert events.after(0) == (*first, third)
    assert events.record([], NOON) == ()
    assert events.record([event("d")], NOON)[0].number == 4


def test_all_that_is_told_comes_back(events: Events) -> None:
    detail = {"commits": 3, "from": None, "names": ("a", "b"), "more": {"ok": True, "share": 0.5}}
    full = event("1 commit", EventKind.NEW_COMMITS, package="nova", target=TARGET, build=7, detail=detail)
    (recorded,) = events.record([full], NOON.astimezone(timezone(timedelta(hours=5))))

    assert recorded == events.after(0)[0]
    assert (recorded.kind, recorded.package, recorded.target, recorded.build) == (
        EventKind.NEW_COMMITS,
        "nova",
        TARGET,
        7,
    )
    assert recorded.detail == {**detail, "names": ["a", "b"]}
    assert (recorded.at, recorded.at.utcoffset()) == (NOON, timedelta(0))


def test_text_that_no_database_can_hold_is_made_harmless(events: Events) -> None:
    hostile = "\x00\udcff'; DROP TABLE event; --\U0001f600"
    events.record([event(hostile, package=hostile, detail={"ref": [hostile]})], NOON)

    clean = "\ufffd\ufffd'; DROP TABLE event; --\U0001f600"
    (recorded,) = events.after(0)
    assert (recorded.summary, recorded.package, recorded.detail) == (clean, clean, {"ref": [clean]})


def test_every_kind_can_be_recorded(events: Events) -> None:
    events.record([event(kind=kind) for kind in EventKind], NOON)

    assert [one.kind for one in events.after(0)] == list(EventKind)


def test_later_ones_come_oldest_first_and_at_most_so_many(events: Events) -> None:
    events.record([event(str(number)) for number in range(1, 8)], NOON)

    assert [one.number for one in events.after(3)] == [4, 5, 6, 7]
    assert [one.number for one in events.after(3, limit=2)] == [4, 5]
    assert events.after(7) == ()


def test_the_newest_of_a_package_target_build_or_kind(events: Events) -> None:
    events.record(
        [
            event("1", package="nova", target=TARGET, build=1),
            event("2", EventKind.STARTED, package="nova", target=OTHER_TARGET, build=2),
            event("3", EventKind.SUCCEEDED, package="glance", target=TARGET, build=3),
            event("4", EventKind.PAUSED),
        ],
        NOON,
    )

    def found(**wanted: object) -> list[int]:
        return [one.number for one in events.newest(**wanted)]  # type: ignore[arg-type]

    assert found() == [4, 3, 2, 1]
    assert found(package="nova") == [2, 1]
    assert found(target=TARGET) == [3, 1]
    assert found(package="nova", target=TARGET) == [1]
    assert found(build=2) == [2]
    assert found(kinds=[EventKind.PAUSED, EventKind.FAILED]) == [4, 1]
    assert found(before=3) == [2, 1]
    assert found(before=3, limit=1) == [2]
    assert found(package="unknown") == []


def test_processes_that_record_at_once_leave_no_gap(database_url: str, tmp_path: Path) -> None:
    go = tmp_path / "go"

    def work(worker: int) -> None:
        mine = open_books(database_url)
        wait_for(go)
        for number in range(20):
            told = mine.events.record([event(f"{worker}/{number}/{part}") for part in range(2)], NOON)
            assert told[1].number == told[0].number + 1

    open_books(database_url).store.close()
    pids = [spawn(lambda worker=worker: work(worker)) for worker in range(4)]  # type: ignore[misc]
    go.touch()
    assert [ended(pid) for pid in pids] == [0] * 4
    books = open_books(database_url)
    recorded = books.events.after(0)
    assert [one.number for one in recorded] == list(range(1, 161))
    assert len({one.summary for one in recorded}) == 160
    books.store.close()
