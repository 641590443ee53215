"""Contents indices: which package has which file (apt's repository format, "Contents indices")."""

from __future__ import annotations

import gzip
from collections import defaultdict
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

from debian.deb822 import Deb822

from conveyor.errors import SourceInvalid
from conveyor.formats.chunk_cache import ChunkCache
from conveyor.formats.deb import archive
from conveyor.formats.deb.archive import invalid
from conveyor.formats.deb.control_member import read_control
from conveyor.formats.merged import Merger
from conveyor.model.artifact import Artifact

CACHE_SCHEMA = "deb-contents-1"
MAX_UNPACKED = 2 << 30  # bytes, some seconds' work
MAX_LISTED = 64 << 20  # bytes of one package's; every snapshot has it, too
_GZIP_LEVEL = 6


class Contents:
    """What each package holds, listed once, and merged for each snapshot.

    Args:
        cache: folder for each package's list and what is merged of them; safe to delete.
    """

    def __init__(self, cache: Path) -> None:
        self._cache = ChunkCache(cache, CACHE_SCHEMA)
        self._merger = Merger(cache, CACHE_SCHEMA, ())

    def of(self, deb: Artifact, path: Path) -> bytes:
        """The lines of one package.

        Raises:
            SourceInvalid: it is not a valid package.
        """
        return self._cache.get(deb, partial(_lines, path, deb.filename))

    def forget(self, paths: Collection[str]) -> None:
        """Let go of the lists of packages that were removed from the pool."""
        self._cache.forget(paths)

    def merged(self, place: str, debs: Sequence[Artifact], pool: Path) -> bytes:
        """The index of all packages, compressed: one line for each file, sorted, with all packages that have it.

        Args:
            place: what tells the index from others.
            debs: the packages.
            pool: where they are.
        """
        groups = self._merger.merge(place, debs, lambda deb: (self.of(deb, pool / deb.pool_path),), self._cache.forget)
        packages: defaultdict[bytes, set[bytes]] = defaultdict(set)
        for (piece,) in groups:
            for line in bytes(piece.raw).splitlines():
                file, _, package = line.rpartition(b"\t")
                packages[file].add(package)
        text = b"".join(b"%s\t%s\n" % (file, b",".join(sorted(packages[file]))) for file in sorted(packages))
        return gzip.compress(text, compresslevel=_GZIP_LEVEL, mtime=0)


def _lines(path: Path, filename: str) -> bytes:
    control = Deb822(read_control(path))
    package = f"{control.get('Section', 'unknown')}/{control['Package']}".encode()
    lines = [b"%s\t%s\n" % (name, package) for name in _files(path, filename)]
    if sum(map(len, lines)) > MAX_LISTED:
        raise SourceInvalid(
            f"{filename} is not a package that a repository can hold",
            cause=f"the names of its files have more than {MAX_LISTED >> 20} MiB",
        )
    return b"".join(sorted(set(lines)))


def _files(path: Path, filename: str) -> list[bytes]:
    """The files and links of a package: not its folders, and none whose name would not fit into one line."""
    found: list[bytes] = []
    with path.open("rb") as file:
        data = archive.find(file, filename, "data.tar")
        if not data.readable:
            raise invalid(filename, f"{data.name} is not compressed with gzip or xz")
        try:
            for member, _ in archive.members(data.open(file, MAX_UNPACKED)):
                name = member.name.removeprefix("./").lstrip("/").encode("utf-8", "surrogateescape")
                if not member.folder and name and not any(blank in name for blank in (b"\n", b"\r", b"\t")):
                    found.append(name)
        except archive.TooLarge as error:
            raise invalid(filename, f"its {data.name} unpacks to more than {MAX_UNPACKED >> 30} GiB") from error
        except archive.BROKEN as error:
            raise invalid(filename, f"its {data.name}: {error}") from error
    return found
