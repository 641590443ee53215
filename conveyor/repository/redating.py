"""What stands in for a snapshot below a pointer whose clients would take it for older than what they have.

apt keeps, without a word, the Release file that it has where the new one's Date is earlier (an equal one will do, one
in the future will not), and does not even get one whose modification time is not later (HTTP's If-Modified-Since). A
snapshot never changes; so a pointer that moves back leads to a folder `.redated/<time>/<commit id>` with entry files of
a later date and symlinks to all else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from conveyor.ports import IndexWriter
from conveyor.repository import files, names

FOLDER = ".redated"
# A folder in it: the date that its stand-ins have.
STAND_INS = re.compile(rf"{re.escape(FOLDER)}/[0-9]{{8}}T[0-9]{{6}}Z")
_NANOSECONDS = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Redating:
    """How what stands in for a snapshot is made.

    Attributes:
        writer: the target's.
        client_files: what clients configure it with, by name; it may be signed otherwise than the snapshot was.
        seal: signs the entry files in a folder, where the repository is signed.
        now: their date, if that is later than what clients have.
    """

    writer: IndexWriter
    client_files: Callable[[], Mapping[str, str]]
    seal: Callable[[Path], None]
    now: datetime


def place_for(root: Path, pointer: str, commit_id: str, how: Redating) -> str:
    """Where a pointer below `root` must lead, so that its clients see the snapshot of a commit; a relative path.

    Args:
        root: the target's tree.
        pointer: the pointer, still where it was.
        commit_id: whose snapshot; it exists.
        how: how a stand-in is made.

    Raises:
        SigningFailed: a stand-in cannot be signed.
    """
    shown, snapshot = root / pointer, root / names.shard(commit_id)
    if not shown.is_dir():
        return names.shard(commit_id)
    if shown.readlink().name == commit_id:
        return str(shown.readlink())
    place = names.shard(commit_id)
    date, shown_date = how.writer.dated(snapshot), how.writer.dated(shown)
    if date is not None and shown_date is not None and date < shown_date:
        place = _stand_in(root, commit_id, max(how.now.replace(microsecond=0), shown_date), how)
    _make_newer(root / place, shown, how.writer)
    return place


def shown_places(root: Path) -> frozenset[Path]:
    """The stand-ins that pointers lead to."""
    if not (root / FOLDER).is_dir():
        return frozenset()
    return frozenset(root / path.readlink() for path in root.iterdir() if path.is_symlink())


def stand_ins(root: Path, commit_id: str) -> list[Path]:
    """What stands in for a snapshot below `root`, whether or not a pointer leads there."""
    return sorted((root / FOLDER).glob(f"*/{commit_id}"))


def remove_others(root: Path, shown: Collection[Path], temporary: Path) -> None:
    """Remove the stand-ins below `root` that are none of the shown.

    Args:
        root: the target's tree.
        shown: those that pointers lead to, and led to before the last move: a client may just be on its way into one.
        temporary: a folder on the same disk that is removed afterwards.
    """
    for number, place in enumerate(sorted((root / FOLDER).glob("*/*"))):
        if place not in shown:
            place.rename(temporary / f"redated-{number}")
            if not any(place.parent.iterdir()):
                place.parent.rmdir()


def _stand_in(root: Path, commit_id: str, date: datetime, how: Redating) -> str:
    place = f"{FOLDER}/{date:%Y%m%dT%H%M%SZ}/{commit_id}"
    final = root / place
    if not final.is_dir():
        with files.temporary_folder(root) as temporary:
            aside = temporary / "redated"
            aside.mkdir()
            _fill(aside, root, commit_id, date, how)
            files.settle(aside)
            files.make_folder(final.parent, below=root)
            aside.rename(final)
        files.sync_folder(final.parent)
    return place


def _fill(aside: Path, root: Path, commit_id: str, date: datetime, how: Redating) -> None:
    shard = names.shard(commit_id)
    snapshot = root / shard
    client_files = how.client_files()
    replaced = {*client_files, *_entry_files(snapshot, how.writer)}
    own = {str(parent) for path in replaced for parent in Path(path).parents if parent.name}
    for path in _listed(snapshot, own):
        if path in own:
            (aside / path).mkdir(parents=True, exist_ok=True)
        elif path not in replaced:
            up = "../" * (len(Path(FOLDER, "time", commit_id, path).parts) - 1)
            (aside / path).symlink_to(f"{up}{shard}/{path}")
    for path, content in how.writer.redated(snapshot, date).items():
        (aside / path).write_bytes(content)
    for name, text in client_files.items():
        (aside / name).write_text(text, encoding="utf-8")
    how.seal(aside)


def _listed(snapshot: Path, own: Collection[str]) -> Iterator[str]:
    """What lies in a snapshot and in those of its folders, parents first."""
    for folder in ("", *sorted(own)):
        for path in sorted((snapshot / folder).iterdir()):
            yield str(path.relative_to(snapshot))


def _entry_files(folder: Path, writer: IndexWriter) -> tuple[str, ...]:
    """The files of a snapshot that clients read first, and their signatures."""
    paths = [
        str(Path(entry.path).with_name(name))
        for entry in writer.to_sign(folder)
        for name in (Path(entry.path).name, entry.detached, entry.inline)
        if name
    ]
    return tuple(path for path in paths if (folder / path).exists())


def _asked_for(folder: Path, writer: IndexWriter) -> tuple[str, ...]:
    lists = (path for path in writer.mirror_lists(folder, "") if (folder / path).exists())
    return (*_entry_files(folder, writer), *lists)


def _make_newer(folder: Path, shown: Path, writer: IndexWriter) -> None:
    """Give what clients ask for first a later modification time than what they have: HTTP counts in seconds."""
    latest = max((_modified(shown / path) for path in _asked_for(shown, writer)), default=0)
    for path in _asked_for(folder, writer):
        if _modified(folder / path) <= latest:
            os.utime(folder / path, ns=((latest + 1) * _NANOSECONDS,) * 2)


def _modified(path: Path) -> int:
    return path.stat().st_mtime_ns // _NANOSECONDS
