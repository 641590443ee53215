"""What people are reminded of and when, on a pipeline of fakes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from conveyor.errors import Fault, StoreUnusable
from conveyor.model.build import Build, Cause, Outcome
from conveyor.model.event import Event, EventKind, NewEvent
from conveyor.model.promotion import CONSISTENT, MoveKind
from conveyor.pipeline.happenings import BAD
from conveyor.pipeline.pointing.standings import Standings
from conveyor.pipeline.reminding import MOST_TOLD, PAUSE, Reminder
from tests.fakes.events import MemoryEvents
from tests.fakes.store import MemoryStore
from tests.fakes.store_samples import claim
from tests.support.workshop import RECIPE, TARGET, Workshop, new_world

PACKAGES = ("nova", "glance", "cinder")
OTHER = replace(TARGET, name="debian-12-amd64")
DAY = timedelta(days=1)
WEEK = 7 * DAY
HOUR = timedelta(hours=1)


class Site:
    """Packages that are built for two targets, and who reminds of them."""

    def __init__(self, folder: Path) -> None:
        self.world = new_world(folder, *PACKAGES)
        assert isinstance(self.world.events, MemoryEvents)
        assert isinstance(self.world.store, MemoryStore)
        self.events, self.store = self.world.events, self.world.store
        self.workshop = Workshop(self.world, targets=(TARGET, OTHER))
        self.packages = list(PACKAGES)

    def remind(self) -> list[Event]:
        """Have people be reminded; of what."""
        world = self.world
        components = {target.name: dict.fromkeys(self.packages, "main") for target in (TARGET, OTHER)}
        reminder = Reminder(
            events=self.events,
            store=world.store,
            repository=world.repository,
            standings=Standings(world.store, world.ledger, world.repository, self.workshop.knowledge, (), components),
            built=components,
            after=WEEK,
        )
        count = reminder.remind(world.clock.now())
        return self.events.recorded[len(self.events.recorded) - count :]

    def later(self, by: timedelta) -> None:
        self.world.clock.advance(by)

    def fail(self, package: str, target: object = TARGET) -> Build:
        """Build a commit that fails."""
        assert target in (TARGET, OTHER)
        self.world.packaging.recipes[package] = "broken"
        self.workshop.push(package, "Break it")
        build = self.workshop.build(package, target=TARGET if target == TARGET else OTHER).build
        assert build.outcome is Outcome.FAILED
        return build

    def mend(self, package: str) -> Build:
        """Build a commit that is good."""
        self.world.packaging.recipes[package] = RECIPE.replace("NAME", package)
        self.workshop.push(package, "Mend it")
        build = self.workshop.build(package).build
        assert build.outcome is Outcome.SUCCEEDED
        return build

    def error(self, package: str) -> None:
        """Build a commit that errs."""
        self.workshop.push(package, "Err")
        build = self.store.queue(self.workshop.commit(package), TARGET.name, retry=False)
        token = str(build.id)
        claimed = self.store.claim(build.id, claim(token))
        assert claimed is not None
        cause = Cause(fault=Fault.OURS, stage=None, kind="DiskFull", summary="no room", hint="", details=())
        events = self.workshop.happenings.ended(claimed, Outcome.ERRORED, cause, None)
        self.store.finish(
            build.id,
            token,
            outcome=Outcome.ERRORED,
            at=self.world.clock.now(),
            version=None,
            cause=cause,
            stages=(),
            entry=None,
            events=events,
        )

    def set_clock(self, by: timedelta, *, seen: bool = True) -> None:
        """Have somebody set the clock, on or back; a daemon that runs records it."""
        self.world.clock.advance(by)
        if seen:
            jump = NewEvent(
                kind=EventKind.CLOCK_JUMPED, summary="it has jumped", detail={"seconds": by.total_seconds()}
            )
            self.events.record([jump], self.world.clock.now())


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def told(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.package, event.target) for event in events]


class TestWhatStillFails:
    def test_once_a_week_until_it_works_again(self, site: Site) -> None:
        site.mend("nova")
        failed = site.fail("nova")
        site.later(WEEK - HOUR)
        assert site.remind() == []
        site.later(HOUR)
        (event,) = site.remind()
        assert (event.kind, event.package, event.target, event.build) == (
            EventKind.STILL_FAILING,
            "nova",
            TARGET.name,
            failed.id,
        )
        assert event.summary == f"nova has failed on {TARGET.name} for 7 d"
        (first,) = site.events.newest(kinds=[EventKind.FAILED])
        assert event.detail["since"] == first.at.isoformat()
        for _ in range(6):
            site.later(DAY)
            assert site.remind() == []
        site.later(DAY)
        assert told(site.remind()) == [("nova", TARGET.name)]
        site.mend("nova")
        site.later(2 * WEEK)
        assert site.remind() == []

    def test_more_failures_of_it_are_no_other_beginning(self, site: Site) -> None:
        site.fail("nova")
        for _ in range(7):
            site.later(DAY)
            last = site.fail("nova")
        (event,) = site.remind()
        assert (event.build, event.detail["attempt"]) == (last.id, 1)

    def test_a_week_of_good_builds_and_bad_ones_is_no_failing(self, site: Site) -> None:
        for _ in range(4):
            site.fail("nova")
            site.later(6 * DAY)
            site.mend("nova")
            assert site.remind() == []

    def test_a_build_that_errs_in_between_changes_nothing(self, site: Site) -> None:
        site.fail("nova")
        site.later(WEEK)
        site.error("nova")
        assert told(site.remind()) == [("nova", TARGET.name)]

    def test_what_only_errs_is_not_the_package_s_failing(self, site: Site) -> None:
        site.mend("nova")
        site.error("nova")
        site.error("glance")
        site.later(WEEK)
        assert site.remind() == []

    def test_what_is_due_within_a_day_is_told_together(self, site: Site) -> None:
        for name in PACKAGES:
            site.fail(name)
            site.later(HOUR)
        site.later(WEEK - 2 * HOUR)
        assert told(site.remind()) == [("glance", TARGET.name), ("nova", TARGET.name)]
        site.later(HOUR)
        assert site.remind() == []
        site.later(PAUSE)
        assert told(site.remind()) == [("cinder", TARGET.name)]

    def test_a_package_is_told_of_once_for_all_its_targets(self, site: Site) -> None:
        site.fail("nova")
        site.later(3 * DAY)
        site.fail("nova", OTHER)
        site.later(4 * DAY)
        assert told(site.remind()) == [("nova", TARGET.name)]
        site.later(WEEK)
        assert sorted(target for _, target in told(site.remind())) == [OTHER.name, TARGET.name]

    def test_what_repos_yaml_has_no_more_is_forgotten(self, site: Site) -> None:
        site.fail("nova")
        site.later(WEEK)
        site.packages.remove("nova")
        assert site.remind() == []

    def test_what_failed_before_there_were_events(self, site: Site) -> None:
        site.fail("nova")
        site.events.recorded = [
            replace(event, kind=EventKind.FAILED_AGAIN) if event.kind is EventKind.FAILED else event
            for event in site.events.recorded
        ]
        assert [event.kind for event in site.events.newest(kinds=BAD)] == [EventKind.FAILED_AGAIN]
        site.later(WEEK)
        assert told(site.remind()) == [("nova", TARGET.name)]

    def test_a_failure_without_any_event(self, site: Site) -> None:
        site.fail("nova")
        site.events.recorded = []
        site.later(WEEK)
        assert site.remind() == []

    def test_a_store_that_fails_tells_nobody_and_the_next_look_all_of_it(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As if the process had been killed before they were recorded; they are recorded together or not at all."""
        site.fail("nova")
        site.fail("glance")
        site.later(WEEK)

        def fail(*_: object) -> None:
            raise StoreUnusable("the disk is gone")

        with monkeypatch.context() as patched:
            patched.setattr(site.events, "record", fail)
            with pytest.raises(StoreUnusable):
                site.remind()
        assert told(site.remind()) == [("glance", TARGET.name), ("nova", TARGET.name)]
        assert site.remind() == []


class TestTheClock:
    @pytest.mark.parametrize("by", [400 * DAY, -400 * DAY])
    def test_a_jump_reminds_nobody_too_early_or_too_late(self, site: Site, by: timedelta) -> None:
        site.fail("nova")
        site.later(6 * DAY)
        site.set_clock(by)
        assert site.remind() == []
        site.later(DAY)
        assert told(site.remind()) == [("nova", TARGET.name)]
        site.set_clock(-by)
        assert site.remind() == []
        site.later(6 * DAY)
        assert site.remind() == []
        site.later(DAY)
        (event,) = site.remind()
        assert event.summary.endswith(" for 14 d")

    @pytest.mark.parametrize("by", [400 * DAY, -400 * DAY])
    def test_a_jump_that_nobody_saw_costs_one_reminder_at_most(self, site: Site, by: timedelta) -> None:
        for name in PACKAGES:
            site.fail(name)
        site.later(WEEK)
        assert len(site.remind()) == 3
        site.set_clock(by, seen=False)
        site.remind()
        assert len(site.events.newest(kinds=[EventKind.STILL_FAILING])) <= 6
        for _ in range(6):
            site.later(DAY)
            assert site.remind() == []

    def test_many_jumps_storm_nobody(self, site: Site) -> None:
        site.fail("nova")
        site.later(WEEK)
        site.remind()
        for number in range(10):
            site.set_clock(30 * DAY if number % 2 else -30 * DAY)
            assert site.remind() == []


class TestPointers:
    def test_one_that_does_not_follow_for_a_week_is_told_once_a_week(self, site: Site) -> None:
        first = site.mend("nova")
        site.error("glance")
        site.mend("nova")
        site.later(WEEK - HOUR)
        assert site.remind() == []
        site.later(HOUR)
        (event,) = site.remind()
        assert (event.kind, event.target, event.package) == (EventKind.POINTER_HELD_BACK, TARGET.name, "")
        assert event.summary == (
            f"consistent of {TARGET.name} has not followed what is published for more than 7 d: the latest build of "
            "glance did not succeed"
        )
        assert event.detail == {
            "pointer": CONSISTENT,
            "commit": first.commit.id,
            "seconds": 7 * 86400,
            "count": 1,
            "packages": ["glance"],
        }
        for _ in range(6):
            site.later(DAY)
            site.mend("nova")
            assert site.remind() == []
        site.later(DAY)
        assert len(site.remind()) == 1
        site.mend("glance")
        site.later(2 * WEEK)
        assert site.remind() == []

    def test_packages_that_hold_it_back_in_turn(self, site: Site) -> None:
        site.mend("nova")
        site.error("glance")
        site.mend("nova")
        for number in range(4):
            site.later(2 * DAY)
            bad, good = ("cinder", "glance") if number % 2 == 0 else ("glance", "cinder")
            site.error(bad)
            site.mend(good)
        (event,) = site.remind()
        assert event.kind is EventKind.POINTER_HELD_BACK

    def test_one_that_moved_meanwhile(self, site: Site) -> None:
        site.mend("nova")
        site.error("glance")
        site.mend("nova")
        site.later(4 * DAY)
        site.mend("glance")
        site.error("glance")
        site.mend("nova")
        site.later(4 * DAY)
        assert site.remind() == []

    def test_one_that_leads_to_the_newest(self, site: Site) -> None:
        site.mend("nova")
        site.error("glance")
        site.later(WEEK)
        assert site.remind() == []

    def test_one_that_was_never_there(self, site: Site) -> None:
        site.error("glance")
        site.mend("nova")
        site.later(WEEK)
        (event,) = site.remind()
        assert (event.detail["pointer"], event.detail["commit"]) == (CONSISTENT, None)

    def test_a_week_with_more_moves_than_are_read_at_once(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("conveyor.pipeline.reminding.PAGE", 2)
        site.mend("nova")
        site.error("glance")
        for _ in range(9):
            site.mend("nova")
            site.later(DAY)
        assert [event.kind for event in site.remind()] == [EventKind.POINTER_HELD_BACK]

    def test_a_component_s_is_told_of_by_itself(self, site: Site) -> None:
        site.mend("nova")
        site.error("glance")
        later = site.mend("nova")
        pointer = f"{CONSISTENT}-main"
        site.workshop.pointers.move(MoveKind.PROMOTED, [(TARGET.name, pointer, later.commit.id)], actor="ada")
        site.mend("nova")
        site.later(WEEK)
        assert sorted(str(event.detail["pointer"]) for event in site.remind()) == [CONSISTENT, pointer]

    def test_of_many_packages_some_are_named(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        names = tuple(f"p{number:02}" for number in range(30))
        site.error("glance")
        site.mend("nova")
        site.later(WEEK)
        monkeypatch.setattr(Standings, "holding", lambda *_: names)
        (event, *_) = (each for each in site.remind() if each.kind is EventKind.POINTER_HELD_BACK)
        assert "p00, p01, p02, p03, p04 and 25 more did not succeed" in event.summary
        assert (event.detail["count"], event.detail["packages"]) == (30, list(names[:MOST_TOLD]))
