"""The user namespace of package managers, and the owners of files as it sees them.

A package manager needs many users. It gets a user namespace whose ids are those from ROOT_IDS on outside, so that its
root is nobody on the host. The folders that it sees are mounted with their owners shifted alike: on disk a layer is
owned as it is inside. Where the kernel or a file system cannot shift owners, the ids are the same inside and outside,
and only the capabilities end at the namespace.

Standard library only: the system's own Python runs it.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from conveyor.buildroot.isolation.kernel import (
    CLONE_NEWUSER,
    PR_GET_SECUREBITS,
    PR_SET_PDEATHSIG,
    PR_SET_SECUREBITS,
    attach,
    checked,
    libc,
    shifted_mount,
)

SECBIT_NO_SETUID_FIXUP = 4
# The host's ids of package managers: no account has them, and neither systemd nor subuid(5) hands them out.
ROOT_IDS = 0x70000000
ROOT_IDS_COUNT = 65536
# What mount_setattr(2) says where the kernel or a file system cannot shift owners.
CANNOT_SHIFT = frozenset({errno.EINVAL, errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP})


class Users(NamedTuple):
    """The users of a package manager. No dataclass: importing these takes as long as all else here.

    Attributes:
        namespace: descriptor of the user namespace.
        first: the id outside that is 0 inside.
        trees: mounts with shifted owners, by their path, that wait for their place.
    """

    namespace: int
    first: int
    trees: Mapping[Path, int]


def in_user_namespace() -> bool:
    """Whether root here is no root of the host."""
    return Path("/proc/self/uid_map").read_text().split()[:2] != ["0", "0"]


def package_manager_users(folders: Sequence[Path], binds: Sequence[Path]) -> Users:
    """Make the users of one package manager.

    Args:
        folders: have their owners shifted at once, in this mount namespace.
        binds: will be mounted elsewhere.

    Raises:
        OSError: there can be no user namespace.
    """
    return (None if in_user_namespace() else _shifted_users(folders, binds)) or _same_users()


def _shifted_users(folders: Sequence[Path], binds: Sequence[Path]) -> Users | None:
    namespace = _new_namespace(f"0 {ROOT_IDS} {ROOT_IDS_COUNT}")
    try:
        shifted = [shifted_mount(folder, namespace) for folder in folders]
        trees = {path: shifted_mount(path, namespace) for path in binds}
    except OSError as error:
        if error.errno in CANNOT_SHIFT:
            return None
        raise
    for folder, tree in zip(folders, shifted, strict=True):
        attach(tree, folder)
    return Users(namespace=namespace, first=ROOT_IDS, trees=trees)


def _same_users() -> Users:
    extents = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    namespace = _new_namespace("\n".join(f"{inside} {inside} {count}" for inside, _, count in extents))
    return Users(namespace=namespace, first=0, trees={})


def _new_namespace(extents: str) -> int:
    """A descriptor of a new user namespace with these lines of uid_map and gid_map: user_namespaces(7).

    Raises:
        OSError: the kernel allows none.
    """
    ready, wait = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        made = libc().unshare(CLONE_NEWUSER) == 0
        os.close(wait[1])
        os.write(ready[1], b"y" if made else b"n")
        os.read(wait[0], 1)
        os._exit(0)
    try:
        if os.read(ready[0], 1) != b"y":
            raise OSError(errno.EPERM, "the kernel allows no user namespace")
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{child}/{name}").write_text(f"{extents}\n")
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY)
    finally:
        for descriptor in (*ready, *wait):
            os.close(descriptor)
        os.waitpid(child, 0)


def become_root(users: Users) -> None:
    """Be root of the namespace from now on."""
    checked(libc().setns(users.namespace, CLONE_NEWUSER), "enter the user namespace")
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


@contextmanager
def files_made_as(uid: int) -> Iterator[None]:
    """Let overlayfs, which acts as whoever mounted it, make files that an upper layer with shifted owners can have.

    Raises:
        OSError: it cannot be done.
    """
    if uid == 0:
        yield
        return
    before, parent = libc().prctl(PR_GET_SECUREBITS, 0, 0, 0, 0), os.getppid()
    # Without it the change of the user would take away capabilities.
    checked(libc().prctl(PR_SET_SECUREBITS, before | SECBIT_NO_SETUID_FIXUP, 0, 0, 0), "keep capabilities")
    libc().setfsgid(uid)
    libc().setfsuid(uid)
    try:
        yield
    finally:
        libc().setfsuid(0)
        libc().setfsgid(0)
        libc().prctl(PR_SET_SECUREBITS, before, 0, 0, 0)
        # The kernel has forgotten that this process is to die with its parent.
        libc().prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
