"""An ordinary user of this machine, who has subordinate ids, for as long as a test runs."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.site import ROOT, Said, Site

NAME = "conveyor-test"
# Always the same, so that layers that were made once can be used again.
UID = 64125
RANGE = "1600000000-1600065535"
PROGRAMS = ("groupadd", "newuidmap", "setpriv", "useradd", "userdel", "usermod")
# newuidmap wants the group to be the user's own; a system user gets no range by itself.
MAKING = (
    ("groupadd", "--gid", str(UID), NAME),
    ("useradd", "--system", "--no-create-home", "--uid", str(UID), "--gid", NAME, NAME),
    ("usermod", "--add-subuids", RANGE, "--add-subgids", RANGE, NAME),
)
# Of the files that programs lock to change the users, none stays the same file.
LOCK = Path("/etc/login.defs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """The user.

    Attributes:
        uid: user and group id.
    """

    uid: int

    @property
    def prefix(self) -> Sequence[str]:
        """What makes a command be theirs."""
        return ("setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups", "--")

    def environment(self, site: Site) -> Mapping[str, str]:
        """What they have set."""
        return {"HOME": str(site.folder), "USER": NAME, "LOGNAME": NAME, "PYTHONDONTWRITEBYTECODE": "1"}

    def run(self, site: Site, *arguments: str, patience: float = 120.0) -> Said:
        """Run `conveyor` in a site that is theirs."""
        return site.run(*arguments, env=self.environment(site), prefix=self.prefix, patience=patience)

    def start(self, site: Site, *arguments: str) -> subprocess.Popen[str]:
        """Start `conveyor` in a site that is theirs."""
        return site.start(*arguments, env=self.environment(site), prefix=self.prefix)

    def own(self, folder: Path) -> None:
        """Give them a folder, with what is in it."""
        for base, folders, files in os.walk(folder):
            for name in (".", *folders, *files):
                os.chown(Path(base) / name, self.uid, self.uid, follow_symlinks=False)


@contextmanager
def person() -> Iterator[Person]:
    """Make the user; skips the test where that cannot be."""
    if os.geteuid() != 0:
        pytest.skip("only root can make users")
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    with LOCK.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _remove()
        made = Person(uid=UID)
        try:
            for argv in MAKING:
                subprocess.run(argv, check=True, capture_output=True)
            _need_reach(made)
            yield made
        finally:
            _remove()


def _remove() -> None:
    subprocess.run(["userdel", NAME], check=False, capture_output=True)


def _need_reach(made: Person) -> None:
    argv = [*made.prefix, sys.executable, "-c", "import conveyor.cli.main"]
    ended = subprocess.run(argv, cwd="/", env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        pytest.skip(f"another user cannot reach {ROOT} or {sys.executable}")
