"""The files of the configuration, watched by what runs for long."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conveyor.config import Settings

# What a file was when it was looked at: time, size and inode; None where there is none.
Look = tuple[int, int, int] | None


class Files:
    """Watches the files of the configuration: their time, size and inode.

    Args:
        settings: what was read from them.
        read_at: when reading them began, in nanoseconds since the epoch.
    """

    def __init__(self, settings: Settings, read_at: int) -> None:
        self._watched = _files(settings)
        self._known = {path: None if _is_newer(found, read_at) else found for path, found in self._looks().items()}
        self._seen = self._known

    def changed(self) -> bool:
        """Whether they are others than before, and were the same at the last two looks: nobody is writing them."""
        before, self._seen = self._seen, self._looks()
        if self._seen == self._known or self._seen != before:
            return False
        self._known = self._seen
        return True

    def watch(self, settings: Settings) -> None:
        """Watch the files of another configuration, as they were at the last look."""
        self._watched = _files(settings)
        self._known = {path: self._known.get(path) for path in self._watched}
        self._seen = self._known

    def _looks(self) -> dict[Path, Look]:
        return {path: look(path) for path in self._watched}


def look(path: Path) -> Look:
    """What a file is now."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _is_newer(found: Look, than: int) -> bool:
    return found is not None and found[0] >= than


def _files(settings: Settings) -> tuple[Path, ...]:
    beside = settings.source or settings.repos.with_name("conveyor.toml")
    return (settings.repos, beside)
