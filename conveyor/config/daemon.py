"""How the daemon works at this site: the table [daemon] of conveyor.toml."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from conveyor.config.human import parse_duration
from conveyor.config.mistakes import show
from conveyor.config.schema import Entry
from conveyor.config.values import Count, Duration, Size, measure, one_of

SECTION = "daemon"
MAX_PORT = 65535
NEVER = "never"
NUMBERS = {(SECTION, "workers"), (SECTION, "retries"), (SECTION, "builds_per_worker"), (SECTION, "cascade_limit")}


class LogLevel(StrEnum):
    """How grave something is that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSettings:
    """How the daemon works.

    Attributes:
        workers: how many builds run at once.
        retries: how often a build that errored is tried again by itself.
        retry_wait: seconds before the first of these tries; each later one waits twice as long.
        stop_within: seconds that running builds are given to end when the daemon stops.
        lost_after: seconds after which another machine that was not heard of counts as gone.
        builds_per_worker: after so many builds a worker is replaced.
        worker_memory: bytes; a worker that has grown larger is replaced after its build.
        collect_interval: seconds between two runs of retention.
        cascade_limit: how many rebuilds for changed build dependencies may lead to one another.
        listen: `host:port` where it can be asked how it is; None for nowhere.
        remind_after: seconds after which somebody is reminded of what still fails or is held back; None for never.
        stale_after: seconds without a sign of life after which polling, building and publishing count as stale.
        log_level: what is logged from which gravity on.
    """

    workers: int
    retries: int
    retry_wait: int
    stop_within: int
    lost_after: int
    builds_per_worker: int
    worker_memory: int
    collect_interval: int
    cascade_limit: int
    listen: str | None
    remind_after: int | None
    stale_after: int
    log_level: LogLevel


def listening_address(text: str) -> str:
    """An address to listen on: `host:port`, the host of IPv6 in brackets.

    Raises:
        ValueError: it is none.
    """
    found = re.fullmatch(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})", text)
    if found is None or int(found[1]) > MAX_PORT:
        raise ValueError(f"{show(text)} is no address to listen on; would be right: 127.0.0.1:9190")
    return text


def duration_or_never(text: str) -> int:
    """Seconds; 0 for "never".

    Raises:
        ValueError: the text is neither that nor a duration.
    """
    return 0 if text == NEVER else parse_duration(text)


class DaemonEntry(Entry):
    """The daemon's settings as they are written."""

    workers: Count | None = Field(None, examples=["4"])
    retries: int = Field(12, ge=0, le=100, examples=["12"])
    retry_wait: Duration = Field(5 * 60, examples=["5m"])
    stop_within: Duration = Field(60, examples=["60s"])
    lost_after: Duration = Field(2 * 60, examples=["2m"])
    builds_per_worker: Count = Field(100, examples=["100"])
    worker_memory: Size = Field(2**30, examples=["1G"])
    collect_interval: Duration = Field(86400, examples=["1d"])
    cascade_limit: int = Field(5, ge=1, le=100, examples=["5"])
    listen: Annotated[str, AfterValidator(listening_address)] | None = Field(None, examples=["127.0.0.1:9190"])
    remind_after: Annotated[int, measure(duration_or_never)] = Field(7 * 86400, examples=["7d"])
    stale_after: Duration = Field(6 * 3600, examples=["6h"])
    log_level: Annotated[str, one_of(LogLevel, "level")] = Field(LogLevel.INFO.value, examples=["info"])


def daemon_settings(entry: DaemonEntry) -> DaemonSettings:
    """The settings that follow from what is written."""
    return DaemonSettings(
        workers=entry.workers or default_workers(),
        retries=entry.retries,
        retry_wait=entry.retry_wait,
        stop_within=entry.stop_within,
        lost_after=entry.lost_after,
        builds_per_worker=entry.builds_per_worker,
        worker_memory=entry.worker_memory,
        collect_interval=entry.collect_interval,
        cascade_limit=entry.cascade_limit,
        listen=entry.listen,
        remind_after=entry.remind_after or None,
        stale_after=entry.stale_after,
        log_level=LogLevel(entry.log_level),
    )


def default_workers() -> int:
    """Half as many as this process has cores: a build uses more than one at times."""
    return max(1, len(os.sched_getaffinity(0)) // 2)
