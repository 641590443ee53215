"""The stock of the builders whose tool keeps caches: pbuilder's tarballs, mock's root caches, and their downloads."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from conveyor.buildroot.overlay.leases import holders
from conveyor.buildroot.stock import StockItem, StockKind
from conveyor.buildroot.tools.hosttool import HostTools
from conveyor.buildroot.tools.keeper import Keeper, Layout
from conveyor.buildroot.tools.toolhost import ToolHost
from conveyor.model.target import BuilderKind, Target

SCRIPT = Path(__file__).with_name("stock.sh")
LINE = re.compile(r"(\S.*)" + r" (\d+)" * 5)
BOOTSTRAP = "-bootstrap"  # what mock adds to the name of a root that others are made with


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One folder of a cache, as the script tells.

    Attributes:
        path: within the cache.
        size: bytes on the disk.
        made_at: when its tarball was made, in seconds since the epoch; 0 where it has none.
        used_at: when it was used last; 0 where that is not known.
        device: of its lock.
        inode: of its lock.
    """

    path: str
    size: int
    made_at: int
    used_at: int
    device: int
    inode: int

    @property
    def name(self) -> str:
        """What its configuration is called."""
        return self.path.rpartition("/")[2].removesuffix(BOOTSTRAP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One folder of a cache.

    Attributes:
        tools: where the cache is.
        cache: its name.
        path: the folder's, within the cache.
        item: the same for people.
        outdated: whether no build uses it as the targets are configured now.
    """

    tools: ToolHost
    cache: str
    path: str
    item: StockItem
    outdated: bool


class ToolBuildroots:
    """The port Buildroots on the caches of a tool, on this machine or in volumes of containers.

    Args:
        kind: whose caches they are.
        layout: what lies in them.
        targets: all targets of the builder.
        tools: gives where a target's tool runs.
        host: this machine, which may have caches of targets that are no more.
        builder: gives a target's builder.
        max_age: seconds after which a base is due.
        now: gives seconds since the epoch.
    """

    def __init__(
        self,
        *,
        kind: BuilderKind,
        layout: Layout,
        targets: Sequence[Target],
        tools: Callable[[Target], ToolHost],
        host: HostTools,
        builder: Callable[[Target], Keeper],
        max_age: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._kind = kind
        self._layout = layout
        self._targets = targets
        self._tools = tools
        self._host = host
        self._builder = builder
        self._max_age = max_age
        self._now = now

    def stock(self, targets: Sequence[Target]) -> tuple[StockItem, ...]:
        """See Buildroots."""
        return tuple(kept.item for kept in self._kept(targets))

    def is_due(self, target: Target) -> bool:
        """See Buildroots."""
        oldest = self._now() - self._max_age
        items = (kept.item for kept in self._of(target))
        return any(item.current and item.made_at is not None and item.made_at < oldest for item in items)

    def refresh(self, target: Target, log: Path) -> bool:
        """See Buildroots."""
        return self._builder(target).refresh(target, log)

    def prune(self, to: int) -> int:
        """See Buildroots: what is of old configurations goes first."""
        kept = tuple(self._kept(self._targets))
        doomed = chosen(kept, to)
        places = {each.cache: each.tools for each in doomed}
        removed = {
            (cache, path)
            for cache, tools in places.items()
            for path in self._ask(tools, cache, "remove", [each.path for each in doomed if each.cache == cache])
        }
        return sum(each.item.size for each in doomed if (each.cache, each.path) in removed)

    def visit(self, target: Target, argv: Sequence[str], log: Path, *, as_root: bool) -> int:
        """See Buildroots."""
        return self._builder(target).visit(target, argv, log, as_root=as_root)

    def _kept(self, targets: Sequence[Target]) -> Iterator[Kept]:
        for target in targets:
            yield from self._of(target)
        here = {self._cache(target.name) for target in self._targets if target.container is None}
        for cache in self._host.caches():
            name = cache.removeprefix(self._cache(""))
            if name != cache and cache not in here:
                yield from (
                    self._one(self._host, cache, name, one, frozenset()) for one in self._list(self._host, cache)
                )

    def _of(self, target: Target) -> Iterator[Kept]:
        tools, cache = self._tools(target), self._cache(target.name)
        found = self._list(tools, cache)
        current = self._builder(target).current(target) if found else frozenset()
        return (self._one(tools, cache, target.name, one, current) for one in found)

    def _cache(self, target: str) -> str:
        return f"{self._kind}-{target}"

    def _list(self, tools: ToolHost, cache: str) -> tuple[Listed, ...]:
        return listed(self._ask(tools, cache, "list", [self._layout.bases, *self._layout.downloads]))

    def _ask(self, tools: ToolHost, cache: str, action: str, names: Sequence[str]) -> list[str]:
        said = tools.ask(cache, ["/bin/sh", "-c", SCRIPT.read_text(), "stock.sh", action, *names])
        return [] if said is None else said.splitlines()

    def _one(self, tools: ToolHost, cache: str, target: str, one: Listed, current: frozenset[str]) -> Kept:
        kind = StockKind.BASE if fnmatchcase(one.path, self._layout.bases) else StockKind.DOWNLOADS
        item = StockItem(
            builder=self._kind,
            target=target,
            kind=kind,
            name=one.path,
            size=one.size,
            made_at=one.made_at or None,
            used_at=one.used_at or None,
            users=holders(one.device, one.inode) if one.inode else (),
            current=kind is StockKind.BASE and one.made_at > 0 and one.name in current,
        )
        return Kept(tools=tools, cache=cache, path=one.path, item=item, outdated=one.name not in current)


def listed(lines: Sequence[str]) -> tuple[Listed, ...]:
    """What the script told, among what podman says; of what nobody has used yet, the making is the last use."""
    found = []
    for match in filter(None, map(LINE.fullmatch, lines)):
        path = match[1]
        size, made_at, used_at, device, inode = map(int, match.groups()[1:])
        found.append(
            Listed(path=path, size=size, made_at=made_at, used_at=max(made_at, used_at), device=device, inode=inode)
        )
    return tuple(found)


def chosen(kept: Sequence[Kept], to: int) -> tuple[Kept, ...]:
    """What goes until at most so many bytes are left: nothing in use, old configurations first, then the least used."""
    free = [each for each in kept if not each.item.users]
    left, doomed = sum(each.item.size for each in kept), []
    for each in sorted(free, key=lambda one: (not one.outdated, one.item.used_at or 0.0, one.path)):
        if left <= to:
            break
        doomed.append(each)
        left -= each.item.size
    return tuple(doomed)
