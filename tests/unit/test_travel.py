"""Looking back at what was published."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from conveyor.errors import UnknownName, UpstreamUnreachable
from conveyor.model.promotion import Move, MoveKind, Step
from conveyor.pipeline.looking import travel as travelling
from conveyor.pipeline.looking.travel import Change, Travel, Way
from tests.fakes.ledger import MemoryLedger
from tests.support.workshop import TARGET, Workshop, new_world, package_of

NAME = TARGET.name


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(new_world(tmp_path, "nova", "oslo"))


def travel_of(workshop: Workshop) -> Travel:
    return Travel(workshop.parts.store, workshop.world.ledger, workshop.parts.repository, workshop.git)


def publish(workshop: Workshop, package: str, subject: str = "") -> datetime:
    """Build and publish a package, its next commit if there is a subject; says when that was over."""
    if subject:
        workshop.push(package, subject)
    workshop.build(package)
    return workshop.world.clock.now()


def collect(workshop: Workshop, *builds: int) -> None:
    workshop.parts.store.mark_collected(builds, workshop.world.clock.now())


def only_change(workshop: Workshop, before: str = "1", after: str = "current") -> Change:
    difference = travel_of(workshop).difference(NAME, before, after)
    assert (difference.added, difference.removed) == ((), ())
    (change,) = difference.changed
    return change


class TestList:
    def test_what_points_at_each(self, workshop: Workshop) -> None:
        publish(workshop, "nova")
        publish(workshop, "oslo")
        publish(workshop, "nova", "Second")
        workshop.parts.repository.point(NAME, "tested", workshop.parts.store.build(1).commit.id)
        found = travel_of(workshop).listed(NAME)
        assert [(each.snapshot.build, each.pointers) for each in found] == [
            (3, ("consistent", "current")),
            (2, ()),
            (1, ("tested",)),
        ]
        assert [each.snapshot.build for each in travel_of(workshop).listed(NAME, package="nova", limit=1)] == [3]

    def test_a_collected_one_is_marked(self, workshop: Workshop) -> None:
        publish(workshop, "nova")
        publish(workshop, "nova", "Second")
        collect(workshop, 1)
        assert [each.snapshot.collected_at is None for each in travel_of(workshop).listed(NAME)] == [True, False]


class TestHeld:
    def test_what_it_holds(self, workshop: Workshop) -> None:
        publish(workshop, "nova")
        publish(workshop, "oslo")
        held = travel_of(workshop).held(NAME, "current")
        assert (held.snapshot.build, held.pointers) == (2, ("consistent", "current"))
        assert [each.package for each in held.manifest.packages] == ["nova", "oslo"]

    def test_of_a_collected_one_the_neighbours_are_named(self, workshop: Workshop) -> None:
        for number in range(5):
            publish(workshop, "nova", f"Commit {number}")
        collect(workshop, 2, 3)
        with pytest.raises(UnknownName, match="was removed: retention collected it") as raised:
            travel_of(workshop).held(NAME, "3")
        older, newer = (workshop.parts.store.build(number).commit.id for number in (1, 4))
        assert raised.value.hint == f"nearest that are there: {older} (older), {newer} (newer)"


class TestAt:
    def test_where_current_was(self, workshop: Workshop) -> None:
        first = publish(workshop, "nova")
        second = publish(workshop, "nova", "Second")
        travel = travel_of(workshop)
        then, now = travel.at(NAME, first), travel.at(NAME, second + timedelta(days=1))
        assert (then.snapshot.build, now.snapshot.build) == (1, 2)
        assert then.since <= first < now.since <= second
        assert (then.older, then.newer) == (None, None)

    def test_a_roll_back_counts(self, workshop: Workshop) -> None:
        publish(workshop, "nova")
        published = publish(workshop, "nova", "Second")
        first, second = (workshop.parts.store.build(number).commit.id for number in (1, 2))
        step = Step(target=NAME, pointer="current", before=second, after=first)
        at = workshop.world.clock.now()
        move = Move(kind=MoveKind.ROLLED_BACK, actor="ann", at=at, steps=(step,))
        workshop.world.ledger.complete(workshop.world.ledger.begin(move), at)
        assert travel_of(workshop).at(NAME, published).snapshot.build == 2
        assert travel_of(workshop).at(NAME, at).snapshot.build == 1

    def test_before_the_first_there_was_none(self, workshop: Workshop) -> None:
        before = workshop.world.clock.now() - timedelta(days=1)
        publish(workshop, "nova")
        with pytest.raises(UnknownName, match=f"{NAME} had no current at .*: it first came to be"):
            travel_of(workshop).at(NAME, before)
        with pytest.raises(UnknownName, match=r"had no tested at .*: it never was"):
            travel_of(workshop).at(NAME, before + timedelta(days=9), "tested")

    def test_before_the_ledger_what_was_published_tells(self, workshop: Workshop) -> None:
        first = publish(workshop, "nova")
        publish(workshop, "nova", "Second")
        ledger = workshop.world.ledger
        assert isinstance(ledger, MemoryLedger)
        ledger.written = [
            replace(entry, step=replace(entry.step, before="x")) for entry in ledger.written if entry.at > first
        ]
        then = travel_of(workshop).at(NAME, first)
        assert (then.snapshot.build, then.since) == (1, then.snapshot.published_at)
        with pytest.raises(UnknownName, match="had no current"):
            travel_of(workshop).at(NAME, then.since - timedelta(seconds=1))

    def test_of_a_collected_one_the_neighbours_are_told(self, workshop: Workshop) -> None:
        moments = [publish(workshop, "nova", f"Commit {number}") for number in range(5)]
        collect(workshop, 1, 2, 3)
        then = travel_of(workshop).at(NAME, moments[2])
        assert then.snapshot.build == 3
        assert then.snapshot.collected_at is not None
        assert (then.older, then.newer and then.newer.build) == (None, 4)


class TestDifference:
    def test_packages_come_and_go(self, workshop: Workshop) -> None:
        publish(workshop, "nova")
        publish(workshop, "oslo")
        there = travel_of(workshop).difference(NAME, "1", "2")
        assert [each.package for each in there.added] == ["oslo"]
        assert (there.removed, there.changed) == ((), ())
        back = travel_of(workshop).difference(NAME, "2", "1")
        assert [each.package for each in back.removed] == ["oslo"]
        same = travel_of(workshop).difference(NAME, "2", "current")
        assert (same.added, same.removed, same.changed) == ((), (), ())

    def test_the_upstream_commits_between(self, workshop: Workshop) -> None:
        publish(workshop, "nova")
        for number in range(3):
            workshop.push("nova", f"Commit {number}")
        publish(workshop, "nova")
        change = only_change(workshop)
        assert (change.before.version, change.after.version, change.way) == ("1.1-1", "1.4-1", Way.FORWARD)
        assert [each.subject for each in change.commits] == ["Commit 0", "Commit 1", "Commit 2"]
        back = only_change(workshop, "current", "1")
        assert (back.way, back.commits) == (Way.BACK, change.commits)

    def test_many_commits_are_cut(self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(travelling, "COMMITS_TOLD", 2)
        publish(workshop, "nova")
        for number in range(3):
            workshop.push("nova", f"Commit {number}")
        publish(workshop, "nova")
        change = only_change(workshop)
        assert [each.subject for each in change.commits] == ["Commit 1", "Commit 2"]
        assert change.more

    def test_another_packaging_of_the_same_commit(self, workshop: Workshop) -> None:
        publish(workshop, "nova")
        workshop.world.packaging.recipes["nova"] += "# changed\n"
        workshop.versions[workshop.parts.store.build(1).commit.upstream.sha] = "1.2"
        publish(workshop, "nova")
        change = only_change(workshop)
        assert (change.way, change.commits) == (Way.SAME, ())
        assert change.before.packaging_sha != change.after.packaging_sha

    def test_a_force_push_is_said(self, workshop: Workshop) -> None:
        upstream = workshop.world.upstreams[package_of("nova").upstream]
        root = upstream.commit("Base")
        upstream.commit("Dropped", files={"README": b"dropped"})
        publish(workshop, "nova")
        upstream.set_branch("master", root)
        publish(workshop, "nova", "Instead")
        change = only_change(workshop)
        assert (change.way, change.commits) == (Way.REWRITTEN, ())

    def test_without_the_mirror_the_rest_is_told(self, workshop: Workshop) -> None:
        publish(workshop, "nova")
        publish(workshop, "nova", "Second")
        elsewhere = Workshop(new_world(workshop.world.data / "other"))
        travel = Travel(workshop.parts.store, workshop.world.ledger, workshop.parts.repository, elsewhere.git)
        (change,) = travel.difference(NAME, "1", "2").changed
        assert change.way is Way.UNKNOWN
        assert "mirror is not here" in change.why

    def test_a_mirror_that_fails_is_said(self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
        publish(workshop, "nova")
        publish(workshop, "nova", "Second")

        def fail(*_: object, **__: object) -> bool:
            raise UpstreamUnreachable("git took too long")

        monkeypatch.setattr(workshop.git, "contains", fail)
        change = only_change(workshop)
        assert (change.way, change.why) == (Way.UNKNOWN, "git took too long")

    def test_a_collected_one_is_refused(self, workshop: Workshop) -> None:
        publish(workshop, "nova")
        publish(workshop, "nova", "Second")
        collect(workshop, 1)
        with pytest.raises(UnknownName, match="was removed"):
            travel_of(workshop).difference(NAME, "1", "2")


def test_a_name_is_known_or_not(workshop: Workshop) -> None:
    publish(workshop, "nova")
    travel = travel_of(workshop)
    assert travel.knows(NAME, "current")
    assert not travel.knows(NAME, "ffffffff")


def test_times_have_a_zone(workshop: Workshop) -> None:
    publish(workshop, "nova")
    assert travel_of(workshop).at(NAME, datetime(2999, 1, 1, tzinfo=UTC)).since.tzinfo is not None
