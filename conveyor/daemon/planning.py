"""Has rebuilds planned where something has changed since they were planned last."""

from __future__ import annotations

from threading import Lock

from conveyor.daemon.log import Log
from conveyor.daemon.site import Site


class Planner:
    """Plans all targets at first, then those on which builds came, went or ended. For any thread, one at a time.

    What a plan goes by is recorded, and all of that changes with builds; so a kill costs one look at everything.

    Args:
        site: what it works with.
        log: the daemon's.
    """

    def __init__(self, site: Site, log: Log) -> None:
        self._conveyor = site.conveyor
        self._targets = {name: site.repos.targets[name] for name in site.repos.built_targets}
        self._log = log
        self._lock = Lock()
        self._due: set[str] = set()
        self._seen = 0

    def run(self) -> int:
        """Queue what is due; how many builds that was."""
        with self._lock:
            return self._run()

    def _run(self) -> int:
        conveyor = self._conveyor
        changes = conveyor.queue.changes(self._seen)
        self._seen = changes.number
        changed = {item.target for item in changes.items}
        self._due |= self._targets.keys() if changes.is_whole else self._targets.keys() & changed
        unpublished = {build.target for build in conveyor.store.unpublished()} if self._due else set()
        planned = 0
        for name in sorted(self._due):
            numbers = conveyor.rebuilds.plan(self._targets[name], conveyor.clock.now())
            planned += len(numbers)
            for number in numbers:
                self._log.info("rebuild planned", build=number, target=name)
            # Nobody builds with what is not in the trunk yet, and that it is there is no change of the queue.
            if name not in unpublished:
                self._due.discard(name)
        return planned
