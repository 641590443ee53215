"""Whether the process that holds a claim or a lease is still there."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from conveyor.command import process_started
from conveyor.model.lease import Lease

# Who holds a lease says so much more often.
SILENT_AFTER = timedelta(seconds=60)


class Holder(Protocol):
    """A process that holds something: a `Claim` or a `Lease`."""

    @property
    def host(self) -> str:
        """Its machine."""

    @property
    def pid(self) -> int:
        """Its id there."""

    @property
    def process_started(self) -> int:
        """When it began, in clock ticks since boot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonState:
    """Whether a daemon runs.

    Attributes:
        lease: what the last one holds, or held when it was last heard of; None where none ever said that it ends.
        runs: whether it is there, as far as this machine can tell.
    """

    lease: Lease | None
    runs: bool


def is_here(holder: Holder) -> bool:
    """Whether it is a process of this machine."""
    return holder.host == platform.node()


def is_gone(holder: Holder) -> bool:
    """Whether it is known to have ended: only a process of this machine is."""
    return is_here(holder) and process_started(holder.pid) != holder.process_started


def daemon_state(lease: Lease | None, now: datetime) -> DaemonState:
    """What a lease says of the daemon."""
    if lease is None:
        return DaemonState(lease=None, runs=False)
    silent = now - lease.heartbeat_at > SILENT_AFTER
    return DaemonState(lease=lease, runs=not is_gone(lease) and (is_here(lease) or not silent))
