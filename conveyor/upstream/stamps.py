"""What was worked out from folders, remembered for as long as no file in them changes."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

SETTLE_SECONDS = 2.0
NANO = 10**9


class Remembered:
    """Remembers one text for each key. For many threads at once.

    Whether something changed is told by metadata: of every file and folder below the folders. A file that is written
    again within a clock tick of the kernel's could have the same; so nothing is worked out, nor remembered, before all
    has been left alone for a moment. That also keeps one from taking folders for finished that are just being filled.

    Args:
        settle: seconds for which folders must have been left alone.
    """

    def __init__(self, settle: float = SETTLE_SECONDS) -> None:
        self._settle = settle
        self._known: dict[str, tuple[bytes, str]] = {}

    def text(self, key: str, folders: Sequence[Path], extra: str, work: Callable[[], str]) -> str | None:
        """The text of a key; None where something is being changed just now.

        Args:
            key: what is asked about.
            folders: what it is worked out from.
            extra: what else it is worked out from.
            work: works it out.
        """
        stamp, newest = _stamp(folders, extra)
        if 0 <= time.time() - newest < self._settle:
            return None
        known = self._known.get(key)
        if known is not None and known[0] == stamp:
            return known[1]
        text = work()
        if _stamp(folders, extra)[0] != stamp:
            return None
        self._known[key] = (stamp, text)
        return text


def _stamp(folders: Sequence[Path], extra: str) -> tuple[bytes, float]:
    """What tells one state of folders from another, and when the newest change was, in seconds since the epoch."""
    digest = hashlib.sha256(extra.encode())
    newest = 0
    for folder in folders:
        for path, status in _below(str(folder)):
            facts = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
            digest.update(b"%r %r\n" % (os.fsencode(path), facts))
            newest = max(newest, status.st_ctime_ns)
    return digest.digest(), newest / NANO


def _below(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """A folder and all that is below it, with metadata; what is gone meanwhile is left out."""
    try:
        yield folder, os.stat(folder)  # noqa: PTH116 - asked thousands of times a poll
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path)
        else:
            try:
                yield entry.path, entry.stat(follow_symlinks=False)
            except OSError:
                continue
