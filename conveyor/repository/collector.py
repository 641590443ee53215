"""What retention takes from the published tree: snapshots by rename, then what no other one can reach in the pool."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

from conveyor.ports import IndexWriter
from conveyor.repository import bitrot, files, names, redating
from conveyor.repository.pool import POOL

_SHA256 = re.compile(r"[0-9a-f]{64}")
_BLOCK = 512  # bytes: the unit of st_blocks, whatever the file system


class TreeCollector:
    """The port Collector on plain files. See there.

    Args:
        root: the folder that a web server serves.
        writers: what writes the metadata of each target, by the target's name.

    Attributes:
        root: the same folder.
    """

    def __init__(self, root: Path, writers: Mapping[str, IndexWriter]) -> None:
        self.root = root
        self._writers = writers

    def snapshots(self, target: str) -> tuple[str, ...]:
        """See Collector.snapshots."""
        shards = (inner for outer in _shards(self._folder(target)) for inner in _shards(outer))
        found = (path for shard in shards for path in shard.iterdir())
        return tuple(sorted(path.name for path in found if names.is_commit_id(path.name) and path.is_dir()))

    def linked(self, target: str) -> frozenset[str]:
        """See Collector.linked."""
        root = self._folder(target)
        outside = [path for path in _entries(root) if not (path.name == POOL or names.is_shard(path.name))]
        links = [link for path in outside if not path.name.startswith(".") for link in _links(path)]
        return frozenset(part for link in links for part in link.readlink().parts if names.is_commit_id(part))

    def holding(self, target: str) -> AbstractContextManager[None]:
        """See Collector.holding."""
        pool = self._folder(target) / POOL
        return files.folder_lock(pool, shared=False) if pool.is_dir() else nullcontext()

    def unreachable(self, target: str, reachable: AbstractSet[str]) -> tuple[str, ...]:
        """See Collector.unreachable."""
        pool = self._folder(target) / POOL
        folders = (path for shard in _shards(pool) for path in shard.iterdir() if _is_content(path))
        return tuple(sorted(path for folder in folders for path in _left_alone(pool, folder, reachable)))

    def size(self, target: str, commit_ids: Collection[str], paths: Collection[str], others: Iterable[Path]) -> int:
        """See Collector.size."""
        root = self._folder(target)
        stand_ins = [path for commit_id in commit_ids for path in redating.stand_ins(root, commit_id)]
        trees = (*_topmost(root, commit_ids), *stand_ins, *others)
        found = [status for tree in trees for status in _statuses(tree)]
        found += [(root / POOL / path).lstat() for path in paths]
        links = Counter((status.st_dev, status.st_ino) for status in found)
        freed = {(status.st_dev, status.st_ino): status for status in found}
        # The links of a folder are those of the folders in it.
        return sum(
            status.st_blocks * _BLOCK
            for inode, status in freed.items()
            if stat.S_ISDIR(status.st_mode) or links[inode] >= status.st_nlink
        )

    @contextmanager
    def attic(self, target: str) -> Iterator[Path]:
        """See Collector.attic."""
        root = self._folder(target)
        files.remove_abandoned(root)
        with files.temporary_folder(root) as attic:
            yield attic

    def put_away(self, target: str, commit_ids: Collection[str], attic: Path) -> None:
        """See Collector.put_away."""
        root = self._folder(target)
        for commit_id in sorted(commit_ids):
            folder = root / names.shard(commit_id)
            # What stands in for it first: it is links into it.
            for number, path in enumerate([*redating.stand_ins(root, commit_id), folder]):
                with suppress(FileNotFoundError):
                    path.rename(attic / f"{commit_id}-{number}")
                    files.sync_folder(path.parent)
                    _remove_empty(path.parent, path.parent.parent)
        files.sync_folder(root)

    def remove(self, target: str, paths: Collection[str]) -> None:
        """See Collector.remove."""
        pool = self._folder(target) / POOL
        self._writers[target].forget(paths)
        # Links first, so that none is left without what it leads to; folders last.
        for path in sorted((pool / each for each in paths), key=_order_of_removal):
            with suppress(FileNotFoundError):
                bitrot.unmark(pool.parent, str(path.relative_to(pool)))
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()

    def _folder(self, target: str) -> Path:
        return self.root / names.check_target(target)


def _entries(folder: Path) -> list[Path]:
    """What is in a folder, which may be missing."""
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _links(path: Path) -> Iterator[Path]:
    """The links at a path and below it."""
    if path.is_symlink():
        yield path
        return
    for folder, inner, others in os.walk(path):
        yield from (each for each in (Path(folder, name) for name in (*inner, *others)) if each.is_symlink())


def _shards(folder: Path) -> list[Path]:
    """The folders of two hex digits in a folder, which may be missing."""
    return [path for path in _entries(folder) if names.is_shard(path.name) and path.is_dir()]


def _is_content(folder: Path) -> bool:
    """Whether a folder is where a pool keeps the files of one sha256."""
    return bool(_SHA256.fullmatch(folder.name)) and folder.name.startswith(folder.parent.name) and folder.is_dir()


def _left_alone(pool: Path, folder: Path, reachable: AbstractSet[str]) -> Iterator[str]:
    """What can go of a folder, and the folder itself where all of it can.

    A link beside a .dsc goes with it: the tarballs that they lead to are files of the same build.
    """
    paths = {path: str(path.relative_to(pool)) for path in folder.iterdir()}
    if not any(name in reachable for name in paths.values()):
        yield str(folder.relative_to(pool))
        yield from paths.values()
    else:
        yield from (name for path, name in paths.items() if not path.is_symlink() and name not in reachable)


def _topmost(root: Path, commit_ids: Collection[str]) -> Iterator[Path]:
    """The folders that go with these snapshots: theirs, and the shards that are empty then."""
    gone = {root / names.shard(commit_id) for commit_id in commit_ids}
    for outer in {folder.parent.parent for folder in gone}:
        inner = {shard: set(shard.iterdir()) for shard in _shards(outer)}
        emptied = {shard for shard, content in inner.items() if content <= gone}
        if emptied == set(outer.iterdir()):
            yield outer
        else:
            yield from emptied
            yield from (path for shard in inner.keys() - emptied for path in inner[shard] & gone)


def _statuses(tree: Path) -> Iterator[os.stat_result]:
    """A folder, and everything in it."""
    yield tree.lstat()
    for folder, inner, paths in os.walk(tree):
        yield from (Path(folder, name).lstat() for name in (*inner, *paths))


def _order_of_removal(path: Path) -> int:
    return 0 if path.is_symlink() else 2 if path.is_dir() else 1


def _remove_empty(*folders: Path) -> None:
    with suppress(OSError):  # one that is not empty stays, and those around it
        for folder in folders:
            folder.rmdir()
