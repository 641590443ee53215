"""When each repository is asked for news, and how gently one is that does not answer. Time and chance are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from conveyor.model.watch import Polling, Remote
from conveyor.pipeline.growingwait import growing_wait

# By how much of it an interval is shorter or longer, so that what was due at once drifts apart.
SPREAD = 0.1


class Timetable:
    """When repositories are due.

    Args:
        polling: how often they are asked.
        chance: a number from 0 to 1, another one each time.
    """

    def __init__(self, polling: Polling, chance: Callable[[], float]) -> None:
        self._polling = polling
        self._chance = chance
        self._intervals: dict[str, int] = {}
        self._remotes: dict[str, Remote] = {}

    def follow(self, intervals: Mapping[str, int | None], known: Mapping[str, Remote]) -> None:
        """Take care of these repositories and of no others.

        Args:
            intervals: seconds between two polls, by URL; None for the site's.
            known: how polling went so far, where this does not know it already.
        """
        self._intervals = {url: seconds or self._polling.interval for url, seconds in intervals.items()}
        remotes = {**known, **self._remotes}
        self._remotes = {url: remotes[url] for url in self._intervals if url in remotes}

    def forget(self) -> None:
        """Know nothing of how polling went."""
        self._remotes.clear()

    def due(self, now: datetime) -> list[str]:
        """What is to be asked now; first what was never asked, then what has been due for longest."""
        due = [url for url in self._intervals if self._is_due(url, now)]
        return sorted(due, key=lambda url: self._remotes[url].next_at.timestamp() if url in self._remotes else 0.0)

    def next_due(self, now: datetime) -> datetime | None:
        """When something is to be asked next; None where nothing ever is."""
        if any(self._is_due(url, now) for url in self._intervals):
            return now
        return min((remote.next_at for remote in self._remotes.values()), default=None)

    def failures(self, url: str) -> int:
        """How often in a row a repository did not answer."""
        return self._remotes[url].failures if url in self._remotes else 0

    def answered(self, url: str, now: datetime) -> Remote:
        """A repository has answered."""
        interval = self._intervals.get(url, self._polling.interval)
        before = self._remotes.get(url)
        # All that was asked at once, because it is new or nobody asked for long, is due over a whole interval.
        waited = before is not None and now - before.next_at < timedelta(seconds=interval)
        part = 1 + SPREAD * (2 * self._chance() - 1) if waited else self._chance()
        due = now + timedelta(seconds=interval * part)
        return self._set(Remote(url=url, polled_at=now, answered_at=now, failures=0, cause="", next_at=due))

    def failed(self, url: str, now: datetime, cause: str) -> Remote:
        """A repository has not answered."""
        before = self._remotes.get(url)
        failures = self.failures(url) + 1
        return self._set(
            Remote(
                url=url,
                polled_at=now,
                answered_at=before.answered_at if before else None,
                failures=failures,
                cause=cause,
                next_at=now + backoff(self._polling, failures, self._chance()),
            )
        )

    def put_off(self, url: str, until: datetime, now: datetime) -> Remote:
        """A repository that need not be asked now is due some time after a moment."""
        due = until + self._chance() * (until - now)
        known = self._remotes.get(url)
        if known is not None:
            return self._set(replace(known, next_at=due))
        return self._set(Remote(url=url, polled_at=None, answered_at=None, failures=0, cause="", next_at=due))

    def _set(self, remote: Remote) -> Remote:
        if remote.url in self._intervals:
            self._remotes[remote.url] = remote
        return remote

    def _is_due(self, url: str, now: datetime) -> bool:
        """Whether it is time; one that waits for longer than anything may was put off by a clock that was wrong."""
        remote = self._remotes.get(url)
        longest = max(self._intervals[url] * (1 + SPREAD), 2 * self._polling.retry_limit)
        return remote is None or not now < remote.next_at <= now + timedelta(seconds=longest)


def backoff(polling: Polling, failures: int, chance: float) -> timedelta:
    """How long to wait after so many failures in a row: twice as long after each, and never all for the same time."""
    first, longest = timedelta(seconds=polling.retry_start), timedelta(seconds=polling.retry_limit)
    return growing_wait(first, failures, longest) * ((1 + chance) / 2)
