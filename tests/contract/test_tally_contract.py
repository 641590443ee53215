"""What counts builds, whatever they are kept in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from conveyor.model.build import Outcome
from conveyor.model.tally import Ended, Totals
from conveyor.ports import Store, Tally
from conveyor.store import open_books
from tests.fakes.store import MemoryStore
from tests.fakes.store_samples import NOON, OTHER_TARGET, TARGET, artifact, commit, end, minute, start, succeed
from tests.fakes.tally import MemoryTally


@dataclass(frozen=True, kw_only=True)
class Both:
    store: Store
    tally: Tally


@pytest.fixture(params=["memory", "sqlite_url", "emptied_postgresql_url"])
def both(request: pytest.FixtureRequest) -> Iterator[Both]:
    if request.param == "memory":
        store = MemoryStore()
        yield Both(store=store, tally=MemoryTally(store))
        return
    books = open_books(request.getfixturevalue(request.param))
    yield Both(store=books.store, tally=books.tally)
    books.store.close()


@pytest.fixture(autouse=True)
def builds(both: Both) -> None:
    store = both.store
    succeed(store, commit("1"), minute(1), artifact())
    succeed(store, commit("1"), minute(1), target=OTHER_TARGET)
    end(store, commit("2"), minute(2))
    end(store, commit("3"), minute(3), Outcome.ERRORED)
    end(store, commit("4", package="heat"), minute(4))
    end(store, commit("5", trunk=False), minute(2))
    end(store, commit("6"), minute(2))
    start(store, commit("6"), "again", at=minute(5))
    store.queue(commit("7"), TARGET, retry=False)


def test_what_ended_within_a_time_is_counted(both: Both) -> None:
    tally = both.tally
    assert tally.ended(TARGET, since=NOON, until=minute(9)) == Ended(succeeded=1, failed=2)
    assert tally.ended(TARGET, since=minute(1), until=minute(2)) == Ended(succeeded=1, failed=0)
    assert tally.ended(TARGET, since=minute(2), until=minute(4)) == Ended(succeeded=0, failed=1)
    assert tally.ended(TARGET, since=NOON, until=minute(9), package="heat") == Ended(succeeded=0, failed=1)
    assert tally.ended(TARGET, since=NOON, until=minute(9), package="nothing") == Ended(succeeded=0, failed=0)
    assert tally.ended(OTHER_TARGET, since=NOON, until=minute(9), package="nova") == Ended(succeeded=1, failed=0)
    assert tally.ended("nowhere", since=NOON, until=minute(9)) == Ended(succeeded=0, failed=0)


def test_builds_of_the_trunk_are_counted_by_target(both: Both) -> None:
    assert both.tally.totals() == {
        OTHER_TARGET: Totals(all=1, succeeded=1, failed=0, errored=0),
        TARGET: Totals(all=6, succeeded=1, failed=2, errored=1),
    }
