"""Whether this machine can build with mock."""

from __future__ import annotations

import grp
import pwd
import re
import shutil
from collections.abc import Iterator

from conveyor.command import run, search_path
from conveyor.model.health import Finding
from conveyor.model.target import RpmDistribution, Target

# Where Fedora and its relatives have what sudo and userhelper call.
INSTALLED = "/usr/libexec/mock"
GROUP = "mock"
OLDEST = 3
ASKING = 30  # seconds


def findings(target: Target, user: str) -> Iterator[Finding]:
    """What a target needs of the machine whose builder is the host's own mock.

    Args:
        target: the target.
        user: the user that mock works as where it needs not be root.
    """
    program = shutil.which("mock", path=f"{INSTALLED}:{search_path()}")
    if program is None:
        remedy = (
            f"install mock (Debian has no package of it), or name an image that has it: 'container' of {target.name}"
        )
        yield Finding(subject=target.name, good=False, detail="mock missing", remedy=remedy)
        return
    member = _user(target, user)
    yield member
    if member.good:
        yield _version(target, program, pwd.getpwnam(user).pw_uid)
    yield _database(target)


def _user(target: Target, user: str) -> Finding:
    """For root alone mock refuses to work: https://rpm-software-management.github.io/mock/#setup."""
    try:
        group = grp.getgrnam(GROUP)
        found = pwd.getpwnam(user)
    except KeyError:
        remedy = (
            f"getent group {GROUP} || groupadd --system --gid 135 {GROUP}; useradd --system --groups {GROUP} {user}"
        )
        return Finding(subject=target.name, good=False, detail=f"no user {user} in a group {GROUP}", remedy=remedy)
    if user not in group.gr_mem and found.pw_gid != group.gr_gid:
        remedy = f"usermod --append --groups {GROUP} {user}"
        return Finding(subject=target.name, good=False, detail=f"{user} is not in the group {GROUP}", remedy=remedy)
    return Finding(subject=target.name, good=True, detail=f"mock for {user}")


def _version(target: Target, program: str, uid: int) -> Finding:
    said = run([program, "--version"], timeout=ASKING, env={"SUDO_UID": str(uid)}, check=False).output.strip()
    number = re.match(r"(\d+)(?:\.\d+)*$", said)
    if number is None:
        detail = f"{program} does not tell its version: {said[:80]!r}"
        return Finding(subject=target.name, good=False, detail=detail, remedy="see what is wrong with it")
    good = int(number[1]) >= OLDEST
    remedy = "" if good else f"install mock {OLDEST} or newer"
    return Finding(subject=target.name, good=good, detail=f"mock {said}", remedy=remedy)


def _database(target: Target) -> Finding:
    """Debian's rpm keeps its database in the caller's home: then mock finds nothing installed in its roots."""
    place = run(["rpm", "--eval", "%_dbpath"], timeout=ASKING, check=False).output.strip()
    if not place.endswith("/.rpmdb"):
        return Finding(subject=target.name, good=True, detail="rpm's database is not in the home folder")
    database = target.origin.database if isinstance(target.origin, RpmDistribution) else "/usr/lib/sysimage/rpm"
    remedy = f"mkdir -p /etc/rpm; echo '%_dbpath {database}' > /etc/rpm/macros.mock"
    detail = "rpm's database is in the home folder: %generate_buildrequires will not work"
    return Finding(subject=target.name, good=True, detail=detail, remedy=remedy)
