"""The control files of a .deb, read without trusting a byte of it: deb(5) and deb-control(5)."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from conveyor.formats.deb import archive
from conveyor.formats.deb.archive import invalid

MAX_COMPRESSED = 16 << 20
MAX_UNPACKED = 64 << 20
MAX_CONTROL = 1 << 20
CONTROL = "control"


def read_control(path: Path) -> bytes:
    """The control file of the binary package at `path`.

    Raises:
        SourceInvalid: see `read_files`; or there is no control file.
    """
    found = read_files(path, [CONTROL], MAX_CONTROL)
    if CONTROL not in found:
        raise invalid(path.name, "its control.tar has no control file")
    return found[CONTROL]


def read_files(path: Path, names: Collection[str], most: int) -> dict[str, bytes]:
    """The content of those control files of the binary package at `path` that it has, by name.

    Args:
        path: the package.
        names: names of control files.
        most: bytes that one of them may have.

    Raises:
        SourceInvalid: the file is not a .deb, or its control member is too large, broken, or compressed with another
            method than those of the Debian archive (gzip, xz, none).
    """
    wanted = {spelt: name for name in names for spelt in (name, f"./{name}")}
    found: dict[str, bytes] = {}
    with path.open("rb") as file:
        control = archive.find(file, path.name, "control.tar")
        if control.size > MAX_COMPRESSED:
            raise invalid(path.name, f"its {control.name} has {control.size} bytes")
        if not control.readable:
            raise invalid(path.name, f"{control.name} is not compressed with gzip or xz")
        try:
            for member, content in archive.members(control.open(file, MAX_UNPACKED), wanted, most):
                if member.regular and member.name in wanted:
                    found.setdefault(wanted[member.name], content)
                if len(found) == len(names):
                    break
        except archive.TooLarge as error:
            raise invalid(path.name, f"its {control.name} unpacks to more than {MAX_UNPACKED >> 20} MiB") from error
        except archive.BROKEN as error:
            raise invalid(path.name, str(error)) from error
    return found
