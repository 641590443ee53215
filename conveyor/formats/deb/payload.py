"""What a .deb would put on a machine, as far as it gives rights: its data archive, listed and not unpacked."""

from __future__ import annotations

from pathlib import Path

from conveyor.formats.deb import archive
from conveyor.formats.deb.archive import invalid
from conveyor.ports import RiskyFiles

MAX_UNPACKED = 2 << 30  # bytes, some seconds' work
MAX_LISTED = 100
SETUID_OR_SETGID = 0o6000


def risky_files(path: Path) -> RiskyFiles:
    """The setuid and setgid files and the device nodes of a .deb; at most 100 of each.

    Raises:
        SourceInvalid: the file is not a .deb, or its data archive is broken.
    """
    privileged: list[str] = []
    devices: list[str] = []
    with path.open("rb") as file:
        found = archive.find(file, path.name, "data.tar")
        if not found.readable:
            return RiskyFiles(complete=False)
        try:
            for member, _ in archive.members(found.open(file, MAX_UNPACKED)):
                if member.regular and member.mode & SETUID_OR_SETGID:
                    privileged.append(member.name)
                elif member.device:
                    devices.append(member.name)
        except archive.TooLarge:
            return RiskyFiles(
                privileged=tuple(privileged[:MAX_LISTED]), devices=tuple(devices[:MAX_LISTED]), complete=False
            )
        except archive.BROKEN as error:
            raise invalid(path.name, f"its {found.name}: {error}") from error
    return RiskyFiles(privileged=tuple(privileged[:MAX_LISTED]), devices=tuple(devices[:MAX_LISTED]))
