"""Tells systemd how the daemon is: sd_notify(3), without its library."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

from conveyor.model.text import plain, shortened

MAX_STATUS = 200
MICROSECONDS = 1_000_000


class Systemd:
    """Sends states to whoever started the daemon, if that listens.

    Args:
        environ: the environment that the daemon was started with.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._watchdog = _watchdog(environ)

    @property
    def listens(self) -> bool:
        """Whether anybody hears of it."""
        return bool(self._address)

    @property
    def beat_seconds(self) -> float | None:
        """How often `alive` is to be called, so that the daemon is not taken for hanging; None for never."""
        return self._watchdog / 2 if self._watchdog is not None else None

    def ready(self) -> None:
        """The daemon works, or does again after `reloading`."""
        self._send("READY=1")

    def alive(self) -> None:
        """The daemon does not hang."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """What it does, in a line for `systemctl status`."""
        self._send(f"STATUS={shortened(plain(text), MAX_STATUS)}")

    def reloading(self) -> None:
        """The configuration is being read; `ready` follows."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={int(time.monotonic() * MICROSECONDS)}")

    def stopping(self) -> None:
        """The daemon ends."""
        self._send("STOPPING=1")

    def _send(self, state: str) -> None:
        if not self._address:
            return
        # Nobody's work may stop because nobody listens.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.setblocking(False)
            channel.sendto(state.encode(), self._address)


def _address(text: str) -> str:
    """The socket's address; one that begins with "@" is abstract: unix(7)."""
    if text.startswith("@"):
        return f"\0{text[1:]}"
    return text if text.startswith("/") else ""


def _watchdog(environ: Mapping[str, str]) -> float | None:
    """Seconds after which systemd takes this process for hanging: sd_watchdog_enabled(3)."""
    microseconds, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    meant = not pid or pid == str(os.getpid())
    if not meant or not microseconds.isdecimal() or int(microseconds) == 0:
        return None
    return int(microseconds) / MICROSECONDS
