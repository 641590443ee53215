"""When mirrors are brought up to date, and what a failure costs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from conveyor.errors import MirroringFailed
from conveyor.model.mirror import Mirror
from conveyor.model.promotion import MoveKind
from conveyor.pipeline.keeping import mirror as mirroring
from conveyor.pipeline.keeping.mirror import Mirroring, pause
from tests.fakes.mirrors import FakeCopier, MemoryMirrorStates
from tests.support.workshop import TARGET, Workshop, new_world

NAME = TARGET.name
EU = Mirror(name="eu", destination="rsync://mirror.example.org/trunk")
US = Mirror(name="us", destination="/srv/us", targets=(NAME,))
ELSEWHERE = Mirror(name="elsewhere", destination="/srv/else", targets=("centos-10-x86_64",))
REFUSED = MirroringFailed("mirror eu has no new copy", cause="connection refused")


class Office:
    """A workshop with mirrors."""

    def __init__(self, folder: Path, *mirrors: Mirror) -> None:
        self.workshop = Workshop(new_world(folder, "nova"))
        self.copier = FakeCopier(repository=self.workshop.parts.repository)
        self.states = MemoryMirrorStates()
        self.clock = self.workshop.world.clock
        self.mirroring = Mirroring(
            mirrors,
            targets=("centos-10-x86_64", NAME),
            store=self.workshop.parts.store,
            ledger=self.workshop.world.ledger,
            repository=self.workshop.parts.repository,
            states=self.states,
            copier=self.copier,
            clock=self.clock,
        )

    def publish(self, subject: str = "Another") -> str:
        self.workshop.push("nova", subject)
        return self.workshop.build("nova").build.commit.id

    def later(self, pause: timedelta) -> None:
        self.clock.advance(pause)

    def catch_up(self) -> list[tuple[str, str, frozenset[str] | None]]:
        """What is copied."""
        self.copier.calls.clear()
        list(self.mirroring.catch_up())
        return self.copier.calls


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path, EU)


def test_nothing_to_do_before_the_first_publish(office: Office) -> None:
    assert office.catch_up() == []
    assert office.mirroring.standings() == ()
    assert list(office.mirroring.bring(EU, dry_run=False)) == []


def test_everything_the_first_time_and_then_what_is_new(office: Office) -> None:
    office.publish()
    office.later(timedelta(days=1))
    assert office.mirroring.waiting() == ("eu",)
    assert office.catch_up() == [("eu", NAME, None)]
    assert office.mirroring.waiting() == ()
    assert office.catch_up() == []
    second = office.publish()
    assert office.catch_up() == [("eu", NAME, frozenset({second}))]


def test_what_is_near_the_last_try_is_copied_again(office: Office) -> None:
    first = office.publish()
    office.catch_up()
    second = office.publish()
    assert office.catch_up() == [("eu", NAME, frozenset({first, second}))]


def test_after_very_many_all_are_looked_at(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirroring, "LISTED", 2)
    office.publish()
    office.catch_up()
    office.publish()
    assert office.catch_up() == [("eu", NAME, None)]


def test_a_pointer_that_moves_makes_it_due(office: Office) -> None:
    first = office.publish()
    office.publish()
    office.catch_up()
    office.workshop.pointers.move(MoveKind.PROMOTED, [(NAME, "tested", first)], actor="ann")
    assert office.mirroring.waiting() == ("eu",)


def test_a_failure_is_remembered_and_raises_nothing(office: Office) -> None:
    office.publish()
    office.copier.failure = REFUSED
    (brought,) = office.mirroring.catch_up()
    assert brought.error is REFUSED
    (standing,) = office.mirroring.standings()
    assert (standing.behind, standing.state.failures, standing.state.cause) == (True, 1, "connection refused")
    assert standing.next_try == (standing.state.failed_at or office.clock.now()) + timedelta(minutes=1)


def test_a_dead_mirror_is_left_alone_for_longer_each_time(office: Office) -> None:
    office.publish()
    office.copier.failure = REFUSED
    tries = []
    for minute in range(60):
        office.later(timedelta(minutes=1))
        if office.catch_up():
            tries.append(minute)
    assert tries == [0, 1, 3, 7, 15, 31]
    assert pause(1) == timedelta(minutes=1)
    assert pause(1000) == timedelta(hours=6)


def test_it_is_tried_again_and_then_well(office: Office) -> None:
    office.publish()
    office.copier.failure = REFUSED
    office.catch_up()
    office.copier.failure = None
    office.later(timedelta(minutes=2))
    assert office.catch_up() == [("eu", NAME, None)]
    (standing,) = office.mirroring.standings()
    assert (standing.behind, standing.state.failures, standing.next_try) == (False, 0, None)


def test_by_hand_it_is_tried_at_once_and_as_a_whole(office: Office) -> None:
    office.publish()
    office.catch_up()
    office.copier.failure = REFUSED
    list(office.mirroring.bring(EU, dry_run=False))
    office.copier.failure = None
    office.copier.calls.clear()
    (brought,) = office.mirroring.bring(EU, dry_run=False)
    assert brought.copied is not None
    assert office.copier.calls == [("eu", NAME, None)]


def test_a_dry_run_remembers_nothing(office: Office) -> None:
    office.publish()
    list(office.mirroring.bring(EU, dry_run=True))
    office.copier.failure = REFUSED
    (brought,) = office.mirroring.bring(EU, dry_run=True)
    assert brought.error is REFUSED
    (standing,) = office.mirroring.standings()
    assert (standing.behind, standing.state.failures) == (True, 0)


def test_another_process_at_it_is_left_alone(office: Office) -> None:
    office.publish()
    office.copier.busy = True
    assert office.catch_up() == []
    with pytest.raises(MirroringFailed, match="another process"):
        list(office.mirroring.bring(EU, dry_run=False))


def test_a_pointer_that_moves_meanwhile_is_followed(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    first = office.publish()
    office.publish()
    copy = office.copier.copy

    def copy_slowly(*arguments: object, **named: object) -> object:
        copied = copy(*arguments, **named)  # type: ignore[arg-type]
        if len(office.copier.calls) == 1:
            office.workshop.parts.repository.point(NAME, "tested", first)
        return copied

    monkeypatch.setattr(office.copier, "copy", copy_slowly)
    assert len(office.catch_up()) == 2


def test_each_mirror_has_its_targets_and_one_that_fails_stops_no_other(tmp_path: Path) -> None:
    office = Office(tmp_path, ELSEWHERE, EU, US)
    office.publish()
    assert [(mirror, target) for mirror, target, _ in office.catch_up()] == [("eu", NAME), ("us", NAME)]
    office.later(timedelta(hours=2))
    office.publish()
    office.copier.failure = REFUSED
    assert len(office.catch_up()) == 2
    assert [each.state.failures for each in office.mirroring.standings()] == [1, 1]
