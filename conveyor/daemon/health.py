"""Whether the daemon is ready: it can reach the store, is the one that acts, polls, and may take builds."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from datetime import timedelta

from conveyor.daemon.vitals import Vitals
from conveyor.daemon.watchdog import TOLD
from conveyor.errors import ConveyorError
from conveyor.model.lease import DAEMON
from conveyor.ports import Clock, Leases, Watch


class Readiness:
    """Says why the daemon is not ready.

    Args:
        leases: who acts.
        watch: how polling goes.
        clock: the time.
        vitals: what the daemon's threads know.
        lost_after: seconds after which a lease that was not renewed counts as lost.
        polls: whether the daemon polls.

    Attributes:
        lost_after: may be set to another time.
    """

    def __init__(
        self, *, leases: Leases, watch: Watch, clock: Clock, vitals: Vitals, lost_after: float, polls: bool
    ) -> None:
        self._leases = leases
        self._watch = watch
        self._clock = clock
        self._vitals = vitals
        self.lost_after = lost_after
        self._polls = polls

    def reasons(self) -> tuple[str, ...]:
        """Why it is not ready, a line for each; nothing where it is."""
        try:
            return tuple(self._reasons())
        except ConveyorError as error:
            return (error.summary,)

    def _reasons(self) -> Iterator[str]:
        lease = self._lease()
        if lease:
            yield lease
        if self._vitals.disk_low:
            yield "the disk is low: no build is taken"
        if self._vitals.page is not None and self._vitals.page.trouble:
            yield self._vitals.page.trouble
        remotes = self._watch.remotes().values() if self._polls else ()
        if remotes and all(remote.answered_at is None for remote in remotes):
            yield "no repository has answered yet"
        yield from (TOLD[work][0] for work in sorted(self._vitals.stale))

    def _lease(self) -> str:
        """What is wrong with the lease; empty where nothing is."""
        holder = self._leases.holder(DAEMON)
        if self._vitals.lease_lost or holder is None or (holder.host, holder.pid) != (platform.node(), os.getpid()):
            return "another daemon has the lease, or none"
        if self._clock.now() - holder.heartbeat_at > timedelta(seconds=self.lost_after):
            return "the lease was not renewed for too long"
        return ""
