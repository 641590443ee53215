"""Working copies on this machine: the packaging folder's repository, and the upstream that a packager works on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from conveyor.command import run
from conveyor.errors import CommandFailed, UserError
from conveyor.upstream.hardening import environment
from conveyor.upstream.queries import Queries


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingCopy:
    """A git working copy.

    Attributes:
        top: its top folder.
        git_dir: its git folder, which may lie elsewhere.
    """

    top: Path
    git_dir: Path

    def queries(self, limit: float) -> Queries:
        """Questions to its repository, each with a time limit in seconds."""
        variables = environment(protocol="", extra={"GIT_WORK_TREE": str(self.top), "GIT_LITERAL_PATHSPECS": "1"})
        return Queries(git_dir=self.git_dir, environment=variables, limit=limit)


def working_copy_around(folder: Path, limit: float) -> WorkingCopy | None:
    """The working copy that a folder is in; None if it is in none.

    Raises:
        UserError: its history was cut off (a shallow clone), so that counting commits would give wrong numbers.
    """
    try:
        found = run(
            ["git", "rev-parse", "--show-toplevel", "--absolute-git-dir", "--is-shallow-repository"],
            cwd=folder,
            env=environment(protocol=""),
            timeout=limit,
        )
    except CommandFailed:
        return None
    top, git_dir, shallow = found.output.splitlines()[-3:]
    if shallow == "true":
        raise UserError(
            f"{top} is a shallow clone",
            cause="its history was cut off, so versions and releases would be wrong",
            hint=f"run 'git -C {top} fetch --unshallow'",
        )
    return WorkingCopy(top=Path(top), git_dir=Path(git_dir))
