"""A limit on what a command writes into a folder on the host's disk, which has no limit of its own.

Standard library only: the system's own Python runs it.
"""

from __future__ import annotations

import os
import select
import subprocess
from contextlib import suppress
from pathlib import Path

WATCH_SECONDS = 0.25
MEASURE_EVERY = 120  # looks, where nothing hints at growth
DISK_FLOOR = 128 * 1024**2  # bytes of the host's disk that no sandbox may take
CHUNK = 65536
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
        self._limit = self._allowance = limit
        self._reference = _free(folder) if folder is not None else 0
        self._looks = 0
        self.over = False
        self.disk_full = False

    def read(self, pipe: int, process: subprocess.Popen[bytes]) -> bytes:
        """What is written to a pipe until its end; a process that goes too far meanwhile is killed."""
        told = b""
        while True:
            watches = self._folder is not None and not self.over and not self.disk_full
            if select.select([pipe], [], [], WATCH_SECONDS if watches else None)[0]:
                chunk = os.read(pipe, CHUNK)
                if not chunk:
                    return told
                told += chunk
            elif self._folder is not None:
                self._look(self._folder)
                if self.over or self.disk_full:
                    process.kill()

    def _look(self, folder: Path) -> None:
        free = _free(folder)
        self._looks += 1
        if free >= DISK_FLOOR and self._reference - free <= self._allowance and self._looks % MEASURE_EVERY:
            return
        self._reference, self._allowance = free, self._limit - _used(folder)
        self.over = self._allowance < 0
        self.disk_full = not self.over and free < DISK_FLOOR


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
