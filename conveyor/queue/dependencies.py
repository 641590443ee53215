"""Which packages of a target are built with which others, kept up to date as packaging changes.

A package needs another where a name that its build requires is one that the other provides. Circles are cut: within
one, a package with `bootstrap` needs nobody, and packages that still need each other then do not wait for each other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set

from conveyor.model.queue import Relations
from conveyor.model.waiting import Cycle
from conveyor.queue.components import components, way_round

NOTHING: frozenset[str] = frozenset()


class Dependencies:
    """The packages of one target.

    What changes is only noted; `refresh` works it out, for as many packages as the change can touch.

    Args:
        target: the target's name.
        bootstrap: names of the packages that are built first in their circles.
    """

    def __init__(self, target: str, bootstrap: Collection[str] = ()) -> None:
        self._target = target
        self._bootstrap = frozenset(bootstrap)
        self._relations: dict[str, Relations] = {}
        self._providers: dict[str, set[str]] = {}
        self._requirers: dict[str, set[str]] = {}
        self._needs: dict[str, Set[str]] = {}
        self._waits_for: dict[str, tuple[str, ...]] = {}
        self._cycle_of: dict[str, Cycle] = {}
        self._stale: set[str] = set()  # what they need is to be worked out
        self._uncut: set[str] = set()  # their circle is to be cut anew

    def relate(self, package: str, relations: Relations | None) -> None:
        """Note what a package declares; None for nothing any more."""
        known = self._relations.get(package)
        required, provided = _names(relations)
        known_required, known_provided = _names(known)
        if (required, provided) == (known_required, known_provided):
            return
        _move(self._requirers, package, known_required, required)
        _move(self._providers, package, known_provided, provided)
        if relations is None:
            self._relations.pop(package, None)
        else:
            self._relations[package] = relations
        self._stale.add(package)
        for name in known_provided ^ provided:
            self._stale |= self._requirers.get(name, NOTHING)

    def bootstrap(self, packages: Collection[str]) -> None:
        """Note which packages are built first in their circles."""
        changed = self._bootstrap.symmetric_difference(packages)
        self._bootstrap = frozenset(packages)
        for package in changed:
            if cycle := self._cycle_of.get(package):
                self._uncut.update(cycle.packages)

    def refresh(self) -> Collection[str]:
        """Work out what changed; the packages that may wait for others than before."""
        if not self._stale and not self._uncut:
            return NOTHING
        changed = {package for package in self._stale if self._set_needs(package)} | self._uncut
        roots = set(changed)
        for package in changed:
            if cycle := self._cycle_of.get(package):
                roots.update(cycle.packages)
        self._stale, self._uncut = set(), set()
        for found in components(sorted(roots), self._needed_by_build):
            changed.update(self._set_component(found, changed))
        return changed

    def copy(self) -> Dependencies:
        """Who goes before whom, as of the last `refresh`: for being asked, as it knows nothing else."""
        copy = Dependencies(self._target)
        copy._waits_for = dict(self._waits_for)
        return copy

    def waits_for(self, package: str) -> tuple[str, ...]:
        """The packages that go before a package, by name, as of the last `refresh`."""
        return self._waits_for.get(package, ())

    def cycles(self) -> tuple[Cycle, ...]:
        """The circles, by the name of their first package, as of the last `refresh`."""
        return tuple(sorted(set(self._cycle_of.values()), key=lambda cycle: cycle.packages))

    def _set_needs(self, package: str) -> bool:
        """Whether the package needs others than before."""
        relations = self._relations.get(package)
        found = self._providers_of(relations.requires) - {package} if relations else NOTHING
        if found == self._needs.get(package, NOTHING):
            return False
        if found:
            self._needs[package] = found
        else:
            del self._needs[package]
        return True

    def _providers_of(self, names: Iterable[str]) -> Set[str]:
        return NOTHING.union(*(self._providers.get(name, NOTHING) for name in names))

    def _needed_by_build(self, package: str) -> Iterable[str]:
        return self._needs.get(package, NOTHING)

    def _set_component(self, found: Collection[str], changed: Collection[str]) -> Collection[str]:
        """The packages of a component that may wait for others than before."""
        if len(found) == 1:
            (package,) = found
            was_in_cycle = self._cycle_of.pop(package, None) is not None
            if was_in_cycle or package in changed:
                self._set_waits(package, NOTHING)
                return found
            return NOTHING
        packages = tuple(sorted(found))
        known = self._cycle_of.get(packages[0])
        if known is not None and known.packages == packages and not any(package in changed for package in packages):
            return NOTHING
        self._set_cycle(packages)
        return packages

    def _set_cycle(self, packages: tuple[str, ...]) -> None:
        members = frozenset(packages)
        first = members & self._bootstrap
        needs = {package: NOTHING if package in first else self._needs[package] & members for package in packages}
        circles = [frozenset(each) for each in components(packages, needs.__getitem__) if len(each) > 1]
        circle_of = {package: circle for circle in circles for package in circle}
        cycle = Cycle(
            target=self._target,
            packages=packages,
            way=way_round(packages[0], members, self._needed_by_build),
            bootstrap=tuple(sorted(first)),
            unordered=tuple(sorted(circle_of)),
        )
        for package in packages:
            self._cycle_of[package] = cycle
            self._set_waits(package, members if package in first else circle_of.get(package, NOTHING))

    def _set_waits(self, package: str, ignored: Set[str]) -> None:
        if found := self._needs.get(package, NOTHING) - ignored:
            self._waits_for[package] = tuple(sorted(found))
        else:
            self._waits_for.pop(package, None)


def _names(relations: Relations | None) -> tuple[Set[str], Set[str]]:
    return (frozenset(relations.requires), frozenset(relations.provides)) if relations else (NOTHING, NOTHING)


def _move(index: dict[str, set[str]], package: str, known: Set[str], names: Set[str]) -> None:
    for name in known - names:
        index[name].discard(package)
        if not index[name]:
            del index[name]
    for name in names - known:
        index.setdefault(name, set()).add(package)


def find_cycles(target: str, relations: Mapping[str, Relations], bootstrap: Collection[str]) -> tuple[Cycle, ...]:
    """The circles among packages of a target, by the name of their first package.

    Args:
        target: the target's name.
        relations: what packages declare, by name.
        bootstrap: names of those that are built first.
    """
    dependencies = Dependencies(target, bootstrap)
    for package, declared in relations.items():
        dependencies.relate(package, declared)
    dependencies.refresh()
    return dependencies.cycles()
