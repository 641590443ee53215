"""The pool: artifacts by content, each stored once, never changed."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

from conveyor.errors import ConveyorError, SourceInvalid
from conveyor.model.artifact import Artifact
from conveyor.repository import files

_CHUNK = 1 << 20


def add(root: Path, path: Path, artifact: Artifact) -> None:
    """Bring a file into the pool of the target whose tree is `root`, durably.

    Raises:
        SourceInvalid: `path` is not a regular file: a build may leave a symlink that leads out of its results.
        ConveyorError: its content is not the artifact's.
    """
    final = root / "pool" / artifact.pool_path
    if _holds(final, artifact):
        return
    with files.temporary_folder(root) as temporary:
        copy = temporary / artifact.filename
        copy_checked(path, copy, artifact)
        files.make_folder(final.parent, below=root)
        copy.rename(final)
        files.sync_folder(final.parent)


def missing(root: Path, artifact: Artifact) -> bool:
    """Whether the pool lacks an artifact."""
    return not _holds(f"{root}/pool/{artifact.pool_path}", artifact)


def _holds(final: Path | str, artifact: Artifact) -> bool:
    # Every artifact of a snapshot is asked for: a Path for each would cost more than the answer.
    try:
        return os.stat(final).st_size == artifact.size  # noqa: PTH116
    except FileNotFoundError:
        return False


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
