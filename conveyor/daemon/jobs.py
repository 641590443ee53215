"""The daemon's clock: what is done again and again, each in a thread of its own, none of which ends the daemon."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from conveyor.daemon.log import Log
from conveyor.errors import ConveyorError, Interrupted

THREADS = 16


class Jobs:
    """Runs jobs at intervals; one that still runs is not begun again.

    Args:
        log: the daemon's.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._clock = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(THREADS)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone=UTC,
        )

    def add(self, name: str, seconds: float, work: Callable[[], object], *, first: float = 0) -> None:
        """Have something done every so many seconds, the first time after `first` seconds."""
        self._clock.add_job(
            lambda: guarded(self._log, name, work),
            "interval",
            seconds=seconds,
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


def guarded(log: Log, name: str, work: Callable[[], object]) -> bool:
    """Do something that must not end the daemon: what goes wrong is logged. Tells whether it went well."""
    try:
        work()
    except Interrupted:
        return False
    except ConveyorError as error:
        log.warning("job failed", job=name, cause=error.summary, hint=error.hint)
    except Exception:
        log.exception("job failed: this is a defect of Conveyor", job=name)
    else:
        return True
    return False
