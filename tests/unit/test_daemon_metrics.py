"""What Prometheus is told, and that docs/metrics.md says all of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from conveyor.daemon.metrics import FRESH_SECONDS, Counts, Gauges
from conveyor.daemon.vitals import Serving, Vitals
from conveyor.daemon.watchdog import Work
from conveyor.errors import StoreUnusable
from conveyor.model.build import Build, Outcome, Stage, StageTime
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.lease import DAEMON, Lease
from conveyor.model.notice import Channel, NewNotice
from conveyor.model.queue import Change, NewBuild, Priority, QueueSize, Reason, ReasonKind
from conveyor.model.watch import Remote
from tests.fakes.clock import NOON
from tests.fakes.leases import MemoryLeases
from tests.fakes.outbox import MemoryOutbox
from tests.fakes.queue import MemoryQueue
from tests.fakes.store import MemoryStore
from tests.fakes.store_samples import OTHER_TARGET, TARGET, artifact, claim, commit, entry, minute
from tests.fakes.watch import MemoryWatch

TEXT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
DAEMONS = TEXT.partition("## The page")[0]
STAGES = (StageTime(stage=Stage.RENDER, seconds=0.2), StageTime(stage=Stage.BUILD, seconds=40))


class FixedClock:
    """The port Clock, that somebody sets."""

    def __init__(self) -> None:
        self.time = minute(60)

    def now(self) -> datetime:
        return self.time


@dataclass(slots=True)
class World:
    """A registry, and all that it is filled from."""

    places: dict[str, Path]
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    store: MemoryStore = field(default_factory=lambda: MemoryStore(lambda: minute(30)))
    watch: MemoryWatch = field(default_factory=MemoryWatch)
    outbox: MemoryOutbox = field(default_factory=MemoryOutbox)
    leases: MemoryLeases = field(default_factory=MemoryLeases)
    clock: FixedClock = field(default_factory=FixedClock)
    vitals: Vitals = field(default_factory=Vitals)
    uptime: float = 0.0
    queue: MemoryQueue = field(init=False)
    counts: Counts = field(init=False)

    def __post_init__(self) -> None:
        self.queue = MemoryQueue(self.store, self.watch)
        self.counts = Counts(self.registry, self.store.events, self.store)
        gauges = Gauges(
            queue=self.queue,
            watch=self.watch,
            events=self.store.events,
            store=self.store,
            outbox=self.outbox,
            leases=self.leases,
            clock=self.clock,
            vitals=self.vitals,
            targets=lambda: (TARGET, OTHER_TARGET),
            places=self.places,
            monotonic=lambda: self.uptime,
        )
        self.registry.register(gauges)

    def value(self, name: str, **labels: str) -> float | None:
        self.counts.follow()
        return self.registry.get_sample_value(name, labels)

    def queued(self, name: str = "1", kind: ReasonKind = ReasonKind.NEW_COMMIT, target: str = TARGET) -> int:
        reason = Reason(kind=kind)
        new = NewBuild(commit=commit(name), target=target, priority=Priority.FRESH, reason=reason)
        (number,) = self.queue.apply(Change(builds=(new,)), minute(10))
        return number

    def built(self, name: str = "1", kind: ReasonKind = ReasonKind.NEW_COMMIT, target: str = TARGET) -> Build:
        number = self.queued(name, kind, target)
        claimed = self.store.claim(number, claim(name, minute(11)))
        assert claimed is not None
        self.store.finish(
            number,
            name,
            outcome=Outcome.SUCCEEDED,
            at=minute(12),
            version="1-1",
            cause=None,
            stages=STAGES,
            entry=entry(claimed, minute(12), artifact(f"{name}_1_all.deb", version=name)),
        )
        self.happened(EventKind.SUCCEEDED, number, target, attempt=1)
        build = self.store.mark_published(number, 0.5)
        self.happened(EventKind.PUBLISHED, number, target, attempt=1)
        return build

    def happened(self, kind: EventKind, build: int | None, target: str = TARGET, **detail: object) -> None:
        event = NewEvent(kind=kind, summary="", package="nova", target=target, build=build, detail=detail)
        self.store.events.record([event], minute(14))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(places={"data": tmp_path, "gone": tmp_path / "gone"})


class TestCounts:
    def test_attempts_and_their_stages(self, world: World) -> None:
        world.built()
        assert world.value("conveyor_builds_total", outcome="succeeded", target=TARGET) == 1
        for stage, seconds in (("render", 0.2), ("build", 40), ("publish", 0.5)):
            name = "conveyor_build_stage_seconds"
            assert world.value(f"{name}_count", stage=stage, target=TARGET) == 1
            assert world.value(f"{name}_sum", stage=stage, target=TARGET) == seconds
        assert world.value("conveyor_events_total", kind="published") == 1

    @pytest.mark.parametrize(
        ("kind", "outcome"),
        [
            (EventKind.WORKS_AGAIN, "succeeded"),
            (EventKind.FAILED, "failed"),
            (EventKind.FAILED_AGAIN, "failed"),
            (EventKind.ERRORED, "errored"),
            (EventKind.CANCELLED, "cancelled"),
            (EventKind.SUPERSEDED, "superseded"),
        ],
    )
    def test_each_outcome(self, world: World, kind: EventKind, outcome: str) -> None:
        world.happened(kind, None)
        assert world.value("conveyor_builds_total", outcome=outcome, target=TARGET) == 1

    def test_from_the_commit_to_its_packages(self, world: World) -> None:
        world.built()
        assert world.value("conveyor_seen_to_installable_seconds_sum", target=TARGET) == 4 * 60
        assert world.value("conveyor_commit_to_installable_seconds_sum", target=TARGET) == 14 * 60

    @pytest.mark.parametrize(
        ("kind", "seen", "committed"),
        [
            (ReasonKind.NEW_TAG, 1, 1),
            (ReasonKind.RETRY, 1, 1),
            (ReasonKind.NEW_PACKAGING, 1, None),
            (ReasonKind.DEPENDENCY, None, None),
            (ReasonKind.REQUESTED, None, None),
            (ReasonKind.NEW_PACKAGE, None, None),
        ],
    )
    def test_what_no_commit_led_to_says_nothing_of_it(
        self, world: World, kind: ReasonKind, seen: float | None, committed: float | None
    ) -> None:
        world.built(kind=kind)
        assert world.value("conveyor_seen_to_installable_seconds_count", target=TARGET) == seen
        assert world.value("conveyor_commit_to_installable_seconds_count", target=TARGET) == committed

    def test_a_commit_from_the_future_takes_no_time(self, world: World) -> None:
        world.built()
        world.store.events.record(
            [NewEvent(kind=EventKind.PUBLISHED, summary="", target=TARGET, build=1)], NOON - timedelta(days=1)
        )
        assert world.value("conveyor_commit_to_installable_seconds_sum", target=TARGET) == 14 * 60

    def test_what_is_not_known_any_more_is_left_out(self, world: World) -> None:
        world.happened(EventKind.PUBLISHED, 77)
        world.happened(EventKind.SUCCEEDED, 77, attempt=1)
        assert world.value("conveyor_builds_total", outcome="succeeded", target=TARGET) == 1

    def test_layers_that_were_there(self, world: World) -> None:
        for ready in (True, True, False):
            world.counts.found_root(ready=ready)
        assert world.value("conveyor_layer_lookups_total", result="hit") == 2
        assert world.value("conveyor_layer_lookups_total", result="miss") == 1

    def test_what_happened_before_the_start_is_not_counted(self, world: World) -> None:
        world.happened(EventKind.FAILED, None)
        later = CollectorRegistry()
        counts = Counts(later, world.store.events, world.store)
        world.happened(EventKind.ERRORED, None)
        counts.follow()
        counts.follow()
        assert later.get_sample_value("conveyor_events_total", {"kind": "failed"}) is None
        assert later.get_sample_value("conveyor_events_total", {"kind": "errored"}) == 1


def remote(url: str, answered: float | None, failures: int = 0) -> Remote:
    at = None if answered is None else minute(answered)
    return Remote(url=url, polled_at=at, answered_at=at, failures=failures, cause="", next_at=NOON)


class TestGauges:
    def test_the_queue(self, world: World) -> None:
        world.queued("1")
        world.queued("2")
        world.store.claim(1, claim("t"))
        name = "conveyor_queue_builds"
        assert world.value(name, state="queued", target=TARGET) == 1
        assert world.value(name, state="running", target=TARGET) == 1
        assert world.value(name, state="queued", target=OTHER_TARGET) == 0
        assert world.value("conveyor_queue_oldest_seconds", target=TARGET) == 50 * 60
        assert world.value("conveyor_queue_oldest_seconds", target=OTHER_TARGET) == 0

    def test_polls(self, world: World) -> None:
        assert world.value("conveyor_poll_lag_seconds", quantile="1") is None
        world.uptime += 60
        world.watch.polled([remote(f"u{number}", 60 - number) for number in range(1, 101)])
        world.watch.polled([remote("failing", 0, 3), remote("new", None)])
        assert world.value("conveyor_poll_lag_seconds", quantile="0.5") == 51 * 60
        assert world.value("conveyor_poll_lag_seconds", quantile="1") == 100 * 60
        for state, count in (("answering", 100), ("failing", 1), ("unknown", 1)):
            assert world.value("conveyor_poll_repositories", state=state) == count
        assert world.value("conveyor_last_poll_timestamp_seconds") == minute(59).timestamp()

    def test_when_what_last_went_well(self, world: World) -> None:
        world.built()
        assert world.value("conveyor_last_build_timestamp_seconds", target=TARGET) == minute(14).timestamp()
        assert world.value("conveyor_last_publish_timestamp_seconds", target=TARGET) == minute(30).timestamp()
        assert world.value("conveyor_last_build_timestamp_seconds", target=OTHER_TARGET) is None

    def test_the_daemon_itself(self, world: World) -> None:
        world.vitals.workers, world.vitals.busy, world.vitals.disk_low = 4, 3, True
        world.vitals.stale = frozenset({Work.BUILDING})
        world.vitals.buildroots = (("base", 1000),)
        assert world.value("conveyor_workers", state="busy") == 3
        assert world.value("conveyor_workers", state="free") == 1
        assert world.value("conveyor_disk_low") == 1
        assert world.value("conveyor_stale", work="building") == 1
        assert world.value("conveyor_stale", work="polling") == 0
        assert world.value("conveyor_buildroot_bytes", kind="base") == 1000

    def test_the_page_beside_it_where_it_is_to_be_served(self, world: World) -> None:
        assert world.value("conveyor_page_up") is None
        assert world.value("conveyor_page_restarts_total") is None
        world.vitals.page = Serving(runs=False, restarts=3, trouble="gone")
        assert world.value("conveyor_page_up") == 0
        assert world.value("conveyor_page_restarts_total") == 3
        world.vitals.page = Serving(runs=True, restarts=4, trouble="")
        assert world.value("conveyor_page_up") == 1

    def test_lease_notices_and_disks(self, world: World) -> None:
        world.leases.take(
            Lease(name=DAEMON, token="t", host="h", pid=1, process_started=1, since=NOON, heartbeat_at=minute(59)),
            lost_after=60,
        )
        new = NewNotice(channel=Channel.MAIL, recipient="a@b", event=1, package="", subject="", body="")
        world.outbox.post([new], 1, NOON)
        assert world.value("conveyor_lease_age_seconds") == 60
        assert world.value("conveyor_notices_waiting", channel="mail") == 1
        assert world.value("conveyor_notices_waiting", channel="webhook") == 0
        free = world.value("conveyor_disk_bytes", place="data", state="free")
        assert free is not None
        assert free > 0
        assert world.value("conveyor_disk_bytes", place="gone", state="free") is None

    def test_the_store_is_not_asked_more_than_it_must(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[object] = []

        def sizes() -> tuple[QueueSize, ...]:
            asked.append(None)
            return ()

        monkeypatch.setattr(world.queue, "sizes", sizes)
        for _ in range(5):
            generate_latest(world.registry)
        assert len(asked) == 1
        world.uptime += FRESH_SECONDS + 1
        generate_latest(world.registry)
        assert len(asked) == 2

    def test_a_store_that_does_not_answer(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        assert world.value("conveyor_store_up") == 1

        def sizes() -> tuple[QueueSize, ...]:
            raise StoreUnusable("the store is locked")

        monkeypatch.setattr(world.queue, "sizes", sizes)
        world.uptime += 60
        assert world.registry.get_sample_value("conveyor_store_up") == 0
        assert world.registry.get_sample_value("conveyor_queue_builds", {"state": "queued", "target": TARGET}) is None
        assert world.registry.get_sample_value("conveyor_workers", {"state": "busy"}) == 0


def described() -> dict[str, tuple[str, set[str]]]:
    """Kind and labels of each metric of the daemon, by its name."""
    rows = re.findall(r"^\| `(conveyor_\w+)` \| (\w+) \|([^|]*)\|", DAEMONS, flags=re.MULTILINE)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def told(world: World) -> dict[str, tuple[str, set[str]]]:
    """The same of what is told."""
    families: list[Metric] = list(text_string_to_metric_families(generate_latest(world.registry).decode()))
    return {
        f"{family.name}_total" if family.type == "counter" else family.name: (
            family.type,
            {label for sample in family.samples for label in sample.labels} - {"le"},
        )
        for family in families
        if family.samples
    }


def test_the_documentation_says_all_of_it(world: World) -> None:
    world.built()
    world.queued("2")
    world.watch.polled([remote("u", 1)])
    world.leases.take(
        Lease(name=DAEMON, token="t", host="h", pid=1, process_started=1, since=NOON, heartbeat_at=NOON), lost_after=60
    )
    world.vitals.buildroots = (("base", 1),)
    world.vitals.page = Serving(runs=True, restarts=0, trouble="")
    world.counts.found_root(ready=True)
    world.counts.follow()
    found = {name: of for name, of in told(world).items() if not name.endswith("_created")}
    assert found == described()
    for work in Work:
        assert f"`{work}`" in TEXT
