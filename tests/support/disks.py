"""Small disks of one's own."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path

PAGE = 4096


def mount_memory(folder: Path, size: str) -> bool:
    """Mount a file system in memory; whether that is allowed.

    Args:
        folder: where.
        size: such as "16m".
    """
    argv = ["mount", "-t", "tmpfs", "-o", f"size={size}", "conveyor-test", str(folder)]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def fill(ballast: Path, leave: int) -> None:
    """Take all room of a disk but for some bytes."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(PAGE))
    os.truncate(ballast, max(0, ballast.stat().st_size - leave))
