"""The control file of a .deb, read without trusting a byte of it.

python-debian's DebFile is not used for this: it follows a member's negative size in a circle, and unpacks as much as
an archive claims to hold. The formats are those of deb(5) and deb-control(5).
"""

from __future__ import annotations

import io
import lzma
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol

from conveyor.errors import SourceInvalid

MAX_COMPRESSED = 16 << 20
MAX_UNPACKED = 64 << 20
MAX_CONTROL = 1 << 20
_MAGIC = b"!<arch>\n"
_HEADER_SIZE = 60
_HEADER_END = b"`\n"
_SIZE_FIELD = slice(48, 58)
_MAX_LEADING_MEMBERS = 8
_CONTROL_NAMES = ("control", "./control")


class _Decompressor(Protocol):
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


_DECOMPRESSORS: dict[str, Callable[[], _Decompressor]] = {
    "control.tar.gz": lambda: zlib.decompressobj(wbits=31),
    "control.tar.xz": lambda: lzma.LZMADecompressor(memlimit=MAX_UNPACKED * 2),
}


def read_control(path: Path) -> bytes:
    """The control file of the binary package at `path`.

    Raises:
        SourceInvalid: the file is not a .deb, or its control member is too large, broken, or compressed with another
            method than those of the Debian archive (gzip, xz, none).
    """
    with path.open("rb") as file:
        name, content = _control_archive(file, path.name)
    try:
        return _control_file(io.BytesIO(_unpack(name, content, path.name)), path.name)
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, ValueError) as error:
        raise _invalid(path.name, str(error)) from error


def _invalid(filename: str, cause: str) -> SourceInvalid:
    return SourceInvalid(f"{filename} is not a Debian package that a repository can hold", cause=cause)


def _control_archive(file: BinaryIO, filename: str) -> tuple[str, bytes]:
    """Name and content of the first member called control.tar*."""
    if file.read(len(_MAGIC)) != _MAGIC:
        raise _invalid(filename, "it is not an ar archive")
    for _ in range(_MAX_LEADING_MEMBERS):
        header = file.read(_HEADER_SIZE)
        size = header[_SIZE_FIELD].strip()
        if len(header) != _HEADER_SIZE or not header.endswith(_HEADER_END) or not size.isdigit():
            break
        name = header[:16].decode("ascii", "replace").strip().rstrip("/")
        if name.startswith("control.tar"):
            if int(size) > MAX_COMPRESSED:
                raise _invalid(filename, f"its {name} has {int(size)} bytes")
            return name, file.read(int(size))
        file.seek(int(size) + int(size) % 2, io.SEEK_CUR)
    raise _invalid(filename, "it has no control.tar")


def _unpack(name: str, content: bytes, filename: str) -> bytes:
    if name == "control.tar":
        return content
    if name not in _DECOMPRESSORS:
        raise _invalid(filename, f"{name} is not compressed with gzip or xz")
    unpacked = _DECOMPRESSORS[name]().decompress(content, MAX_UNPACKED + 1)
    if len(unpacked) > MAX_UNPACKED:
        raise _invalid(filename, f"its {name} unpacks to more than {MAX_UNPACKED >> 20} MiB")
    return unpacked


def _control_file(archive: BinaryIO, filename: str) -> bytes:
    with tarfile.open(fileobj=archive, mode="r:") as members:
        for member in members:
            if member.name in _CONTROL_NAMES and member.isreg():
                if member.size > MAX_CONTROL:
                    raise _invalid(filename, f"its control file has {member.size} bytes")
                content = members.extractfile(member)
                return content.read() if content else b""
    raise _invalid(filename, "its control.tar has no control file")
