"""What every list of leases does, whatever it keeps them in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from conveyor.model.lease import DAEMON, Lease
from conveyor.ports import Leases
from conveyor.store import open_books
from tests.fakes.leases import MemoryLeases
from tests.fakes.processes import ended, spawn, wait_for
from tests.fakes.store_samples import NOON, minute


@pytest.fixture(params=["memory", "sqlite_url", "emptied_postgresql_url"])
def leases(request: pytest.FixtureRequest) -> Iterator[Leases]:
    if request.param == "memory":
        yield MemoryLeases()
        return
    books = open_books(request.getfixturevalue(request.param))
    yield books.leases
    books.store.close()


def lease(token: str, at: datetime = NOON, name: str = DAEMON) -> Lease:
    return Lease(name=name, token=token, host="hub", pid=4711, process_started=2**40, since=at, heartbeat_at=at)


def test_the_first_one_takes_it_and_others_are_told_who_has_it(leases: Leases) -> None:
    assert leases.holder(DAEMON) is None
    first = leases.take(lease("a"), lost_after=60)

    assert first == lease("a")
    assert leases.take(lease("b", minute(1)), lost_after=60) == first
    assert leases.holder(DAEMON) == first
    assert leases.holder("another") is None


def test_each_name_has_a_holder_of_its_own(leases: Leases) -> None:
    leases.take(lease("a"), lost_after=60)

    assert leases.take(lease("b", name="other"), lost_after=60).token == "b"
    assert leases.take(lease("c"), lost_after=60).token == "a"


def test_one_that_was_not_heard_of_loses_it(leases: Leases) -> None:
    leases.take(lease("a"), lost_after=60)
    assert leases.take(lease("b", minute(1)), lost_after=60).token == "a"
    assert leases.take(lease("b", minute(1) + timedelta(microseconds=1)), lost_after=60).token == "b"

    assert not leases.renew(DAEMON, "a", minute(2))
    assert leases.holder(DAEMON) == lease("b", minute(1) + timedelta(microseconds=1))


def test_one_that_is_heard_of_keeps_it(leases: Leases) -> None:
    leases.take(lease("a"), lost_after=60)
    assert leases.renew(DAEMON, "a", minute(5))
    assert not leases.renew(DAEMON, "b", minute(6))
    assert not leases.renew("another", "a", minute(6))

    assert leases.take(lease("b", minute(6)), lost_after=60).token == "a"
    assert leases.holder(DAEMON) == replace(lease("a"), heartbeat_at=minute(5))


def test_one_that_was_heard_of_in_the_future_keeps_it(leases: Leases) -> None:
    leases.take(lease("a", minute(600)), lost_after=60)

    assert leases.take(lease("b", minute(0)), lost_after=60).token == "a"


def test_the_holder_may_take_it_again(leases: Leases) -> None:
    leases.take(lease("a"), lost_after=60)

    assert leases.take(lease("a", minute(1)), lost_after=60) == lease("a", minute(1))


def test_who_gives_it_back_has_it_no_more(leases: Leases) -> None:
    leases.take(lease("a"), lost_after=60)
    leases.release(DAEMON, "b")
    assert leases.holder(DAEMON) == lease("a")
    leases.release(DAEMON, "a")
    leases.release(DAEMON, "a")

    assert leases.holder(DAEMON) is None
    assert leases.take(lease("b"), lost_after=60).token == "b"


def test_of_processes_that_take_it_at_once_one_gets_it(database_url: str, tmp_path: Path) -> None:
    go = tmp_path / "go"

    def work(worker: int) -> None:
        mine = open_books(database_url)
        wait_for(go)
        for number in range(10):
            got = mine.leases.take(lease(f"{worker}/{number}", name=str(number)), lost_after=60)
            (tmp_path / f"{worker}-{number}").write_text(got.token)

    open_books(database_url).store.close()
    pids = [spawn(lambda worker=worker: work(worker)) for worker in range(6)]  # type: ignore[misc]
    go.touch()
    assert [ended(pid) for pid in pids] == [0] * 6
    for number in range(10):
        assert len({(tmp_path / f"{worker}-{number}").read_text() for worker in range(6)}) == 1


def test_no_two_processes_have_it_at_one_moment_while_they_take_give_back_and_die(
    database_url: str, tmp_path: Path
) -> None:
    go, inside = tmp_path / "go", tmp_path / "inside"

    def work(worker: int) -> None:
        mine = open_books(database_url)
        wait_for(go)
        turns = 0
        while turns < 10:
            token = f"{worker}/{turns}"
            now = datetime.now(UTC)
            if mine.leases.take(lease(token, now), lost_after=30).token == token:
                inside.mkdir()  # fails where another one is inside
                inside.rmdir()
                mine.leases.release(DAEMON, token)
                turns += 1
            time.sleep(0.002)

    open_books(database_url).store.close()
    pids = [spawn(lambda worker=worker: work(worker)) for worker in range(4)]  # type: ignore[misc]
    go.touch()
    assert [ended(pid) for pid in pids] == [0] * 4
