"""The daemon's clock: what is done again and again, each in a thread of its own, none of which ends the daemon."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from threading import Thread

from apscheduler.executors.base import BaseExecutor, run_job
from apscheduler.job import Job
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from conveyor.daemon.guard import Guard


class Jobs:
    """Runs jobs at intervals; one that still runs is not begun again.

    Args:
        guard: keeps what goes wrong from the others.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._clock = BackgroundScheduler(
            executors={"default": _Threads()},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone=UTC,
        )

    def add(self, name: str, seconds: float, work: Callable[[], object], *, first: float = 0) -> None:
        """Have something done every so many seconds, the first time after `first` seconds."""
        self._clock.add_job(
            lambda: self._guard(name, work),
            _Interval(seconds=seconds, timezone=UTC),
            id=name,
            next_run_time=datetime.now(UTC) + timedelta(seconds=first),
            replace_existing=True,
        )

    def start(self) -> None:
        """Begin."""
        self._clock.start()

    def run_now(self, name: str) -> None:
        """Have a job run now; nothing happens where it is not on this clock."""
        if self._clock.running and self._clock.get_job(name) is not None:
            self._clock.modify_job(name, next_run_time=datetime.now(UTC))

    def put_right(self) -> None:
        """After the clock was set: let no job wait for longer than its interval."""
        now = datetime.now(UTC)
        for job in self._clock.get_jobs():
            latest = now + job.trigger.interval
            if job.next_run_time > latest:
                job.modify(next_run_time=latest)
        self._clock.wakeup()

    def stop(self) -> None:
        """Begin no job any more; those that run go on."""
        if self._clock.running:
            self._clock.shutdown(wait=False)


class _Interval(IntervalTrigger):  # type: ignore[misc]
    """Makes up for nothing: after the clock was set on, APScheduler would go through all times that were missed."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """The next time, or an interval from now where that has gone by."""
        following: datetime = super().get_next_fire_time(previous_fire_time, now)
        return following if following > now else now + self.interval


class _Threads(BaseExecutor):  # type: ignore[misc]
    """Runs each job in a thread of its own, which the process does not wait for at its end: it may hang."""

    def _do_submit_job(self, job: Job, run_times: Sequence[datetime]) -> None:
        Thread(target=self._run, args=(job, run_times), name=job.id, daemon=True).start()

    def _run(self, job: Job, run_times: Sequence[datetime]) -> None:
        # It catches what the job raises, and says so in what it gives.
        self._run_job_success(job.id, run_job(job, job._jobstore_alias, run_times, self._logger.name))  # noqa: SLF001
