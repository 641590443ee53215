"""Build dependencies that are others than those that a package was built with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from conveyor.model.artifact import Artifact, SnapshotEntry
from conveyor.model.package import Package, RebuildPolicy
from conveyor.model.provenance import InstalledPackage
from conveyor.model.target import Format, Target
from conveyor.pipeline.rebuilds.interfaces import Interfaces
from conveyor.pipeline.rebuilds.trunk_state import TrunkState
from conveyor.ports import Store, Toolchain

SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A build dependency that is another one than it was.

    Attributes:
        package: the package that makes it.
        detail: what changed, in one line.
    """

    package: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """What matters of a good build's root.

    Attributes:
        build: the build's number.
        names: binary packages of the trunk when that was looked at.
        installed: those of them that were in it.
        bootstrap: whether it was built without what needs it in turn.
    """

    build: int
    names: frozenset[str]
    installed: tuple[InstalledPackage, ...]
    bootstrap: bool


class ChangedDependencies:
    """Compares what was in the roots of builds with what the trunk has now.

    Args:
        store: knows the roots.
        toolchains: compare versions.
        interfaces: what others are built against.
    """

    def __init__(self, store: Store, toolchains: Mapping[Format, Toolchain], interfaces: Interfaces) -> None:
        self._store = store
        self._toolchains = toolchains
        self._interfaces = interfaces
        self._roots: dict[tuple[str, str], Root] = {}

    def root(self, package: str, state: TrunkState, build: int) -> Root:
        """What matters of the root of a package's newest good build."""
        names = state.contents.names
        known = self._roots.get((package, state.target))
        # A root holds hundreds of packages and never changes; the few of the trunk are what is remembered.
        if known is None or (known.build, known.names) != (build, names):
            made = self._store.provenance(build)
            installed = tuple(one for one in (made.buildroot if made else None) or () if one.name in names)
            bootstrap = made is not None and made.bootstrap
            known = Root(build=build, names=names, installed=installed, bootstrap=bootstrap)
            self._roots[package, state.target] = known
        return known

    def of(self, package: Package, target: Target, state: TrunkState, build: int) -> Iterator[Changed]:
        """What of a good build's dependencies changed so that the package's policy wants a rebuild."""
        installed: dict[str, list[InstalledPackage]] = {}
        for one in self.root(package.name, state, build).installed:
            entry, newest = state.contents.makers[one.name]
            if entry.package != package.name and self._is_older(target, one, newest):
                installed.setdefault(entry.package, []).append(one)
        for name, old in installed.items():
            detail = self._detail(package.following.rebuild, target, state.contents.entries[name], old)
            if detail:
                yield Changed(package=name, detail=detail)

    def _is_older(self, target: Target, installed: InstalledPackage, newest: Artifact) -> bool:
        return self._toolchains[target.format].compare(installed.version, newest.version) < 0

    def _detail(
        self, policy: RebuildPolicy, target: Target, entry: SnapshotEntry, old: Sequence[InstalledPackage]
    ) -> str:
        """What of a dependency changed so that the policy wants a rebuild; empty for nothing."""
        step = f"{entry.package} {old[0].version} became {entry.version}"
        if policy is RebuildPolicy.ALWAYS:
            return step
        gone = self._interfaces.gone(target, old, entry)
        if gone is None:
            return f"{step}; what it was is not known any more"
        if not gone:
            return ""
        more = f" and {len(gone) - SHOWN} more" if len(gone) > SHOWN else ""
        return f"{step}, without {', '.join(gone[:SHOWN])}{more}"
