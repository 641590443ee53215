"""Who uses a layer, and when it was used last: a file in each layer that its users hold a shared lock on.

The kernel lets go of the lock when the process dies, however it dies. Whoever removes a layer takes the lock for itself
first, and renames the layer away before it lets go: a user that waited then finds that its file is no longer in place.
"""

from __future__ import annotations

import fcntl
import os
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

USED = "used"
LOCKS = Path("/proc/locks")


class Lease:
    """Keeps layers from being removed as long as anything refers to it, and no longer than its process lives.

    Args:
        descriptors: open files with a shared lock each; they become the lease's.
    """

    def __init__(self, descriptors: Sequence[int]) -> None:
        weakref.finalize(self, _close, tuple(descriptors))


def lease(layers: Sequence[Path]) -> Lease | None:
    """Hold these layers, and note that they are used now; None when one of them is gone."""
    held: list[int] = []
    for layer in layers:
        descriptor = _hold(layer)
        if descriptor is None:
            _close(held)
            return None
        held.append(descriptor)
    return Lease(held)


def last_used(layer: Path) -> float:
    """When a layer was used last, in seconds since the epoch; 0 where that is not known."""
    try:
        return (layer / USED).stat().st_mtime
    except (FileNotFoundError, NotADirectoryError):
        return 0.0


@contextmanager
def unused(layer: Path) -> Iterator[bool]:
    """Keep others from beginning to use a layer; tells whether nobody uses it, and it is there."""
    descriptor = _open(layer)
    try:
        yield descriptor is not None and _lock_alone(descriptor) and _in_place(descriptor, layer)
    finally:
        _close(() if descriptor is None else (descriptor,))


def users(layer: Path) -> tuple[int, ...]:
    """Ids of the processes that use a layer, as far as this process can see them: proc_locks(5)."""
    try:
        status = (layer / USED).stat()
    except (FileNotFoundError, NotADirectoryError):
        return ()
    return holders(status.st_dev, status.st_ino)


def holders(device: int, inode: int) -> tuple[int, ...]:
    """Ids of the processes that hold a lock on a file, as far as this process can see them: proc_locks(5)."""
    name = f"{os.major(device):02x}:{os.minor(device):02x}:{inode}"
    locks = [line.split() for line in LOCKS.read_text().splitlines()]
    return tuple(sorted({int(fields[4]) for fields in locks if fields[1] == "FLOCK" and fields[5] == name}))


def _hold(layer: Path) -> int | None:
    descriptor = _open(layer)
    if descriptor is None:
        return None
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    if not _in_place(descriptor, layer):
        os.close(descriptor)
        return None
    os.utime(descriptor)
    return descriptor


def _open(layer: Path) -> int | None:
    try:
        return os.open(layer / USED, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _lock_alone(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _in_place(descriptor: int, layer: Path) -> bool:
    """Whether an open file is still that of the layer with this path."""
    try:
        return os.path.samestat(os.fstat(descriptor), (layer / USED).stat())
    except (FileNotFoundError, NotADirectoryError):
        return False


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
