"""The sandbox: one command in a root made of layers, with limits, that dies as a whole and leaves nothing behind.

The chain is conveyor -> setpriv (dies with us) -> unshare (a mount namespace) -> enter.py (mounts the root) -> setpriv
(drops to an unprivileged user) -> bubblewrap (namespaces, no capability) -> the command.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO

from conveyor.buildroot.isolation import cgroup
from conveyor.buildroot.jobs import Jobs
from conveyor.command import attach, run
from conveyor.errors import CommandFailed, ConveyorError, DiskFull, SandboxUnusable
from conveyor.model.target import Limits

# The system's Python has no Conveyor on its path; appended, its folder hides nothing of the standard library.
START = (
    "import sys; sys.path.append(sys.argv.pop(1)); from importlib import import_module;"
    "sys.exit(import_module(sys.argv.pop(1)).main())"
)
FOLDER = Path(__file__).parents[3]
SYSCALLS = Path(__file__).with_name("syscalls.py")
SYSTEM_PYTHON = "/usr/bin/python3"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
WORK = "/build/tree"
TAIL_BYTES = 4096
NO_ROOM = 1024**2  # bytes: what no program can work with
COMPILE_SECONDS = 60
SCRIPT = "/build/script.sh"


class ScratchKind(StrEnum):
    """Where the throw-away layer of a build lies."""

    AUTO = "auto"  # in memory where there is plenty, else on disk
    MEMORY = "memory"
    DISK = "disk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """A path of the host that the sandbox sees; read-only unless `writable`."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One command and the root it runs in.

    Attributes:
        argv: the command, as the sandbox sees it.
        layers: ids of the layers below, the topmost first; none to start from `upper` alone.
        upper: folder that keeps all that is written; None for a throw-away layer.
        limits: what it may use.
        privileged: as root with the few capabilities of a package manager; otherwise as an unprivileged user.
        host_tools: run the host's programs and see the root at /target; otherwise the root is /.
        network: whether it shares the host's network.
        binds: further paths.
        input: folder whose content is copied into the working folder of an unprivileged command.
        results: existing folder that receives the regular files of /build/results if the command ends with 0.
        environment: its variables, PATH aside.
    """

    argv: tuple[str, ...]
    layers: tuple[str, ...]
    limits: Limits
    upper: Path | None = None
    privileged: bool = False
    host_tools: bool = False
    network: bool = False
    binds: tuple[Bind, ...] = ()
    input: Path | None = None
    results: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a sandboxed command ended.

    Attributes:
        exit_code: the command's exit code.
        output: what it wrote, where no log was given.
        seconds: wall time, setting up included.
        disk_full: whether it used up its disk space.
        out_of_memory: whether the kernel killed a process of it for the memory limit.
        out_of_processes: whether the kernel refused it a process for the limit of these.
    """

    exit_code: int
    output: str
    seconds: float
    disk_full: bool
    out_of_memory: bool
    out_of_processes: bool


class Sandbox:
    """Runs commands in roots made of layers.

    Args:
        jobs: where its temporary folders are made.
        layers: folder of the layers: `<id>/root` each.
        uid: the host's user id that unprivileged commands run as; no account of the host may have it.
        scratch: where throw-away layers lie.
    """

    def __init__(self, *, jobs: Jobs, layers: Path, uid: int, scratch: ScratchKind) -> None:
        self._jobs = jobs
        self._layers = layers
        self._uid = uid
        self._scratch = scratch

    def run(self, call: Call, log: IO[bytes] | None = None) -> Finished:
        """Run a command to its end.

        Raises:
            CommandTimedOut: it took longer than its limit.
            SandboxUnusable: the sandbox itself could not be set up.
            DiskFull: there is no room for it.
        """
        with self._jobs.folder() as job:
            in_memory = self._in_memory(call)
            memory = call.limits.memory + (call.limits.disk if in_memory else 0)
            with cgroup.limited(job.name, memory=memory, processes=call.limits.processes) as groups:
                argv = self._argv(call, job, groups, in_memory=in_memory, new_session=True)
                completed = run(argv, timeout=call.limits.seconds, log=log, check=False)
                oom, refused = groups.killed_for_memory, groups.refused_processes
            status = self._status(job, completed.output if log is None else tail(log), out_of_memory=oom)
        return Finished(
            exit_code=status["exit"],
            output=completed.output,
            seconds=completed.seconds,
            disk_full=bool(status["scratch_full"]),
            out_of_memory=oom,
            out_of_processes=refused,
        )

    def attach(self, call: Call) -> int:
        """Run a command for the person at the terminal, with all limits but that of time; returns its exit code.

        Raises:
            SandboxUnusable: the sandbox itself could not be set up.
        """
        with (
            self._jobs.folder() as job,
            cgroup.limited(job.name, memory=call.limits.memory, processes=call.limits.processes) as groups,
        ):
            attach(self._argv(call, job, groups, in_memory=False, new_session=False))
            return self._status(job, "", out_of_memory=groups.killed_for_memory)["exit"]

    def _argv(
        self, call: Call, job: Path, groups: cgroup.Groups, *, in_memory: bool, new_session: bool
    ) -> Sequence[str]:
        for name in ("scratch", "merged"):
            (job / name).mkdir()
        spec = {
            "caller": os.getpid(),
            "argv": call.argv,
            "layers": call.layers,
            "layers_folder": str(self._layers),
            "upper": str(call.upper) if call.upper else None,
            "job": str(job),
            "status": str(job / "status.json"),
            "scratch_bytes": call.limits.disk,
            "scratch_image": not in_memory,
            "privileged": call.privileged,
            "host_tools": call.host_tools,
            "network": call.network,
            "new_session": new_session,
            "binds": [(str(bind.source), bind.target, bind.writable) for bind in call.binds],
            "input": str(call.input) if call.input else None,
            "results": str(call.results) if call.results else None,
            "environment": {"PATH": PATH, "LC_ALL": "C.UTF-8", **call.environment},
            "uid": self._uid,
            "chdir": "/" if call.privileged else WORK,
            "cgroups": [str(folder) for folder in groups.folders],
            "memory": call.limits.memory,
            "processes": call.limits.processes,
            "filter": str(self.filter()),
        }
        return [
            *("setpriv", "--pdeathsig", "KILL", "--", "unshare", "--mount", "--propagation", "private", "--"),
            *(*program("conveyor.buildroot.isolation.enter"), json.dumps(spec)),
        ]

    def filter(self) -> Path:
        """The filter of system calls, compiled if it is not there yet.

        Raises:
            SandboxUnusable: libseccomp's bindings are missing.
        """
        key = hashlib.sha256(SYSCALLS.read_bytes()).hexdigest()[:16]
        path = self._layers.parent / f"syscalls-{os.uname().machine}-{key}.bpf"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._jobs.folder() as job:
                try:
                    run(
                        [*program("conveyor.buildroot.isolation.syscalls"), str(job / "filter")],
                        timeout=COMPILE_SECONDS,
                    )
                except CommandFailed as error:
                    raise SandboxUnusable(
                        "the filter of system calls cannot be compiled",
                        cause=error.details[-1] if error.details else error.what,
                        hint="install Debian's package python3-seccomp, libseccomp's bindings for the system's Python",
                        details=error.details,
                    ) from error
                (job / "filter").rename(path)
        return path

    def _in_memory(self, call: Call) -> bool:
        if call.upper is not None:
            return False
        if self._scratch is ScratchKind.AUTO:
            return call.limits.disk + call.limits.memory < available_memory()
        return self._scratch is ScratchKind.MEMORY

    def _status(self, job: Path, output: str, *, out_of_memory: bool) -> dict[str, int]:
        file = job / "status.json"
        if file.exists():
            status: dict[str, int] = json.loads(file.read_text())
            return status
        if out_of_memory:
            return {"exit": 137, "scratch_full": 0}
        raise setup_failure("the sandbox could not be set up", output, job)


def program(module: str) -> list[str]:
    """The command that runs a module's `main` by the system's own Python."""
    return [SYSTEM_PYTHON, "-I", "-c", START, str(FOLDER), module]


def setup_failure(what: str, said: str, job: Path) -> ConveyorError:
    """The error for surroundings that could not be set up, by the last line said; a full disk is told as such."""
    cause = said.strip().splitlines()[-1] if said.strip() else "it says nothing"
    if os.strerror(errno.ENOSPC) in cause or shutil.disk_usage(job).free < NO_ROOM:
        return DiskFull(
            "the disk is full",
            cause=f"nothing more can be written below {job.parent}",
            hint="free some room, then run the same command again",
        )
    return SandboxUnusable(what, cause=cause, hint="run 'conveyor doctor': it tells what this machine lacks")


def tail(log: IO[bytes]) -> str:
    """The end of a log file."""
    with Path(log.name).open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        return file.read().decode("utf-8", "replace")


def available_memory() -> int:
    """Bytes of memory that can be had without swapping, as /proc/meminfo estimates them."""
    with Path("/proc/meminfo").open() as lines:
        fields = dict(line.split(":", 1) for line in lines)
    return int(fields["MemAvailable"].split()[0]) * 1024
