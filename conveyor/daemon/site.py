"""What the daemon works with: a configuration that was found good, and all that is made of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.errors import ConfigurationInvalid
from conveyor.wiring import Conveyor, handover, require_programs, require_signing

if TYPE_CHECKING:
    from conveyor.config import Repos, Settings
    from conveyor.store import Books

# Puts a Conveyor together, on a store that is open already if it is given one.
Open = Callable[["Settings", "Repos", "Books | None"], Conveyor]
Load = Callable[[], tuple["Settings", "Repos"]]
# What a file was when it was looked at: time, size and inode; None where there is none.
Look = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A configuration, and what is made of it.

    Attributes:
        settings: the site's settings.
        repos: packages and targets.
        conveyor: everything put together.
        configuration: settings and repos as a line, for workers.
        read_at: when reading it began, in nanoseconds since the epoch.
    """

    settings: Settings
    repos: Repos
    conveyor: Conveyor
    configuration: str
    read_at: int


def make_site(load: Load, open_: Open, before: Site | None = None) -> Site:
    """Read the configuration, and put together what is made of it.

    Args:
        load: reads it.
        open_: puts a Conveyor together.
        before: what the daemon works with now; None at its start.

    Raises:
        ConfigurationInvalid: it has mistakes, or moves what a running daemon stands on.
        CommandMissing: a program that one of the targets needs is not installed.
        SigningUndecided, SigningFailed: what is built could not be published.
    """
    read_at = time.time_ns()
    settings, repos = load()
    if before is not None:
        check_unmoved(before.settings, settings)
    conveyor = open_(settings, repos, None if before is None else before.conveyor.books)
    require_programs(conveyor, [repos.targets[name] for name in repos.built_targets])
    require_signing(settings.signing)
    line = handover.to_line(settings, repos)
    return Site(settings=settings, repos=repos, conveyor=conveyor, configuration=line, read_at=read_at)


def check_unmoved(old: Settings, new: Settings) -> None:
    """See that what a running daemon stands on is where it was.

    Raises:
        ConfigurationInvalid: the data directory or the store is another.
    """
    moved = [name for name in ("data_dir", "database") if getattr(old, name) != getattr(new, name)]
    if moved:
        raise ConfigurationInvalid(
            f"{' and '.join(moved)} cannot change while the daemon runs", hint="stop it, and start it again"
        )


class Files:
    """Watches the files of the configuration: their time, size and inode.

    Args:
        site: what was read from them.
    """

    def __init__(self, site: Site) -> None:
        self._watched = _files(site)
        self._known = {path: None if _is_newer(found, site.read_at) else found for path, found in self._looks().items()}
        self._seen = self._known

    def changed(self) -> bool:
        """Whether they are others than before, and were the same at the last two looks: nobody is writing them."""
        before, self._seen = self._seen, self._looks()
        if self._seen == self._known or self._seen != before:
            return False
        self._known = self._seen
        return True

    def watch(self, site: Site) -> None:
        """Watch the files of another configuration, as they were at the last look."""
        self._watched = _files(site)
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


def _files(site: Site) -> tuple[Path, ...]:
    beside = site.settings.source or site.settings.repos.with_name("conveyor.toml")
    return (site.settings.repos, beside)
