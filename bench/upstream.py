"""An upstream that gets a new commit for each run: a private clone of a repository made of real releases."""

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


class Upstream:
    """A clone that commits are added to; it changes what the package holds, and no dependency.

    Args:
        project: the project's folder, where the tool that makes repositories out of releases is.
        releases: folder of these repositories; what is missing is made.
        clones: folder of the private clones.
        name: the package.
    """

    def __init__(self, *, project: Path, releases: Path, clones: Path, name: str) -> None:
        self.clones = clones
        self._clone = clones / GROUP / name
        if not self._clone.is_dir():
            source = releases / GROUP / f"{name}.git"
            if not source.is_dir():
                maker = project / "containers/upstreams/make.py"
                run([sys.executable, str(maker), "--output", str(releases), name], timeout=SECONDS)
            run(["git", "clone", "--quiet", "--", str(source.resolve()), str(self._clone)], timeout=SECONDS)

    def commit(self) -> None:
        """Add a commit that changes a file."""
        readme = self._clone / "README.rst"
        with readme.open("a", encoding="utf-8") as file:
            file.write("\n.. Measured again.\n")
        argv = [
            "git",
            "-C",
            str(self._clone),
            "commit",
            "--quiet",
            "--all",
            "--message",
            "Say that it was measured again",
        ]
        run(argv, timeout=SECONDS, env=IDENTITY)
