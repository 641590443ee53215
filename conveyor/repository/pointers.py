"""Pointers: symlinks to snapshots, each replaced in one step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from conveyor.model.promotion import is_pointer_name
from conveyor.repository import files, names, redating
from conveyor.repository.redating import Redating

RECENT = ".recent"
# A client asks within seconds for the files that an entry file names; so many moves may happen meanwhile.
KEPT_MOVES = 16
# Names which files of a commit's snapshot are called by their checksum.
Checksummed = Callable[[str], tuple[str, ...]]


def read(root: Path, pointer: str) -> str | None:
    """The id of the commit that a pointer below `root` points at; None where there is no such pointer."""
    try:
        link = (root / names.check_pointer(pointer)).readlink()
    except FileNotFoundError:
        return None
    return names.check_commit_id(link.name)


def read_all(root: Path) -> dict[str, str]:
    """All pointers below `root` by name, sorted, each with the id of the commit that it points at."""
    paths = sorted(root.iterdir()) if root.is_dir() else []
    links = {path.name: path.readlink().name for path in paths if path.is_symlink() and is_pointer_name(path.name)}
    return {name: commit_id for name, commit_id in links.items() if names.is_commit_id(commit_id)}


def remove(root: Path, pointer: str) -> None:
    """Remove a pointer, durably; nothing happens where there is none."""
    (root / names.check_pointer(pointer)).unlink(missing_ok=True)
    files.sync_folder(root)


def move(root: Path, pointer: str, commit_id: str, how: Redating, checksummed: Checksummed) -> None:
    """Point at a snapshot that exists; what clients of the last moves ask for stays readable below the pointer.

    Args:
        root: the target's tree.
        pointer: the pointer's name.
        commit_id: whose snapshot.
        how: how clients are told, where the snapshot is older than what they have.
        checksummed: tells which files of a snapshot are called by their checksum.
    """
    names.check_pointer(pointer)
    recent = _recent(root)
    before = read(root, pointer)
    # What pointers moved to last has the metadata of those before it already: pointers often move there together.
    carried = frozenset(recent if recent[-1:] == [commit_id] else ())
    _carry_over(root, {*recent, *filter(None, [before])} - carried - {commit_id}, commit_id, checksummed)
    place = redating.place_for(root, pointer, commit_id, how)
    shown = redating.shown_places(root)
    with files.temporary_folder(root) as temporary:
        if recent[-1:] != [commit_id]:
            _replace(root, temporary, RECENT, [*(each for each in recent if each != commit_id), commit_id])
        link = temporary / "pointer"
        link.symlink_to(place)
        link.rename(root / pointer)
        redating.remove_others(root, {*shown, root / place}, temporary)
    files.sync_folder(root)


def _recent(root: Path) -> list[str]:
    """The snapshots that pointers were moved to last, oldest first."""
    try:
        lines = (root / RECENT).read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return []
    return [names.check_commit_id(line) for line in lines]


def _replace(root: Path, temporary: Path, name: str, lines: Sequence[str]) -> None:
    new = temporary / name
    new.write_text("".join(f"{line}\n" for line in lines[-KEPT_MOVES:]), encoding="ascii")
    new.rename(root / name)


def _carry_over(root: Path, older: set[str], commit_id: str, checksummed: Checksummed) -> None:
    """Make the metadata of older snapshots readable below the one that a pointer moves to.

    Between reading repomd.xml or Release and reading the files that it names, a client may be led to another
    snapshot; the names hold checksums, so the older files cannot stand in the way of the newer ones.
    """
    new = root / names.shard(commit_id)
    for each in sorted(older):
        old = root / names.shard(each)
        for path in _known(each, checksummed):
            _link(old / path, new / path)


def _known(commit_id: str, checksummed: Checksummed) -> tuple[str, ...]:
    try:
        return checksummed(commit_id)
    except OSError:  # it was removed, or is damaged: no reason to stay there
        return ()


def _link(old: Path, new: Path) -> None:
    try:
        new.hardlink_to(old)
    except (FileExistsError, FileNotFoundError):
        return  # it is there already; or the older snapshot goes away, or had a folder that this one has not
