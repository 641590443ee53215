"""Root without being root: a user namespace in which the caller is root and has the subordinate ids of subuid(5)."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from conveyor.command import become, run, search_path
from conveyor.errors import CommandFailed

ENTER = ("unshare", "--user", "--map-root-user", "--map-auto", "--mount", "--propagation", "private", "--")
UID_MAP = "/proc/self/uid_map"
NOBODY = 65534  # packages have files of it, so its id must be there: all below it are then
TRIAL_SECONDS = 10
SYSCTL = Path("/proc/sys")
# Settings that keep ordinary users from namespaces, and the value that does.
FORBIDDING = (
    ("kernel/unprivileged_userns_clone", "0", "1"),
    ("user/max_user_namespaces", "0", "65536"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """Why there can be no such namespace.

    Attributes:
        cause: what is missing.
        remedy: what to do about it, as root.
    """

    cause: str
    remedy: str


def obstacle() -> Obstacle | None:
    """Why the caller cannot have the namespace; None if it can. Found out by trying."""
    missing = [name for name in ("unshare", "newuidmap", "newgidmap") if shutil.which(name, path=search_path()) is None]
    if missing:
        return Obstacle(cause=f"{', '.join(missing)} missing", remedy="apt-get install uidmap util-linux")
    try:
        extents = run([*ENTER, "cat", UID_MAP], timeout=TRIAL_SECONDS).output
        # Some kernels give the namespace, but none of its rights.
        run([*ENTER, "mount", "-t", "tmpfs", "none", "/mnt"], timeout=TRIAL_SECONDS)
    except CommandFailed as error:
        return _forbidden() or Obstacle(cause=error.details[-1] if error.details else error.what, remedy=_ranges())
    if _mapped(extents.splitlines()) < NOBODY:
        return Obstacle(cause="too few subordinate ids", remedy=_ranges())
    return None


def begin_again(data: Path) -> NoReturn:
    """Run the same command from its start, in the namespace; the process stays the same one.

    Args:
        data: the data directory: inside, root's default would be taken.
    """
    count = len(sys.argv) - 1
    before = [sys.executable, *sys.orig_argv[1 : len(sys.orig_argv) - count]]
    become([*ENTER, *before, "--data-dir", str(data), *sys.argv[1:]])


def _forbidden() -> Obstacle | None:
    for name, forbids, allows in FORBIDDING:
        file = SYSCTL / name
        if file.exists() and file.read_text().strip() == forbids:
            setting = name.replace("/", ".")
            return Obstacle(cause=f"{setting} is {forbids}", remedy=f"sysctl -w {setting}={allows}")
    return None


def _ranges() -> str:
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        # An account is made with a range of its own.
        return f"useradd --uid {os.getuid()} NAME"
    return f"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}"


def _mapped(extents: Sequence[str]) -> int:
    """The highest id of an unbroken range from 0 on, by the lines of uid_map."""
    end = 0
    for inside, _, count in sorted(tuple(map(int, line.split())) for line in extents):
        if inside != end:
            break
        end += count
    return end - 1
