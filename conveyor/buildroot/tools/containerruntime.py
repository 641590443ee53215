"""Running containers, and finding out how this machine does it."""

from __future__ import annotations

import os
import re
import resource
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from conveyor.buildroot.jobs import Jobs, is_abandoned
from conveyor.buildroot.tools.containers import (
    DOCKER,
    FIRST_UID,
    PODMAN,
    PREFIX,
    SCRATCH,
    UIDS,
    Container,
    Runtime,
    list_argv,
    remove_argv,
    run_argv,
    volume_argv,
)
from conveyor.command import run, search_path
from conveyor.errors import CommandMissing, CommandTimedOut, ConveyorError, SandboxUnusable
from conveyor.model.target import Limits

SECONDS = 60  # for questions to podman or docker
TRIAL = Limits(seconds=30, memory=64 * 1024**2, disk=16 * 1024**2, processes=32)
# One more mount is the least that pbuilder and mock do.
TRIAL_ARGV = ("mount", "-t", "tmpfs", "trial", str(SCRATCH))
MOST_FILES = 1024**2  # where the host sets no limit
# Gives the pipe's end to podman as standard input; command.run hands it over by number.
WITH_INPUT = ("sh", "-c", 'exec "$@" <"/dev/fd/$0"')
FULL_BYTES = 1024**2
FULL_FILES = 16
KILLED = 137
NO_IMAGE = re.compile(r"no such image|image not known|no such object", re.IGNORECASE)
# What users say when they ask for a user namespace of their own.
NAMESPACE_FLAGS = ("--userns", "--uidmap", "--gidmap", "--subuidname", "--privileged")


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What the first process of a container told at its end.

    Attributes:
        exit_code: the command's; None where the image has no such command.
        oom_kills: how many of its processes the kernel killed for the memory limit.
        refused: how often the kernel refused it a process.
        disk_full: whether hardly anything was left of its scratch folder.
    """

    exit_code: int | None
    oom_kills: int
    refused: int
    disk_full: bool


def run_container(
    runtime: Runtime, container: Container, status: Path, log: IO[bytes] | None
) -> tuple[Status | None, str]:
    """Run a container to its end; returns what it told, None where it never began, and what was written without a log.

    Args:
        runtime: how.
        container: which.
        status: the file that it tells its end in.
        log: receives what it writes.

    Raises:
        CommandMissing: the runtime is not installed.
        CommandTimedOut: it took longer than its limit; it is gone.
    """
    status.touch()
    with ExitStack() as stack:
        stack.enter_context(lent(runtime, [status, *container.writes]))
        lifeline = stack.enter_context(_lifeline())
        stack.enter_context(_removed(runtime, container.name))
        argv = [*WITH_INPUT, str(lifeline), *run_argv(runtime, container)]
        # podman's monitor leaves a file "oom" where it was started, of a container that was killed for its memory.
        completed = run(
            argv, timeout=container.limits.seconds, cwd=status.parent, log=log, pass_fds=(lifeline,), check=False
        )
        told = read_status(status.read_text(errors="replace"))
    return told or _killed(completed.returncode), completed.output


def read_status(text: str) -> Status | None:
    """What container.sh wrote; None where that is not all."""
    if text.strip() == "missing":
        return Status(exit_code=None, oom_kills=0, refused=0, disk_full=False)
    words = {
        key: values for key, *values in (line.split() for line in text.splitlines()) if all(map(str.isdigit, values))
    }
    if len(words.get("exit", ())) != 1:
        return None
    return Status(
        exit_code=int(words["exit"][0]),
        oom_kills=int(words.get("oom_kill", ["0"])[0]),
        refused=int(words.get("refused", ["0"])[0]),
        disk_full=_is_full([int(word) for word in words.get("free", ())]),
    )


def _is_full(counts: Sequence[int]) -> bool:
    match counts:
        case [free, size, blocks, files]:
            return free * size < max(FULL_BYTES, blocks * size // 100) or files < FULL_FILES
        case _:
            return False


def _killed(code: int) -> Status | None:
    """A container whose first process was killed, and not for the time: the memory that it may use."""
    return Status(exit_code=KILLED, oom_kills=1, refused=0, disk_full=False) if code == KILLED else None


def has_volume(runtime: Runtime, name: str) -> bool:
    """Whether there is a volume of that name."""
    return run(volume_argv(runtime, name), timeout=SECONDS, check=False).returncode == 0


@contextmanager
def _lifeline() -> Iterator[int]:
    """The end of a pipe that ends when this process does."""
    reader, writer = os.pipe()
    try:
        yield reader
    finally:
        os.close(reader)
        os.close(writer)


@contextmanager
def _removed(runtime: Runtime, name: str) -> Iterator[None]:
    """A container that is gone afterwards, even when the command that ran it was killed."""
    try:
        yield
    except BaseException:
        _remove(runtime, name)
        raise


def _remove(runtime: Runtime, name: str) -> None:
    with suppress(ConveyorError):
        run(remove_argv(runtime, name), timeout=SECONDS, check=False)


@contextmanager
def lent(runtime: Runtime, paths: Sequence[Path]) -> Iterator[None]:
    """Paths that belong to the container's users meanwhile, and to the host's of the same ids again afterwards."""
    lent_paths = paths if runtime.first_uid is not None else ()
    first = runtime.first_uid or 0
    for path in lent_paths:
        _shift(path, range(UIDS), first)
    try:
        yield
    finally:
        for path in lent_paths:
            _shift(path, range(first, first + UIDS), -first)


def _shift(path: Path, ids: range, by: int) -> None:
    """Change users and groups of a path and all below it, as far as they are among `ids`.

    Symbolic links are not followed, and chown(2) takes the setuid bit away.
    """
    _shift_one(path, ids, by)
    for top, folders, files in os.walk(path):
        for name in (*folders, *files):
            _shift_one(Path(top, name), ids, by)


def _shift_one(path: Path, ids: range, by: int) -> None:
    status = path.lstat()
    uid, gid = (number + by if number in ids else number for number in (status.st_uid, status.st_gid))
    os.chown(path, uid, gid, follow_symlinks=False)


class Runtimes:
    """Finds how containers run on this machine, by trying.

    Args:
        jobs: temporary folders.
        site: tells the containers of this site from others'.
        command: podman or docker with general options; None to find it out.
        flags: options of its `run`; None to find them out.
    """

    def __init__(
        self, *, jobs: Jobs, site: str, command: tuple[str, ...] | None = None, flags: tuple[str, ...] | None = None
    ) -> None:
        self.site = site
        self._jobs = jobs
        self._command = command
        self._flags = flags
        self._lock = threading.Lock()
        self._commands_of: dict[str, tuple[str, ...]] = {}
        self._found: dict[tuple[str, ...], Runtime] = {}

    def find(self, image: str) -> Runtime:
        """What runs containers of an image.

        Raises:
            CommandMissing: neither podman nor docker is there, or it does not have the image.
            SandboxUnusable: containers cannot run here.
        """
        with self._lock:
            if image not in self._commands_of:
                self._commands_of[image] = self._command_with(image)
            command = self._commands_of[image]
            if command not in self._found:
                self._found[command] = self._try_all(command, image)
            return self._found[command]

    def sweep(self) -> None:
        """Remove the containers of processes that are gone."""
        for command in self._commands():
            runtime = Runtime(command=command)
            listed = run(list_argv(runtime, self.site), timeout=SECONDS, check=False)
            for name in listed.output.split() if listed.returncode == 0 else ():
                if is_abandoned(name.removeprefix(PREFIX)):
                    _remove(runtime, name)

    def _commands(self) -> tuple[tuple[str, ...], ...]:
        """What might run containers, as far as it is installed."""
        known = ((PODMAN,), (DOCKER,)) if self._command is None else (self._command,)
        path = search_path()
        return tuple(command for command in known if shutil.which(command[0], path=path))

    def _command_with(self, image: str) -> tuple[str, ...]:
        commands = self._commands()
        if not commands:
            wanted = f"{self._command[0]} is not" if self._command else f"neither {PODMAN} nor {DOCKER} is"
            raise CommandMissing(f"{wanted} installed", hint="apt-get install podman runc")
        broken: list[str] = []
        for command in commands:
            argv = [*command, "image", "inspect", "--format", "{{.Id}}", image]
            completed = run(argv, timeout=SECONDS, check=False)
            if completed.returncode == 0:
                return command
            if not NO_IMAGE.search(completed.output):
                broken.append(_last(completed.output, command))
        if len(broken) == len(commands):
            raise _unusable(commands[0], broken)
        raise CommandMissing(
            f"{commands[0][0]} has no image {image} on this machine",
            hint="build it, as the top of containers/pbuilder/Containerfile or containers/mock/Containerfile says",
        )

    def _try_all(self, command: tuple[str, ...], image: str) -> Runtime:
        causes = []
        for runtime in variants(command, self._command is None, self._flags):
            cause = self._try(runtime, image)
            if cause is None:
                return runtime
            causes.append(cause)
        raise _unusable(command, causes)

    def _try(self, runtime: Runtime, image: str) -> str | None:
        """Run a container as the tools are run; why it did not work, None where it did."""
        with self._jobs.folder() as job:
            status = job / "status"
            container = Container(
                name=PREFIX + job.name, site=self.site, image=image, argv=TRIAL_ARGV, limits=TRIAL, status=status
            )
            try:
                told, output = run_container(runtime, container, status, None)
            except CommandTimedOut as error:
                return error.summary
        if told is not None and told.exit_code == 0:
            return None
        return _last(output, runtime.command)


def _last(output: str, command: tuple[str, ...]) -> str:
    lines = [line for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else f"{command[0]} says nothing"


def _unusable(command: tuple[str, ...], causes: Sequence[str]) -> SandboxUnusable:
    return SandboxUnusable(
        f"{command[0]} cannot run containers here",
        cause=causes[0],
        hint="name what this machine needs: 'container_command' and 'container_run_flags' in conveyor.toml",
        details=list(dict.fromkeys(causes)),
    )


def variants(command: tuple[str, ...], choose_options: bool, flags: tuple[str, ...] | None) -> tuple[Runtime, ...]:
    """The ways to run containers that are worth a try, the best first: with a user namespace rather than without.

    Args:
        command: podman or docker, and its general options.
        choose_options: whether further general options may be tried.
        flags: options of `run`; None to try some.
    """
    if Path(command[0]).name != PODMAN:
        return tuple(Runtime(command=command, flags=each) for each in _flags(flags))
    # crun refuses hybrid control groups; without systemd there is nobody who would manage them.
    more = ((), ("--cgroup-manager=cgroupfs",), ("--runtime=runc",), ("--cgroup-manager=cgroupfs", "--runtime=runc"))
    superuser = os.geteuid() == 0
    chosen = any(flag.split("=")[0] in NAMESPACE_FLAGS for flag in flags or ())
    return tuple(
        Runtime(command=(*command, *options), flags=each, first_uid=uid, own_users=uid is not None or not superuser)
        for uid in ((FIRST_UID, None) if superuser and not chosen else (None,))
        for options in (more if choose_options else ((),))
        for each in _flags(flags)
    )


def _flags(flags: tuple[str, ...] | None) -> tuple[tuple[str, ...], ...]:
    """By itself podman raises the limits of processes and files, which takes CAP_SYS_RESOURCE."""
    if flags is not None:
        return (flags,)
    hard = [resource.getrlimit(kind)[1] for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC)]
    most = min(MOST_FILES if limit == resource.RLIM_INFINITY else limit for limit in hard)
    return (), ("--ulimit", f"nofile={most}:{most}", "--ulimit", f"nproc={most}:{most}")
