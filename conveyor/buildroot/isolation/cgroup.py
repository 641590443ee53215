"""Limits on the memory and processes of one sandbox, by control groups of either version.

Each group is locked by who made it, for as long as it lives: a group without a lock is left over. Process ids would not
tell, since two Conveyors that share the hierarchy may each have process ids of their own.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HIERARCHY = Path("/sys/fs/cgroup")
PARENT = "conveyor"
REMOVAL_TRIES = 50
REMOVAL_WAIT = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """The control groups that one sandbox joins.

    Attributes:
        folders: where its processes are to be written; empty where the machine has no usable hierarchy.
    """

    folders: tuple[Path, ...]

    @property
    def killed_for_memory(self) -> bool:
        """Whether the kernel has killed one of its processes because the memory limit was reached."""
        return any(_counter(folder / name, "oom_kill") > 0 for folder in self.folders for name in _MEMORY_EVENTS)

    @property
    def refused_processes(self) -> bool:
        """Whether the kernel has refused it a process because it had as many as its limit."""
        return any(_counter(folder / "pids.events", "max") > 0 for folder in self.folders)


_MEMORY_EVENTS = ("memory.events", "memory.oom_control")


def kind() -> str:
    """Which control groups can limit a build here: "v2", "v1", or "none"."""
    if (HIERARCHY / "cgroup.controllers").exists():
        controllers = (HIERARCHY / "cgroup.controllers").read_text().split()
        return "v2" if {"memory", "pids"} <= set(controllers) and os.access(HIERARCHY, os.W_OK) else "none"
    v1 = all(os.access(HIERARCHY / name / "cgroup.procs", os.W_OK) for name in ("memory", "pids"))
    return "v1" if v1 else "none"


@contextmanager
def limited(name: str, *, memory: int, processes: int) -> Iterator[Groups]:
    """Make control groups with these limits, and remove them afterwards.

    Args:
        name: unique on this machine: that of a job's folder.
        memory: bytes.
        processes: processes and threads.
    """
    makers = {"v2": _make_v2, "v1": _make_v1, "none": _make_none}
    with contextlib.ExitStack() as locks:
        groups = Groups(folders=makers[kind()](name, memory, processes, locks))
        try:
            yield groups
        finally:
            for folder in groups.folders:
                _remove(folder)


def sweep() -> None:
    """Remove the groups of sandboxes that nobody holds any more, of every Conveyor here: they share the parent.

    Who was killed in the moment in which it asked to be killed with its parent may have outlived it, in its group.
    """
    for parent in (HIERARCHY / PARENT, HIERARCHY / "memory" / PARENT, HIERARCHY / "pids" / PARENT):
        for folder in parent.glob("*/") if parent.is_dir() else ():
            with contextlib.suppress(OSError), contextlib.ExitStack() as locks:
                _lock(folder, locks)
                _kill(folder)
                _remove(folder)


def _kill(folder: Path) -> None:
    """Kill all in a group, but for what is in a PID namespace that cannot be seen from here: it has the id 0."""
    for pid in map(int, (folder / "cgroup.procs").read_text().split()):
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _make(folder: Path, locks: contextlib.ExitStack) -> None:
    """Make a group, and hold it; made again where a sweep came between the two."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            _lock(folder, locks)
            if folder.exists():
                return


def _lock(folder: Path, locks: contextlib.ExitStack) -> None:
    """Lock a group.

    Raises:
        OSError: another holds it, or it is gone.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    locks.callback(os.close, descriptor)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _make_v2(name: str, memory: int, processes: int, locks: contextlib.ExitStack) -> tuple[Path, ...]:
    parent = HIERARCHY / PARENT
    parent.mkdir(exist_ok=True)
    for folder in (HIERARCHY, parent):
        (folder / "cgroup.subtree_control").write_text("+memory +pids")
    folder = parent / name
    _make(folder, locks)
    (folder / "memory.max").write_text(str(memory))
    (folder / "memory.oom.group").write_text("1")
    (folder / "pids.max").write_text(str(processes))
    return (folder,)


def _make_v1(name: str, memory: int, processes: int, locks: contextlib.ExitStack) -> tuple[Path, ...]:
    folders = []
    for controller, file, value in (("memory", "memory.limit_in_bytes", memory), ("pids", "pids.max", processes)):
        folder = HIERARCHY / controller / PARENT / name
        _make(folder, locks)
        (folder / file).write_text(str(value))
        folders.append(folder)
    return tuple(folders)


def _make_none(name: str, memory: int, processes: int, locks: contextlib.ExitStack) -> tuple[Path, ...]:  # noqa: ARG001
    return ()


def _remove(folder: Path) -> None:
    """A group can be removed once the kernel has let go of its last process, which takes a moment after a kill."""
    for _ in range(REMOVAL_TRIES):
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(REMOVAL_WAIT)
        else:
            return


def _counter(file: Path, name: str) -> int:
    if not file.exists():
        return 0
    fields = dict(line.split(maxsplit=1) for line in file.read_text().splitlines() if " " in line)
    return int(fields.get(name, "0"))
