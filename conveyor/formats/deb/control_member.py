"""The control file of a .deb, read without trusting a byte of it: deb(5) and deb-control(5)."""

from __future__ import annotations

from pathlib import Path

from conveyor.formats.deb import archive
from conveyor.formats.deb.archive import invalid

MAX_COMPRESSED = 16 << 20
MAX_UNPACKED = 64 << 20
MAX_CONTROL = 1 << 20
_CONTROL_NAMES = ("control", "./control")


def read_control(path: Path) -> bytes:
    """The control file of the binary package at `path`.

    Raises:
        SourceInvalid: the file is not a .deb, or its control member is too large, broken, or compressed with another
            method than those of the Debian archive (gzip, xz, none).
    """
    with path.open("rb") as file:
        found = archive.find(file, path.name, "control.tar")
        if found.size > MAX_COMPRESSED:
            raise invalid(path.name, f"its {found.name} has {found.size} bytes")
        if not found.readable:
            raise invalid(path.name, f"{found.name} is not compressed with gzip or xz")
        try:
            for member, content in archive.members(found.open(file, MAX_UNPACKED), _CONTROL_NAMES, MAX_CONTROL):
                if member.regular and member.name in _CONTROL_NAMES:
                    return content
        except archive.TooLarge as error:
            raise invalid(path.name, f"its {found.name} unpacks to more than {MAX_UNPACKED >> 20} MiB") from error
        except archive.BROKEN as error:
            raise invalid(path.name, str(error)) from error
    raise invalid(path.name, f"its {found.name} has no control file")
