"""How many jobs may be at one host, and which hosts are left alone because they do not answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime

from conveyor.model.watch import Polling
from conveyor.pipeline.polling.due import backoff

# So many in a row without an answer, and a host is left alone for a while.
PATIENCE = 3


class Hosts:
    """Hosts by name; the name of this machine is empty, and it has no limit.

    Args:
        polling: how many at once, and how long hosts are left alone.
        chance: a number from 0 to 1, another one each time.
    """

    def __init__(self, polling: Polling, chance: Callable[[], float]) -> None:
        self._polling = polling
        self._chance = chance
        self._busy: Counter[str] = Counter()
        self._silent: Counter[str] = Counter()
        self._until: dict[str, datetime] = {}

    def has_room(self, host: str) -> bool:
        """Whether one more job may go there. Where the last one got no answer, they go one by one."""
        return not host or self._busy[host] < (1 if self._silent[host] else self._polling.per_host)

    def left_alone_until(self, host: str, now: datetime) -> datetime | None:
        """Until when nothing is asked there; None where it may be asked."""
        until = self._until.get(host)
        return until if until is not None and until > now else None

    def began(self, host: str) -> None:
        """A job has gone there."""
        self._busy[host] += 1

    def ended(self, host: str) -> None:
        """A job has come back from there."""
        self._busy[host] -= 1

    def answered(self, host: str) -> None:
        """The host answers."""
        self._silent.pop(host, None)
        self._until.pop(host, None)

    def was_silent(self, host: str, now: datetime) -> None:
        """The host did not answer."""
        self._silent[host] += 1
        if host and self._silent[host] >= PATIENCE:
            times = self._silent[host] - PATIENCE + 1
            self._until[host] = now + backoff(self._polling, times, self._chance())
