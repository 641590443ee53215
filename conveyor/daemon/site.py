"""What the daemon works with: a configuration that was found good, and all that is made of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conveyor.errors import ConfigurationInvalid
from conveyor.wiring import Conveyor, handover, require_programs, require_signing

if TYPE_CHECKING:
    from conveyor.config import Repos, Settings
    from conveyor.store import Books

# Puts a Conveyor together, on a store that is open already if it is given one.
Open = Callable[["Settings", "Repos", "Books | None"], Conveyor]
Load = Callable[[], tuple["Settings", "Repos"]]


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
