"""Copies targets' trees to mirrors by rsync: the port Copier."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from conveyor import command
from conveyor.command import Completed
from conveyor.errors import CommandTimedOut, MirroringFailed, UnknownName
from conveyor.model.mirror import Copied, Mirror, Transport
from conveyor.repository import files, mirroring, names, pointers, redating
from conveyor.repository.tree import PublishedTree

PASSES = 3


class _Moved(Exception):
    """What pointers led to went away while it was copied."""


class RsyncCopier:
    """The port Copier.

    Args:
        root: the folder of all targets' trees.
        tree: the same, for reading manifests.
        work: a folder for locks and lists; made when missing.
        run: runs a command; command.run but for tests.
    """

    def __init__(
        self, root: Path, tree: PublishedTree, work: Path, *, run: Callable[..., Completed] = command.run
    ) -> None:
        self._root = root
        self._tree = tree
        self._work = work
        self._run = run

    @contextmanager
    def alone(self, mirror: Mirror) -> Iterator[bool]:
        """See the port. The lock is the kernel's, so it ends with its holder."""
        self._work.mkdir(parents=True, exist_ok=True)
        with files.room_needed(f"the lock of mirror {mirror.name}"):
            descriptor = os.open(self._work / f"{mirror.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            yield _locked(descriptor)
        finally:
            os.close(descriptor)

    def copy(self, mirror: Mirror, target: str, commits: Collection[str] | None, *, dry_run: bool = False) -> Copied:
        """See the port."""
        root = self._root / names.check_target(target)
        self._work.mkdir(parents=True, exist_ok=True)
        files.remove_abandoned(self._work)
        for _ in range(PASSES):
            with files.room_needed(f"lists for mirror {mirror.name}"), files.temporary_folder(self._work) as scratch:
                calls = _Calls(mirror=mirror, target=target, run=self._run, dry_run=dry_run)
                try:
                    return self._pass(calls, root, scratch, commits)
                except _Moved:
                    continue
        raise MirroringFailed(
            f"mirror {mirror.name} has no new copy of {target}",
            cause=f"what its pointers led to went away {PASSES} times while it was copied",
            hint="run 'conveyor mirror' when nothing is collected",
        )

    def _pass(self, calls: _Calls, root: Path, scratch: Path, commits: Collection[str] | None) -> Copied:
        # In this order: what is read first is set last, so it is all there by then.
        led_to = _stage(root, scratch / "staged")
        pointed = pointers.read_all(scratch / "staged")
        places = {str((scratch / "staged" / pointer).readlink()) for pointer in pointed}
        here = {*led_to, *(_snapshots(root) if commits is None else commits)}
        self._content(calls, root, scratch, here, whole=commits is None)
        if not all((root / place).is_dir() for place in {*places, *map(names.shard, led_to)}):
            raise _Moved
        calls.sync(mirroring.copy_pointers(scratch / "staged", calls.there))
        removed = 0
        if commits is None and calls.mirror.delete:
            removed = self._remove(calls, root, scratch, pointed, places)
        return Copied(pointers=pointed, files=calls.files, size=calls.size, removed=removed)

    def _content(self, calls: _Calls, root: Path, scratch: Path, commits: Collection[str], *, whole: bool) -> None:
        """All that pointers may lead to: keys, the pool, snapshots."""
        shared = sorted(path.name for path in self._root.iterdir() if path.is_file() and path.name[0] != ".")
        calls.rewritten(self._root, scratch / "shared", shared, calls.top)
        keys = sorted(path.name for path in root.glob(f"[!.]*{names.KEY_SUFFIX}") if path.is_file())
        calls.rewritten(root, scratch / "keys", keys, calls.there)
        if whole:
            calls.sync(mirroring.copy_pool(root, calls.there))
        else:
            calls.listed(root, scratch / "pool", self._pool_of(calls.target, commits))
        calls.listed(root, scratch / "snapshots", sorted(f"{names.shard(each)}/" for each in commits))
        if (root / redating.FOLDER).is_dir():
            calls.sync(mirroring.copy_stand_ins(root, calls.there))
        calls.sync(mirroring.copy_folders(root, calls.there))

    def _pool_of(self, target: str, commits: Collection[str]) -> Sequence[str]:
        shas: set[str] = set()
        for commit in commits:
            try:
                shas.update(artifact.sha256 for artifact in self._tree.manifest(target, commit).artifacts)
            except UnknownName:
                continue  # collected meanwhile; if a pointer led to it, this pass is done again
        return mirroring.pool_folders(shas)

    def _remove(
        self, calls: _Calls, root: Path, scratch: Path, pointed: Mapping[str, str], places: Collection[str]
    ) -> int:
        """Remove there what is not here any more, and what no pointer there can lead to."""
        here = {names.shard(commit) for commit in _snapshots(root)} | _pool(root) | _stand_ins(root) | {*places}
        # What went after the pointers were read may still be what they lead to there. If they are the same now, it
        # was here all the time: nothing that a pointer leads to is collected.
        if pointers.read_all(root) != pointed:
            return 0
        listed = calls.answer(mirroring.list_there(calls.top, calls.target))
        gone = mirroring.superfluous(listed, calls.target, here=here, pointers=pointed)
        if gone:
            for path in gone:
                files.make_folder((scratch / "parents" / path).parent, below=scratch)
            (scratch / "gone").write_bytes(mirroring.joined(gone))
            calls.sync(mirroring.remove_listed(scratch / "parents", scratch / "gone", calls.there))
        return len(gone)


@dataclass(kw_only=True)
class _Calls:
    """The calls of rsync of one pass, and what they sent."""

    mirror: Mirror
    target: str
    run: Callable[..., Completed]
    dry_run: bool
    files: int = 0
    size: int = 0

    @property
    def top(self) -> str:
        """The destination."""
        return mirroring.place(self.mirror)

    @property
    def there(self) -> str:
        """The target's folder in it."""
        return mirroring.place(self.mirror, self.target)

    def listed(self, root: Path, listing: Path, paths: Sequence[str]) -> None:
        """Copy files and folders of the target's tree; nothing happens where there are none."""
        if paths:
            listing.write_bytes(mirroring.joined(paths))
            self.sync(mirroring.copy_listed(root, listing, self.there))

    def rewritten(self, root: Path, listing: Path, paths: Sequence[str], destination: str) -> None:
        """Copy files below `root` that are written anew under their names; nothing happens where there are none."""
        if paths:
            listing.write_bytes(mirroring.joined(paths))
            self.sync(mirroring.copy_rewritten(root, listing, destination))

    def sync(self, arguments: Sequence[str]) -> None:
        """Copy or remove."""
        sent, size = mirroring.tally(self._call(arguments, dry_run=self.dry_run).output)
        self.files += sent
        self.size += size

    def answer(self, arguments: Sequence[str]) -> str:
        """What a call that changes nothing prints."""
        return self._call(arguments, dry_run=False).output

    def _call(self, arguments: Sequence[str], *, dry_run: bool) -> Completed:
        if self.mirror.transport is Transport.FOLDER and not Path(self.mirror.destination).is_dir():
            raise self._failed(f"there is no folder {self.mirror.destination}", "mount it, or make it once")
        argv = mirroring.rsync(self.mirror, arguments, dry_run=dry_run)
        try:
            completed = self.run(argv, timeout=self.mirror.time_limit, check=False)
        except CommandTimedOut as error:
            raise self._failed(f"one step took longer than {self.mirror.time_limit} s", _AGAIN) from error
        if completed.returncode not in (0, mirroring.VANISHED):
            raise self._failed(mirroring.complaint(completed.output, completed.returncode), _AGAIN)
        return completed

    def _failed(self, cause: str, hint: str) -> MirroringFailed:
        return MirroringFailed(f"mirror {self.mirror.name} has no new copy of {self.target}", cause=cause, hint=hint)


_AGAIN = "it is tried again with the next publish, or by 'conveyor mirror', and goes on where it was"


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _snapshots(root: Path) -> set[str]:
    """Ids of the commits whose snapshots are there."""
    found = root.glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/*")
    return {path.name for path in found if names.is_commit_id(path.name)}


def _pool(root: Path) -> set[str]:
    """The folders of the pool's artifacts."""
    return {str(path.relative_to(root)) for path in root.glob("pool/[0-9a-f][0-9a-f]/*")}


def _stand_ins(root: Path) -> set[str]:
    """What stands in for snapshots."""
    return {str(path.relative_to(root)) for path in root.glob(f"{redating.FOLDER}/*/*")}


def _stage(root: Path, staged: Path) -> set[str]:
    """Copy what changes in place, as it is now: pointers, other links outside of snapshots, and files beside them.

    Returns the ids of the commits whose snapshots the links lead to.
    """
    files.make_folder(staged, below=staged)  # rsync gives the folder there the mode of this one
    led_to: set[str] = set()
    for path in sorted(root.iterdir()):
        if path.name.startswith(".") or path.name == "pool" or names.is_shard(path.name):
            continue
        if path.is_symlink():
            led_to.add(_stage_link(path, staged, path.name))
        elif path.is_dir():
            led_to.update(_stage_link(link, staged, str(link.relative_to(root))) for link in _links(path))
        else:
            shutil.copy2(path, staged / path.name)
    return {name for name in led_to if names.is_commit_id(name)}


def _links(folder: Path) -> Iterator[Path]:
    for each, subfolders, others in os.walk(folder):
        for path in (Path(each, name) for name in (*subfolders, *others) if not name.startswith(".")):
            if path.is_symlink():
                yield path


def _stage_link(path: Path, staged: Path, name: str) -> str:
    """Copy a link below a folder; returns the name of what it leads to."""
    leads_to = path.readlink()
    files.make_folder((staged / name).parent, below=staged)
    (staged / name).symlink_to(leads_to)
    return leads_to.name
