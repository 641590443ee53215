"""What sandboxes leave on the machine: groups, processes, loop devices, folders of jobs."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from conveyor.buildroot.isolation import cgroup
from conveyor.buildroot.jobs import Jobs

PATIENCE_SECONDS = 10


def loops() -> str:
    """The loop devices, a line for each."""
    return subprocess.run(["losetup", "--list", "--noheadings"], capture_output=True, text=True, check=True).stdout


def groups(pid: int) -> list[Path]:
    """The groups of a process's sandboxes."""
    return sorted(cgroup.HIERARCHY.glob(f"**/{cgroup.PARENT}/{pid}-*"))


def sleepers(argument: str) -> int:
    """How many processes `sleep ARGUMENT` there are."""
    found = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            found += (folder / "cmdline").read_bytes() == f"sleep\0{argument}\0".encode()
        except OSError:
            continue
    return found


def naming(text: str) -> list[int]:
    """Process ids of those but this one that have a text in their arguments."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            named = text.encode() in (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if named and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


def swept(jobs: Path, pid: int) -> bool:
    """Sweep, and tell whether nothing of a process is left: the kernel lets go of a group a moment after its end."""
    cgroup.sweep()
    Jobs(jobs).sweep()
    return list(jobs.iterdir()) == [] and groups(pid) == []


def wait(condition: Callable[[], bool]) -> None:
    """Until it holds, for some seconds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
