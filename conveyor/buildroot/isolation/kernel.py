"""System calls that Python has no functions for, for the programs that set up roots.

Standard library only: the system's own Python runs it.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
from pathlib import Path

MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_BIND = 4096
CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
PR_SET_PDEATHSIG = 1
PR_GET_SECUREBITS = 27
PR_SET_SECUREBITS = 28
# The C library of Debian 12 has no functions for these; the numbers are the same on x86-64 and arm64.
SYS_OPEN_TREE = 428
SYS_MOVE_MOUNT = 429
SYS_MOUNT_SETATTR = 442
AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
OPEN_TREE_CLONE = 1
MOVE_MOUNT_F_EMPTY_PATH = 4
MOUNT_ATTR_IDMAP = 0x100000


class _MountAttributes(ctypes.Structure):
    """struct mount_attr: mount_setattr(2)."""

    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def libc() -> ctypes.CDLL:
    """The C library."""
    return ctypes.CDLL(None, use_errno=True)


def checked(returned: int, what: str) -> int:
    """What a function of the C library returned.

    Raises:
        OSError: it failed.
    """
    if returned < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot {what}: {os.strerror(number)}")
    return returned


def start_in_new_process_ids() -> None:
    """Have the next process that this one starts be the first of a PID namespace: the kernel ends all in it with that.

    No thread can be started from then on: pid_namespaces(7).

    Raises:
        OSError: the kernel allows none.
    """
    checked(libc().unshare(CLONE_NEWPID), "have a PID namespace")


def see_own_processes() -> None:
    """Have a /proc that knows the process ids of this process's PID namespace, in a mount namespace of its own.

    Raises:
        OSError: the kernel allows none.
    """
    checked(libc().unshare(CLONE_NEWNS), "have a mount namespace")
    mount("proc", Path("/proc"), "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "")


def die_with(parent: int) -> None:
    """Have the kernel kill this process with its parent, and end it if that is dead already.

    A change of users takes this back: prctl(2).

    Args:
        parent: a descriptor of the parent: pidfd_open(2).
    """
    checked(libc().prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "die with the parent")
    if select.select([parent], [], [], 0)[0]:
        os._exit(0)


def mount(source: str, target: Path, kind: str, flags: int, options: str) -> None:
    """Mount by the system call.

    Raises:
        OSError: it failed.
    """
    done = libc().mount(os.fsencode(source), os.fsencode(target), kind.encode(), flags, options.encode())
    checked(done, f"mount {kind} at {target}")


def unmount(place: Path) -> None:
    """Unmount.

    Raises:
        OSError: it failed.
    """
    checked(libc().umount2(os.fsencode(place), 0), f"unmount {place}")


def shifted_mount(path: Path, users: int) -> int:
    """A descriptor of a copy of the mount at a path in which owners are seen through a user namespace.

    Raises:
        OSError: the kernel or the file system cannot do it.
    """
    flags = OPEN_TREE_CLONE | os.O_CLOEXEC
    tree = checked(libc().syscall(SYS_OPEN_TREE, AT_FDCWD, os.fsencode(path), flags), f"copy the mount of {path}")
    attributes = _MountAttributes(attr_set=MOUNT_ATTR_IDMAP, userns_fd=users)
    size = ctypes.sizeof(attributes)
    done = libc().syscall(SYS_MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH, ctypes.byref(attributes), size)
    checked(done, f"shift the owners of {path}")
    return tree


def attach(tree: int, place: Path) -> None:
    """Mount what `shifted_mount` gave.

    Raises:
        OSError: it failed.
    """
    done = libc().syscall(SYS_MOVE_MOUNT, tree, b"", AT_FDCWD, os.fsencode(place), MOVE_MOUNT_F_EMPTY_PATH)
    checked(done, f"mount {place}")
    os.close(tree)
