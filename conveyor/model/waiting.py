"""Why a build waits in the queue, and which packages wait for each other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from conveyor.model.queue import Pause


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldByPause:
    """It is in a part of the queue that is paused.

    Attributes:
        pause: who paused what, and when.
    """

    pause: Pause


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldUntil:
    """It waits for a moment, after an error.

    Attributes:
        at: the moment, with zone.
    """

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldByOwn:
    """Its package's builds on its target go one after the other.

    Attributes:
        builds: numbers of the builds before it, those that run first; the first few.
        count: how many there are.
    """

    builds: tuple[int, ...]
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldByDependency:
    """A package that it is built with has builds on its target that go before it.

    Attributes:
        package: the dependency's name.
        builds: numbers of these builds; the first few.
        count: how many there are.
        until: it waits for no dependency any more from then on, with zone.
    """

    package: str
    builds: tuple[int, ...]
    count: int
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldByTarget:
    """Its target runs as many builds as it may.

    Attributes:
        target: the target's name.
        limit: how many builds it may run at once.
        builds: numbers of those that run.
    """

    target: str
    limit: int
    builds: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldByWorkers:
    """Every worker has a build.

    Attributes:
        workers: how many there are.
        builds: numbers of the builds that they have.
    """

    workers: int
    builds: tuple[int, ...]


Held = HeldByPause | HeldUntil | HeldByOwn | HeldByDependency | HeldByTarget | HeldByWorkers


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Why a build waits.

    Attributes:
        build: its number.
        held: what holds it back, all of it; empty where only builds before it do, or nothing.
        place: its place in the order in which builds will start, from 1.
        before: numbers of the builds that will start before it, in order; the first few.
    """

    build: int
    held: tuple[Held, ...]
    place: int
    before: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """Packages that build-depend on each other, so that no order satisfies all of them.

    Attributes:
        target: the target's name.
        packages: all of them, sorted: each needs each other one, directly or not.
        way: one way round, as short as possible: each needs the next, the last needs the first.
        bootstrap: those that are built first, without waiting for the others, sorted.
        unordered: those that still need each other then, sorted; they do not wait for each other.
    """

    target: str
    packages: tuple[str, ...]
    way: tuple[str, ...]
    bootstrap: tuple[str, ...]
    unordered: tuple[str, ...]
