"""Folders that live as long as one piece of work, and are found and removed when their process was killed."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conveyor.command import process_started

NAME = re.compile(r"(?P<pid>\d+)-(?P<started>\d+)-\d+")
REMOVAL_TRIES = 100
REMOVAL_WAIT = 0.05  # seconds
_COUNTER = itertools.count()


class Jobs:
    """Temporary folders below one folder, each named after the process that uses it.

    Args:
        folder: where they are made; it must be on the file system that their content will be moved to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A new, empty folder, removed at the end unless it has been renamed away."""
        self._folder.mkdir(parents=True, exist_ok=True)
        pid = os.getpid()
        path = self._folder / f"{pid}-{process_started(pid)}-{next(_COUNTER)}"
        path.mkdir()
        try:
            yield path
        finally:
            remove(path)

    def clear(self) -> None:
        """Remove what this process still has: Ctrl-C may have come just before a folder's own end was arranged."""
        pid = os.getpid()
        for path in self._folder.glob(f"{pid}-{process_started(pid)}-*"):
            remove(path)

    def sweep(self) -> None:
        """Remove the folders of processes that are gone."""
        for path in list(self._folder.iterdir()) if self._folder.is_dir() else ():
            if is_abandoned(path.name):
                remove(path)


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it, even while processes that were just killed may still write to it."""
    for _ in range(REMOVAL_TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(REMOVAL_WAIT)


def is_abandoned(name: str) -> bool:
    """Whether this is the name of a folder whose process is gone. What else has a name is none of ours."""
    match = NAME.fullmatch(name)
    return match is not None and process_started(int(match["pid"])) != int(match["started"])
