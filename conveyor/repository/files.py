"""Files that survive a power cut, and temporary folders that survive nobody."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from conveyor.errors import DiskFailed, DiskFull

FOLDER_MODE = 0o755
FILE_MODE = 0o644
TEMPORARY_PREFIX = ".tmp-"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_NOT_WRITABLE = (errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM)


@contextmanager
def room_needed(what: str) -> Iterator[None]:
    """Turn what the system says of a disk that does not take more into Conveyor's words.

    Args:
        what: what is being written, for the message.

    Raises:
        DiskFull: no space is left, or a quota is exceeded.
        DiskFailed: the disk fails, is read-only, or does not let this user write.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise DiskFull(
                f"no room left on the disk while writing {what}",
                cause=error.strerror or "",
                hint="nothing of it was published; free some space in the data directory and try again",
            ) from error
        if error.errno in _NOT_WRITABLE:
            raise DiskFailed(
                f"the disk did not take {what}",
                cause=error.strerror or "",
                hint="check the data directory's disk (dmesg), its owner and whether it is mounted read-only, "
                "and try again",
            ) from error
        raise


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    _sync(folder)


def make_folder(folder: Path, *, below: Path) -> None:
    """Make a folder and those between it and `below`, durably and readable by all, whatever the umask.

    A folder that exists is made readable too: its maker may have been killed before it got that far.
    """
    missing = [folder, *(parent for parent in folder.parents if parent.is_relative_to(below))]
    below.parent.mkdir(parents=True, exist_ok=True)
    for each in reversed(missing):
        try:
            each.mkdir()
        except FileExistsError:
            if each.stat().st_mode & FOLDER_MODE == FOLDER_MODE:
                continue
        each.chmod(FOLDER_MODE)
        sync_folder(each.parent)


def settle(tree: Path) -> None:
    """Make a finished tree durable, and readable by all whatever the umask. Symlinks are left alone."""
    folders, files = _contents(tree)
    # Nothing changes between the first fsync and the last: so the disk writes everything at once, not one by one.
    for file in files:
        _send(file)
    for folder in folders:
        folder.chmod(FOLDER_MODE)
    for path in (*files, *folders):
        _sync(path)


def _contents(tree: Path) -> tuple[list[Path], list[Path]]:
    """Folders and files of a tree; of hard links one."""
    folders: list[Path] = []
    files: dict[int, Path] = {}
    for folder, _, names in os.walk(tree):
        folders.append(Path(folder))
        for path in (Path(folder, name) for name in names):
            if not path.is_symlink():
                files.setdefault(path.stat().st_ino, path)
    return folders, list(files.values())


def _send(path: Path) -> None:
    """Make a file readable by all, and have its content sent to the disk without waiting for it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, FILE_MODE)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def temporary_folder(folder: Path, *, prefix: str = TEMPORARY_PREFIX) -> Iterator[Path]:
    """A temporary folder inside `folder`, locked while it is in use and removed afterwards.

    The lock is the kernel's, so it ends with its holder, however that ends; `remove_abandoned` finds what is left.
    """
    path, descriptor = _locked_folder(folder, prefix)
    try:
        yield path
    finally:
        try:
            shutil.rmtree(path, onerror=_but_gone)
        finally:
            os.close(descriptor)


def _but_gone(_function: object, _path: str, error: tuple[type[BaseException], BaseException, TracebackType]) -> None:
    """What another process removed meanwhile, such as a socket of its own, needs not be removed."""
    if not isinstance(error[1], FileNotFoundError):
        raise error[1]


def _is_own(path: Path) -> bool:
    try:
        return path.lstat().st_uid == os.geteuid()
    except FileNotFoundError:
        return False


def _locked_folder(folder: Path, prefix: str) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=folder))
        descriptor = _lock_if_free(path)
        if descriptor is not None:
            return path, descriptor
        # Somebody cleaned up between the two steps, and saw a folder that nobody held.


def _lock_if_free(path: Path) -> int | None:
    """An open descriptor that holds the lock of a folder; None where another holds it, or it is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        still_there = os.path.samestat(path.stat(), os.fstat(descriptor))
    except (BlockingIOError, FileNotFoundError):
        still_there = False
    if still_there:
        return descriptor
    os.close(descriptor)
    return None


def remove_abandoned(folder: Path, *, prefix: str = TEMPORARY_PREFIX) -> None:
    """Remove the temporary folders in `folder` whose makers are gone. Those of other users are left alone."""
    for path in sorted(folder.glob(f"{prefix}*")):
        descriptor = _lock_if_free(path) if _is_own(path) else None
        if descriptor is None:
            continue
        # Its maker's children may still be ending, and the disk may fail: what stays is removed the next time.
        shutil.rmtree(path, ignore_errors=True)
        os.close(descriptor)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold a file's lock, waiting for it; it excludes other processes and other threads alike."""
    with room_needed(path.name):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    with _locked(descriptor, fcntl.LOCK_EX):
        yield


@contextmanager
def folder_lock(folder: Path, *, shared: bool) -> Iterator[None]:
    """Hold a folder's own lock, waiting for it: together with others who share it, or alone."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    with _locked(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX):
        yield


@contextmanager
def _locked(descriptor: int, how: int) -> Iterator[None]:
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing is not enough: a forked child may have a copy
        os.close(descriptor)
