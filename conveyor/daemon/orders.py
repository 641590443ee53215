"""Orders from afar, carried out by what is made anew with each configuration."""

from __future__ import annotations

from threading import Event

from conveyor.daemon.site import Site
from conveyor.pipeline.ordering import Ordering
from conveyor.wiring import make_ordering


class Orders:
    """Takes orders. One thread at a time; others may call `use` and `stop`.

    Args:
        site: what it works with, until there is a newer one.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._taking: tuple[Site, Ordering] | None = None
        self._ended = Event()
        self._stop = Event()  # of what takes them now: each has one of its own, which closing it sets

    def use(self, site: Site) -> None:
        """Work with this from the next time on."""
        self._site = site

    def take(self) -> int:
        """Carry out what can be carried out within a moment; how many orders are settled now."""
        return self._ordering().take()

    def take_all(self) -> int:
        """Carry out all that waits; how many orders that were."""
        return self._ordering().take(None)

    def stop(self) -> None:
        """Wait for no server any more. For any thread."""
        self._ended.set()
        self._stop.set()

    def _ordering(self) -> Ordering:
        if self._taking is None or self._taking[0] is not self._site:
            site = self._site
            if self._taking is not None:
                self._taking[1].close()
            self._stop = Event()
            if self._ended.is_set():
                self._stop.set()
            self._taking = (site, make_ordering(site.conveyor, stop=self._stop))
        return self._taking[1]
