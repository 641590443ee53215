"""Packages that build-depend on each other, and those of them that are built first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from conveyor.model.package import Package
from conveyor.model.queue import Relations
from conveyor.model.waiting import Cycle
from conveyor.ports import Queue, Store

# The circles of a target, from what its packages declare, given the names of those that are built first.
FindCycles = Callable[[str, Mapping[str, Relations], Collection[str]], Sequence[Cycle]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Circles:
    """What the packages of a target declare, and where that leads.

    Attributes:
        relations: what packages declare, by name.
        cycles: those that build-depend on each other.
    """

    relations: Mapping[str, Relations]
    cycles: Sequence[Cycle]

    def needed(self, package: str) -> tuple[str, ...]:
        """Packages of its circle that a package itself build-depends on, sorted; none where it is in no circle."""
        circle = next((cycle.packages for cycle in self.cycles if package in cycle.packages), ())
        return self.providers(package, circle)

    def providers(self, package: str, among: Collection[str]) -> tuple[str, ...]:
        """The packages among these that make what a package build-depends on, sorted."""
        mine = self.relations.get(package)
        if mine is None:
            return ()
        required = frozenset(mine.requires)
        others = (name for name in among if name != package and name in self.relations)
        return tuple(sorted(name for name in others if not required.isdisjoint(self.relations[name].provides)))


class Bootstrap:
    """Says which packages are built without others of their circle.

    Args:
        store: knows what was built.
        queue: knows what packages declare.
        packages: the configured packages, by name.
        find: finds circles.
    """

    def __init__(self, store: Store, queue: Queue, packages: Mapping[str, Package], find: FindCycles) -> None:
        self._store = store
        self._queue = queue
        self._packages = packages
        self._find = find

    def circles(self, target: str) -> Circles:
        """What the configured packages of a target declare by now."""
        known = self._queue.relations(target)
        relations = {name: known[name] for name in known if self._is_built(name, target)}
        first = [name for name in relations if self._packages[name].following.bootstrap]
        return Circles(relations=relations, cycles=self._find(target, relations, first))

    def lacking(self, package: Package, target: str) -> tuple[str, ...]:
        """What a package is built without for now: what it needs of its circle and has no good build, sorted.

        None for a package that is not built first, or not any more.
        """
        if not package.following.bootstrap:
            return ()
        return lacking(self.circles(target), package.name, self._store.newest_builds(target))

    def _is_built(self, name: str, target: str) -> bool:
        return name in self._packages and target in self._packages[name].targets


def lacking(circles: Circles, package: str, good: Collection[str]) -> tuple[str, ...]:
    """What a package needs of its circle that is not among those that have a good build."""
    return tuple(name for name in circles.needed(package) if name not in good)
