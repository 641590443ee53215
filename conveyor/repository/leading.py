"""The files of a snapshot that lead clients of a pointer to the snapshot's own URL."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from conveyor.repository import files


def write(folder: Path, lists: Mapping[str, str]) -> None:
    """Write them into a snapshot that is not published yet; by their paths."""
    for path, text in lists.items():
        (folder / path).write_text(text, encoding="utf-8")


def renew(root: Path, folder: Path, lists: Mapping[str, str]) -> None:
    """See that a published snapshot has them as they should be, durably.

    Args:
        root: the target's tree.
        folder: the snapshot's.
        lists: what they should be, by their paths.
    """
    changed = {path: text for path, text in lists.items() if _content(folder / path) != text}
    if not changed:
        return
    with files.temporary_folder(root) as temporary:
        for path, text in changed.items():
            new = temporary / "list"
            new.write_text(text, encoding="utf-8")
            files.settle(temporary)
            new.rename(folder / path)
            files.sync_folder((folder / path).parent)


def _content(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
