"""The port `Events` in memory. It passes the same contract suite as the real one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from conveyor.model.event import Event, EventKind, NewEvent
from conveyor.store.types import harmless, harmless_object, utc


class MemoryEvents:
    """See `conveyor.ports.Events`.

    Attributes:
        recorded: all of them, in order.
    """

    def __init__(self) -> None:
        self.recorded: list[Event] = []

    def record(self, events: Sequence[NewEvent], at: datetime) -> tuple[Event, ...]:
        first = len(self.recorded) + 1
        added = [
            Event(
                number=number,
                at=utc(at),
                kind=new.kind,
                summary=harmless(new.summary),
                package=harmless(new.package),
                target=harmless(new.target),
                build=new.build,
                detail=harmless_object(new.detail),
            )
            for number, new in enumerate(events, start=first)
        ]
        self.recorded += added
        return tuple(added)

    def after(self, number: int, *, limit: int = 500) -> tuple[Event, ...]:
        return tuple(event for event in self.recorded if event.number > number)[:limit]

    def newest(
        self,
        *,
        package: str | None = None,
        target: str | None = None,
        build: int | None = None,
        kinds: Collection[EventKind] = (),
        before: int | None = None,
        limit: int = 50,
    ) -> tuple[Event, ...]:
        found = [
            event
            for event in reversed(self.recorded)
            if package in {None, event.package}
            and target in {None, event.target}
            and build in {None, event.build}
            and (not kinds or event.kind in kinds)
            and (before is None or event.number < before)
        ]
        return tuple(found[:limit])
