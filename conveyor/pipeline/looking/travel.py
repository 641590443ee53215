"""Looks back: which snapshots there are, what each holds, where a pointer was at a time, what lies between two."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from conveyor.errors import AmbiguousName, ConveyorError, UnknownName
from conveyor.model.commit import CommitInfo
from conveyor.model.manifest import Manifest, ManifestPackage
from conveyor.model.promotion import CURRENT
from conveyor.model.published import PublishedSnapshot
from conveyor.pipeline.looking.find_snapshot import find_snapshot
from conveyor.ports import Git, Ledger, Repository, Store

COMMITS_TOLD = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A snapshot, and what leads to it.

    Attributes:
        snapshot: the snapshot.
        pointers: names of the pointers that point at it now, sorted.
    """

    snapshot: PublishedSnapshot
    pointers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A snapshot that is there, and what it holds.

    Attributes:
        snapshot: the snapshot.
        pointers: names of the pointers that point at it now, sorted.
        manifest: what it holds.
    """

    snapshot: PublishedSnapshot
    pointers: tuple[str, ...]
    manifest: Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Then:
    """Where a pointer was at a time.

    Attributes:
        at: the time.
        pointer: its name.
        snapshot: where it pointed; retention may have removed it since.
        since: when it had come there.
        older: of a snapshot that was removed, the nearest that was published before it and is there; None without one.
        newer: the nearest that was published after it and is there, likewise.
    """

    at: datetime
    pointer: str
    snapshot: PublishedSnapshot
    since: datetime
    older: PublishedSnapshot | None
    newer: PublishedSnapshot | None


class Way(StrEnum):
    """How one upstream commit lies to another."""

    FORWARD = "forward"  # the first is in the history of the second
    BACK = "back"  # the second is in the history of the first
    SAME = "same"  # they are one commit: what changed is the packaging
    REWRITTEN = "rewritten"  # neither: a force push, or another branch or upstream
    UNKNOWN = "unknown"  # it cannot be told here


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A package that two snapshots hold in different builds.

    Attributes:
        before: what the first holds.
        after: what the second holds.
        way: how its upstream commit moved.
        commits: the upstream commits between, oldest first; those that were taken back where the way is BACK. At most
            COMMITS_TOLD, the newest of them. Their texts are upstream's: hostile.
        more: whether there are older ones.
        why: why the way is not known; else empty.
    """

    before: ManifestPackage
    after: ManifestPackage
    way: Way
    commits: tuple[CommitInfo, ...] = ()
    more: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What differs between two snapshots of a target.

    Attributes:
        before: the first.
        after: the second.
        added: packages that only the second holds, sorted.
        removed: packages that only the first holds, sorted.
        changed: packages that both hold in different builds, sorted.
    """

    before: PublishedSnapshot
    after: PublishedSnapshot
    added: tuple[ManifestPackage, ...]
    removed: tuple[ManifestPackage, ...]
    changed: tuple[Change, ...]


class Travel:
    """Answers questions on what was published. Writes nothing, and fetches nothing.

    Args:
        store: what was published.
        ledger: what pointers did.
        repository: the published tree.
        git: upstream mirrors.
    """

    def __init__(self, store: Store, ledger: Ledger, repository: Repository, git: Git) -> None:
        self._store = store
        self._ledger = ledger
        self._repository = repository
        self._git = git

    def listed(self, target: str, *, package: str | None = None, limit: int | None = None) -> tuple[Listed, ...]:
        """Snapshots of a target, the one published last first, collected ones included."""
        pointers = self._pointers(target)
        return tuple(
            Listed(snapshot=each, pointers=() if each.collected_at else pointers.get(each.commit, ()))
            for each in self._store.published(target, package=package, limit=limit)
        )

    def knows(self, target: str, named: str) -> bool:
        """Whether a snapshot of a target goes by a name, or more than one."""
        try:
            return bool(find_snapshot(self._store, self._repository, target, named))
        except AmbiguousName:
            return True
        except UnknownName:
            return False

    def held(self, target: str, named: str) -> Held:
        """What the snapshot that goes by a name holds: see find_snapshot.

        Raises:
            UnknownName: there is none, or it was collected.
            SnapshotDamaged: what it says of itself cannot be read.
        """
        snapshot = find_snapshot(self._store, self._repository, target, named)
        if snapshot.collected_at is not None:
            raise self._collected(snapshot)
        return Held(
            snapshot=snapshot,
            pointers=self._pointers(target).get(snapshot.commit, ()),
            manifest=self._repository.manifest(target, snapshot.commit),
        )

    def at(self, target: str, moment: datetime, pointer: str = CURRENT) -> Then:
        """Where a pointer was at a time.

        Raises:
            UnknownName: it did not exist then.
        """
        commit, since = self._place(target, moment, pointer)
        found = [each for each in self._store.published(target, commit=commit) if each.commit == commit]
        if not found:
            raise UnknownName(
                f"{pointer} of {target} pointed at {commit} then, which the store does not know",
                hint="restore the newer backup of the store",
            )
        snapshot = found[-1]
        older, newer = self._neighbours(snapshot) if snapshot.collected_at else (None, None)
        return Then(at=moment, pointer=pointer, snapshot=snapshot, since=since, older=older, newer=newer)

    def difference(self, target: str, before: str, after: str) -> Difference:
        """What differs between two snapshots of a target, each by a name that find_snapshot knows.

        Raises:
            UnknownName: there is no such snapshot, or it was collected.
            SnapshotDamaged: what it says of itself cannot be read.
        """
        first, second = self.held(target, before), self.held(target, after)
        old = {each.package: each for each in first.manifest.packages}
        new = {each.package: each for each in second.manifest.packages}
        return Difference(
            before=first.snapshot,
            after=second.snapshot,
            added=tuple(each for name, each in sorted(new.items()) if name not in old),
            removed=tuple(each for name, each in sorted(old.items()) if name not in new),
            changed=tuple(
                self._change(target, old[name], new[name])
                for name in sorted(old.keys() & new.keys())
                if _differ(old[name], new[name])
            ),
        )

    def _pointers(self, target: str) -> dict[str, tuple[str, ...]]:
        """The pointers that point at each commit's snapshot."""
        by_commit: dict[str, tuple[str, ...]] = {}
        for name, commit in self._repository.pointers(target).items():
            by_commit[commit] = (*by_commit.get(commit, ()), name)
        return by_commit

    def _place(self, target: str, moment: datetime, pointer: str) -> tuple[str, datetime]:
        """The commit that a pointer pointed at, and since when."""
        for entry in self._ledger.entries(target=target, pointer=pointer, until=moment, limit=1):
            return entry.step.after, entry.at
        entries = self._ledger.entries(target=target, pointer=pointer)
        # The ledger came later than the first snapshots; until then `current` followed what was published.
        if pointer == CURRENT and (not entries or entries[-1].step.before is not None):
            for snapshot in self._store.published(target, until=moment, limit=1):
                return snapshot.commit, snapshot.published_at
        first = f"it first came to be {entries[-1].at.isoformat(timespec='seconds')}" if entries else "it never was"
        raise UnknownName(
            f"{target} had no {pointer} at {moment.isoformat(timespec='seconds')}",
            cause=first,
            hint=f"'conveyor snapshot list --target {target}' shows what was published, and when",
        )

    def _neighbours(self, gone: PublishedSnapshot) -> tuple[PublishedSnapshot | None, PublishedSnapshot | None]:
        """The nearest snapshots that are there: published before one that is gone, and after it."""
        newest_first = self._store.published(gone.target)
        place = next(number for number, each in enumerate(newest_first) if each.build == gone.build)
        older = next((each for each in newest_first[place + 1 :] if each.collected_at is None), None)
        newer = next((each for each in newest_first[:place][::-1] if each.collected_at is None), None)
        return older, newer

    def _collected(self, snapshot: PublishedSnapshot) -> ConveyorError:
        older, newer = self._neighbours(snapshot)
        near = [f"{each.commit} ({word})" for each, word in [(older, "older"), (newer, "newer")] if each is not None]
        return UnknownName(
            f"the snapshot {snapshot.commit} of {snapshot.target} was removed",
            cause=f"retention collected it {snapshot.collected_at:%Y-%m-%d %H:%M %Z}",
            hint=f"nearest that are there: {', '.join(near) or 'none'}",
        )

    def _change(self, target: str, before: ManifestPackage, after: ManifestPackage) -> Change:
        if not before.upstream_sha or not after.upstream_sha:
            return _unknown(before, after, "the older snapshot does not tell its commits")
        if before.upstream_sha == after.upstream_sha:
            return Change(before=before, after=after, way=Way.SAME)
        try:
            return self._upstream_change(self._upstream(target, after), before, after)
        except ConveyorError as error:
            return _unknown(before, after, error.summary)

    def _upstream_change(self, url: str, before: ManifestPackage, after: ManifestPackage) -> Change:
        old, new = before.upstream_sha, after.upstream_sha
        forward = self._git.contains(url, tip=new, sha=old)
        if forward is None:
            return _unknown(before, after, "its upstream's mirror is not here, or lacks the commit")
        if forward:
            return self._between(url, before, after, Way.FORWARD)
        if self._git.contains(url, tip=old, sha=new):
            return self._between(url, before, after, Way.BACK)
        return Change(before=before, after=after, way=Way.REWRITTEN)

    def _between(self, url: str, before: ManifestPackage, after: ManifestPackage, way: Way) -> Change:
        tip, base = (after, before) if way is Way.FORWARD else (before, after)
        found = self._git.commits(url, tip=tip.upstream_sha, after=base.upstream_sha, limit=COMMITS_TOLD + 1)
        told = found[-COMMITS_TOLD:]
        return Change(before=before, after=after, way=way, commits=told, more=len(found) > len(told))

    def _upstream(self, target: str, package: ManifestPackage) -> str:
        """The URL as it was built from: the mirror goes by it, and the manifest tells only what the world may see."""
        if package.commit is not None:
            for snapshot in self._store.published(target, package=package.package, commit=package.commit, limit=1):
                return self._store.entry(snapshot.build).upstream_url
        return package.upstream_url


def _differ(before: ManifestPackage, after: ManifestPackage) -> bool:
    """Whether two builds of a package are not the same; a commit that a manifest does not tell says nothing."""
    commits = {before.commit, after.commit} - {None}
    return len(commits) > 1 or (before.version, before.artifacts) != (after.version, after.artifacts)


def _unknown(before: ManifestPackage, after: ManifestPackage, why: str) -> Change:
    return Change(before=before, after=after, way=Way.UNKNOWN, why=why)
