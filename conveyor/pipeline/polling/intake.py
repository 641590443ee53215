"""Brings what was seen into the store: builds first, or a reason why there is none, and with them what was seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from conveyor.errors import NotPossible
from conveyor.model.build import Outcome
from conveyor.model.package import CommitPolicy, Package
from conveyor.model.queue import Change, NewBuild, Relations
from conveyor.model.watch import Head, Side, Tags
from conveyor.pipeline.polling.policies import decide, remove
from conveyor.pipeline.polling.sightings import NO_TAGS, Known, PackagingSighting, Sighting
from conveyor.pipeline.polling.unfinished import UnfinishedBuilds
from conveyor.ports import Clock, Queue, Store, Watch

# So many of a package's newest builds are looked at for one that is wanted again.
LOOKED_AT = 100


class Intake:
    """Takes in what was seen of packages.

    Args:
        queue: takes what is new.
        watch: knows what was seen.
        store: what was built.
        clock: the time.
    """

    def __init__(self, queue: Queue, watch: Watch, store: Store, clock: Clock) -> None:
        self._queue = queue
        self._watch = watch
        self._store = store
        self._clock = clock
        self._unfinished = UnfinishedBuilds(queue, store)
        self._heads: dict[tuple[str, Side], Head] = {}
        self._tags: dict[str, Tags] = {}  # of packages that follow tags
        self._complete: set[str] = set()

    def follow(self, packages: Mapping[str, Package], strange_urls: Sequence[str]) -> None:
        """Begin with what the store knows, and forget packages that are followed no more.

        Args:
            packages: all that are followed.
            strange_urls: repositories that nobody needs.
        """
        self._complete.clear()
        self._heads = dict(self._watch.heads())
        self._unfinished.refresh()
        removed = sorted({name for name, _ in self._heads} - packages.keys())
        for name in dict.fromkeys([*removed, *sorted(self._unfinished.packages() - packages.keys())]):
            change = remove(name, self._unfinished.of(name))
            if name in removed or change.superseded:
                self._queue.apply(change, self._clock.now())
        if removed or strange_urls:
            self._watch.forget(removed, strange_urls)
        self._heads = {key: head for key, head in self._heads.items() if key[0] not in removed}
        following = [name for name, package in packages.items() if package.following.commits is CommitPolicy.TAGS]
        self._tags = dict.fromkeys(following, NO_TAGS) | dict(self._watch.tags(following))

    def head(self, package: str, side: Side) -> Head | None:
        """What was last seen of a package on one side."""
        return self._heads.get((package, side))

    def followed_tags(self, package: str) -> Tags:
        """The tags that were last seen of a package that follows tags; none of others."""
        return self._tags.get(package, NO_TAGS)

    def known(self, package: Package) -> Known:
        """What was last seen of a package, all of it."""
        name = package.name
        heads = {side: head for side in Side if (head := self.head(name, side)) is not None}
        upstream = heads.get(Side.UPSTREAM)
        return Known(
            heads=heads,
            tags=self._tags[name] if name in self._tags else self._watch.tags([name]).get(name, NO_TAGS),
            built=self._built(name) if upstream is not None and upstream.sha is None else (),
        )

    def missing(self, package: Package) -> tuple[str, ...]:
        """Targets for which a package was never built; asked of the store until there are none."""
        if package.name in self._complete:
            return ()
        missing = tuple(target for target in package.targets if not self._was_built(package.name, target))
        if not missing:
            self._complete.add(package.name)
        return missing

    def bring(
        self, package: Package, seen: Sighting, packaging: PackagingSighting, declared: Mapping[str, Relations]
    ) -> None:
        """Take in what was seen of a package: all of it or nothing.

        Args:
            package: the package.
            seen: what was seen of its upstream.
            packaging: what was seen of its packaging.
            declared: what its newest commit declares, by target. That is recorded before, so that whoever sees a build
                in the queue knows what it needs.
        """
        self._unfinished.refresh()
        missing = self.missing(package)
        whole = decide(package, seen, packaging, self._unfinished.of(package.name), missing)
        change = replace(whole, heads=tuple(head for head in whole.heads if self._is_news(head)))
        if change == Change():
            return
        for target in {build.target for build in change.builds} & declared.keys():
            self._queue.set_relations(target, package.name, declared[target])
        now = self._clock.now()
        self._revive(package, change.builds)
        self._queue.apply(change, now)
        self._heads |= {(head.package, head.side): head for head in change.heads}
        self._tags |= {name: tags for name, tags in change.tags.items() if tags.followed}

    def _is_news(self, head: Head) -> bool:
        known = self._heads.get((head.package, head.side))
        return known is None or replace(head, at=known.at) != known

    def _built(self, package: str) -> frozenset[str]:
        """Shas of the upstream commits of a package's last builds."""
        builds = self._store.builds(package=package, trunk=True, limit=LOOKED_AT)
        return frozenset(build.commit.upstream.sha for build in builds)

    def _was_built(self, package: str, target: str) -> bool:
        return bool(self._store.builds(package=package, target=target, trunk=True, limit=1))

    def _revive(self, package: Package, wanted: Iterable[NewBuild]) -> None:
        """Put builds back into the queue that were superseded, and are wanted again: a branch may come back."""
        builds = {(build.commit.id, build.target): build for build in wanted if not build.superseded}
        if not builds:
            return
        for known in self._store.builds(package=package.name, trunk=True, limit=LOOKED_AT + 2 * len(builds)):
            new = builds.get((known.commit.id, known.target))
            if new is not None and known.outcome is Outcome.SUPERSEDED:
                # It may be in the queue by now: somebody asked for it.
                with suppress(NotPossible):
                    self._queue.retry(known.id, new.reason, new.priority, self._clock.now())
