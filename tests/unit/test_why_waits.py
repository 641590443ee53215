"""Why builds wait, in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conveyor.model.queue import Pause, Scope, ScopeKind
from conveyor.model.waiting import (
    Cycle,
    Held,
    HeldByDependency,
    HeldByOwn,
    HeldByPause,
    HeldByTarget,
    HeldByWorkers,
    HeldUntil,
    Waiting,
)
from conveyor.pipeline.explaining.waits import NEXT, cycle_hint, cycle_words, few_words, wait_words
from tests.fakes import store_samples as sample

NOW = sample.minute(0)
PAUSE = Pause(scope=Scope(kind=ScopeKind.TARGET, name="t"), actor="ann@hub", note="", at=NOW)
CYCLE = Cycle(target="t", packages=("a", "b", "c"), way=("a", "b", "c"), bootstrap=("a",), unordered=())
HELD: list[tuple[Held, str, str]] = [
    (HeldByPause(pause=PAUSE), "target t was paused by ann@hub at", "paused by ann@hub"),
    (HeldUntil(at=sample.minute(5)), "it is tried again at 2026-03-01 12:05:00 UTC (in 5 min)", "until 12:05:00 UTC"),
    (HeldByOwn(builds=(3,), count=1), "build 3 of the same package first", "after build 3"),
    (
        HeldByOwn(builds=(3, 4), count=9),
        "builds 3, 4 and 7 more of the same package first",
        "after builds 3 and 8 more",
    ),
    (
        HeldByDependency(package="oslo.utils", builds=(2,), count=1, until=sample.minute(60)),
        "it is built with oslo.utils, which has build 2 before it; it waits for that until",
        "oslo.utils first: build 2",
    ),
    (HeldByTarget(target="t", limit=2, builds=(1, 2)), "t runs as many builds as it may at once, 2: 1, 2", "is full"),
    (HeldByWorkers(workers=1, builds=(1,)), "every worker has a build, 1 of 1: 1", "workers are busy"),
]


def waiting(*held: Held, place: int = 1, before: tuple[int, ...] = ()) -> Waiting:
    return Waiting(build=7, held=held, place=place, before=before)


@pytest.mark.parametrize(("held", "words", "few"), HELD)
def test_each_thing_that_holds_back_has_words(held: Held, words: str, few: str) -> None:
    told = wait_words(waiting(held), None, NOW)
    assert words in told.summary
    assert few in few_words([held])


def test_what_else_holds_it_back_comes_after() -> None:
    told = wait_words(waiting(HELD[2][0], HELD[5][0], place=4, before=(1, 2)), None, NOW)
    assert told.summary.startswith("build 3 of the same package first")
    assert told.lines[0].startswith("t runs as many builds")
    assert told.lines[1] == "3 builds will start before it: 1, 2 and 1 more"


def test_a_pause_can_be_ended() -> None:
    assert wait_words(waiting(HELD[0][0]), None, NOW).hint == "conveyor resume --target t"


def test_nothing_holds_the_next_one_back() -> None:
    assert wait_words(waiting(), None, NOW).summary == NEXT
    assert few_words([]) == ""
    assert wait_words(waiting(place=2, before=(1,)), None, NOW).summary == "1 build will start before it: 1"


def test_a_circle_is_named() -> None:
    told = wait_words(waiting(), CYCLE, NOW)
    assert told.lines == ("packages of t build-depend on each other: a -> b -> c -> a; a first",)
    assert cycle_hint(CYCLE) == ""
    uncut = replace(CYCLE, bootstrap=(), unordered=("a", "b", "c"))
    assert cycle_words(uncut).endswith("; these do not wait for each other: a, b, c")
    assert "'bootstrap: true'" in cycle_hint(uncut)
