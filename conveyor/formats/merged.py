"""Indexes merged out of what each artifact brings, of which only what changed is merged and compressed again.

The artifacts of an index are cut into groups. What a group brings is kept under a name that tells its members, so a new
version of one package makes one group anew. Where the cuts are depends on the names of the packages alone; so the index
is a pure function of its artifacts, whatever was kept. It is kept on disk, and of each index's last writing in memory.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from conveyor.formats import chunk_cache
from conveyor.formats.compression import Bytes, Codec, Part
from conveyor.model.artifact import Artifact

# A group has so many artifacts at least, and twice as many on average. Smaller ones would compress worse, of larger
# ones more would be done again for each commit.
_LEAST = 32
_NUMBER = struct.Struct(">Q")
Fragments = Callable[[Artifact], Sequence[bytes]]


@dataclass(frozen=True, slots=True)
class Piece:
    """What one group brings into one file.

    Attributes:
        raw: its content.
        packed: compressed by each codec, in their order.
    """

    raw: Bytes
    packed: tuple[Bytes, ...]


@dataclass(frozen=True, slots=True)
class _Group:
    """What some artifacts, which follow each other in an index, bring into it.

    Attributes:
        paths: the pool paths of the artifacts.
        pieces: one for each file.
    """

    paths: tuple[str, ...]
    pieces: tuple[Piece, ...]


class Merger:
    """Merges the indexes of one format.

    Threads may use it at once: what it has in memory is replaced as a whole, and is never wrong, only of use or not.

    Args:
        folder: keeps what groups bring; safe to delete.
        schema: what fragments are and the version of their making. What others kept is not seen.
        codecs: how files are compressed.
    """

    def __init__(self, folder: Path, schema: str, codecs: Sequence[Codec]) -> None:
        self._schema = schema
        self._folder = folder / "-".join([schema, "merged", *(codec.suffix[1:] for codec in codecs)])
        self._codecs = tuple(codecs)
        self._last: dict[str, Mapping[str, _Group]] = {}  # by place, then by key

    def merge(
        self, place: str, artifacts: Iterable[Artifact], fragments: Fragments, forget: Callable[[Iterable[str]], None]
    ) -> list[tuple[Piece, ...]]:
        """What each group brings into each file, in order.

        Args:
            place: path of the index below the folder; groups of it that are not in it any more are deleted.
            artifacts: in the index's order.
            fragments: what an artifact brings into each file; asked for those of new groups only.
            forget: told the pool paths of the artifacts that are not in the index any more.
        """
        folder, last = self._folder / place, self._last.get(place, {})
        merged: dict[str, _Group] = {}
        for members in _groups(artifacts):
            paths = tuple(artifact.pool_path for artifact in members)
            key = self._key(paths)
            merged[key] = last.get(key) or self._group(folder / key, members, paths, fragments)
        self._last[place] = merged
        self._clean(folder, merged, forget)
        return [group.pieces for group in merged.values()]

    def piece(self, raw: bytes) -> Piece:
        """A piece that is not kept, such as the head of a file."""
        return Piece(raw, tuple(codec.pack(raw) for codec in self._codecs))

    def whole(self, number: int, pieces: Sequence[Piece]) -> list[Bytes]:
        """A file compressed by the codec with this number, in pieces."""
        return self._codecs[number].whole([Part(piece.raw, piece.packed[number]) for piece in pieces])

    def _key(self, paths: Sequence[str]) -> str:
        return hashlib.sha256("\n".join([self._schema, *paths]).encode()).hexdigest()

    def _group(self, path: Path, members: Sequence[Artifact], paths: tuple[str, ...], fragments: Fragments) -> _Group:
        kept = chunk_cache.read(path)
        if kept is None:
            files = [b"".join(file) for file in zip(*map(fragments, members), strict=True)]
            pieces = tuple(self.piece(raw) for raw in files)
            blobs = [blob for piece in pieces for blob in (piece.raw, *piece.packed)]
            chunk_cache.write(path, _joined(["\n".join(paths).encode(), *blobs]))
            return _Group(paths, pieces)
        _, *parts = _split(kept)
        each = len(self._codecs) + 1
        return _Group(
            paths, tuple(Piece(parts[at], tuple(parts[at + 1 : at + each])) for at in range(0, len(parts), each))
        )

    @staticmethod
    def _clean(folder: Path, merged: Mapping[str, _Group], forget: Callable[[Iterable[str]], None]) -> None:
        """Delete the groups of earlier snapshots, so that what is kept does not grow with every commit."""
        old = [path for path in folder.iterdir() if path.name not in merged] if folder.is_dir() else []
        if not old:
            return
        there = {path for group in merged.values() for path in group.paths}
        for file in old:
            kept = chunk_cache.read(file)
            paths = bytes(next(iter(_split(kept)))).decode().split("\n") if kept is not None else []
            forget(path for path in paths if path not in there)
            file.unlink(missing_ok=True)


def _groups(artifacts: Iterable[Artifact]) -> Iterator[list[Artifact]]:
    """Cut before each artifact whose name says so, where the group is large enough: they differ little in size then."""
    group: list[Artifact] = []
    for artifact in artifacts:
        if len(group) >= _LEAST and zlib.crc32(artifact.name.encode()) % _LEAST == 0:
            yield group
            group = []
        group.append(artifact)
    if group:
        yield group


def _joined(blobs: Sequence[Bytes]) -> bytes:
    return b"".join(part for blob in blobs for part in (_NUMBER.pack(len(blob)), blob))


def _split(joined: memoryview) -> Iterator[memoryview]:
    at = 0
    while at < len(joined):
        (size,) = _NUMBER.unpack_from(joined, at)
        at += _NUMBER.size
        yield joined[at : at + size]
        at += size
