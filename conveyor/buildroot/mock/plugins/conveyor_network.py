"""A plugin of mock, run by mock itself: keeps the network from what is built.

mock's simple isolation leaves it to builds. Here the package manager alone has it: before anything of a package is
looked at, mock moves into a network namespace of its own, and goes back for as long as the package manager runs.

In a container with users of its own and the host's network there is no way back: that namespace belongs to the host's
users. There mock stays, and what it starts gets a namespace of its own instead, but for the package manager.

mock loads plugins from one folder; this one loads the others from where mock has them.
"""

import ctypes
import errno
import fcntl
import importlib
import os
import socket
import struct
from typing import Any

requires_api_version = "1.1"

CLONE_NEWNET = 0x40000000
# See netdevice(7).
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1
# With these begin a source package, a build, and commands in the root.
BEGINNINGS = ("earlyprebuild", "preshell", "prechroot")


class Network:
    """The host's network namespace, and one of this process, or of each it starts, with only the loopback in it."""

    def __init__(self) -> None:
        self._hosts = _current()
        self._own = -1
        self._each_leaves = False
        self._package_manager = False

    def leave(self) -> None:
        """Move into one of our own; a second one is as good as the first."""
        if _may_enter(self._hosts):
            _separate()
            self._own = _current()
        elif not self._each_leaves:
            self._each_leaves = True
            self._have_each_leave()

    def to_the_hosts(self) -> None:
        """Go back, for the package manager."""
        self._package_manager = True
        if self._own >= 0:
            _enter(self._hosts)

    def to_our_own(self) -> None:
        """Leave again, when the package manager has ended."""
        self._package_manager = False
        if self._own >= 0:
            _enter(self._own)

    def _have_each_leave(self) -> None:
        """Take the place of what mock calls in each new process before the program; when it fails, so does the call."""
        util: Any = importlib.import_module("mockbuild.util")
        usual = util.condUnshareNet

        def before_program(unshare_net: bool = True) -> None:
            if self._package_manager:
                usual(unshare_net)
                return
            # mock is the build's user then; so is the program again.
            users = os.getresuid()
            os.setresuid(0, 0, 0)
            _separate()
            os.setresuid(*users)

        util.condUnshareNet = before_program


def init(plugins: Any, conf: Any, buildroot: Any) -> None:  # noqa: ANN401 - mock's own, which have no types
    """What mock calls for each root it makes."""
    plugins.plugins, plugins.plugin_dir = conf["others"], conf["others_folder"]
    plugins.already_initialized = False
    plugins.init_plugins(buildroot)
    network = Network()
    for beginning in BEGINNINGS:
        plugins.add_hook(beginning, network.leave)
    plugins.add_hook("preyum", network.to_the_hosts)
    plugins.add_hook("postyum", network.to_our_own)


def _current() -> int:
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _separate() -> None:
    """Move into a new namespace."""
    _check(ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as some:
        fcntl.ioctl(some, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def _may_enter(namespace: int) -> bool:
    """Enter a namespace, if its users let us."""
    try:
        _enter(namespace)
    except OSError as error:
        if error.errno == errno.EPERM:
            return False
        raise
    return True


def _enter(namespace: int) -> None:
    _check(ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
