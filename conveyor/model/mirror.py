"""Mirrors of the published tree: places that it is copied to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Transport(StrEnum):
    """How a mirror is reached."""

    DAEMON = "daemon"  # an rsync daemon: rsync://host/module/path
    SSH = "ssh"  # rsync over ssh: user@host:path
    FOLDER = "folder"  # a folder of this machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """A place that the published tree is copied to, from the site's settings.

    Attributes:
        name: its name.
        destination: as rsync writes it: an rsync URL, `[user@]host:path`, or the absolute path of a folder.
        targets: names of the targets that it has; empty for all.
        port: of the daemon or of ssh; None for the usual one.
        identity: path of the private key for ssh; None for what ssh finds by itself.
        password_file: path of the file with the daemon's password; None without one.
        bandwidth: bytes a second at most; None for no limit.
        stall_limit: seconds without progress after which a try is given up.
        time_limit: seconds that one command may take.
        delete: whether what went here goes there too.
    """

    name: str
    destination: str
    targets: tuple[str, ...] = ()
    port: int | None = None
    identity: str | None = None
    password_file: str | None = None
    bandwidth: int | None = None
    stall_limit: int = 5 * 60
    time_limit: int = 12 * 3600
    delete: bool = True

    @property
    def transport(self) -> Transport:
        """How it is reached."""
        if self.destination.startswith("rsync://"):
            return Transport.DAEMON
        return Transport.FOLDER if self.destination.startswith("/") else Transport.SSH


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorState:
    """How a mirror stands with a target's tree.

    Attributes:
        mirror: the mirror's name.
        target: the target's name.
        synced_at: the moment of which it has everything; None before the first good try.
        failed_at: when a try last failed; None after a good one.
        failures: how many failed in a row.
        cause: why the last one did; empty after a good one. Hostile text: servers say it.
    """

    mirror: str
    target: str
    synced_at: datetime | None = None
    failed_at: datetime | None = None
    failures: int = 0
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What one pass over a target's tree did.

    Attributes:
        pointers: the pointers that the mirror has now, with the ids of the commits that they point at.
        files: how many files were sent.
        size: their bytes.
        removed: how many snapshots, artifacts and pointers were removed there.
    """

    pointers: Mapping[str, str]
    files: int
    size: int
    removed: int
