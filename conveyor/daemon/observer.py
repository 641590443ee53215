"""Shows from outside how the daemon is: metrics, readiness, a watchdog, and what systemd hears."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, make_wsgi_app

from conveyor.daemon.health import Readiness
from conveyor.daemon.http import HttpServer, make_app
from conveyor.daemon.jobs import Jobs
from conveyor.daemon.log import Log
from conveyor.daemon.metrics import Counts, Gauges
from conveyor.daemon.site import Site
from conveyor.daemon.systemd import Systemd
from conveyor.daemon.vitals import Serving, Vitals
from conveyor.daemon.watchdog import Watchdog
from conveyor.wiring import upkeep

if TYPE_CHECKING:
    from conveyor.wiring import Conveyor

# Seconds between two times.
COUNT = 5.0
WATCH = 60.0
WEIGH = 900.0


class Observer:
    """Looks at the daemon, and is asked how it is. Its jobs and answers have threads of their own.

    Args:
        site: what the daemon works with.
        systemd: who started it, if that listens.
        polls: whether it looks for new commits.
        serves: whether it may listen.
        log: the daemon's.

    Raises:
        UserError: it cannot listen where the settings say.
        StoreUnusable: the store does not answer.
    """

    def __init__(self, site: Site, systemd: Systemd, *, polls: bool, serves: bool, log: Log) -> None:
        self._site = site
        self._systemd = systemd
        self._log = log
        self._vitals = Vitals()
        self._told = ""
        self._beat_at = 0.0
        settings, conveyor = site.settings, site.conveyor
        registry = CollectorRegistry()
        self._counts = Counts(registry, conveyor.events, conveyor.store)
        registry.register(self._gauges(conveyor))
        self._watchdog = Watchdog(
            queue=conveyor.queue,
            watch=conveyor.watch,
            events=conveyor.events,
            store=conveyor.store,
            stale_after=settings.daemon.stale_after,
            polls=polls,
        )
        self._vitals.stale = self._watchdog.stale
        self._readiness = Readiness(
            leases=conveyor.leases,
            watch=conveyor.watch,
            clock=conveyor.clock,
            vitals=self._vitals,
            lost_after=settings.daemon.lost_after,
            polls=polls,
        )
        listen = settings.daemon.listen if serves else None
        self._server = (
            HttpServer(listen, make_app(make_wsgi_app(registry), self._readiness.reasons)) if listen else None
        )

    def begin(self, jobs: Jobs) -> None:
        """Answer from now on, and put the jobs on the clock."""
        if self._server is not None:
            self._server.start()
            jobs.add("metrics", COUNT, self._counts.follow)
            jobs.add("stock", WEIGH, self._weigh)
            self._log.info("listening", address=self._site.settings.daemon.listen)
        jobs.add("watchdog", WATCH, self._watch)

    def use(self, site: Site) -> None:
        """Look at this from now on."""
        if site.settings.daemon.listen != self._site.settings.daemon.listen:
            self._log.warning("'listen' has changed: that takes effect at the next start")
        self._watchdog.stale_after = site.settings.daemon.stale_after
        self._readiness.lost_after = site.settings.daemon.lost_after
        self._site = site

    def ready(self) -> None:
        """The daemon works."""
        self._systemd.ready()

    def beat(self, *, workers: int, busy: int, disk_low: bool, lease_lost: bool, page: Serving | None) -> None:
        """The main thread does not hang, and this is how it is."""
        vitals = self._vitals
        vitals.workers, vitals.busy, vitals.disk_low, vitals.lease_lost = workers, busy, disk_low, lease_lost
        vitals.page = page
        status = f"{busy} of {workers} workers build" + (", the disk is low" if disk_low else "")
        status += f", {page.trouble}" if page and page.trouble else ""
        if status != self._told:
            self._told = status
            self._systemd.status(status)
        every = self._systemd.beat_seconds
        if every is not None and time.monotonic() - self._beat_at >= every:
            self._beat_at = time.monotonic()
            self._systemd.alive()

    def found_root(self, *, ready: bool) -> None:
        """A worker has the root of a build."""
        self._counts.found_root(ready=ready)

    def stopping(self) -> None:
        """The daemon ends; it can be asked until it has."""
        self._systemd.stopping()

    def end(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.stop()

    def _gauges(self, conveyor: Conveyor) -> Gauges:
        data = conveyor.settings.data_dir
        return Gauges(
            queue=conveyor.queue,
            watch=conveyor.watch,
            events=conveyor.events,
            store=conveyor.store,
            outbox=conveyor.outbox,
            leases=conveyor.leases,
            clock=conveyor.clock,
            vitals=self._vitals,
            targets=lambda: tuple(self._site.repos.targets),
            places={"data": data, "buildroots": data / "buildroots"},
        )

    def _watch(self) -> None:
        before = self._vitals.stale
        self._vitals.stale = stale = self._watchdog.look(self._site.conveyor.clock.now())
        for work in sorted(stale - before):
            self._log.error("work stands still", work=work)
        for work in sorted(before - stale):
            self._log.info("work goes on", work=work)

    def _weigh(self) -> None:
        self._vitals.buildroots = tuple(sorted(upkeep.stock_sizes(self._site.conveyor).items()))
