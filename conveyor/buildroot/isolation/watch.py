"""A limit on what a command writes into a folder on the host's disk, which has no limit of its own.

Standard library only: the system's own Python runs it.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

WATCH_SECONDS = 0.25
MEASURE_EVERY = 120  # looks, where nothing hints at growth
DISK_FLOOR = 128 * 1024**2  # bytes of the host's disk that no sandbox may take
BLOCK = 512  # what st_blocks counts, whatever the file system's own blocks are: inode(7)


class Watch:
    """Ends a command that writes more than it may.

    Walking through the folder is dear and asking for the free space is not: it is measured where so much has gone that
    the limit can be reached, and now and then, since what others free may hide it. Files without a name are not found
    by walking: the last of the disk is guarded apart.

    Args:
        folder: what is watched; None for nothing.
        limit: bytes.

    Attributes:
        over: whether the command was ended for writing more.
        disk_full: whether it was ended because the disk is all but full, whoever filled it.
    """

    def __init__(self, folder: Path | None, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self.over = False
        self.disk_full = False

    @contextmanager
    def ending(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        """Watch while the block runs; a process that goes too far is killed."""
        if self._folder is None:
            yield
            return
        stop = threading.Event()
        thread = threading.Thread(target=self._look, args=(self._folder, process, stop), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _look(self, folder: Path, process: subprocess.Popen[bytes], stop: threading.Event) -> None:
        reference, allowance, looks = _free(folder), self._limit, 0
        while not stop.wait(WATCH_SECONDS):
            free, looks = _free(folder), looks + 1
            if free >= DISK_FLOOR and reference - free <= allowance and looks % MEASURE_EVERY:
                continue
            reference, allowance = free, self._limit - _used(folder)
            self.over = allowance < 0
            self.disk_full = not self.over and free < DISK_FLOOR
            if self.over or self.disk_full:
                process.kill()
                return


def _free(folder: Path) -> int:
    usage = os.statvfs(folder)
    return usage.f_bavail * usage.f_frsize


def _used(folder: Path) -> int:
    """Bytes of disk below a folder; what changes meanwhile counts or not."""
    sizes = {}
    for _, folders, files, descriptor in os.fwalk(folder, follow_symlinks=False):
        for name in (*folders, *files):
            with suppress(OSError):
                status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                sizes[status.st_ino] = status.st_blocks * BLOCK
    return sum(sizes.values())
