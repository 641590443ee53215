"""What the daemon does beside building, each on a thread of its own: the jobs of its clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from threading import Event

from conveyor.daemon.chores import Chores
from conveyor.daemon.diary import Diary
from conveyor.daemon.guard import Guard
from conveyor.daemon.jobs import Jobs
from conveyor.daemon.log import Log
from conveyor.daemon.messages import Loaded, Wake
from conveyor.daemon.moves import Moves
from conveyor.daemon.orders import Orders
from conveyor.daemon.planning import Planner
from conveyor.daemon.polling import Polling
from conveyor.daemon.reconcile import Reconciler, Unsettled
from conveyor.daemon.site import Load, Open, Site, make_site
from conveyor.errors import ConveyorError
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.work import Chore
from conveyor.wiring import make_mirroring, make_reminder, make_teller, upkeep
from conveyor.wiring.configurationfiles import Files

# Seconds between two times; what is looked at so often is cheap to look at.
POLL = 1.0
ORDERS = 1.0
RECONCILE = 10.0
SETTLE = 10.0
CONFIGURATION = 2.0
PROMOTIONS = 60.0
MIRRORS = 30.0
MOVES = 1.0
NOTICES = 10.0
REMINDERS = 3600.0
BASES = 600.0
# What is not urgent does not begin while everything starts.
AFTER_START = 600.0
SOON = 60.0


class Errands:
    """The jobs.

    Args:
        site: what they work with, until there is a newer one.
        load: reads the configuration.
        open_: puts a Conveyor together.
        chores: carries out what is done by a process of its own.
        inbox: where the main thread is told.
        guard: keeps what goes wrong from the others.
        diary: what the daemon tells.
        log: the daemon's.

    Attributes:
        reload: when set, the configuration is read, changed or not.
        unsettled: when set, everything is brought into order, whether or not something was seen to be amiss.
    """

    def __init__(
        self,
        site: Site,
        *,
        load: Load,
        open_: Open,
        chores: Chores,
        inbox: SimpleQueue[object],
        guard: Guard,
        diary: Diary,
        log: Log,
    ) -> None:
        self._load = load
        self._open = open_
        self._chores = chores
        self._inbox = inbox
        self._guard = guard
        self._diary = diary
        self._log = log
        self._files = Files(site.settings, site.read_at)
        self._moves = Moves(site.conveyor.ledger)
        self._mirrors_at = 0.0
        self._polling = Polling(site)
        self._orders = Orders(site)
        self._jobs: Jobs | None = None
        self.reload = Event()
        self.unsettled = Event()
        self.use(site)

    def use(self, site: Site) -> None:
        """Work with this from now on."""
        self._site = site
        self._reconciler = Reconciler(site, self._log)
        self._undone = Unsettled(site)
        self._planner = Planner(site, self._log)
        self._teller = make_teller(site.settings, site.repos, site.conveyor)
        self._reminder = make_reminder(site.settings, site.repos, site.conveyor)
        self._polling.use(site)
        self._orders.use(site)
        if self._jobs is not None:
            self._arrange_retention(self._jobs)

    def arrange(self, jobs: Jobs, *, poll: bool) -> None:
        """Put all jobs on a clock.

        Args:
            jobs: the clock.
            poll: whether new commits are looked for.
        """
        if poll:
            jobs.add("poll", POLL, self.poll)
        jobs.add("orders", ORDERS, self.take_orders)
        jobs.add("reconcile", RECONCILE, self.reconcile)
        jobs.add("rebuilds", RECONCILE, self.plan)
        jobs.add("settle", SETTLE, self.settle)
        jobs.add("configuration", CONFIGURATION, self.look_at_configuration)
        jobs.add("promotions", PROMOTIONS, self.promote)
        jobs.add("mirrors", MOVES, self.mirror_in_time)
        jobs.add("reminders", REMINDERS, self.remind, first=SOON)
        jobs.add("notices", NOTICES, self.tell)
        jobs.add("bases", BASES, self.refresh, first=AFTER_START)
        self._arrange_retention(jobs)
        self._jobs = jobs

    def _arrange_retention(self, jobs: Jobs) -> None:
        jobs.add("retention", self._site.settings.daemon.collect_interval, self.collect, first=AFTER_START)

    def first(self, *, poll: bool) -> bool:
        """What comes first in a single pass; tells whether all of it went well.

        Args:
            poll: whether new commits are looked for.
        """
        work: dict[str, Callable[[], object]] = {
            "reconcile": self.reconcile,
            "settle": self.settle,
            "orders": self._orders.take_all,
        }
        if poll:
            work["poll"] = self._polling.poll_all
        return self._all(work)

    def last(self) -> bool:
        """What comes last in a single pass; tells whether all of it went well."""
        work = {
            "reconcile": self.reconcile,
            "mirrors": self.mirror,
            "reminders": self.remind,
            "notices": self.tell,
        }
        return self._all(work)

    def _all(self, work: Mapping[str, Callable[[], object]]) -> bool:
        """Do all of this, one after the other, whether or not the others go well; tells whether all did."""
        results = [self._guard(name, each) for name, each in work.items()]
        return all(results)

    def poll(self) -> None:
        """Look for new commits."""
        if self._polling.poll():
            self._inbox.put(Wake())

    def take_orders(self) -> None:
        """Find the commits that were ordered, and put them into the queue."""
        if self._orders.take():
            self._inbox.put(Wake())

    def stop(self) -> None:
        """Wait for no server any more. For any thread."""
        self._polling.stop()
        self._orders.stop()

    def reconcile(self) -> None:
        """Release builds of the dead, and try again what errored."""
        if self._reconciler.run():
            self.unsettled.set()
        self._inbox.put(Wake())

    def plan(self) -> None:
        """Have built anew what has other dependencies now."""
        if self._planner.run():
            self._inbox.put(Wake())

    def more(self) -> bool:
        """The same in a single pass, when all else is built; tells whether there is more to build."""
        planned: list[int] = []
        self._guard("rebuilds", lambda: planned.append(self._planner.run()))
        return any(planned)

    def settle(self) -> None:
        """Have what was left undone completed."""
        if self._undone.look() or self.unsettled.is_set():
            self.unsettled.clear()
            self._chores.run(Chore.SETTLE, self._site.configuration)

    def promote(self) -> None:
        """Let promotions follow: their snapshots may have become old enough."""
        for problem in self._site.conveyor.promoter.follow():
            self._log.warning("a promotion did not move", cause=problem.summary)

    def mirror_in_time(self) -> None:
        """Bring mirrors up to date at once where somebody moved a pointer, and after builds every now and then."""
        if not self._site.settings.mirrors:
            return
        if self._moves.look() or time.monotonic() >= self._mirrors_at:
            self._mirrors_at = time.monotonic() + MIRRORS
            self.mirror()

    def mirror(self) -> None:
        """Bring mirrors up to date."""
        site, conveyor = self._site, self._site.conveyor
        if not site.settings.mirrors:
            return
        mirroring = make_mirroring(
            site.settings,
            site.repos,
            store=conveyor.store,
            ledger=conveyor.ledger,
            states=conveyor.mirrors,
            tree=conveyor.tree,
        )
        if mirroring.waiting():
            self._chores.run(Chore.MIRROR, site.configuration)

    def remind(self) -> None:
        """Remind people of what stays as it is."""
        if self._reminder is not None:
            self._reminder.remind(self._site.conveyor.clock.now())

    def tell(self) -> None:
        """Tell people and programs what happened."""
        self._teller.tell(self._site.conveyor.clock.now())

    def refresh(self) -> None:
        """Make the bases that are due anew."""
        if upkeep.due(self._site.conveyor):
            self._chores.run(Chore.REFRESH, self._site.configuration)

    def collect(self) -> None:
        """Remove what retention does not keep."""
        if upkeep.collected(self._site.conveyor):
            self._chores.run(Chore.COLLECT, self._site.configuration)

    def look_at_configuration(self) -> None:
        """Read the configuration where it was edited, or somebody asked for that. A broken edit changes nothing."""
        changed = self._files.changed()
        if not changed and not self.reload.is_set():
            return
        self.reload.clear()
        try:
            site = make_site(self._load, self._open, self._site)
        except ConveyorError as error:
            self._tell_broken(error)
            return
        self._files.watch(site.settings)
        self._inbox.put(Loaded(site=site))

    def _tell_broken(self, error: ConveyorError) -> None:
        self._log.error(
            "the new configuration has mistakes: the one before stays in use",
            cause=error.summary,
            mistakes=error.details,
            hint=error.hint,
        )
        event = NewEvent(
            kind=EventKind.CONFIGURATION_BROKEN,
            summary=f"the one before stays in use: {error.summary}",
            detail={"mistakes": list(error.details)},
        )
        self._diary.tell(event)
