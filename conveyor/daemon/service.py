"""The daemon from its start to its end. One thread, the main one, decides about builds; what takes long has others."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from queue import Empty, SimpleQueue

from conveyor.command import Process
from conveyor.daemon.chores import Chores
from conveyor.daemon.diary import Diary
from conveyor.daemon.dispatch import Dispatcher
from conveyor.daemon.errands import Errands
from conveyor.daemon.guard import Guard
from conveyor.daemon.instance import Held, locked
from conveyor.daemon.jobs import Jobs
from conveyor.daemon.jumps import Jumps
from conveyor.daemon.log import Log
from conveyor.daemon.messages import LeaseLost, Loaded, Signalled
from conveyor.daemon.observer import Observer
from conveyor.daemon.once import Once
from conveyor.daemon.page import Page, PageGone
from conveyor.daemon.room import Room
from conveyor.daemon.site import Load, Open, Site, make_site
from conveyor.daemon.stop import Phase, Stop
from conveyor.daemon.systemd import Systemd
from conveyor.daemon.workers import Heard, Worker, Workers
from conveyor.errors import DaemonRunning
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.work import Said, SaidKind
from conveyor.wiring import QueueReader, configure_scheduler, make_scheduler

TICK = 0.5  # seconds between two looks at the queue
LONGEST_TICK = 15.0  # while the store does not answer
DONE = "all is built"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the daemon is to run.

    Attributes:
        once: poll once, build all that waits, and end.
        poll: whether it looks for new commits.
        wait: whether it waits for another daemon's end.
        serve: whether the status page is served beside it.
    """

    once: bool = False
    poll: bool = True
    wait: bool = False
    serve: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What the daemon is given to work with.

    Attributes:
        load: reads the configuration.
        open: puts a Conveyor together.
        start: starts the process of a worker.
        start_page: starts the process that serves the status page.
        log: where it says what it does.
        systemd: who started it, if that listens.
    """

    load: Load
    open: Open
    start: Callable[[], Process]
    start_page: Callable[[], Process]
    log: Log
    systemd: Systemd


def run(options: Options, means: Means) -> int:
    """Run the daemon to its end; returns its exit code.

    Raises:
        ConveyorError: it cannot start, or another daemon acts in its stead.
    """
    site = make_site(means.load, means.open)
    inbox: SimpleQueue[object] = SimpleQueue()
    conveyor, lost_after = site.conveyor, site.settings.daemon.lost_after
    with ExitStack() as stack:
        stack.callback(conveyor.close)
        stack.enter_context(locked(site.settings.data_dir, wait=options.wait))
        held = Held(conveyor.leases, conveyor.clock, lost_after, lambda: inbox.put(LeaseLost()), means.log)
        held.take(wait=options.wait)
        stack.callback(Guard(means.log), "lease", held.give_back)
        if options.wait:  # which may have taken months
            site = make_site(means.load, means.open, site)
        return Daemon(site, options, means, inbox).run()


class Daemon:
    """See the module.

    Args:
        site: what it works with, until there is a newer one.
        options: how it is to run.
        means: what it is given.
        inbox: what its main thread is told.
    """

    def __init__(self, site: Site, options: Options, means: Means, inbox: SimpleQueue[object]) -> None:
        self._site = site
        self._options = options
        self._log = means.log
        self._inbox = inbox
        self._stop = Stop()
        self._jumps = Jumps()
        self._room = Room(site.settings.data_dir)
        self._guard = Guard(means.log)
        self._jobs = Jobs(self._guard)
        self._chores = Chores(means.start, means.log)
        self._workers = Workers(means.start, inbox, means.log)
        self._page = Page(means.start_page, inbox, means.log) if options.serve else None
        conveyor = site.conveyor
        self._scheduler = make_scheduler(site.settings, site.repos)
        reader = QueueReader(self._scheduler, conveyor.queue, conveyor.events)
        self._dispatcher = Dispatcher(conveyor.queue, self._scheduler, reader, self._workers, conveyor.clock, means.log)
        self._diary = Diary(conveyor.events, conveyor.clock, self._guard)
        self._errands = Errands(
            site,
            load=means.load,
            open_=means.open,
            chores=self._chores,
            inbox=inbox,
            guard=self._guard,
            diary=self._diary,
            log=means.log,
        )
        self._once = Once(self._errands, poll=options.poll) if options.once else None
        self._observer = Observer(site, means.systemd, polls=options.poll, serves=not options.once, log=means.log)
        self._lease_lost = False
        self._set_back = False  # whether the clock was, and builds may wait for a moment that is far ahead now
        self._all_seen = False  # in a single pass: whether all that was polled is known to the scheduler
        self._tick = TICK
        self._next_turn = 0.0

    def run(self) -> int:
        """Work until the end; returns the exit code.

        Raises:
            DaemonRunning: another daemon acts in its stead.
        """
        with self._signals():
            self._begin()
            try:
                self._loop()
            finally:
                self._end()
        if self._lease_lost:
            raise DaemonRunning(
                "another daemon has taken over", hint="find out why this one was not heard of for so long"
            )
        return 0 if self._once is None else self._once.exit_code(interrupted=self._stop.reason != DONE)

    def _begin(self) -> None:
        self._log.info("daemon started", data=str(self._site.settings.data_dir), once=self._options.once)
        self._tell(EventKind.DAEMON_STARTED, "the daemon has started", {"once": self._options.once})
        self._configure()
        self._errands.unsettled.set()  # nobody knows how the one before has ended
        if self._once is not None:
            self._once.begin()
        else:
            self._errands.arrange(self._jobs, poll=self._options.poll)
            self._observer.begin(self._jobs)
            self._jobs.start()
        self._observer.ready()

    def _loop(self) -> None:
        while not self._over():
            for message in self._messages():
                self._take(message)
            self._look_after_workers()
            self._observer.beat(
                workers=self._workers.count,
                busy=len(self._workers.builds()),
                disk_low=self._room.low,
                lease_lost=self._lease_lost,
                page=self._page.serving if self._page else None,
            )
            if time.monotonic() >= self._next_turn:
                polled = self._once is not None and self._once.is_polled
                good = self._guard("queue", self._turn)
                self._tick = TICK if good else min(2 * self._tick, LONGEST_TICK)
                self._next_turn = 0.0 if good else time.monotonic() + self._tick
                self._all_seen = polled and good

    def _over(self) -> bool:
        if self._once is not None and self._stop.phase is Phase.RUNNING:
            if self._all_seen and self._dispatcher.idle:
                self._once.finish()
            if self._once.is_done:
                self._stop.ask(DONE, self._site.settings.daemon.stop_within)
        return self._stop.phase is not Phase.RUNNING and self._workers.gone

    def _messages(self) -> Iterator[object]:
        """What there is to hear, after waiting for it for a while."""
        try:
            yield self._inbox.get(timeout=TICK)
            while True:
                yield self._inbox.get_nowait()
        except Empty:
            return

    def _take(self, message: object) -> None:
        match message:
            case Heard(worker=worker, said=None):
                self._gone(worker)
            case Heard(worker=worker, said=Said() as said):
                self._said(worker, said)
            case PageGone() as gone if self._page is not None:
                self._page.ended(gone)
            case Signalled(number=signal.SIGHUP):
                self._errands.reload.set()
            case Signalled(number=number):
                self._stop.ask(signal.Signals(number).name, self._site.settings.daemon.stop_within)
                self._log.info("stopping", reason=self._stop.reason, phase=self._stop.phase)
                self._observer.stopping()
            case Loaded(site=site):
                self._use(site)
            case LeaseLost():
                self._lease_lost = True
                self._log.error("another daemon has taken over: this one stops")
                self._stop.ask("lease lost", 0)
            case _:
                pass

    def _turn(self) -> None:
        """Look at the queue, and hand out what can be built."""
        self._diary.catch_up()
        self._look_at_clock()
        event = self._room.look(self._site.settings.min_free_disk)
        if event is not None:
            self._log.warning(event.summary)
            self._diary.tell(event)
        if not self._lease_lost:
            self._dispatcher.look(hand_out=self._stop.phase is Phase.RUNNING and not self._room.low)

    def _look_after_workers(self) -> None:
        phase = self._stop.phase
        if phase is Phase.RUNNING:
            self._guard("workers", self._workers.fill)
            if self._page is not None:
                self._guard("page", self._page.look)
            return
        if self._page is not None:
            self._page.stop()
        self._jobs.stop()
        self._errands.stop()
        self._chores.stop()
        if phase is Phase.ENDING:
            self._workers.dismiss()
        elif phase is Phase.PUTTING_BACK:
            self._workers.put_back()
        else:
            self._workers.kill()

    def _look_at_clock(self) -> None:
        jump = self._jumps.look()
        if jump:
            way = "on" if jump > 0 else "back"
            self._log.warning("the clock has jumped", seconds=round(jump, 1))
            self._tell(EventKind.CLOCK_JUMPED, f"the clock has jumped {way} by {abs(jump):.0f} s", {"seconds": jump})
            self._jobs.put_right()
            self._set_back |= jump < 0
        if self._set_back:
            wait = timedelta(seconds=self._site.settings.daemon.retry_wait)
            self._site.conveyor.queue.forget_waits(self._site.conveyor.clock.now() + wait)
            self._set_back = False

    def _said(self, worker: Worker, said: Said) -> None:
        self._workers.said(worker, said)
        if self._once is not None:
            self._once.heard(said)
        self._write(worker, said)
        match said.kind:
            case SaidKind.ROOT:
                self._observer.found_root(ready=bool(said.ready))
            case SaidKind.DONE if said.build is not None:
                self._dispatcher.over(said.build)
                self._jobs.run_now("reconcile")
                self._jobs.run_now("rebuilds")
            case _:
                pass

    def _write(self, worker: Worker, said: Said) -> None:
        """What a worker said, in the log."""
        log = self._log.bind(pid=worker.process.pid, **worker.names)
        match said.kind:
            case SaidKind.STAGE:
                log.debug("stage begins", attempt=said.attempt, stage=said.stage)
            case SaidKind.STAGE_ENDED:
                log.debug("stage ended", attempt=said.attempt, stage=said.stage, seconds=said.seconds)
            case SaidKind.ENDED:
                log.info(
                    "build ended", attempt=said.attempt, outcome=said.outcome, seconds=said.seconds, cause=said.text
                )
            case SaidKind.PUBLISHED:
                log.info("build published")
            case SaidKind.PROBLEM | SaidKind.BROKEN:
                log.error("worker", problem=said.text)
            case SaidKind.NOTE:
                log.info("worker", told=said.text)
            case _:
                pass

    def _gone(self, worker: Worker) -> None:
        build = self._workers.ended(worker)
        if build is None:
            return
        self._dispatcher.over(build)
        if self._once is not None:
            self._once.lost()
        self._errands.unsettled.set()
        self._guard("reconcile", self._errands.reconcile)
        self._jobs.run_now("settle")

    def _use(self, site: Site) -> None:
        """Work with a new configuration from now on."""
        before, self._site = self._site, site
        self._errands.use(site)
        self._observer.use(site)
        self._configure()
        added = sorted({*site.repos.packages} - {*before.repos.packages})
        removed = sorted({*before.repos.packages} - {*site.repos.packages})
        self._log.info("configuration loaded", packages=len(site.repos.packages), added=added, removed=removed)
        summary = f"the configuration was loaded: {len(site.repos.packages)} packages"
        self._tell(EventKind.CONFIGURATION_LOADED, summary, {"added": added, "removed": removed})

    def _configure(self) -> None:
        settings = self._site.settings.daemon
        configure_scheduler(self._scheduler, self._site.settings, self._site.repos)
        self._workers.configure(
            self._site.configuration,
            count=settings.workers,
            builds_each=settings.builds_per_worker,
            memory_each=settings.worker_memory,
        )

    def _end(self) -> None:
        self._jobs.stop()
        self._errands.stop()
        self._chores.stop()
        self._workers.kill()
        self._chores.kill()
        if self._page is not None:
            self._guard("page", self._page.end)
        self._observer.end()
        self._log.info("daemon stopped", reason=self._stop.reason)
        self._tell(EventKind.DAEMON_STOPPED, f"the daemon has stopped: {self._stop.reason or 'a defect'}", {})

    def _tell(self, kind: EventKind, summary: str, detail: Mapping[str, object]) -> None:
        self._diary.tell(NewEvent(kind=kind, summary=summary, detail=detail))

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Have signals told to the main thread, rather than let them interrupt what it does."""
        before = {
            number: signal.signal(number, lambda number, _frame: self._inbox.put(Signalled(number=number)))
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
