"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def facts() -> str:
    """Cores, memory, kernel and load of this machine, in one line."""
    cores = len(os.sched_getaffinity(0))
    gigabytes = _memory_bytes() / 1024**3
    return f"{cores} cores, {gigabytes:.0f} GiB memory, {platform.system()} {platform.release()}, {load()}"


def load() -> str:
    """How busy the machine was in the last minute: processes that ran or waited for the disk."""
    return f"load {os.getloadavg()[0]:.1f}"


def _memory_bytes() -> int:
    with Path("/proc/meminfo").open() as lines:
        fields = dict(line.split(":", 1) for line in lines)
    return int(fields["MemTotal"].split()[0]) * 1024
