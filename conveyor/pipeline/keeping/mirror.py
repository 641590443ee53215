"""Brings mirrors up to date after publishing, outside of the write path: a failed mirror has no say in any build."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from conveyor.errors import ConveyorError, Interrupted, MirroringFailed
from conveyor.model.mirror import Copied, Mirror, MirrorState
from conveyor.pipeline.growingwait import growing_wait
from conveyor.ports import Clock, Copier, Ledger, MirrorStates, Repository, Store

# A mirror that fails is left alone for a minute, then for twice as long each time, at most this long.
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=6)
# More snapshots than this since the last good try: all are looked at, rather than a list of them.
LISTED = 500
# A build is marked as published a moment after its snapshot is: what is near the last good try is copied again.
OVERLAP = timedelta(hours=1)
# How often a pass is followed by another because pointers moved meanwhile.
PASSES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorStanding:
    """How a mirror stands with a target, as of now.

    Attributes:
        state: what was remembered.
        behind: whether something was published or moved that it has not.
        next_try: from when on publishing tries it again; None where it did not fail.
    """

    state: MirrorState
    behind: bool
    next_try: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What became of a try.

    Attributes:
        mirror: the mirror's name.
        target: the target's name.
        copied: what was copied; None where it failed.
        error: why it failed.
    """

    mirror: str
    target: str
    copied: Copied | None = None
    error: ConveyorError | None = None


class Mirroring:
    """Brings mirrors up to date.

    Args:
        mirrors: the site's mirrors.
        targets: names of the targets, in the order in which they are copied.
        store: what was published.
        ledger: what moved pointers.
        repository: the published tree.
        states: how mirrors stand.
        copier: copies.
        clock: the time.
    """

    def __init__(
        self,
        mirrors: Sequence[Mirror],
        *,
        targets: Sequence[str],
        store: Store,
        ledger: Ledger,
        repository: Repository,
        states: MirrorStates,
        copier: Copier,
        clock: Clock,
    ) -> None:
        self._mirrors = tuple(mirrors)
        self._all_targets = tuple(targets)
        self._store = store
        self._ledger = ledger
        self._repository = repository
        self._states = states
        self._copier = copier
        self._clock = clock

    def standings(self) -> tuple[MirrorStanding, ...]:
        """How each mirror stands with each target that something was published for."""
        return tuple(
            standing
            for mirror in self._mirrors
            for target in self._targets(mirror)
            if (standing := self._standing(mirror, target)) is not None
        )

    def waiting(self) -> tuple[str, ...]:
        """Names of the mirrors that are behind and may be tried now, sorted."""
        return tuple(sorted(mirror.name for mirror in self._mirrors if self._due(mirror)))

    def catch_up(self) -> Iterator[Brought]:
        """Copy what was published since to mirrors that are behind, those that failed lately left alone.

        A mirror that fails is not tried for its other targets, and one that another process copies to is left to it.
        """
        for mirror in self._mirrors:
            if self._due(mirror):
                with self._copier.alone(mirror) as alone:
                    if alone:
                        yield from self._catch_up(mirror)

    def bring(self, mirror: Mirror, *, dry_run: bool) -> Iterator[Brought]:
        """Look at everything a mirror should have, now; what is not here any more is removed there.

        Raises:
            MirroringFailed: another process copies to it.
        """
        with self._copier.alone(mirror) as alone:
            if not alone:
                raise MirroringFailed(
                    f"mirror {mirror.name} is being brought up to date by another process",
                    hint="wait for its end: it looks for new snapshots before it ends",
                )
            for target in self._targets(mirror):
                yield self._dry(mirror, target) if dry_run else self._brought(mirror, target, whole=True)

    def _targets(self, mirror: Mirror) -> Iterator[str]:
        """The targets that a mirror has and that something was published for."""
        for target in self._all_targets:
            if (target in mirror.targets or not mirror.targets) and self._store.published(target, limit=1):
                yield target

    def _standing(self, mirror: Mirror, target: str) -> MirrorStanding | None:
        state = self._states.of(mirror.name, target)
        changed = self._changed(target)
        if changed is None:
            return None
        return MirrorStanding(
            state=state,
            behind=state.synced_at is None or changed > state.synced_at,
            next_try=None if state.failed_at is None else state.failed_at + pause(state.failures),
        )

    def _changed(self, target: str) -> datetime | None:
        """When something was last published or moved; None where nothing ever was."""
        published = [each.published_at for each in self._store.published(target, limit=1)]
        moved = [entry.at for entry in self._ledger.entries(target=target, limit=1)]
        return max([*published, *moved], default=None)

    def _due(self, mirror: Mirror) -> bool:
        """Whether it is behind with a target, and no target's failure is too recent."""
        found = [self._standing(mirror, target) for target in self._targets(mirror)]
        standings = [standing for standing in found if standing is not None]
        now = self._clock.now()
        paused = any(standing.next_try is not None and now < standing.next_try for standing in standings)
        return not paused and any(standing.behind for standing in standings)

    def _catch_up(self, mirror: Mirror) -> Iterator[Brought]:
        for target in self._targets(mirror):
            standing = self._standing(mirror, target)
            if standing is not None and standing.behind:
                brought = self._brought(mirror, target, whole=False)
                yield brought
                if brought.error is not None:
                    return

    def _brought(self, mirror: Mirror, target: str, *, whole: bool) -> Brought:
        try:
            return Brought(mirror=mirror.name, target=target, copied=self._copied(mirror, target, whole=whole))
        except Interrupted:
            raise
        except ConveyorError as error:
            self._states.failed(mirror.name, target, self._clock.now(), error.cause or error.what)
            return Brought(mirror=mirror.name, target=target, error=error)

    def _copied(self, mirror: Mirror, target: str, *, whole: bool) -> Copied:
        """Copy until the mirror's pointers are those that are here: others that publish meanwhile leave it to us."""
        files = size = removed = 0
        for number in range(PASSES):
            began = self._clock.now()
            since = self._states.of(mirror.name, target).synced_at
            commits = None if whole and number == 0 else self._commits(target, since)
            copied = self._copier.copy(mirror, target, commits)
            self._states.succeeded(mirror.name, target, began)
            files, size, removed = files + copied.files, size + copied.size, removed + copied.removed
            if dict(copied.pointers) == dict(self._repository.pointers(target)):
                break
        return Copied(pointers=copied.pointers, files=files, size=size, removed=removed)

    def _dry(self, mirror: Mirror, target: str) -> Brought:
        try:
            copied = self._copier.copy(mirror, target, None, dry_run=True)
        except MirroringFailed as error:
            return Brought(mirror=mirror.name, target=target, error=error)
        return Brought(mirror=mirror.name, target=target, copied=copied)

    def _commits(self, target: str, since: datetime | None) -> frozenset[str] | None:
        """The snapshots that were published since the mirror had everything; None for all there are."""
        if since is None:
            return None
        newest = self._store.published(target, limit=LISTED)
        new = [each for each in newest if each.published_at >= since - OVERLAP]
        if len(new) == LISTED:
            return None
        return frozenset(each.commit for each in new if each.collected_at is None)


def pause(failures: int) -> timedelta:
    """How long a mirror is left alone after so many failures in a row."""
    return growing_wait(FIRST_PAUSE, failures, LONGEST_PAUSE)
