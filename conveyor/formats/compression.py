"""Compressed files that are put together of parts, so that only what changed is compressed again.

Each is a plain file of its kind: one gzip member and one .xz stream, as pigz and `xz --threads` write them, and frames
of zstd one after the other, as pzstd does. A file is a pure function of its parts.
"""

from __future__ import annotations

import lzma
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

_GZIP_LEVEL = 6
# RFC 1952: no name and no time, made anywhere.
_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_DEFLATE_END = b"\x03\x00"
_ZSTD_LEVEL = 9
# A part is small, and an encoder of the preset's own dictionary would take 100 MiB for it.
_XZ_FILTERS = ({"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 20},)
_XZ_CHECK = lzma.CHECK_CRC64
# The .xz file format 1.0.4, section 2.1: a header and a footer of this size each.
_XZ_HEAD = _XZ_FOOT = 12
_XZ_FLAGS = slice(6, 8)
_XZ_MAGIC_END = b"YZ"
_XZ_PADDING = 4
_MORE = 0x80  # in a byte of a number: another one follows
Bytes = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a file.

    Attributes:
        raw: its content.
        packed: what the codec made of it.
    """

    raw: Bytes
    packed: Bytes


class Codec(Protocol):
    """One kind of compression."""

    suffix: str

    def pack(self, raw: bytes) -> bytes:
        """Compress one part by itself."""

    def whole(self, parts: Sequence[Part]) -> list[Bytes]:
        """The file of all parts, in pieces."""


class Gzip:
    """One member; each part ends on a byte and knows nothing of the others (RFC 1951, 3.2.4)."""

    suffix = ".gz"

    def pack(self, raw: bytes) -> bytes:
        """See Codec.pack."""
        compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        return compressor.compress(raw) + compressor.flush(zlib.Z_SYNC_FLUSH)

    def whole(self, parts: Sequence[Part]) -> list[Bytes]:
        """See Codec.whole."""
        checksum = size = 0
        for part in parts:
            checksum = zlib.crc32(part.raw, checksum)
            size += len(part.raw)
        tail = _DEFLATE_END + struct.pack("<II", checksum, size & 0xFFFFFFFF)
        return [_GZIP_HEAD, *(part.packed for part in parts), tail]


class Xz:
    """One stream with a block for each part."""

    suffix = ".xz"

    def pack(self, raw: bytes) -> bytes:
        """See Codec.pack. It is a stream of one block, or of none."""
        return lzma.compress(raw, format=lzma.FORMAT_XZ, check=_XZ_CHECK, filters=_XZ_FILTERS)

    def whole(self, parts: Sequence[Part]) -> list[Bytes]:
        """See Codec.whole."""
        streams = [_Stream(part.packed) for part in parts if len(part.raw)]
        records = b"".join(stream.record for stream in streams)
        index = b"\x00" + _number(len(streams)) + records
        index += bytes(-len(index) % _XZ_PADDING)
        index += _crc(index)
        head = self.pack(b"")[:_XZ_HEAD]
        foot = struct.pack("<I", len(index) // 4 - 1) + head[_XZ_FLAGS]
        return [head, *(stream.block for stream in streams), index, _crc(foot) + foot + _XZ_MAGIC_END]


class _Stream:
    """A .xz stream of one block.

    Attributes:
        block: the block with its padding.
        record: what the index says of it.
    """

    def __init__(self, packed: Bytes) -> None:
        view = memoryview(packed)
        (backward,) = struct.unpack("<I", view[-8:-4])
        start = len(view) - _XZ_FOOT - (backward + 1) * 4
        self.block = view[_XZ_HEAD:start]
        index = bytes(view[start:-_XZ_FOOT])
        # An indicator, the number of records (one), the record, padding, and a checksum.
        self.record = index[2 : _end_of_numbers(index, 2, 2)]


class Zstd:
    """A frame for each part."""

    suffix = ".zst"

    def pack(self, raw: bytes) -> bytes:
        """See Codec.pack."""
        from zstandard import ZstdCompressor  # noqa: PLC0415 - only for targets that ask for it

        return ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True).compress(raw)

    def whole(self, parts: Sequence[Part]) -> list[Bytes]:
        """See Codec.whole."""
        return [part.packed for part in parts] or [self.pack(b"")]


def _crc(content: bytes) -> bytes:
    return struct.pack("<I", zlib.crc32(content))


def _number(value: int) -> bytes:
    """A number as .xz writes it (section 1.2)."""
    written = bytearray()
    while value >= _MORE:
        written.append(value % _MORE | _MORE)
        value //= _MORE
    return bytes([*written, value])


def _end_of_numbers(content: bytes, start: int, count: int) -> int:
    """Where so many numbers, which start there, end."""
    while count:
        count -= content[start] < _MORE
        start += 1
    return start
