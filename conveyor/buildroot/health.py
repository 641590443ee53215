"""Whether this machine can run the sandbox, found out by trying."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from conveyor.buildroot.isolation import cgroup, rootless
from conveyor.buildroot.isolation.sandbox import Call, Sandbox
from conveyor.buildroot.isolation.users import in_user_namespace
from conveyor.buildroot.jobs import Jobs
from conveyor.command import search_path
from conveyor.errors import ConveyorError, SandboxUnusable
from conveyor.model.health import Finding, Program
from conveyor.model.target import Limits

PROGRAMS = (
    Program(name="git", package="git"),
    Program(name="bwrap", package="bubblewrap"),
    Program(name="prlimit", package="util-linux"),
    Program(name="setpriv", package="util-linux"),
    Program(name="unshare", package="util-linux"),
    Program(name="mount", package="mount"),
    Program(name="mkfs.ext4", package="e2fsprogs"),
)
TRIAL = Limits(seconds=20, memory=256 * 1024**2, disk=64 * 1024**2, processes=64)


def missing_programs(programs: Sequence[Program]) -> tuple[Program, ...]:
    """Those that are not found."""
    path = search_path()
    return tuple(program for program in programs if shutil.which(program.name, path=path) is None)


def machine(sandbox: Sandbox, jobs: Jobs, data: Path, min_free_disk: int) -> Iterator[Finding]:
    """What every target needs of the machine.

    Args:
        sandbox: is tried.
        jobs: temporary folders.
        data: the data directory.
        min_free_disk: bytes that must be free there.
    """
    root = os.geteuid() == 0
    yield _permission()
    missing = missing_programs(PROGRAMS)
    yield Finding(
        subject="programs",
        good=not missing,
        detail=", ".join(program.name for program in missing or PROGRAMS) + (" missing" if missing else ""),
        remedy=install_command(missing),
    )
    if root and not missing:
        yield _trial(sandbox, jobs)
    yield _limits()
    yield _disk(data, min_free_disk)


def install_command(programs: Sequence[Program]) -> str:
    """The command that installs programs on Debian; empty for none."""
    names = sorted({program.package for program in programs})
    return f"apt-get install {' '.join(names)}" if names else ""


def _permission() -> Finding:
    if os.geteuid() != 0:
        found = rootless.obstacle()
        cause, remedy = (found.cause, found.remedy) if found else ("not used", "")
        return Finding(
            subject="permission",
            good=False,
            detail=f"neither root nor a user namespace: {cause}",
            remedy=f"run conveyor with sudo, or once as root: {remedy}",
        )
    if in_user_namespace():
        ids = Path("/proc/self/uid_map").read_text().split()
        return Finding(subject="permission", good=True, detail=f"root of a user namespace, uid {ids[1]} outside of it")
    return Finding(subject="permission", good=True, detail="root")


def _trial(sandbox: Sandbox, jobs: Jobs) -> Finding:
    """Run the host's `true` as the package managers are run."""
    try:
        sandbox.filter()
    except SandboxUnusable as error:
        return Finding(subject="sandbox", good=False, detail=error.summary, remedy=error.hint)
    try:
        with jobs.folder() as job:
            upper = job / "root"
            upper.mkdir()
            call = Call(argv=("/usr/bin/true",), layers=(), limits=TRIAL, upper=upper, privileged=True, host_tools=True)
            exit_code = sandbox.run(call).exit_code
    except ConveyorError as error:
        remedy = "the machine must allow mounts and namespaces: a container needs --privileged"
        return Finding(subject="sandbox", good=False, detail=error.summary, remedy=remedy)
    good = exit_code == 0
    return Finding(subject="sandbox", good=good, detail="works" if good else f"ended with code {exit_code}")


def _limits() -> Finding:
    kind = cgroup.kind()
    if kind == "none":
        return Finding(
            subject="limits",
            good=True,
            detail="no control groups: memory is limited for each process by itself, processes for all builds together",
            remedy="mount the control groups 'memory' and 'pids' writable, or build as root, or trusted packages only",
        )
    return Finding(subject="limits", good=True, detail=f"control groups {kind}")


def _disk(data: Path, min_free_disk: int) -> Finding:
    free = shutil.disk_usage(data).free
    gib = 1024**3
    good = free >= min_free_disk
    return Finding(
        subject="disk",
        good=good,
        detail=f"{free / gib:.1f} GiB free below {data}",
        remedy="" if good else f"free some room: {min_free_disk / gib:.1f} GiB are needed ('min_free_disk')",
    )
