"""The two archives in a .deb, read in one pass and with limits: nothing in them is trusted.

Python's tarfile is not used for this: it follows a member's negative size in a circle, and nested long names as deep as
they go. python-debian's DebFile is built on it. What is read here is what dpkg itself unpacks: deb(5), tar's headers of
the kinds "ustar" and "GNU", and GNU's long names.
"""

from __future__ import annotations

import hashlib
import lzma
import re
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from conveyor.errors import SourceInvalid

XZ_MEMORY = 128 << 20  # bytes that xz may use to unpack; its highest level needs half of it
MAX_NAME = 1 << 16
_MAGIC = b"!<arch>\n"
_HEADER_SIZE = 60
_HEADER_END = b"`\n"
_SIZE_FIELD = slice(48, 58)
_MAX_LEADING_MEMBERS = 8
_CHUNK = 1 << 20
_BLOCK = 512
_LONG_NAME, _LONG_LINK = b"L", b"K"
# Regular in two spellings, hard link, symbolic link, character device, block device, folder, pipe.
_KINDS = (b"\0", b"0", b"1", b"2", b"3", b"4", b"5", b"6", _LONG_NAME, _LONG_LINK)
BROKEN = (lzma.LZMAError, zlib.error, EOFError, ValueError)


class TooLarge(ValueError):
    """More would be unpacked than the reader wants to see."""


class _Decompressor(Protocol):
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Gzip:
    """zlib's decompressor; what it has not unpacked yet stays in it, as in lzma's."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


_DECOMPRESSORS: dict[str, Callable[[], _Decompressor]] = {
    ".gz": _Gzip,
    ".xz": lambda: lzma.LZMADecompressor(memlimit=XZ_MEMORY),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """One of the two archives of a .deb.

    Attributes:
        name: the member's name, such as "data.tar.xz".
        start: where its content begins in the file.
        size: bytes, compressed.
    """

    name: str
    start: int
    size: int

    @property
    def readable(self) -> bool:
        """Whether it is compressed in a way of the Debian archive: xz, gzip or not at all."""
        return self._compression == "" or self._compression in _DECOMPRESSORS

    @property
    def _compression(self) -> str:
        return self.name.partition(".tar")[2]

    def open(self, file: BinaryIO, limit: int) -> Unpacked:
        """Its content, of which at most `limit` bytes will be unpacked."""
        file.seek(self.start)
        compressed = self._compression
        return Unpacked(file, self.size, _DECOMPRESSORS[compressed]() if compressed else None, limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member of a tar archive.

    Attributes:
        name: its path, as it is written there; bytes that are not UTF-8 are replaced.
        kind: the type flag of its header.
        mode: permission bits.
        size: bytes of its content.
        owner: "user:group", by name where it has names.
        modified: seconds since the epoch.
        link: what a link points at; empty for others.
    """

    name: str
    kind: bytes
    mode: int
    size: int
    owner: str = ""
    modified: int = 0
    link: str = ""

    @property
    def regular(self) -> bool:
        """Whether it is a file with content of its own."""
        return self.kind in {b"\0", b"0"}

    @property
    def folder(self) -> bool:
        """Whether it is a folder."""
        return self.kind == b"5"

    @property
    def device(self) -> bool:
        """Whether it is a device node."""
        return self.kind in {b"3", b"4"}


class Unpacked:
    """The content of an archive, unpacked as it is read.

    Attributes:
        position: bytes that were read or passed over.
    """

    def __init__(self, file: BinaryIO, size: int, decompressor: _Decompressor | None, limit: int) -> None:
        self._file = file
        self._left = size
        self._decompressor = decompressor
        self._limit = limit
        self._ready = b""
        self.position = 0

    def read(self, count: int) -> bytes:
        """Exactly so many bytes; fewer at the end only.

        Raises:
            TooLarge: the limit is reached.
        """
        parts = []
        while count > 0 and (self._ready or self._fill()):
            part, self._ready = self._ready[:count], self._ready[count:]
            parts.append(part)
            count -= len(part)
            self.position += len(part)
        return b"".join(parts)

    def skip(self, count: int) -> None:
        """Pass over so many bytes."""
        while count > 0 and (self._ready or self._fill()):
            passed = min(count, len(self._ready))
            self._ready = self._ready[passed:]
            count -= passed
            self.position += passed

    def _fill(self) -> bool:
        """Unpack some more; False at the end."""
        while not self._ready:
            data = self._file.read(min(_CHUNK, self._left))
            self._left -= len(data)
            unpacked = data if self._decompressor is None else self._unpack(data)
            if not data and not unpacked:
                return False
            self._limit -= len(unpacked)
            if self._limit < 0:
                raise TooLarge("it unpacks to more than it should")
            self._ready = unpacked
        return True

    def _unpack(self, data: bytes) -> bytes:
        if self._decompressor is None or getattr(self._decompressor, "eof", False):
            return b""
        return self._decompressor.decompress(data, _CHUNK)


def find(file: BinaryIO, filename: str, prefix: str) -> Archive:
    """The first member of a .deb whose name begins so, "control.tar" or "data.tar".

    Raises:
        SourceInvalid: the file is no .deb, or has no such member.
    """
    file.seek(0)
    if file.read(len(_MAGIC)) != _MAGIC:
        raise invalid(filename, "it is not an ar archive")
    for _ in range(_MAX_LEADING_MEMBERS):
        header = file.read(_HEADER_SIZE)
        size = header[_SIZE_FIELD].strip()
        if len(header) != _HEADER_SIZE or not header.endswith(_HEADER_END) or not size.isdigit():
            break
        name = header[:16].decode("ascii", "replace").strip().rstrip("/")
        if name.startswith(prefix):
            return Archive(name=name, start=file.tell(), size=int(size))
        file.seek(int(size) + int(size) % 2, 1)
    raise invalid(filename, f"it has no {prefix}")


def invalid(filename: str, cause: str) -> SourceInvalid:
    """The error for a file that is no .deb."""
    return SourceInvalid(f"{filename} is not a Debian package that a repository can hold", cause=cause)


def members(archive: Unpacked, wanted: Collection[str] = (), most: int = 0) -> Iterator[tuple[Member, bytes]]:
    """The members of a tar archive, with the content of those regular files whose names are wanted.

    Args:
        archive: the archive.
        wanted: names of files to read.
        most: bytes that one of these may have.

    Raises:
        ValueError: a header is none that dpkg unpacks, or a wanted file is larger.
    """

    def content(member: Member) -> bytes:
        return _read(archive, member, most) if member.name in wanted else b""

    yield from _members(archive, content)


def digested(archive: Unpacked) -> Iterator[tuple[Member, bytes]]:
    """The members of a tar archive, each regular file with the sha256 of its content.

    Raises:
        ValueError: a header is none that dpkg unpacks.
    """

    def content(member: Member) -> bytes:
        digest, left = hashlib.sha256(), member.size
        while left > 0:
            part = archive.read(min(_CHUNK, left))
            if not part:
                raise EOFError("its tar archive ends too early")
            digest.update(part)
            left -= len(part)
        return digest.digest()

    yield from _members(archive, content)


def _members(archive: Unpacked, content: Callable[[Member], bytes]) -> Iterator[tuple[Member, bytes]]:
    """Each member with what `content` reads of a regular file; what it leaves is passed over."""
    long_name = long_link = None
    while any(header := archive.read(_BLOCK)):
        member = _member(header, long_name, long_link)
        end = archive.position + member.size + -member.size % _BLOCK
        found = b""
        if member.kind in {_LONG_NAME, _LONG_LINK}:
            found = _read(archive, member, MAX_NAME).rstrip(b"\0")
        elif member.regular:
            found = content(member)
        archive.skip(end - archive.position)
        if member.kind == _LONG_NAME:
            long_name = found
        elif member.kind == _LONG_LINK:
            long_link = found
        else:
            long_name = long_link = None
            yield member, found


def _read(archive: Unpacked, member: Member, most: int) -> bytes:
    if member.size > most:
        raise ValueError(f"{member.name} has {member.size} bytes")
    return archive.read(member.size)


def _member(header: bytes, long_name: bytes | None, long_link: bytes | None) -> Member:
    if len(header) != _BLOCK or header[257:262] != b"ustar":
        raise ValueError("its tar archive is broken")
    kind = header[156:157]
    if kind not in _KINDS:
        raise ValueError(f"it has a member of type {kind!r}")
    name = long_name if long_name is not None else _text(header[:100])
    link = long_link if long_link is not None else _text(header[157:257])
    # Links, devices and folders have none, whatever their headers say.
    size = _number(header[124:136]) if kind in {b"\0", b"0", _LONG_NAME, _LONG_LINK} else 0
    return Member(
        name=name.decode("utf-8", "replace"),
        kind=kind,
        mode=_number(header[100:108]),
        size=size,
        owner=f"{_owner(header[265:297], header[108:116])}:{_owner(header[297:329], header[116:124])}",
        modified=_moment(header[136:148]),
        link=link.decode("utf-8", "replace"),
    )


def _text(field: bytes) -> bytes:
    return field.split(b"\0")[0]


def _owner(name: bytes, number: bytes) -> str:
    return (_text(name) or number.strip(b" \0")).decode("utf-8", "replace")


def _moment(field: bytes) -> int:
    """A time as GNU tar writes it: in octal digits, or as a number of as many bytes where that is not possible."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:] if field[0] == 0x80 else field, signed=True)  # noqa: PLR2004
    digits = field.strip(b" \0")
    return int(digits, 8) if re.fullmatch(rb"[0-7]+", digits) else 0


def _number(field: bytes) -> int:
    """A number in octal digits; larger ones are written otherwise, but no .deb has files of 8 GiB."""
    digits = field.strip(b" \0")
    if not all(digit in b"01234567" for digit in digits):
        raise ValueError("its tar archive has a number that is none")
    return int(digits or b"0", 8)
