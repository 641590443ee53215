"""Reads the pool from end to end, and remembers what is damaged."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from conveyor.model.published import Flaw, PoolFile
from conveyor.repository import bitrot, names
from conveyor.repository.pool import POOL, Pace, is_whole

_PATH = re.compile(r"([0-9a-f]{2})/(\1[0-9a-f]{62})/[^/]+")


class TreePoolReader:
    """The port PoolReader on plain files. See there.

    Args:
        root: the folder that a web server serves.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, target: str, bytes_per_second: int | None) -> Iterator[PoolFile]:
        """See PoolReader.read."""
        root = self._root / names.check_target(target)
        pace = Pace(bytes_per_second)
        for path in _files(root / POOL):
            pool_path = str(path.relative_to(root / POOL))
            try:
                yield _look_at(root, path, pool_path, pace)
            except FileNotFoundError:
                continue  # removed meanwhile

    def has(self, target: str, path: str) -> bool:
        """See PoolReader.has."""
        return (self._root / names.check_target(target) / POOL / path).is_file()


def _files(pool: Path) -> Iterator[Path]:
    """Everything but folders, in one order."""
    for folder, inner, paths in os.walk(pool):
        links = [name for name in inner if Path(folder, name).is_symlink()]
        inner[:] = sorted(set(inner) - set(links))
        yield from (Path(folder, name) for name in sorted([*paths, *links]))


def _look_at(root: Path, path: Path, pool_path: str, pace: Pace) -> PoolFile:
    place = _PATH.fullmatch(pool_path)
    if path.is_symlink():
        return PoolFile(path=pool_path, size=0, flaw=None if place and _leads_to_content(path) else Flaw.FOREIGN)
    size = path.stat().st_size
    if place is None or not path.is_file():
        return PoolFile(path=pool_path, size=size, flaw=Flaw.FOREIGN)
    whole = is_whole(path, place[2], pace)
    if whole:
        bitrot.unmark(root, pool_path)
    else:
        bitrot.mark(root, pool_path)
    return PoolFile(path=pool_path, size=size, flaw=None if whole else Flaw.DAMAGED)


def _leads_to_content(link: Path) -> bool:
    """Whether a link shows a source package's file beside its .dsc: one of the same name, elsewhere in the pool."""
    to = re.fullmatch(rf"\.\./\.\./{_PATH.pattern}", str(link.readlink()))
    return to is not None and link.readlink().name == link.name and link.exists()
