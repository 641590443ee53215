"""The port ToolHost in containers: podman or docker runs the tool in an image that has it inside.

Of the host the tool sees what a call names, and nothing else. Its caches are volumes, its scratch folder lies in
memory. When Conveyor is killed, the container ends with it: see container.sh.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from conveyor.buildroot.jobs import Jobs
from conveyor.buildroot.tools.containerruntime import Runtimes, has_volume, lent, run_container
from conveyor.buildroot.tools.containers import CACHES, PREFIX, SCRATCH, Container, run_argv, volume_name
from conveyor.buildroot.tools.toolhost import ToolCall, ToolEnd
from conveyor.command import attach
from conveyor.errors import CommandFailed, CommandMissing, CommandTimedOut, SandboxUnusable
from conveyor.model.target import Limits

TAIL_BYTES = 4096
# For a short command of ours; much may be removed.
ASKING = Limits(seconds=600, memory=256 * 1024**2, disk=16 * 1024**2, processes=64)


class ContainerTools:
    """Runs the tools of one target in an image.

    Args:
        jobs: where its temporary folders are made.
        image: the image's name; it must be on this machine.
        runtimes: how containers run here.
    """

    def __init__(self, *, jobs: Jobs, image: str, runtimes: Runtimes) -> None:
        self._jobs = jobs
        self._image = image
        self._runtimes = runtimes
        self._volumes: dict[Path, str] = {}

    def cache(self, name: str) -> Path:
        """Where the volume of that name is mounted in the container, from now on."""
        place = CACHES / name
        self._volumes[place] = volume_name(self._runtimes.site, name)
        return place

    def scratch(self) -> Path:
        """A file system in memory, new in each container."""
        return SCRATCH

    def run(self, call: ToolCall, log: Path) -> ToolEnd:
        """Run a tool to its end.

        Raises:
            CommandMissing: the image does not have the tool, or the machine not the image or what runs it.
            CommandTimedOut: it took longer than its limit; the container is gone.
            SandboxUnusable: the container could not be started.
        """
        runtime = self._runtimes.find(self._image)
        with self._jobs.folder() as job, log.open("ab") as file:
            start = file.tell()
            container = self._container(call, job)
            try:
                status, _ = run_container(runtime, container, job / "status", file)
            except CommandTimedOut as error:
                raise CommandTimedOut(
                    f"{call.argv[0]} took longer than {call.limits.seconds} s and was killed"
                ) from error
        if status is None:
            raise SandboxUnusable(
                f"no container of {self._image} could be started",
                cause=_last_line(log, start),
                hint="run 'conveyor doctor': it tells what this machine lacks",
            )
        if status.exit_code is None:
            raise CommandMissing(f"{self._image} has no {call.argv[0]}", hint="build the image anew")
        return ToolEnd(
            exit_code=status.exit_code,
            disk_full=status.disk_full,
            out_of_memory=status.oom_kills > 0,
            out_of_processes=status.refused > 0,
        )

    def ask(self, name: str, argv: Sequence[str]) -> str | None:
        """What a short command prints about a volume, in a container of the image.

        Raises:
            CommandFailed: the command failed.
            CommandMissing: the machine has not the image or what runs it.
            SandboxUnusable: the container could not be started.
        """
        runtime = self._runtimes.find(self._image)
        volume = volume_name(self._runtimes.site, name)
        if not has_volume(runtime, volume):
            return None
        place = CACHES / name
        call = ToolCall(argv=(*argv, str(place)), limits=ASKING)
        with self._jobs.folder() as job:
            container = replace(self._container(call, job), volumes={place: volume})
            status, said = run_container(runtime, container, job / "status", None)
        if status is None or status.exit_code != 0:
            raise CommandFailed(f"the volume {volume} cannot be looked after", details=said.splitlines()[-20:])
        return said

    def attach(self, call: ToolCall) -> int:
        """Run a tool on the caller's terminal, without a time limit; returns its exit code.

        Raises:
            CommandMissing: the machine has not the image or what runs it.
            SandboxUnusable: the container could not be started.
        """
        runtime = self._runtimes.find(self._image)
        with self._jobs.folder() as job, lent(runtime, call.writes):
            container = replace(self._container(call, job), status=None, terminal=sys.stdin.isatty())
            return attach(run_argv(runtime, container))

    def _container(self, call: ToolCall, job: Path) -> Container:
        volumes: Mapping[Path, str] = dict(self._volumes)
        return Container(
            name=PREFIX + job.name,
            site=self._runtimes.site,
            image=self._image,
            argv=call.argv,
            limits=call.limits,
            status=job / "status",
            reads=call.reads,
            writes=call.writes,
            volumes=volumes,
            network=call.network,
            environment=call.environment,
        )


def _last_line(log: Path, start: int) -> str:
    with log.open("rb") as file:
        file.seek(max(start, file.seek(0, 2) - TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "it says nothing")
