"""The system calls that nothing in the sandbox may make, as a program that compiles them into a filter.

The module `sandbox` beside it starts it with the system's own Python, which has libseccomp's bindings, and bubblewrap
loads the file that it writes. What is not named here is allowed: builds run tests of any program, and a short list of
what is dangerous and of no use to a build breaks none. The ideas are those of the lists that Docker, Flatpak and
systemd-nspawn publish: what no namespace holds, and what has had one hole in the kernel after another.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import seccomp

CLONE_NEWUSER = 0x10000000
TIOCSTI = 0x5412  # types on a terminal
TIOCLINUX = 0x541C  # pastes on a console
# AF_UNIX, AF_INET, AF_INET6, and AF_NETLINK, by which the C library learns of the interfaces.
FAMILIES = frozenset({1, 2, 10, 16})
FAMILIES_END = 64
DENIED = (
    # keyrings: of all namespaces
    *("add_key", "keyctl", "request_key"),
    # looking into the kernel
    *("bpf", "fanotify_init", "kcmp", "lookup_dcookie", "perf_event_open", "syslog"),
    # mounts and namespaces
    *("fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount", "open_tree"),
    *("pivot_root", "setns", "umount", "umount2"),
    # files by handle, past the root
    *("name_to_handle_at", "open_by_handle_at"),
    # the machine
    *("acct", "adjtimex", "clock_adjtime", "clock_settime", "delete_module", "finit_module", "init_module", "ioperm"),
    *("iopl", "kexec_file_load", "kexec_load", "nfsservctl", "quotactl", "quotactl_fd", "reboot", "setdomainname"),
    *("sethostname", "settimeofday", "stime", "swapoff", "swapon", "vhangup"),
    # remains of old processors and programs
    *("_sysctl", "modify_ldt", "uselib", "vm86", "vm86old"),
)
# Programs do without these where the kernel lacks them, so they are told that it does. clone3 takes its flags in
# memory, which a filter cannot read; the C library then uses clone.
ABSENT = ("clone3", "io_uring_enter", "io_uring_register", "io_uring_setup", "userfaultfd")
# Processors whose programs a machine runs beside its own.
COMPANIONS = {"x86_64": seccomp.Arch.X86, "aarch64": seccomp.Arch.ARM}
UNKNOWN = -1
BINARY_TREE = 2


def rules() -> seccomp.SyscallFilter:
    """The filter for this machine's processor; one for any other kind is refused as unknown."""
    made = seccomp.SyscallFilter(seccomp.ALLOW)
    made.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.ERRNO(errno.ENOSYS))
    companion = COMPANIONS.get(os.uname().machine)
    if companion is not None:
        made.add_arch(companion)
    for name in DENIED:
        _refuse(made, errno.EPERM, name)
    for name in ABSENT:
        _refuse(made, errno.ENOSYS, name)
    for name in ("clone", "unshare"):
        _refuse(made, errno.EPERM, name, seccomp.Arg(0, seccomp.MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER))
    for request in (TIOCSTI, TIOCLINUX):
        # The kernel looks at 32 bits only.
        _refuse(made, errno.EPERM, "ioctl", seccomp.Arg(1, seccomp.MASKED_EQ, 0xFFFFFFFF, request))
    for family in set(range(FAMILIES_END)) - FAMILIES:
        _refuse(made, errno.EAFNOSUPPORT, "socket", seccomp.Arg(0, seccomp.MASKED_EQ, 0xFFFFFFFF, family))
    made.set_attr(seccomp.Attr.CTL_OPTIMIZE, BINARY_TREE)
    return made


def _refuse(made: seccomp.SyscallFilter, number: int, name: str, *conditions: seccomp.Arg) -> None:
    """Add a rule, unless this libseccomp is older than the system call."""
    if seccomp.resolve_syscall(seccomp.Arch(), name) != UNKNOWN:
        made.add_rule(seccomp.ERRNO(number), name, *conditions)


def main() -> int:
    """Write the filter to the file that is named."""
    with Path(sys.argv[1]).open("wb") as file:
        rules().export_bpf(file)
    return 0
