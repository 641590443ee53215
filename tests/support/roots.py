"""A root that costs nothing: one static busybox, as a layer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from functools import cache
from pathlib import Path

import pytest

from conveyor.buildroot.isolation import cgroup
from conveyor.buildroot.isolation.sandbox import Call, Sandbox, ScratchKind
from conveyor.buildroot.jobs import Jobs
from conveyor.command import process_started
from conveyor.model.target import Limits

BUSYBOX = Path("/usr/bin/busybox")
# Not the default, and another in each run: what runs beside this is none of its own.
UID = 62000 + os.getpid() % 2000
LAYER = "busybox"
# Where bubblewrap mounts: a build cannot make these itself.
FOLDERS = ("bin", "build", "dev", "etc", "proc", "tmp", "usr")
LIMITS = Limits(seconds=30, memory=256 * 1024**2, disk=64 * 1024**2, processes=100)


def need_sandbox() -> None:
    """Skip the test where no sandbox can run; keep its control groups apart from those of builds on this machine."""
    cgroup.PARENT = "conveyor-tests"
    if os.geteuid() != 0:
        pytest.skip("only root can mount layers")
    missing = [program for program in ("bwrap", "setpriv", "unshare", "mkfs.ext4") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if not _is_static(BUSYBOX):
        pytest.skip("not installed: busybox-static")


@cache
def _is_static(program: Path) -> bool:
    if not program.exists():
        return False
    listed = subprocess.run(["ldd", program], capture_output=True, check=False)
    return b"not a dynamic executable" in listed.stdout + listed.stderr


def fill_root(root: Path) -> None:
    """Put busybox and its applets into a folder."""
    for name in FOLDERS:
        (root / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, root / "bin/busybox")
    for applet in subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")


def copy_program(program: Path, root: Path) -> None:
    """Copy a program with the libraries that it needs; `ldd` names them, its own loader included."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for path in (program, *map(Path, re.findall(r"(/\S+) \(0x", listed))):
        copy = root / path.relative_to("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)


def make_layer(layers: Path) -> None:
    """Add the layer to a folder of layers."""
    fill_root(layers / LAYER / "root")


def make_sandbox(data: Path, scratch: ScratchKind = ScratchKind.MEMORY) -> Sandbox:
    """A sandbox whose folders are below `data`, with the layer."""
    make_layer(data / "layers")
    return Sandbox(jobs=Jobs(data / "jobs"), layers=data / "layers", uid=UID, scratch=scratch)


def script(text: str, *, limits: Limits = LIMITS, results: Path | None = None, upper: Path | None = None) -> Call:
    """A shell script, as a build runs it."""
    return Call(argv=("/bin/sh", "-c", text), layers=(LAYER,), limits=limits, results=results, upper=upper)


def running_as(uid: int) -> list[int]:
    """What still runs as a user, a moment after the end at the latest."""
    deadline = time.monotonic() + 5
    while (found := [pid for pid in _pids() if _owner(pid) == uid]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def _pids() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]


def _owner(pid: int) -> int | None:
    """The user of a process; None when there is none, or it has ended."""
    try:
        return Path(f"/proc/{pid}").stat().st_uid if process_started(pid) is not None else None
    except FileNotFoundError:
        return None
