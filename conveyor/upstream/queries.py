"""Questions to one git repository, through GitPython.

GitPython runs what only reads: it gives bytes and keeps standard error apart. The time limit is timeout(1)'s:
GitPython's own leaves a thread behind on Ctrl-C, and the process would end only when the limit is over.
What talks to servers or writes goes through conveyor/command.py, which kills a process with all its children.
GitPython's objects (Repo, Commit) are not used: their calls have no time limit. It hands on its caller's whole
environment, where GIT_DIR and others may lead elsewhere, so env(1) empties that.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from conveyor.command import minimal_environment
from conveyor.errors import CommandFailed, CommandMissing, CommandTimedOut
from conveyor.upstream.hardening import check_disk, cleaned

# What env(1) and shells end with when there is no such program, and timeout(1) after it has killed one.
NOT_FOUND = 127
KILLED = 128 + signal.SIGKILL


@dataclass(frozen=True, slots=True, kw_only=True)
class Queries:
    """Asks git about one repository.

    Attributes:
        git_dir: the repository's git folder.
        environment: variables for git.
        limit: seconds after which a question is given up.
    """

    git_dir: Path
    environment: Mapping[str, str]
    limit: float

    def ask(self, *arguments: str) -> bytes:
        """What git prints.

        Raises:
            CommandFailed: it ended with another code than 0.
            DiskFull: it could not write what it was asked for.
            CommandMissing: git is not installed.
            CommandTimedOut: it took longer than the limit.
        """
        status, output, complaint = self._run(arguments)
        if status != 0:
            check_disk(self.git_dir, complaint.splitlines())
            raise CommandFailed(
                f"git {arguments[0]} ended with code {status}", cause=cleaned(complaint), details=complaint.splitlines()
            )
        return output

    def try_ask(self, *arguments: str) -> bytes | None:
        """What git prints; None if it ended with another code than 0."""
        status, output, _ = self._run(arguments)
        return output if status == 0 else None

    def _run(self, arguments: tuple[str, ...]) -> tuple[int, bytes, str]:
        # Importing GitPython runs git, and fails where there is none: `conveyor doctor` must come to say so.
        try:
            from git import Git, GitCommandNotFound  # noqa: PLC0415
        except ImportError as error:
            raise _missing() from error
        variables = minimal_environment({**self.environment, "GIT_DIR": str(self.git_dir)})
        # In the foreground, so that Ctrl-C on the terminal ends git too.
        timed = ("timeout", "--foreground", "--signal=KILL", str(self.limit))
        try:
            status, output, complaint = Git(str(self.git_dir)).execute(
                [*("env", "-i", *(f"{name}={value}" for name, value in variables.items())), *timed, "git", *arguments],
                with_extended_output=True,
                with_exceptions=False,
                stdout_as_string=False,
                strip_newline_in_stdout=False,
            )
        except GitCommandNotFound as error:
            raise _missing() from error
        if status == NOT_FOUND:
            raise _missing()
        if status in {KILLED, -signal.SIGKILL}:
            raise CommandTimedOut(f"git {arguments[0]} took longer than {self.limit:g} s and was killed")
        return status, output, complaint


def _missing() -> CommandMissing:
    return CommandMissing("git is not installed", hint="run 'conveyor doctor': it names the package to install")
