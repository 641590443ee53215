"""What every record of how mirrors stand does, whatever it keeps things in."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from conveyor.model.mirror import MirrorState
from conveyor.ports import MirrorStates
from conveyor.store import open_books
from tests.fakes.mirrors import MemoryMirrorStates
from tests.fakes.store_samples import OTHER_TARGET, TARGET, minute


@pytest.fixture(params=["memory", "sqlite_url", "emptied_postgresql_url"])
def states(request: pytest.FixtureRequest) -> Iterator[MirrorStates]:
    if request.param == "memory":
        yield MemoryMirrorStates()
        return
    books = open_books(request.getfixturevalue(request.param))
    yield books.mirrors
    books.store.close()


def test_one_that_was_never_tried_is_fresh(states: MirrorStates) -> None:
    assert states.of("eu", TARGET) == MirrorState(mirror="eu", target=TARGET)


def test_failures_are_counted_until_it_succeeds(states: MirrorStates) -> None:
    states.succeeded("eu", TARGET, minute(1))
    states.failed("eu", TARGET, minute(2), "no route")
    states.failed("eu", TARGET, minute(3), "no\0 room")
    assert states.of("eu", TARGET) == MirrorState(
        mirror="eu",
        target=TARGET,
        synced_at=minute(1),
        failed_at=minute(3),
        failures=2,
        cause="no\N{REPLACEMENT CHARACTER} room",
    )
    states.succeeded("eu", TARGET, minute(4))
    assert states.of("eu", TARGET) == MirrorState(mirror="eu", target=TARGET, synced_at=minute(4))


def test_each_mirror_and_target_stands_for_itself(states: MirrorStates) -> None:
    states.failed("eu", TARGET, minute(1), "x")
    assert states.of("eu", OTHER_TARGET).failures == 0
    assert states.of("us", TARGET).failures == 0
    assert states.of("eu", TARGET).synced_at is None


def test_none_of_many_at_once_is_lost(states: MirrorStates) -> None:
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(states.failed, "eu", TARGET, minute(number), "x") for number in range(8)]:
            done.result()
    assert states.of("eu", TARGET).failures == 8
