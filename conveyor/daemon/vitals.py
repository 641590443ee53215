"""What the daemon's threads know of each other: set by the one that it is about, read by the others."""

from __future__ import annotations

from dataclasses import dataclass

from conveyor.daemon.watchdog import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How serving the status page goes.

    Attributes:
        runs: whether its process runs.
        restarts: how often it was started again.
        trouble: why it is not served that should be; empty where nothing is wrong.
    """

    runs: bool
    restarts: int
    trouble: str


@dataclass(slots=True)
class Vitals:
    """How the daemon is. Each attribute is replaced as a whole, so no lock is needed.

    Attributes:
        workers: how many worker processes there are.
        busy: how many of them have a build.
        disk_low: whether no build is taken because the disk is low.
        lease_lost: whether another daemon has taken over.
        page: how serving the status page goes; None where it is not to be served.
        stale: what stands still.
        buildroots: bytes that builders keep between builds, by kind.
    """

    workers: int = 0
    busy: int = 0
    disk_low: bool = False
    lease_lost: bool = False
    page: Serving | None = None
    stale: frozenset[Work] = frozenset()
    buildroots: tuple[tuple[str, int], ...] = ()
