"""Why builds wait in the queue, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import assert_never

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
from conveyor.pipeline.explaining.build import Wait
from conveyor.pipeline.explaining.words import count, listed, moment, paused, resume_command

NEXT = "it is the next to start"
# How many builds are named where there are many.
_TOLD = 10


def wait_words(waiting: Waiting, cycle: Cycle | None, now: datetime) -> Wait:
    """Why a build waits.

    Args:
        waiting: what the scheduler says.
        cycle: the circle that its package is in; None for none.
        now: the time.
    """
    held = [_held(each, now) for each in waiting.held]
    order = _order(waiting)
    circle = [cycle_words(cycle)] if cycle is not None else []
    if held:
        return Wait(summary=held[0], lines=(*held[1:], order, *circle), hint=_hint(waiting.held[0]))
    return Wait(summary=order, lines=tuple(circle))


def few_words(held: Sequence[Held]) -> str:
    """Why a build waits, as short as a column of a table needs it; empty where only builds before it hold it back."""
    return _few(held[0]) if held else ""


def cycle_words(cycle: Cycle) -> str:
    """Which packages build-depend on each other, and what becomes of that."""
    way = " -> ".join([*cycle.way, cycle.way[0]]) if cycle.way else listed(cycle.packages)
    first = f"; {listed(cycle.bootstrap)} first" if cycle.bootstrap else ""
    free = "; these do not wait for each other: " + listed(cycle.unordered) if cycle.unordered else ""
    return f"packages of {cycle.target} build-depend on each other: {way}{first}{free}"


def cycle_hint(cycle: Cycle) -> str:
    """What to do about packages that build-depend on each other; empty where their order is known."""
    return f"say which is built first: 'bootstrap: true' for one of {listed(cycle.packages)}" if cycle.unordered else ""


def _order(waiting: Waiting) -> str:
    if waiting.place <= 1:
        return NEXT
    before = waiting.place - 1
    return f"{count(before, 'build')} will start before it: {_builds(waiting.before, before)}"


def _held(held: Held, now: datetime) -> str:
    return "; ".join(_told(held, now))


def _told(held: Held, now: datetime) -> Iterator[str]:
    match held:
        case HeldByPause():
            yield paused(held.pause, now)
        case HeldUntil():
            yield f"its last attempt errored; it is tried again at {moment(held.at, now)}"
        case HeldByOwn():
            yield f"{_before(held.builds, held.count)} of the same package first"
            yield "builds of one package go one after the other"
        case HeldByDependency():
            yield f"it is built with {held.package}, which has {_before(held.builds, held.count)} before it"
            yield f"it waits for that until {moment(held.until, now)} at most"
        case HeldByTarget():
            yield f"{held.target} runs as many builds as it may at once, {held.limit}: {_numbers(held.builds)}"
        case HeldByWorkers():
            yield f"every worker has a build, {held.workers} of {held.workers}: {_numbers(held.builds)}"
        case _:
            assert_never(held)


def _few(held: Held) -> str:
    match held:
        case HeldByPause():
            return f"paused by {held.pause.actor}"
        case HeldUntil():
            return f"after an error, until {held.at.astimezone(UTC):%H:%M:%S} UTC"
        case HeldByOwn():
            return f"after {_before(held.builds, held.count, 1)}"
        case HeldByDependency():
            return f"{held.package} first: {_before(held.builds, held.count, 1)}"
        case HeldByTarget():
            return "the target is full"
        case HeldByWorkers():
            return "all workers are busy"
        case _:
            assert_never(held)


def _hint(held: Held) -> str:
    return resume_command(held.pause) if isinstance(held, HeldByPause) else ""


def _before(builds: Sequence[int], number: int, most: int = _TOLD) -> str:
    return f"{'build' if number == 1 else 'builds'} {_builds(builds, number, most)}"


def _builds(builds: Sequence[int], number: int, most: int = _TOLD) -> str:
    told = builds[:most]
    more = number - len(told)
    return _numbers(told) + (f" and {more} more" if more > 0 else "")


def _numbers(builds: Sequence[int]) -> str:
    return listed(builds, most=len(builds))
