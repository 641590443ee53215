"""Who may act alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

# Name of the lease that a daemon holds.
DAEMON = "daemon"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to be the only one who does something.

    Attributes:
        name: what for.
        token: unique for each holder.
        host: the holder's machine.
        pid: the process there.
        process_started: when that process began, in clock ticks since boot.
        since: when it was taken, with zone.
        heartbeat_at: when the holder was last heard of, with zone.
    """

    name: str
    token: str
    host: str
    pid: int
    process_started: int
    since: datetime
    heartbeat_at: datetime
