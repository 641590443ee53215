"""What the daemon itself has to tell: recorded as events, in order, once the store takes them."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from threading import Lock

from conveyor.daemon.guard import Guard
from conveyor.model.event import NewEvent
from conveyor.ports import Clock, Events

# More than happens while a store is down for a day.
MOST = 1000


class Diary:
    """Records events, those that the store did not take as soon as it does. For any thread.

    One that the store took without saying so is recorded twice: better than not at all.

    Args:
        events: where they are recorded.
        clock: the time.
        guard: keeps what goes wrong from who tells.
    """

    def __init__(self, events: Events, clock: Clock, guard: Guard) -> None:
        self._events = events
        self._clock = clock
        self._guard = guard
        self._lock = Lock()
        self._open: deque[tuple[NewEvent, datetime]] = deque(maxlen=MOST)

    def tell(self, event: NewEvent) -> None:
        """Record an event, with the time that it is now."""
        with self._lock:
            self._open.append((event, self._clock.now()))
        self.catch_up()

    def catch_up(self) -> None:
        """Record what is not recorded yet."""
        if self._open:
            self._guard("events", self._record)

    def _record(self) -> None:
        with self._lock:
            while self._open:
                event, at = self._open[0]
                self._events.record([event], at)
                self._open.popleft()
