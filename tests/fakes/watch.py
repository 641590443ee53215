"""The port `Watch` in memory. It passes the same contract suite as the real one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from conveyor.model.watch import Head, Poke, Remote, Side, Tags
from conveyor.store.types import harmless, utc


class MemoryWatch:
    """See `conveyor.ports.Watch`. Heads come with what `MemoryQueue` applies."""

    def __init__(self) -> None:
        self._heads: dict[tuple[str, Side], Head] = {}
        self._tags: dict[str, Tags] = {}
        self._remotes: dict[str, Remote] = {}
        self._pokes: dict[str, Poke] = {}

    def set_heads(self, heads: Sequence[Head]) -> None:
        """What is followed from now on."""
        for head in heads:
            self._heads[head.package, head.side] = replace(head, ref=harmless(head.ref), at=utc(head.at))

    def set_tags(self, tags: Mapping[str, Tags]) -> None:
        """What version tags are from now on."""
        for package, found in tags.items():
            shas = {harmless(name): sha for name, sha in found.shas.items()}
            self._tags[package] = Tags(shas=shas, followed=found.followed)

    def heads(self, package: str | None = None) -> Mapping[tuple[str, Side], Head]:
        return {key: head for key, head in self._heads.items() if package in {None, head.package}}

    def tags(self, packages: Collection[str]) -> Mapping[str, Tags]:
        known = {name for name, side in self._heads if side is Side.UPSTREAM}
        return {name: self._tags.get(name, Tags()) for name in packages if name in known}

    def remotes(self, urls: Collection[str] | None = None) -> Mapping[str, Remote]:
        return {url: remote for url, remote in self._remotes.items() if urls is None or url in urls}

    def last_polled(self, urls: Collection[str]) -> datetime | None:
        asked = (remote.polled_at for url, remote in self._remotes.items() if url in urls)
        return max((at for at in asked if at is not None), default=None)

    def polled(self, remotes: Collection[Remote]) -> None:
        for remote in remotes:
            self._remotes[remote.url] = replace(
                remote,
                polled_at=None if remote.polled_at is None else utc(remote.polled_at),
                answered_at=None if remote.answered_at is None else utc(remote.answered_at),
                cause=harmless(remote.cause),
                next_at=utc(remote.next_at),
            )

    def poke(self, packages: Sequence[str], actor: str, at: datetime) -> None:
        for package in packages:
            self._pokes[package] = Poke(package=package, actor=harmless(actor), at=utc(at))

    def pokes(self) -> tuple[Poke, ...]:
        return tuple(sorted(self._pokes.values(), key=lambda poke: (poke.at, poke.package)))

    def poked(self, pokes: Collection[Poke]) -> None:
        self._pokes = {package: poke for package, poke in self._pokes.items() if poke not in pokes}

    def forget(self, packages: Collection[str], urls: Collection[str]) -> None:
        self._heads = {key: head for key, head in self._heads.items() if head.package not in packages}
        self._tags = {package: tags for package, tags in self._tags.items() if package not in packages}
        self._pokes = {package: poke for package, poke in self._pokes.items() if package not in packages}
        self._remotes = {url: remote for url, remote in self._remotes.items() if url not in urls}
