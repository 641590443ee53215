"""Orders from afar: which builds they become, which are refused, and that nothing is done twice."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from conveyor.errors import DiskFull, Fault, UserError
from conveyor.model.build import Outcome, State
from conveyor.model.event import EventKind
from conveyor.model.order import NewOrder, OrderState
from conveyor.model.queue import REQUESTED, Change, NewBuild, Priority, Reason, ReasonKind
from conveyor.pipeline.ordering import KEPT, Ordering, check_revision
from conveyor.pipeline.poll import Poll, Wanted
from tests.fakes.orders import MemoryOrderBook
from tests.fakes.store_samples import end
from tests.support.workshop import TARGET, Workshop, new_world, package_of


class Desk:
    """Orders, and what carries them out."""

    def __init__(self, folder: Path) -> None:
        self.workshop = Workshop(new_world(folder, "nova"))
        self.world = self.workshop.world
        self.book = MemoryOrderBook()
        self.ordering = Ordering(
            book=self.book,
            poll=Poll(self.workshop.git, self.world.packaging),
            store=self.world.store,
            queue=self.world.queue,
            packages={"nova": package_of("nova")},
            targets={TARGET.name: TARGET},
            clock=self.world.clock,
        )

    def order(self, revision: str = "", *targets: str, package: str = "nova") -> int:
        new = NewOrder(package=package, revision=revision, targets=targets, actor="ada", at=self.world.clock.now())
        return self.book.add(new).number

    def refused(self, number: int) -> tuple[str, Fault]:
        cause = self.book.order(number).cause
        assert cause is not None
        return cause.kind, cause.fault


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_the_commit_that_is_named_is_built_as_a_persons_request(desk: Desk) -> None:
    first = desk.workshop.commit("nova").upstream.sha
    desk.workshop.push("nova", "Second")
    old, newest = desk.order(first[:8], TARGET.name), desk.order()

    assert desk.ordering.take() == 2
    builds = [desk.world.store.build(desk.book.order(number).builds[0]) for number in (old, newest)]
    assert builds[0].commit.upstream.sha == first
    assert builds[1].commit.upstream.sha != first
    assert {(build.target, build.state, build.commit.trunk) for build in builds} == {(TARGET.name, State.QUEUED, True)}
    reason = Reason(kind=ReasonKind.REQUESTED, detail="ada")
    assert desk.world.store.reason(builds[0].id) == (Priority.REQUEST, reason)
    (told, _) = desk.world.events.after(0)
    assert (told.kind, told.package, told.detail["actor"]) == (EventKind.QUEUED, "nova", "ada")
    assert desk.ordering.take() == 0


def test_a_commit_that_has_a_build_gets_no_other(desk: Desk) -> None:
    commit = desk.workshop.commit("nova")
    new = NewBuild(commit=commit, target=TARGET.name, priority=Priority.BACKLOG, reason=REQUESTED)
    (number,) = desk.world.queue.apply(Change(builds=(new,)), desk.world.clock.now())

    def ordered() -> State:
        order = desk.order()
        desk.ordering.take()
        assert desk.book.order(order).builds == (number,)
        return desk.world.store.build(number).state

    assert ordered() is State.QUEUED
    assert desk.world.store.reason(number)[0] is Priority.REQUEST
    end(desk.world.store, commit, desk.world.clock.now(), Outcome.FAILED, target=TARGET.name)
    assert ordered() is State.QUEUED
    assert desk.world.store.reason(number)[1].detail == "ada"
    assert desk.world.store.build(number).outcome is None


def test_what_succeeded_is_not_built_again(desk: Desk) -> None:
    commit = desk.workshop.commit("nova", Wanted())
    report = desk.workshop.build("nova")
    assert report.build.outcome is Outcome.SUCCEEDED
    order = desk.order(commit.upstream.sha)
    desk.ordering.take()

    assert desk.book.order(order).builds == (report.build.id,)
    assert desk.world.store.build(report.build.id).outcome is Outcome.SUCCEEDED


def test_what_cannot_be_built_is_refused_and_holds_up_nothing(desk: Desk) -> None:
    unknown, strange, elsewhere, good = (
        desk.order("nothing"),
        desk.order(package="glance"),
        desk.order("", "centos"),
        desk.order(),
    )
    assert desk.ordering.take() == 4

    assert desk.refused(unknown) == ("RevisionMissing", Fault.USER)
    assert desk.refused(strange) == desk.refused(elsewhere) == ("UnknownName", Fault.USER)
    assert desk.book.order(good).state is OrderState.TAKEN


def test_what_is_no_fault_of_the_order_lets_it_wait(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    order = desk.order()
    with monkeypatch.context() as patched:
        patched.setattr(desk.workshop.git, "update", lambda _url: (_ for _ in ()).throw(DiskFull("no room")))
        with pytest.raises(DiskFull):
            desk.ordering.take()
    assert desk.book.order(order).state is OrderState.WAITING

    desk.ordering.take()
    assert desk.book.order(order).state is OrderState.TAKEN


def test_a_kill_before_it_was_settled_costs_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    order = desk.order()
    with monkeypatch.context() as patched:
        patched.setattr(desk.book, "settle", lambda *_a, **_k: (_ for _ in ()).throw(DiskFull("no room")))
        with pytest.raises(DiskFull):
            desk.ordering.take()
    desk.ordering.take()

    assert len(desk.world.store.builds()) == 1
    assert desk.book.order(order).builds == (desk.world.store.builds()[0].id,)


def test_what_became_of_orders_is_forgotten_after_a_while(desk: Desk) -> None:
    old = desk.order()
    desk.ordering.take()
    desk.world.clock.advance(KEPT + timedelta(seconds=1))
    new = desk.order()
    desk.ordering.take()

    assert desk.book.order(new).state is OrderState.TAKEN
    assert old not in desk.book.numbers


@pytest.mark.parametrize("revision", ["-upload-pack", "a\nb", 201 * "a", "\x1b[31m"])
def test_what_is_no_revision_is_refused_at_once(revision: str) -> None:
    with pytest.raises(UserError):
        check_revision(revision)


def test_names_of_commits_are_taken() -> None:
    assert [check_revision(each) for each in ("", "stable/2026", "v1.0~rc1", "4f2a")] == [
        "",
        "stable/2026",
        "v1.0~rc1",
        "4f2a",
    ]
