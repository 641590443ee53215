"""Small disks of one's own."""

from __future__ import annotations

import subprocess
from pathlib import Path


def mount_memory(folder: Path, size: str) -> bool:
    """Mount a file system in memory; whether that is allowed.

    Args:
        folder: where.
        size: such as "16m".
    """
    argv = ["mount", "-t", "tmpfs", "-o", f"size={size}", "conveyor-test", str(folder)]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0
