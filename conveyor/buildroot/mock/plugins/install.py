"""Installs packages in a root that mock has made, with the root's own rpm; run by the Python of mock's host.

mock would run their scripts as the host's root, with the network. Here they have a root and a PID namespace of their
own, no network, and no more power than a package manager needs to write to its root. Arguments: the root, the packages;
or the root, "--", a command to run instead.
"""

import ctypes
import os
import shutil
import sys
from pathlib import Path

# See prctl(2) and capabilities(7).
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
MS_RDONLY, MS_REMOUNT, MS_BIND = 1, 32, 4096
DEVICES = ("full", "null", "random", "tty", "urandom", "zero")
CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, AUDIT_WRITE, SETFCAP = (
    0,
    1,
    3,
    4,
    5,
    6,
    7,
    8,
    29,
    31,
)
KEPT = (CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, AUDIT_WRITE, SETFCAP)
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}
PLACE = "conveyor-packages"
LIBC = ctypes.CDLL(None, use_errno=True)


def install(root: Path, packages: list[Path]) -> None:
    """Become rpm."""
    place = root / PLACE
    place.mkdir()
    for package in packages:
        shutil.copyfile(package, place / package.name)
    _enter(root)
    # rpm 4.20 and newer would put scriptlets into namespaces of their own, which takes more power.
    options = ("--define", "__transaction_unshare %{nil}", "--nosignature", "--oldpackage", "--upgrade", "--verbose")
    names = [f"/{PLACE}/{package.name}" for package in packages]
    os.execve("/usr/bin/rpm", ["rpm", *options, *names], ENVIRONMENT)  # noqa: S606 - the end of this program


def visit(root: Path, argv: list[str]) -> None:
    """Become a command of the person who looks into the root."""
    _enter(root)
    os.execve(argv[0], argv, {**ENVIRONMENT, "TERM": "xterm"})  # noqa: S606 - the end of this program


def _enter(root: Path) -> None:
    _mount("proc", root / "proc", "proc", 0)
    _lock(root / "proc")
    _few_devices(root / "dev")
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    os.chroot(root)
    os.chdir("/")
    for capability in set(range(last + 1)) - set(KEPT):
        _check(LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0))
    _check(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def _lock(proc: Path) -> None:
    """Make the kernel's settings read-only: who may write to them could have the host run a program."""
    for path in (proc / "sys", proc / "sysrq-trigger", proc / "irq", proc / "bus"):
        if path.exists():
            _mount(str(path), path, "none", MS_BIND)
            _mount("none", path, "none", MS_BIND | MS_REMOUNT | MS_RDONLY)


def _few_devices(folder: Path) -> None:
    """Show harmless devices only: mock's roots have loop devices, and with them other builds' disks."""
    _mount("dev", folder, "tmpfs", 0)
    for name in DEVICES:
        (folder / name).touch()
        _mount(f"/dev/{name}", folder / name, "none", MS_BIND)


def _mount(source: str, target: Path, kind: str, flags: int) -> None:
    _check(LIBC.mount(os.fsencode(source), os.fsencode(target), kind.encode(), flags, b""))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    if sys.argv[2:3] == ["--"]:
        visit(Path(sys.argv[1]), sys.argv[3:])
    else:
        install(Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]])
