"""What Prometheus is told: docs/metrics.md. What is in the store is read when it is asked for, the rest is counted."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from threading import Lock

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from conveyor import __version__
from conveyor.daemon.vitals import Vitals
from conveyor.daemon.watchdog import Work
from conveyor.errors import ConveyorError, UnknownName
from conveyor.model.build import Build, Outcome, Stage, StageTime, State
from conveyor.model.event import Event, EventKind
from conveyor.model.lease import DAEMON
from conveyor.model.notice import Channel
from conveyor.model.queue import ReasonKind
from conveyor.model.watch import Remote
from conveyor.ports import Clock, Events, Leases, Outbox, Queue, Store, Watch

# How long what was read of the store is told again: whoever asks more often gets the same.
FRESH_SECONDS = 5.0
EVENTS_AT_ONCE = 500
STAGE_BUCKETS = (0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, math.inf)
LATENCY_BUCKETS = (5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 10800, 43200, 86400, 604800, math.inf)
QUANTILES = (0.5, 0.9, 0.99, 1.0)
OUTCOMES = {
    EventKind.SUCCEEDED: Outcome.SUCCEEDED,
    EventKind.WORKS_AGAIN: Outcome.SUCCEEDED,
    EventKind.FAILED: Outcome.FAILED,
    EventKind.FAILED_AGAIN: Outcome.FAILED,
    EventKind.ERRORED: Outcome.ERRORED,
    EventKind.CANCELLED: Outcome.CANCELLED,
    EventKind.SUPERSEDED: Outcome.SUPERSEDED,
}
GOOD = (EventKind.SUCCEEDED, EventKind.WORKS_AGAIN)
# The values of a metric's labels.
Key = tuple[str, ...]
# Builds that a commit led to by itself, an errored one that was tried again among them; and those of new packaging.
OF_A_COMMIT = (ReasonKind.NEW_COMMIT, ReasonKind.NEW_TAG, ReasonKind.RETRY)
SEEN = (*OF_A_COMMIT, ReasonKind.NEW_PACKAGING)


class Counts:
    """Counts what happens, from the events that all processes record: those from its making on.

    Args:
        registry: where the counts are told.
        events: what happened.
        store: the builds.
    """

    def __init__(self, registry: CollectorRegistry, events: Events, store: Store) -> None:
        self._events = events
        self._store = store
        newest = events.newest(limit=1)
        self._read = newest[0].number if newest else 0
        self._lock = Lock()
        self._kinds = Counter("conveyor_events", "Events, by kind.", ["kind"], registry=registry)
        self._builds = Counter(
            "conveyor_builds", "Attempts at builds that ended, by outcome.", ["outcome", "target"], registry=registry
        )
        self._stages = Histogram(
            "conveyor_build_stage_seconds",
            "What the stages of builds took.",
            ["stage", "target"],
            buckets=STAGE_BUCKETS,
            registry=registry,
        )
        self._roots = Counter(
            "conveyor_layer_lookups",
            "Roots of builds whose layers were all there (hit), or some of which were made (miss).",
            ["result"],
            registry=registry,
        )
        self._since_seen = Histogram(
            "conveyor_seen_to_installable_seconds",
            "From a commit or packaging being seen to its packages being published.",
            ["target"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self._since_commit = Histogram(
            "conveyor_commit_to_installable_seconds",
            "From the committer's date to the packages being published.",
            ["target"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )

    def found_root(self, *, ready: bool) -> None:
        """Count a root whose layers were there, or not."""
        self._roots.labels("hit" if ready else "miss").inc()

    def follow(self) -> None:
        """Count what happened since the last time.

        Raises:
            StoreUnusable: the store does not answer.
        """
        with self._lock:
            while events := self._events.after(self._read, limit=EVENTS_AT_ONCE):
                for event in events:
                    self._count(event)
                    self._read = event.number

    def _count(self, event: Event) -> None:
        outcome = OUTCOMES.get(event.kind)
        if outcome is not None:
            self._observe(event.target, _without_publishing(self._stages_of(event)))
            self._builds.labels(outcome, event.target).inc()
        elif event.kind is EventKind.PUBLISHED and event.build is not None:
            self._published(event, event.build)
        self._kinds.labels(event.kind).inc()

    def _observe(self, target: str, stages: Iterable[StageTime]) -> None:
        for stage in stages:
            self._stages.labels(stage.stage, target).observe(stage.seconds)

    def _stages_of(self, event: Event) -> Sequence[StageTime]:
        """The stages of the attempt that an event is about; none of what ended without one."""
        number = event.detail.get("attempt")
        attempts = self._store.attempts(event.build) if event.build is not None else ()
        return next((each.stages for each in attempts if each.number == number), ())

    def _published(self, event: Event, number: int) -> None:
        try:
            build, (_, reason) = self._store.build(number), self._store.reason(number)
        except UnknownName:
            return
        self._observe(event.target, (each for each in build.stages if each.stage is Stage.PUBLISH))
        if reason.kind in SEEN:
            self._since_seen.labels(event.target).observe(_seconds(self._seen_at(build), event.at))
        if reason.kind in OF_A_COMMIT:
            self._since_commit.labels(event.target).observe(_seconds(build.commit.upstream.committed_at, event.at))

    def _seen_at(self, build: Build) -> datetime:
        attempts = self._store.attempts(build.id)
        return attempts[0].queued_at if attempts else build.queued_at


class Gauges(Collector):
    """What is told as it is when somebody asks.

    Args:
        queue: what waits.
        watch: how polling goes.
        events: what happened.
        store: what was published.
        outbox: what is to be told.
        leases: who acts.
        clock: the time.
        vitals: what the daemon's threads know.
        targets: names of the targets.
        places: folders whose disks are told, by name.
        monotonic: what the age of answers is measured by.
    """

    def __init__(
        self,
        *,
        queue: Queue,
        watch: Watch,
        events: Events,
        store: Store,
        outbox: Outbox,
        leases: Leases,
        clock: Clock,
        vitals: Vitals,
        targets: Callable[[], Sequence[str]],
        places: Mapping[str, Path],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._watch = watch
        self._events = events
        self._store = store
        self._outbox = outbox
        self._leases = leases
        self._clock = clock
        self._vitals = vitals
        self._targets = targets
        self._places = places
        self._monotonic = monotonic
        self._lock = Lock()
        self._kept: tuple[Metric, ...] = ()
        self._kept_at = -math.inf

    def collect(self) -> Iterator[Metric]:
        """All of it. Without the store that alone is told, and what needs no store."""
        yield _gauge("conveyor_info", "Always 1, with the version.", "version", values={(__version__,): 1})
        yield from self._of_process()
        yield from self._disks()
        yield from self._of_store()

    def _of_process(self) -> Iterator[Metric]:
        vitals = self._vitals
        workers: dict[Key, float] = {("busy",): vitals.busy, ("free",): vitals.workers - vitals.busy}
        yield _gauge("conveyor_workers", "Worker processes, by state.", "state", values=workers)
        yield _gauge(
            "conveyor_disk_low", "Whether no build is taken because the disk is low.", values={(): vitals.disk_low}
        )
        stale: dict[Key, float] = {(work,): work in vitals.stale for work in Work}
        yield _gauge("conveyor_stale", "Whether a kind of work stands still.", "work", values=stale)
        if vitals.page is not None:
            yield _gauge("conveyor_page_up", "Whether the process of the page runs.", values={(): vitals.page.runs})
            yield CounterMetricFamily(
                "conveyor_page_restarts", "How often the page was started again.", value=vitals.page.restarts
            )
        kept: dict[Key, float] = {(kind,): size for kind, size in vitals.buildroots}
        yield _gauge("conveyor_buildroot_bytes", "What builders keep between builds.", "kind", values=kept)

    def _disks(self) -> Iterator[Metric]:
        sizes: dict[Key, float] = {}
        for name, path in self._places.items():
            try:
                usage = shutil.disk_usage(path)
            except OSError:
                continue
            sizes[name, "free"] = usage.free
            sizes[name, "used"] = usage.used
        yield _gauge(
            "conveyor_disk_bytes", "The disks of the data directory and of caches.", "place", "state", values=sizes
        )

    def _of_store(self) -> tuple[Metric, ...]:
        """What the store has, read again when it has become old; several that ask at once wait for one of them."""
        with self._lock:
            if self._monotonic() - self._kept_at > FRESH_SECONDS:
                try:
                    self._kept = (_store_answers(yes=True), *self._read(self._clock.now()))
                except ConveyorError:
                    self._kept = (_store_answers(yes=False),)
                self._kept_at = self._monotonic()
            return self._kept

    def _read(self, now: datetime) -> Iterator[Metric]:
        yield from self._queued(now)
        yield from self._polled(now)
        yield from self._last_times()
        holder = self._leases.holder(DAEMON)
        age: dict[Key, float] = {} if holder is None else {(): _seconds(holder.heartbeat_at, now)}
        yield _gauge("conveyor_lease_age_seconds", "Since the daemon's lease was renewed.", values=age)
        waiting = self._outbox.sizes()
        notices: dict[Key, float] = {(channel,): waiting.get(channel, 0) for channel in Channel}
        yield _gauge("conveyor_notices_waiting", "Notices that are still to be sent.", "channel", values=notices)

    def _queued(self, now: datetime) -> Iterator[Metric]:
        sizes = {(size.target, size.state): size for size in self._queue.sizes()}
        targets = sorted({*self._targets(), *(target for target, _ in sizes)})
        builds: dict[Key, float] = {}
        ages: dict[Key, float] = {}
        for target in targets:
            for state in (State.QUEUED, State.RUNNING):
                size = sizes.get((target, state))
                builds[state, target] = size.builds if size else 0
            waiting = sizes.get((target, State.QUEUED))
            ages[(target,)] = _seconds(waiting.oldest, now) if waiting else 0
        yield _gauge("conveyor_queue_builds", "Builds that wait and run.", "state", "target", values=builds)
        yield _gauge(
            "conveyor_queue_oldest_seconds", "Since when the first of the builds that wait does.", "target", values=ages
        )

    def _polled(self, now: datetime) -> Iterator[Metric]:
        remotes = self._watch.remotes().values()
        states: dict[Key, float] = {("answering",): 0, ("failing",): 0, ("unknown",): 0}
        for remote in remotes:
            states[(_state(remote),)] += 1
        yield _gauge("conveyor_poll_repositories", "Repositories that are polled.", "state", values=states)
        answers = [remote.answered_at for remote in remotes if remote.answered_at is not None]
        lags = sorted(_seconds(answer, now) for answer in answers)
        quantiles: dict[Key, float] = {
            (f"{quantile:g}",): lags[_index(quantile, len(lags))] for quantile in QUANTILES if lags
        }
        yield _gauge(
            "conveyor_poll_lag_seconds",
            "Since repositories last answered; 1 is the worst.",
            "quantile",
            values=quantiles,
        )
        last: dict[Key, float] = {(): max(answers).timestamp()} if answers else {}
        yield _gauge("conveyor_last_poll_timestamp_seconds", "When a repository last answered.", values=last)

    def _last_times(self) -> Iterator[Metric]:
        built: dict[Key, float] = {}
        published: dict[Key, float] = {}
        for target in self._targets():
            for event in self._events.newest(target=target, kinds=GOOD, limit=1):
                built[(target,)] = event.at.timestamp()
            for snapshot in self._store.published(target, limit=1):
                published[(target,)] = snapshot.published_at.timestamp()
        yield _gauge("conveyor_last_build_timestamp_seconds", "When a build last succeeded.", "target", values=built)
        yield _gauge(
            "conveyor_last_publish_timestamp_seconds", "When a snapshot was last published.", "target", values=published
        )


def _gauge(name: str, documentation: str, *labels: str, values: Mapping[Key, float]) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=labels)
    for key, value in values.items():
        family.add_metric(key, float(value))
    return family


def _store_answers(*, yes: bool) -> Metric:
    return _gauge("conveyor_store_up", "Whether the store answers.", values={(): yes})


def _without_publishing(stages: Iterable[StageTime]) -> Iterator[StageTime]:
    """The stages that end before the outcome; publishing comes after it, and is told of apart."""
    return (stage for stage in stages if stage.stage is not Stage.PUBLISH)


def _state(remote: Remote) -> str:
    if remote.failures:
        return "failing"
    return "unknown" if remote.answered_at is None else "answering"


def _index(quantile: float, count: int) -> int:
    return max(0, math.ceil(quantile * count) - 1)


def _seconds(since: datetime, until: datetime) -> float:
    """The time between two moments; none where a clock or a commit's date says that it went back."""
    return max(0.0, (until - since).total_seconds())
