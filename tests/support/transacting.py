"""Has the daemon and its workers come to a transaction of the store at which something is to happen."""

from __future__ import annotations

import signal
from datetime import UTC, datetime
from itertools import count

from conveyor.model.event import EventKind
from conveyor.model.queue import Pause, Scope, ScopeKind
from tests.support.daemons import NO_POLL, Daemon, QuickSite
from tests.support.kills import Point, Transactions
from tests.support.site import wait_for

EVERYTHING = Scope(kind=ScopeKind.ALL)
# Of what the daemon does again and again, much within a few seconds.
BUSY = {"CONVEYOR_DAEMON_LOST_AFTER": "3s", "CONVEYOR_DAEMON_RETRIES": "1"}


class Building:
    """Has workers of a daemon that does not poll build.

    Args:
        site: where.
    """

    def __init__(self, site: QuickSite) -> None:
        self._site = site
        self._names = (f"package{number}" for number in count())
        self._daemon, self._stopped = site.daemon(NO_POLL), False

    def all_transactions(self) -> list[str]:
        """Have workers make every transaction that they make; which these are."""
        transactions = Transactions(self._site.folder)
        transactions.note()
        for behaviour in ("sleep 1", "fail"):
            self._site.push(behaviour)
            self._site.see()
        self._site.built()
        self._stop_one()
        self.go_on()
        self._site.built()
        return transactions.of("worker")

    def come_to(self, point: Point) -> None:
        """Have a worker come to a point. The store may be gone from then on."""
        match point.transaction:
            case "SqlQueue.set_relations":  # once for each package
                name = next(self._names)
                self._site.add(name)
                wait_for(lambda: self._daemon.said("configuration loaded", added=[name]), "the new package")
                self._build(point, "sleep 0", name)
            case "SqlQueue.put_back":
                self._stop_one(point)
            case "SqlStore.heartbeat":
                self._build(point, "sleep 1")
            case "SqlStore.finish":
                self._build(point, "fail")
            case _:
                self._build(point, "sleep 0")

    def go_on(self) -> Daemon:
        """The daemon that goes on."""
        if self._stopped:
            assert self._daemon.end() == 0
            self._daemon, self._stopped = self._site.daemon(NO_POLL), False
        return self._daemon

    def _build(self, point: Point, behaviour: str, package: str = "hello") -> None:
        at, site = datetime.now(UTC), self._site
        with site.books() as books:
            books.queue.pause(Pause(scope=EVERYTHING, actor="the test", note="", at=at))
            site.push(behaviour, upstream=site.upstreams[package])
            if package == "hello":
                site.see()
            else:  # what a poll sees, it records
                site.queue(package)
            Transactions(site.folder).order(point)
            books.queue.resume(EVERYTHING, "the test", at)

    def _stop_one(self, point: Point | None = None) -> None:
        """Stop the daemon while a build runs, which the next one builds."""
        site, name = self._site, next(self._names)
        site.push(f"until {name}")
        site.see()
        with site.books() as books:
            wait_for(books.store.running, "a build that runs")
        wait_for(lambda: site.stage() == "build", "the stage build")
        if point is not None:
            Transactions(site.folder).order(point)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._daemon.signal(number)
        self._stopped = True
        (site.data / name).touch()


class Work:
    """Has a daemon that polls, and builds, come to its own transactions.

    Args:
        site: where.
    """

    def __init__(self, site: QuickSite) -> None:
        self._site = site
        self._rounds = count()

    def all_transactions(self) -> list[str]:
        """Have daemons make every transaction that they make; which these are."""
        transactions = Transactions(self._site.folder)
        transactions.note()
        self._leave_one_running()
        daemon = self._started()
        wait_for(lambda: self._site.events(EventKind.GAVE_UP), "a build to be given up")
        self._site.seen()
        self._site.built()
        assert daemon.stop() == 0
        return transactions.of("daemon")

    def started_for(self, point: Point) -> Daemon:
        """A daemon that was started, and comes to a point. The store may be gone from then on."""
        if point.transaction == "SqlStore.release":
            self._leave_one_running()
        daemon = self._started(point)
        if point.transaction == "SqlLeases.release":
            wait_for(lambda: daemon.said("worker started") or daemon.process.poll() is not None, "the daemon")
            daemon.signal()
        return daemon

    def started(self) -> Daemon:
        """One that was started."""
        return self._site.daemon(env=BUSY)

    def come_to(self, daemon: Daemon, point: Point) -> None:
        """Have a daemon that runs come to a point."""
        transactions = Transactions(self._site.folder)
        if point.transaction == "SqlEvents.record":
            transactions.order(point)
            daemon.signal(signal.SIGHUP)
        elif point.transaction == "SqlLeases.release":
            transactions.order(point)
            daemon.signal()
        else:
            self._push(f"die-once {next(self._rounds)}")
            transactions.order(point)

    def _started(self, point: Point | None = None) -> Daemon:
        self._push("sleep 0")
        if point is not None:
            Transactions(self._site.folder).order(point)
        return self.started()

    def _push(self, behaviour: str) -> None:
        """Three commits to be seen; the build of the second one errors first, and that of the last one always."""
        for each in (behaviour, f"error-once {next(self._rounds)}", "error"):
            self._site.push(each)
        self._site.poke()

    def _leave_one_running(self) -> None:
        """Have a daemon leave a build that nobody works on."""
        self._site.push("sleep 5")
        self._site.see()
        daemon = self._site.daemon(NO_POLL)
        with self._site.books() as books:
            wait_for(books.store.running, "a build that runs")
        daemon.kill()
