"""What finds builds, whatever they are kept in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from conveyor.model.build import Outcome, State
from conveyor.model.search import Query
from conveyor.ports import Lookup, Store
from conveyor.store import lookup as sql
from conveyor.store import open_books
from tests.fakes.lookup import MemoryLookup
from tests.fakes.store import MemoryStore
from tests.fakes.store_samples import (
    CAUSE,
    NOON,
    OTHER_TARGET,
    TARGET,
    artifact,
    claim,
    commit,
    end,
    minute,
    sha1,
    start,
    succeed,
)

WANTED: list[tuple[dict[str, object], list[int]]] = [
    ({"packages": ("nova",)}, [3, 2, 1]),
    ({"packages": ("heat", "glance")}, [7, 6, 4]),
    ({"packages": ()}, []),
    ({"packages": ("nothing",)}, []),
    ({"target": OTHER_TARGET}, [3]),
    ({"packages": ("nova",), "target": TARGET}, [2, 1]),
    ({"commit": sha1("1")[:7]}, [3, 1]),
    ({"commit": commit("q", extended="r1").id}, [7]),
    ({"commit": commit("q").id + "_r2"}, []),
    ({"commit": sha1("local"), "trunk": None}, [5]),
    ({"commit": "Ada"}, []),
    ({"version": "27"}, [3]),
    ({"version": "1:27.0~dev1-1"}, [1]),
    ({"version": "27.1%_"}, [3]),
    ({"version": "27_"}, []),
    ({"version": "27", "trunk": None}, [5, 3]),
    ({"file": "python3-nova"}, [1]),
    ({"file": "nova_1.src.rpm"}, [3]),
    ({"file": "NOVA"}, []),
    ({"state": State.QUEUED}, [7]),
    ({"state": State.RUNNING}, [6]),
    ({"state": State.FINISHED}, [4, 3, 2, 1]),
    ({"outcome": Outcome.FAILED}, [2]),
    ({"outcome": Outcome.SUCCEEDED, "packages": ("nova", "heat"), "target": TARGET}, [1]),
    ({"version": "1", "file": "python", "commit": sha1("1"), "packages": ("nova", "heat")}, [1]),
    ({"version": "1", "file": "nova"}, []),
]


class Clock:
    """The time at which builds are queued; each call is a minute later."""

    def __init__(self) -> None:
        self.now = NOON - timedelta(minutes=1)

    def __call__(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now


@dataclass(frozen=True)
class Kept:
    """A store, and what looks into it."""

    store: Store
    lookup: Lookup

    def found(self, **wanted: object) -> list[int]:
        return [build.id for build in self.lookup.search(Query(**wanted)).builds]  # type: ignore[arg-type]


@pytest.fixture(params=["memory", "sqlite_url", "emptied_postgresql_url"])
def kept(request: pytest.FixtureRequest) -> Iterator[Kept]:
    if request.param == "memory":
        memory = MemoryStore(Clock())
        yield Kept(memory, MemoryLookup(memory))
        return
    books = open_books(request.getfixturevalue(request.param), now=Clock())
    yield Kept(books.store, books.lookup)
    books.store.close()


@pytest.fixture
def filled(kept: Kept) -> Kept:
    """Builds 1 to 7."""
    store = kept.store
    succeed(store, commit("1"), minute(1), artifact("python3-nova_1-1_all.deb"), version="1:27.0~dev1-1")
    end(store, commit("2"), minute(2))
    succeed(store, commit("1"), minute(3), artifact("nova_1.src.rpm"), target=OTHER_TARGET, version="27.1%_-1")
    end(store, commit("g", package="glance"), minute(4), Outcome.ERRORED)
    succeed(store, commit("local", trunk=False), minute(5), artifact("local_1_all.deb"), version="27.9-1")
    start(store, commit("r", package="glance"), "r")
    store.queue(commit("q", package="heat", extended="r1"), TARGET, retry=False)
    return kept


class TestSearch:
    def test_without_filters_it_gives_the_trunk_newest_first(self, filled: Kept) -> None:
        assert filled.found() == [7, 6, 4, 3, 2, 1]
        assert filled.found(trunk=None) == [7, 6, 5, 4, 3, 2, 1]
        assert filled.found(trunk=False) == [5]
        page = filled.lookup.search(Query())
        assert page.before is None
        assert page.builds[0] == filled.store.build(7)

    def test_what_fits_everything_is_found(self, filled: Kept) -> None:
        assert [(wanted, filled.found(**wanted)) for wanted, _ in WANTED] == WANTED

    def test_so_is_what_many_fit(self, filled: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sql, "FEW", 0)

        assert [(wanted, filled.found(**wanted)) for wanted, _ in WANTED] == WANTED

    def test_times_are_those_at_which_builds_were_queued(self, filled: Kept) -> None:
        moments = {number: filled.store.build(number).queued_at for number in range(1, 8)}

        assert filled.found(since=moments[4]) == [7, 6, 4]
        assert filled.found(until=moments[4]) == [3, 2, 1]
        assert filled.found(since=moments[2], until=moments[4], packages=("nova", "heat")) == [3, 2]

    def test_pages_stay_while_builds_come(self, filled: Kept) -> None:
        first = filled.lookup.search(Query(limit=2))
        assert [build.id for build in first.builds] == [7, 6]
        succeed(filled.store, commit("new"), minute(9))

        second = filled.lookup.search(Query(limit=2, before=first.before))
        assert [build.id for build in second.builds] == [4, 3]
        last = filled.lookup.search(Query(limit=2, before=second.before))
        assert ([build.id for build in last.builds], last.before) == ([2, 1], None)

    def test_hostile_text_is_just_not_found(self, filled: Kept) -> None:
        for hostile in ("'; DROP TABLE build; --", "\x00", "\ud800", "\U0010ffff", "%", "_"):
            assert filled.found(version=hostile) == filled.found(file=hostile) == filled.found(commit=hostile) == []
            assert filled.found(packages=(hostile, hostile), target=hostile) == []


class TestCopies:
    def test_they_are_looked_for_among_the_last(self, filled: Kept) -> None:
        newer = end(filled.store, commit("mine", package="glance", trunk=False), minute(9))

        assert [build.id for build in filled.lookup.copies(None, among=50)] == [newer.id, 5]
        assert filled.lookup.copies(None, among=1) == (newer,)
        assert filled.lookup.copies("glance", among=50) == (newer,)
        assert filled.lookup.copies("nova", among=1) == (filled.store.build(5),)
        assert filled.lookup.copies("heat", among=50) == ()


class TestLatest:
    def test_it_gives_the_newest_and_the_last_that_says_something(self, filled: Kept) -> None:
        found = [(each.newest.id, each.judged and each.judged.id) for each in filled.lookup.latest()]

        assert found == [(6, 4), (7, None), (3, 3), (2, 2)]
        assert filled.lookup.latest()[0].newest == filled.store.build(6)

    def test_it_can_be_asked_for_what_changed(self, filled: Kept) -> None:
        assert [each.newest.id for each in filled.lookup.latest([1, 2, 7, 4711])] == [7, 2]
        assert filled.lookup.latest([]) == ()
        assert filled.lookup.latest([5]) == filled.lookup.latest([1])

    def test_what_is_tried_again_is_judged_by_the_one_before(self, filled: Kept) -> None:
        filled.store.queue(commit("2"), TARGET, retry=True)

        (latest,) = filled.lookup.latest([2])
        assert (latest.newest.id, latest.newest.state, latest.judged) == (2, State.QUEUED, filled.store.build(1))

    def test_cancelled_and_superseded_builds_say_nothing(self, filled: Kept) -> None:
        end(filled.store, commit("c"), minute(9), Outcome.CANCELLED)
        superseded = end(filled.store, commit("s"), minute(9), Outcome.SUPERSEDED)

        (latest,) = filled.lookup.latest([2])
        assert (latest.newest.id, latest.judged and latest.judged.id) == (superseded.id, 2)


class TestAttempts:
    def test_they_come_by_build(self, filled: Kept) -> None:
        again = start(filled.store, commit("2"), "again", at=minute(10))
        filled.store.release(again.id, replace(CAUSE, kind="Lost"), minute(11))
        filled.store.claim(7, claim("seven", minute(12)))
        filled.store.release(7, CAUSE, minute(13))

        found = filled.lookup.attempts([2, 7, 4711])
        assert found == {2: filled.store.attempts(2), 7: filled.store.attempts(7)}
        assert len(found[2]) == 2
        assert filled.lookup.attempts([]) == {}
