"""The port `Leases` in memory. It passes the same contract suite as the real one."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from conveyor.model.lease import Lease
from conveyor.store.types import utc


class MemoryLeases:
    """See `conveyor.ports.Leases`."""

    def __init__(self) -> None:
        self._leases: dict[str, Lease] = {}

    def take(self, lease: Lease, *, lost_after: float) -> Lease:
        held = self._leases.get(lease.name)
        lost = lease.heartbeat_at - timedelta(seconds=lost_after)
        if held is None or held.token == lease.token or held.heartbeat_at < lost:
            held = replace(lease, since=utc(lease.since), heartbeat_at=utc(lease.heartbeat_at))
            self._leases[lease.name] = held
        return held

    def renew(self, name: str, token: str, at: datetime) -> bool:
        held = self._leases.get(name)
        if held is None or held.token != token:
            return False
        self._leases[name] = replace(held, heartbeat_at=utc(at))
        return True

    def release(self, name: str, token: str) -> None:
        held = self._leases.get(name)
        if held is not None and held.token == token:
            del self._leases[name]

    def holder(self, name: str) -> Lease | None:
        return self._leases.get(name)
