"""Who answers and who does not: what is due, what is left alone, and what is told of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from conveyor.errors import ConveyorError, HostUnreachable
from conveyor.model.addresses import public_url
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.queue import Change
from conveyor.model.watch import Polling, Remote
from conveyor.pipeline.polling.due import Timetable
from conveyor.pipeline.polling.hosts import Hosts
from conveyor.pipeline.polling.places import Place
from conveyor.ports import Clock, Queue, Watch

# Failures in a row after which it is told that a repository does not answer.
UNREACHABLE_AFTER = 3
# When files that were being changed are looked at again.
RESTLESS_SECONDS = 3
WRITE_SECONDS = 1.0
# Of many packages an event names so many.
MOST_TOLD = 20
# Of what a server says so many characters are kept.
MOST_SAID = 500


class Reach:
    """How polling each place goes.

    Args:
        watch: where that is written down.
        queue: takes events.
        clock: the time.
        polling: how often and how gently.
        chance: a number from 0 to 1, another one each time.

    Attributes:
        hosts: the hosts that places are at.
    """

    def __init__(self, watch: Watch, queue: Queue, clock: Clock, polling: Polling, chance: Callable[[], float]) -> None:
        self._watch = watch
        self._queue = queue
        self._clock = clock
        self._timetable = Timetable(polling, chance)
        self.hosts = Hosts(polling, chance)
        self._polled: dict[str, Remote] = {}
        self._written = time.monotonic()

    def follow(self, places: Mapping[str, Place]) -> list[str]:
        """Take care of these places, and of no others; the URLs of others that are known."""
        known = self._watch.remotes()
        self._timetable.follow({url: place.interval for url, place in places.items()}, known)
        return sorted(known.keys() - places.keys())

    def forget(self) -> None:
        """Know nothing but what is written down."""
        self._timetable.forget()
        self._polled.clear()

    def due(self, now: datetime) -> list[str]:
        """What is to be asked now, the most urgent first."""
        return self._timetable.due(now)

    def next_due(self, now: datetime) -> datetime | None:
        """When something is to be asked next; None where nothing ever is."""
        return self._timetable.next_due(now)

    def fails(self, url: str) -> bool:
        """Whether a place did not answer the last time."""
        return self._timetable.failures(url) > 0

    def may_ask(self, place: Place, now: datetime) -> bool:
        """Whether a place's host is not left alone; else it is asked later."""
        until = self.hosts.left_alone_until(place.host, now)
        if until is not None:
            self._note(self._timetable.put_off(place.url, until, now))
        return until is None

    def heard(self, place: Place) -> None:
        """A place's host has said something."""
        self.hosts.answered(place.host)

    def answered(self, place: Place, *, is_restless: bool) -> None:
        """A place has answered, and all that it told of is here."""
        now = self._clock.now()
        failures = self._timetable.failures(place.url)
        if failures >= UNREACHABLE_AFTER:
            self._tell(EventKind.REACHABLE, place, f"{_shown(place)} answers again", failures, "")
        self._note(self._timetable.answered(place.url, now))
        if is_restless:
            self._note(self._timetable.put_off(place.url, now + timedelta(seconds=RESTLESS_SECONDS), now))

    def failed(self, place: Place, error: ConveyorError) -> None:
        """A place has not answered, or what it told of cannot be had."""
        now = self._clock.now()
        if isinstance(error, HostUnreachable):
            self.hosts.was_silent(place.host, now)
        cause = (error.cause or error.what)[:MOST_SAID]
        remote = self._timetable.failed(place.url, now, cause)
        if remote.failures == UNREACHABLE_AFTER:
            summary = f"{_shown(place)} does not answer: {cause}"
            self._tell(EventKind.UNREACHABLE, place, summary, remote.failures, cause)
        self._note(remote)

    def write(self, *, at_any_rate: bool = True) -> None:
        """Write down how polls went, unless that was done just before."""
        if not at_any_rate and time.monotonic() - self._written < WRITE_SECONDS:
            return
        self._written = time.monotonic()
        if self._polled:
            self._watch.polled(list(self._polled.values()))
            self._polled.clear()

    def _note(self, remote: Remote) -> None:
        self._polled[remote.url] = remote

    def _tell(self, kind: EventKind, place: Place, summary: str, failures: int, cause: str) -> None:
        detail = {
            "url": _shown(place),
            "packages": list(place.names[:MOST_TOLD]),
            "failures": failures,
            "cause": cause,
        }
        event = NewEvent(kind=kind, summary=summary, package=place.package, detail=detail)
        self._queue.apply(Change(events=(event,)), self._clock.now())


def _shown(place: Place) -> str:
    """A place for people: without a password."""
    return place.url if place.is_folder else public_url(place.url)
