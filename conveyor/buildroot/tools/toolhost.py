"""Where a builder's own tool runs: pbuilder and mock on the host, or in a container that has them inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from conveyor.model.target import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One run of a tool.

    Attributes:
        argv: the command. Host paths in it are those of `reads` and `writes`; others are what `cache` and `scratch`
            of the tool's host gave.
        limits: what it may use, its scratch folder being the disk.
        reads: files and folders of the host that it sees, read-only, at the same path.
        writes: folders of the host that it writes to, at the same path.
        network: whether it may use the network.
        environment: its variables.
    """

    argv: tuple[str, ...]
    limits: Limits
    reads: tuple[Path, ...] = ()
    writes: tuple[Path, ...] = ()
    network: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolEnd:
    """How a tool ended.

    Attributes:
        exit_code: the tool's.
        disk_full: whether it used up its disk space.
        out_of_memory: whether the kernel killed a process of it for the memory limit.
        out_of_processes: whether the kernel refused it a process for the limit of these.
    """

    exit_code: int
    disk_full: bool
    out_of_memory: bool
    out_of_processes: bool


class ToolHost(Protocol):
    """Runs a tool with limits. However a call ends, it leaves no mount, process or temporary folder behind."""

    def cache(self, name: str) -> Path:
        """A folder that lasts from call to call, as the tool sees it. Two names never share one."""

    def scratch(self) -> Path:
        """A folder that is new and empty in each call, of the size that the limits allow, as the tool sees it."""

    def run(self, call: ToolCall, log: Path) -> ToolEnd:
        """Run a tool to its end, what it writes going to `log`.

        Raises:
            CommandMissing: the tool, or what runs containers, is not installed.
            CommandTimedOut: it took longer than its limit; all of it was killed.
            SandboxUnusable: the surroundings could not be set up.
        """

    def ask(self, name: str, argv: Sequence[str]) -> str | None:
        """What a short command of ours prints that looks after the cache of that name; None where there is none yet.

        The path of the cache, as the tool sees it, is the command's last argument.

        Raises:
            CommandFailed: the command failed.
            CommandMissing, SandboxUnusable: as `run` does.
        """

    def attach(self, call: ToolCall) -> int:
        """Run a tool on the caller's terminal, without a time limit; returns its exit code.

        Raises:
            CommandMissing, SandboxUnusable: as `run` does.
        """
