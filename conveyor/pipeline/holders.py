"""Whether the process that holds a claim or a lease is still there."""

from __future__ import annotations

import os
import platform
import signal
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from conveyor.command import process_started
from conveyor.errors import PermissionMissing
from conveyor.model.lease import Lease


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


def daemon_state(lease: Lease | None, now: datetime, lost_after: float) -> DaemonState:
    """What a lease says of the daemon.

    Args:
        lease: the daemon's lease; None for none.
        now: the time.
        lost_after: seconds after which a daemon on another machine counts as gone when it was not heard of.
    """
    if lease is None:
        return DaemonState(lease=None, runs=False)
    silent = (now - lease.heartbeat_at).total_seconds() > lost_after
    return DaemonState(lease=lease, runs=not is_gone(lease) and (is_here(lease) or not silent))


def interrupt(holder: Holder) -> bool:
    """Ask a process of this machine to stop; False where it has ended.

    Raises:
        PermissionMissing: it is another user's.
    """
    try:
        descriptor = os.pidfd_open(holder.pid)
    except ProcessLookupError:
        return False
    try:
        if is_gone(holder):  # whoever has the pid now
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGINT)
    except ProcessLookupError:
        return False
    except PermissionError as error:
        raise PermissionMissing(
            f"process {holder.pid} is another user's, and cannot be stopped", hint="run the same command with sudo"
        ) from error
    finally:
        os.close(descriptor)
    return True
