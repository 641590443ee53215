"""Which builds of a package wait or run, without asking the store for all of them each time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Set as AbstractSet

from conveyor.model.build import Build, State
from conveyor.model.queue import QueueItem
from conveyor.pipeline.polling.policies import Unfinished
from conveyor.ports import Queue, Store

LOOKED_AT = 200


class UnfinishedBuilds:
    """The queue by packages, as it was at the last `refresh`.

    Args:
        queue: tells what changes.
        store: tells what each build is.
    """

    def __init__(self, queue: Queue, store: Store) -> None:
        self._queue = queue
        self._store = store
        self._number = 0
        self._items: dict[str, dict[int, QueueItem]] = defaultdict(dict)

    def refresh(self) -> None:
        """Learn what changed."""
        changes = self._queue.changes(self._number)
        if changes.is_whole:
            self._items.clear()
        self._number = changes.number
        for item in changes.items:
            if item.state is State.FINISHED:
                self._items[item.package].pop(item.build, None)
            else:
                self._items[item.package][item.build] = item

    def packages(self) -> frozenset[str]:
        """Packages that have such builds."""
        return frozenset(package for package, items in self._items.items() if items)

    def of(self, package: str) -> list[Unfinished]:
        """A package's, in the order of their numbers."""
        items = self._items.get(package, {})
        builds = {build.id: build for build in self._builds(package, items.keys())}
        return [
            Unfinished(
                build=number,
                target=item.target,
                priority=item.priority,
                running=item.state is State.RUNNING,
                commit=builds[number].commit,
            )
            for number, item in sorted(items.items())
            if number in builds
        ]

    def _builds(self, package: str, wanted: AbstractSet[int]) -> tuple[Build, ...]:
        """The newest builds of a package, as many as it takes to have all that are wanted."""
        if not wanted:
            return ()
        limit = max(LOOKED_AT, len(wanted))
        while True:
            builds = self._store.builds(package=package, trunk=True, limit=limit)
            if len(builds) < limit or wanted <= {build.id for build in builds}:
                return builds
            limit *= 2
