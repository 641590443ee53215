"""Upstreams that get a new commit for each run: private clones of repositories made of real releases."""

from __future__ import annotations

import sys
from pathlib import Path

from conveyor.command import run

SECONDS = 600
GROUP = "openstack"
IDENTITY = {
    "GIT_AUTHOR_NAME": "Bench",
    "GIT_AUTHOR_EMAIL": "bench@example.org",
    "GIT_COMMITTER_NAME": "Bench",
    "GIT_COMMITTER_EMAIL": "bench@example.org",
}


class Upstreams:
    """Clones that commits are added to; these change what the package holds, and no dependency.

    Args:
        project: the project's folder, where the tool that makes repositories out of releases is.
        releases: folder of these repositories; what is missing is made.
        clones: folder of the private clones.
    """

    def __init__(self, *, project: Path, releases: Path, clones: Path) -> None:
        self._maker = project / "containers/upstreams/make.py"
        self._releases = releases
        self.clones = clones

    def commit(self, name: str) -> str:
        """Add a commit that changes a file; returns its sha."""
        clone = self.clone(name)
        with (clone / "README.rst").open("a", encoding="utf-8") as file:
            file.write("\n.. Measured again.\n")
        git = ("git", "-C", str(clone))
        run(
            [*git, "commit", "--quiet", "--all", "--message", "Say that it was measured again"],
            timeout=SECONDS,
            env=IDENTITY,
        )
        return run([*git, "rev-parse", "HEAD"], timeout=SECONDS).output.strip()

    def clone(self, name: str) -> Path:
        """The private clone of a package's upstream, made when it is missing."""
        clone = self.clones / GROUP / name
        if not clone.is_dir():
            source = self._releases / GROUP / f"{name}.git"
            if not source.is_dir():
                argv = [sys.executable, str(self._maker), "--output", str(self._releases), name]
                run(argv, timeout=SECONDS)
            run(["git", "clone", "--quiet", "--", str(source.resolve()), str(clone)], timeout=SECONDS)
        return clone
