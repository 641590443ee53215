"""The port ToolHost on this machine: a tool in namespaces of its own, with limits, that dies as a whole.

The chain is conveyor -> setpriv (dies with us) -> unshare (namespaces) -> enter_tool.py (mounts) -> the tool. The tool
runs as root and sees the host's files: it is trusted. What it runs in its roots is its own to hold.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from conveyor.buildroot.isolation import cgroup
from conveyor.buildroot.isolation.sandbox import ScratchKind, available_memory, program, setup_failure, tail
from conveyor.buildroot.jobs import Jobs
from conveyor.buildroot.tools.toolhost import ToolCall, ToolEnd
from conveyor.command import attach, run, search_path
from conveyor.errors import CommandMissing
from conveyor.model.target import Limits

SCRATCH = ".scratch"
ASKING = 600  # seconds; much may be removed
PROXIES = ("http_proxy", "https_proxy", "no_proxy")
# Of root's capabilities, those that no tool needs to make a root and that reach far beyond one.
UNNEEDED = (
    *("sys_module", "sys_rawio", "sys_boot", "sys_time", "sys_ptrace", "syslog", "mac_admin", "mac_override"),
    *("audit_control", "audit_read", "wake_alarm", "block_suspend", "linux_immutable"),
)


class HostTools:
    """Runs tools on this machine.

    Args:
        jobs: where its temporary folders are made.
        folder: folder of the tools' caches.
        scratch: where scratch folders lie.
    """

    def __init__(self, *, jobs: Jobs, folder: Path, scratch: ScratchKind) -> None:
        self._jobs = jobs
        self._folder = folder
        self._scratch = scratch

    def cache(self, name: str) -> Path:
        """The folder of that name below the folder of caches."""
        path = self._folder / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def scratch(self) -> Path:
        """A folder that is empty on the host; each call has its own file system mounted there."""
        return self.cache(SCRATCH)

    def run(self, call: ToolCall, log: Path) -> ToolEnd:
        """Run a tool to its end.

        Raises:
            CommandMissing: the tool is not installed.
            CommandTimedOut: it took longer than its limit.
            SandboxUnusable: the namespaces or mounts could not be set up.
            DiskFull: there is no room for them.
        """
        in_memory = self._in_memory(call.limits)
        memory = call.limits.memory + (call.limits.disk if in_memory else 0)
        with self._jobs.folder() as job, log.open("ab") as file:
            with cgroup.limited(job.name, memory=memory, processes=call.limits.processes) as groups:
                argv = self._argv(call, job, groups, in_memory=in_memory, new_session=True)
                run(argv, timeout=call.limits.seconds, log=file, check=False)
                oom, refused = groups.killed_for_memory, groups.refused_processes
            exit_code, full = _status(call, job, tail(file), out_of_memory=oom)
        return ToolEnd(exit_code=exit_code, disk_full=full, out_of_memory=oom, out_of_processes=refused)

    def ask(self, name: str, argv: Sequence[str]) -> str | None:
        """What a short command prints about a cache; the machine's own, it needs no namespaces."""
        path = self._folder / name
        return run([*argv, str(path)], timeout=ASKING).output if path.is_dir() else None

    def caches(self) -> tuple[str, ...]:
        """The names of all caches that there are."""
        return tuple(sorted(path.name for path in self._folder.glob("*-*") if path.is_dir()))

    def attach(self, call: ToolCall) -> int:
        """Run a tool for the person at the terminal, without limits but for the size of its scratch folder.

        Raises:
            CommandMissing: the tool is not installed.
            SandboxUnusable: the namespaces or mounts could not be set up.
        """
        with self._jobs.folder() as job:
            groups = cgroup.Groups(folders=())
            attach(self._argv(call, job, groups, in_memory=self._in_memory(call.limits), new_session=False))
            return _status(call, job, "", out_of_memory=False)[0]

    def _in_memory(self, limits: Limits) -> bool:
        if self._scratch is ScratchKind.AUTO:
            return limits.disk + limits.memory < available_memory()
        return self._scratch is ScratchKind.MEMORY

    def _argv(
        self, call: ToolCall, job: Path, groups: cgroup.Groups, *, in_memory: bool, new_session: bool
    ) -> Sequence[str]:
        proxies = {name: os.environ[name] for name in PROXIES if call.network and name in os.environ}
        scratch = str(self.scratch())
        spec = {
            "argv": call.argv,
            "environment": {"PATH": search_path(), "LC_ALL": "C.UTF-8", "HOME": scratch, **proxies, **call.environment},
            "scratch": scratch,
            "scratch_bytes": call.limits.disk,
            "image": None if in_memory else str(job / "scratch.img"),
            "reads": [str(path) for path in call.reads],
            "status": str(job / "status.json"),
            "cgroups": [str(folder) for folder in groups.folders],
            "new_session": new_session,
        }
        return [
            *("setpriv", "--pdeathsig", "KILL", "--bounding-set", ",".join(f"-{name}" for name in UNNEEDED), "--"),
            *("unshare", "--mount", "--propagation", "private", "--pid", "--ipc", "--uts", "--fork", "--kill-child"),
            *(() if call.network else ("--net",)),
            *("--", *program("conveyor.buildroot.tools.enter_tool"), json.dumps(spec)),
        ]


def _status(call: ToolCall, job: Path, said: str, *, out_of_memory: bool) -> tuple[int, bool]:
    """The tool's exit code, and whether its scratch folder is full."""
    file = job / "status.json"
    if file.exists():
        status = json.loads(file.read_text())
        if status["exit"] is None:
            raise CommandMissing(
                f"{call.argv[0]} is not installed", hint="run 'conveyor doctor': it names the package to install"
            )
        return status["exit"], status["scratch_full"]
    if out_of_memory:
        return 137, False
    raise setup_failure(f"{call.argv[0]} could not be started", said, job)
