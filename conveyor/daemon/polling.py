"""Polling, on a thread of its own, by a watcher that is made anew with each configuration."""

from __future__ import annotations

from collections.abc import Collection
from threading import Event

from conveyor.daemon.site import Site
from conveyor.errors import UpstreamUnreachable, UserError
from conveyor.pipeline.polling.watching import Watcher
from conveyor.upstream.stamps import SETTLE_SECONDS
from conveyor.wiring import make_watcher

# Who pokes all packages in a single pass.
ONCE = "conveyor daemon --once"
SHOWN = 5
# How often a single pass looks at packaging that is being changed, each time after it could have settled.
LOOKS = 15


class Polling:
    """Polls. One thread at a time; others may call `use` and `stop`.

    Args:
        site: what it works with, until there is a newer one.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._watching: tuple[Site, Watcher] | None = None
        self._ended = Event()
        self._stop = Event()  # of the watcher that there is: each has one of its own, which closing it sets

    def use(self, site: Site) -> None:
        """Work with this from the next poll on."""
        self._site = site

    def poll(self) -> int:
        """Ask the repositories that are due, and bring into the queue what is new; how many were asked."""
        return self._watcher().poll(self._site.conveyor.clock.now())

    def poll_all(self) -> None:
        """Ask all repositories now, and wait for their answers, and for packaging that is being changed just now.

        Raises:
            UpstreamUnreachable: some did not answer.
            UserError: somebody goes on changing packaging.
        """
        conveyor, watcher = self._site.conveyor, self._watcher()
        self._poll_now(watcher, self._site.repos.packages)
        for _ in range(LOOKS):
            restless = watcher.restless()
            if not restless or self._ended.wait(SETTLE_SECONDS):
                break
            self._poll_now(watcher, restless)
        silent = sorted(remote.url for remote in conveyor.watch.remotes().values() if remote.failures)
        if silent:
            raise UpstreamUnreachable(
                f"{len(silent)} repositories do not answer", cause=", ".join(silent[:SHOWN]), hint="'conveyor doctor'"
            )
        restless = watcher.restless()
        if restless and not self._ended.is_set():
            names = ", ".join(sorted(restless)[:SHOWN])
            raise UserError(f"the packaging of {names} is being changed", hint="run it again when that is finished")

    def _poll_now(self, watcher: Watcher, packages: Collection[str]) -> None:
        """Ask all that packages need, and wait for the answers."""
        conveyor = self._site.conveyor
        conveyor.watch.poke(sorted(packages), ONCE, conveyor.clock.now())
        while not self._ended.is_set():
            watcher.poll(conveyor.clock.now())
            if not any(poke.actor == ONCE for poke in conveyor.watch.pokes()):
                break

    def stop(self) -> None:
        """Wait for no server any more. For any thread."""
        self._ended.set()
        self._stop.set()

    def _watcher(self) -> Watcher:
        if self._watching is None or self._watching[0] is not self._site:
            site = self._site
            if self._watching is not None:
                self._watching[1].close()
            self._stop = Event()
            if self._ended.is_set():
                self._stop.set()
            conveyor = site.conveyor
            watcher = make_watcher(
                site.settings,
                site.repos,
                queue=conveyor.queue,
                watch=conveyor.watch,
                store=conveyor.store,
                foresee=conveyor.foresight.foresee,
                stop=self._stop,
            )
            self._watching = (site, watcher)
        return self._watching[1]
