"""The pool: artifacts by content, each stored once, never changed."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from conveyor.errors import ConveyorError, SourceInvalid
from conveyor.model.artifact import Artifact
from conveyor.repository import files

POOL = "pool"
_CHUNK = 1 << 20
_UNREADABLE = (errno.EIO, errno.EUCLEAN, errno.EBADMSG)


class Pace:
    """Keeps reading below a number of bytes a second, on average.

    Args:
        bytes_per_second: the number; None for as fast as it goes.
    """

    def __init__(self, bytes_per_second: int | None = None) -> None:
        self._bytes_per_second = bytes_per_second
        self._began = time.monotonic()
        self._read = 0

    def have_read(self, size: int) -> None:
        """Wait until so many more bytes may have been read."""
        self._read += size
        if self._bytes_per_second is not None:
            time.sleep(max(0.0, self._began + self._read / self._bytes_per_second - time.monotonic()))


def is_whole(path: Path, sha256: str, pace: Pace | None = None) -> bool:
    """Whether a file's bytes have this sha256. One that the disk cannot read has not.

    Args:
        path: the file.
        sha256: what its bytes should have.
        pace: how fast to read what is on the disk; None where it will do to read what is in memory of it.

    Raises:
        FileNotFoundError: there is no such file.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb", buffering=0) as file:
            if pace is not None:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                if pace is not None:
                    pace.have_read(len(chunk))
    except OSError as error:
        if error.errno not in _UNREADABLE:
            raise
        return False
    return digest.hexdigest() == sha256


def add(root: Path, path: Path, artifact: Artifact) -> None:
    """Bring a file into the pool of the target whose tree is `root`, durably. One that is damaged there is replaced.

    Raises:
        SourceInvalid: `path` is not a regular file: a build may leave a symlink that leads out of its results.
        ConveyorError: its content is not the artifact's.
    """
    final = root / POOL / artifact.pool_path
    if _size(final) == artifact.size and is_whole(final, artifact.sha256):
        return
    with files.temporary_folder(root) as temporary:
        copy = temporary / artifact.filename
        copy_checked(path, copy, artifact)
        files.make_folder(final.parent, below=root)
        copy.rename(final)
        files.sync_folder(final.parent)


@contextmanager
def looking(root: Path) -> Iterator[Callable[[str, int], bool]]:
    """Tells whether the pool has a file, by its path there and its size."""
    # Every artifact of a snapshot is asked for: a whole path for each would cost more than the answer.
    pool = os.open(root / POOL, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def has(path: str, size: int) -> bool:
        try:
            return os.stat(path, dir_fd=pool).st_size == size
        except FileNotFoundError:
            return False

    try:
        yield has
    finally:
        os.close(pool)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def copy_checked(source: Path, copy: Path, artifact: Artifact) -> None:
    """Copy a file durably.

    Raises:
        SourceInvalid: it is not a regular file.
        ConveyorError: its content is not the artifact's.
    """
    digest = hashlib.sha256()
    with os.fdopen(_open_regular(source), "rb") as reader, copy.open("xb") as writer:
        while chunk := reader.read(_CHUNK):
            digest.update(chunk)
            writer.write(chunk)
        writer.flush()
        os.fchmod(writer.fileno(), files.FILE_MODE)
        os.fsync(writer.fileno())
        size = writer.tell()
    if digest.hexdigest() != artifact.sha256 or size != artifact.size:
        raise ConveyorError(
            f"{artifact.filename} is not what it was when the build ended",
            cause=f"expected {artifact.size} bytes with sha256 {artifact.sha256}, "
            f"found {size} with {digest.hexdigest()}",
        )


def _open_regular(path: Path) -> int:
    """Open a file for reading; never through a symlink, never waiting for the other end of a pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO):
            raise
        raise SourceInvalid(f"{path.name} is not a regular file") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SourceInvalid(f"{path.name} is not a regular file")
    return descriptor
