"""Retention: what nothing keeps any more goes, from the store's point of view first, from the disk last.

Each step can be repeated, and the next run finishes what a kill interrupted: a snapshot that is marked as collected and
still in the tree, a file of the pool that nothing reaches, the attempts of builds whose snapshots are gone.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from conveyor.errors import SnapshotDamaged
from conveyor.model.artifact import SnapshotEntry
from conveyor.model.published import PublishedSnapshot, Removal, Retention
from conveyor.pipeline.attempt import ROOT
from conveyor.pipeline.keeping.retention import Held, outdated
from conveyor.ports import Clock, Collector, Ledger, Repository, Store

_FIRST_ENTRIES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leaving:
    """What leaves the tree.

    Attributes:
        snapshots: oldest first; those among them whose removal was interrupted are marked as collected already.
        collected: numbers of all builds whose snapshots are gone or go.
    """

    snapshots: tuple[PublishedSnapshot, ...]
    collected: frozenset[int]

    @property
    def commits(self) -> frozenset[str]:
        """Ids of their commits."""
        return frozenset(each.commit for each in self.snapshots)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reached:
    """What is known of what snapshots that stay reach; it grows as manifests are read.

    Attributes:
        commits: ids of the commits whose manifests were read.
        paths: files of the pool that any of these lists.
    """

    commits: set[str] = field(default_factory=set)
    paths: set[str] = field(default_factory=set)


class Collect:
    """Removes what retention does not keep, one target at a time.

    Args:
        store: what happened.
        ledger: what moved pointers.
        repository: the published tree.
        collector: removes from it.
        clock: the time.
        policies: by the target's name; targets without one keep everything.
        builds: folder with a folder for each build's attempts.
    """

    def __init__(
        self,
        *,
        store: Store,
        ledger: Ledger,
        repository: Repository,
        collector: Collector,
        clock: Clock,
        policies: Mapping[str, Retention],
        builds: Path,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._repository = repository
        self._collector = collector
        self._clock = clock
        self._policies = policies
        self._builds = builds

    def run(self, target: str, *, dry_run: bool) -> Removal | None:
        """Remove what a target's policy does not keep; None where it has none.

        Args:
            target: the target's name.
            dry_run: only tell what would go.

        Raises:
            SnapshotDamaged: a snapshot that stays does not tell what it holds: nothing is removed.
        """
        policy = self._policies.get(target)
        if policy is None or policy.newest is None:
            return None
        if not self._store.published(target, limit=1):
            return Removal(target=target, snapshots=(), files=(), builds=(), size=0)
        now = self._clock.now()
        # Manifests never change: most are read before anybody has to wait for it.
        reached = _Reached()
        self._read(target, self._leaving(target, policy, now), reached)
        with self._collector.holding(target):
            removal = self._clear_tree(target, policy, now, reached, dry_run=dry_run)
            if not dry_run:
                # Nothing in the tree reaches these any more, and nothing that the store knows of.
                self._collector.remove(target, removal.files)
                for number in removal.builds:
                    shutil.rmtree(self._builds / str(number))
        return removal

    def _clear_tree(
        self, target: str, policy: Retention, now: datetime, reached: _Reached, *, dry_run: bool
    ) -> Removal:
        """Take the snapshots out of the tree; returns them, and what can go with them."""
        with ExitStack() as stack:
            attic = None if dry_run else stack.enter_context(self._collector.attic(target))
            with self._repository.writing(target):
                leaving = self._leaving(target, policy, now)
                self._read(target, leaving, reached)
                removal = self._removal(target, leaving, reached)
                if attic is not None:
                    unmarked = [each.build for each in leaving.snapshots if each.collected_at is None]
                    self._store.mark_collected(unmarked, now)
                    self._collector.put_away(target, leaving.commits, attic)
        return removal

    def _leaving(self, target: str, policy: Retention, now: datetime) -> _Leaving:
        snapshots = self._store.published(target)
        since = now - timedelta(seconds=policy.grace)
        held = self._held(target, since)
        gone = outdated(snapshots, policy, held, now)
        staying = {each.commit for each in snapshots if each.collected_at is None} - {each.commit for each in gone}
        staying |= held.commits | {commit for commit, at in held.left.items() if at > since}
        in_tree = frozenset(self._collector.snapshots(target)) - staying
        unfinished = [each for each in reversed(snapshots) if each.collected_at is not None and each.commit in in_tree]
        collected = [each.build for each in snapshots if each.collected_at is not None]
        return _Leaving(
            snapshots=(*unfinished, *gone), collected=frozenset([*collected, *(each.build for each in gone)])
        )

    def _held(self, target: str, since: datetime) -> Held:
        moving = [step for _, move in self._ledger.pending() for step in move.steps if step.target == target]
        led_to = {commit for step in moving for commit in (step.before, step.after) if commit is not None}
        pointed = self._collector.linked(target)
        return Held(commits=pointed | led_to | self._ledger.kept(target), left=self._left(target, since))

    def _left(self, target: str, since: datetime) -> Mapping[str, datetime]:
        """When pointers last moved away, by the commit that they had pointed at; moves before `since` are left out."""
        limit = _FIRST_ENTRIES
        entries = self._ledger.entries(target=target, limit=limit)
        while len(entries) == limit and entries[-1].at >= since:
            limit *= 4
            entries = self._ledger.entries(target=target, limit=limit)
        return {entry.step.before: entry.at for entry in reversed(entries) if entry.step.before is not None}

    def _read(self, target: str, leaving: _Leaving, reached: _Reached) -> None:
        """Read the manifests of all snapshots that stay, whether or not the store knows them, but those read before."""
        for commit in set(self._collector.snapshots(target)) - leaving.commits - reached.commits:
            manifest = self._repository.manifest(target, commit)
            if manifest.commit != commit:
                raise SnapshotDamaged(
                    f"the snapshot {commit} of {target} has another's manifest.json",
                    cause=f"it is of {manifest.commit}",
                    hint="restore the file from a backup or a mirror; nothing is removed until then",
                )
            reached.commits.add(commit)
            reached.paths.update(artifact.pool_path for artifact in manifest.artifacts)

    def _removal(self, target: str, leaving: _Leaving, reached: _Reached) -> Removal:
        entries = [*self._store.entries(target), *self._unpublished(target)]
        paths = self._collector.unreachable(target, reached.paths | _paths(entries))
        builds = self._attempts(leaving.collected)
        folders = [self._builds / str(number) for number in builds]
        return Removal(
            target=target,
            snapshots=leaving.snapshots,
            files=paths,
            builds=builds,
            size=self._collector.size(target, leaving.commits, paths, folders),
        )

    def _unpublished(self, target: str) -> list[SnapshotEntry]:
        return [self._store.entry(build.id) for build in self._store.unpublished() if build.target == target]

    def _attempts(self, collected: frozenset[int]) -> tuple[int, ...]:
        """The builds among these that have folders; one with a root that was kept on purpose keeps its folder."""
        folders = self._builds.iterdir() if self._builds.is_dir() else ()
        found = [folder for folder in folders if folder.name.isdigit() and int(folder.name) in collected]
        return tuple(sorted(int(folder.name) for folder in found if not any(folder.glob(f"*/{ROOT}"))))


def _paths(entries: Iterable[SnapshotEntry]) -> frozenset[str]:
    return frozenset(artifact.pool_path for entry in entries for artifact in entry.artifacts)
