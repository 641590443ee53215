"""What the web answers from: a configuration that was found good, and all that is made of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Annotated, cast

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from conveyor.errors import ConfigurationInvalid, ConveyorError
from conveyor.web.discretion import Discretion, discretion_of
from conveyor.wiring import Conveyor, LocalDesk
from conveyor.wiring.configurationfiles import Files

if TYPE_CHECKING:
    from conveyor.config import Repos, Settings
    from conveyor.store import Books

LOOK_EVERY = 2.0
Load = Callable[[], tuple["Settings", "Repos"]]
# Puts a Conveyor together, on a store that is open already if it is given one.
Open = Callable[["Settings", "Repos", "Books | None"], Conveyor]


@dataclass(frozen=True, kw_only=True)
class Site:
    """A configuration, and what is made of it.

    Attributes:
        settings: the site's settings.
        repos: packages and targets.
        conveyor: everything put together.
        mistake: why a newer configuration is not in use; None where this is the newest.
    """

    settings: Settings
    repos: Repos
    conveyor: Conveyor
    mistake: ConveyorError | None = None

    @cached_property
    def desk(self) -> LocalDesk:
        """What answers and acts."""
        return LocalDesk(self.settings, self.repos, self.conveyor.records, lambda: self.conveyor)

    @cached_property
    def discretion(self) -> Discretion:
        """What keeps the server's paths out of answers."""
        return discretion_of(self.settings)


class Sites:
    """Knows the site as it is now: reads the configuration anew when its files have changed.

    Args:
        load: reads the configuration.
        open_: puts a Conveyor together.

    Raises:
        ConfigurationInvalid: the configuration has mistakes.
        StoreUnusable: the store cannot be opened.
    """

    def __init__(self, load: Load, open_: Open) -> None:
        self._load = load
        self._open = open_
        self._lock = Lock()
        self._looked_at = time.monotonic()
        read_at = time.time_ns()
        settings, repos = load()
        self._site = Site(settings=settings, repos=repos, conveyor=open_(settings, repos, None))
        self._files = Files(settings, read_at)

    def current(self) -> Site:
        """The site as it is now. A broken configuration leaves the one before in use."""
        if self.is_due and self._lock.acquire(blocking=False):
            try:
                self._looked_at = time.monotonic()
                if self._files.changed():
                    self._site = self._reloaded(self._site)
            finally:
                self._lock.release()
        return self._site

    @property
    def is_due(self) -> bool:
        """Whether it is time to look whether the configuration has changed, which may take long."""
        return time.monotonic() - self._looked_at >= LOOK_EVERY

    @property
    def known(self) -> Site:
        """The site as it was at the last look."""
        return self._site

    def close(self) -> None:
        """Let go of the store."""
        self._site.conveyor.close()

    def _reloaded(self, before: Site) -> Site:
        try:
            settings, repos = self._load()
            if (settings.data_dir, settings.database) != (before.settings.data_dir, before.settings.database):
                raise ConfigurationInvalid(
                    "the data directory and the store cannot change while the page is served",
                    hint="stop it, and start it again",
                )
            conveyor = self._open(settings, repos, before.conveyor.books)
        except ConveyorError as error:
            return Site(settings=before.settings, repos=before.repos, conveyor=before.conveyor, mistake=error)
        self._files.watch(settings)
        return Site(settings=settings, repos=repos, conveyor=conveyor)


def known_site(request: HTTPConnection) -> Site:
    """The site as it was at the last look."""
    return cast(Sites, request.app.state.sites).known


async def _current(request: Request) -> Site:
    sites = cast(Sites, request.app.state.sites)
    return await run_in_threadpool(sites.current) if sites.is_due else sites.known


# What a route takes to answer from. Here and everywhere: what a route depends on gets a thread only if it may wait for
# something. To hand work to a thread takes longer than most of it, and much longer where others are at work.
Here = Annotated[Site, Depends(_current)]
