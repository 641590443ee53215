"""Orders from afar: which builds they become, which are refused, and that nothing is done twice."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from conveyor.errors import ConveyorError, DiskFull, Fault, HostUnreachable, UserError
from conveyor.model.build import Outcome, State
from conveyor.model.event import EventKind
from conveyor.model.order import NewOrder, OrderState
from conveyor.model.package import PackagingRepository
from conveyor.model.queue import REQUESTED, Change, NewBuild, Priority, Reason, ReasonKind
from conveyor.model.watch import Polling, RemoteRefs
from conveyor.pipeline.finding import Finding
from conveyor.pipeline.ordering import KEPT, Ordering, check_revision
from conveyor.pipeline.poll import Poll, Wanted
from tests.fakes.git import FakeGit, FakeUpstream
from tests.fakes.orders import MemoryOrderBook
from tests.fakes.store_samples import end
from tests.support.site import wait_for
from tests.support.workshop import TARGET, Workshop, new_world, package_of

PACKAGES = ("nova", "glance", "cinder", "neutron")


class Servers(FakeGit):
    """Upstreams, of which some say nothing until they are `let_go`."""

    def __init__(self, upstreams: Mapping[str, FakeUpstream]) -> None:
        super().__init__(upstreams)
        self.silent: dict[str, threading.Event] = {}
        self.reached: list[str] = []

    def refs(self, url: str, *, branches: Collection[str] | None = None, tags: bool = True) -> RemoteRefs:
        self.reached.append(url.rpartition("/")[2])
        if url in self.silent:
            assert self.silent[url].wait(60)
        return super().refs(url, branches=branches, tags=tags)

    def hang(self, *packages: str) -> None:
        self.silent |= {package_of(name).upstream: threading.Event() for name in packages}

    def let_go(self, package: str, error: ConveyorError | None = None) -> None:
        url = package_of(package).upstream
        if error is not None:
            self.failures[url] = error
        self.silent[url].set()


class Desk:
    """Orders, and what carries them out."""

    def __init__(self, folder: Path, book: MemoryOrderBook | None = None) -> None:
        self.workshop = Workshop(new_world(folder, *PACKAGES))
        self.world = self.workshop.world
        self.book = book or MemoryOrderBook()
        self.packages = {name: package_of(name) for name in PACKAGES}
        self.git = Servers(self.world.upstreams)
        self.stop = threading.Event()
        self.ordering = Ordering(
            book=self.book,
            finding=Finding(
                poll=Poll(self.git, self.world.packaging),
                git=self.git,
                host_of=lambda url: "elsewhere" if url.endswith("neutron") else "here",
                polling=Polling(at_once=4, per_host=2),
                clock=self.world.clock,
                stop=self.stop,
            ),
            store=self.world.store,
            queue=self.world.queue,
            packages=self.packages,
            targets={TARGET.name: TARGET},
            clock=self.world.clock,
        )

    def order(self, revision: str = "", *targets: str, package: str = "nova") -> int:
        new = NewOrder(package=package, revision=revision, targets=targets, actor="ada", at=self.world.clock.now())
        return self.book.add(new).number

    def state(self, number: int) -> OrderState:
        return self.book.order(number).state

    def until(self, *numbers: int) -> None:
        """Take orders, as the daemon does each second, until these are settled."""

        def settled() -> bool:
            self.ordering.take(0.05)
            return all(self.state(number) is not OrderState.WAITING for number in numbers)

        wait_for(settled, "orders to be settled")

    def until_asked(self, *packages: str) -> None:
        """The same, until the servers of these packages were asked, each as often as it is named."""

        def asked() -> bool:
            self.ordering.take(0.05)
            return sorted(self.git.reached) == sorted(packages)

        wait_for(asked, f"questions to {packages}, not to {self.git.reached}")

    def refused(self, number: int) -> tuple[str, Fault]:
        cause = self.book.order(number).cause
        assert cause is not None
        return cause.kind, cause.fault


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    for answered in desk.git.silent.values():
        answered.set()
    desk.ordering.close()


def test_the_commit_that_is_named_is_built_as_a_persons_request(desk: Desk) -> None:
    first = desk.workshop.commit("nova").upstream.sha
    desk.workshop.push("nova", "Second")
    old, newest = desk.order(first[:8], TARGET.name), desk.order()

    assert desk.ordering.take(None) == 2
    builds = [desk.world.store.build(desk.book.order(number).builds[0]) for number in (old, newest)]
    assert builds[0].commit.upstream.sha == first
    assert builds[1].commit.upstream.sha != first
    assert {(build.target, build.state, build.commit.trunk) for build in builds} == {(TARGET.name, State.QUEUED, True)}
    reason = Reason(kind=ReasonKind.REQUESTED, detail="ada")
    assert desk.world.store.reason(builds[0].id) == (Priority.REQUEST, reason)
    (told, _) = desk.world.events.after(0)
    assert (told.kind, told.package, told.detail["actor"]) == (EventKind.QUEUED, "nova", "ada")
    assert desk.ordering.take(None) == 0


def test_a_commit_that_has_a_build_gets_no_other(desk: Desk) -> None:
    commit = desk.workshop.commit("nova")
    new = NewBuild(commit=commit, target=TARGET.name, priority=Priority.BACKLOG, reason=REQUESTED)
    (number,) = desk.world.queue.apply(Change(builds=(new,)), desk.world.clock.now())

    def ordered() -> State:
        order = desk.order()
        desk.ordering.take(None)
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
    desk.ordering.take(None)

    assert desk.book.order(order).builds == (report.build.id,)
    assert desk.world.store.build(report.build.id).outcome is Outcome.SUCCEEDED


def test_what_cannot_be_built_is_refused_and_holds_up_nothing(desk: Desk) -> None:
    unknown, strange, elsewhere, good = (
        desk.order("nothing"),
        desk.order(package="swift"),
        desk.order("", "centos"),
        desk.order(),
    )
    assert desk.ordering.take(None) == 4

    assert desk.refused(unknown) == ("RevisionMissing", Fault.USER)
    assert desk.refused(strange) == desk.refused(elsewhere) == ("UnknownName", Fault.USER)
    assert desk.book.order(good).state is OrderState.TAKEN


def test_one_whose_server_is_silent_holds_up_no_other_package(desk: Desk) -> None:
    desk.git.hang("nova")
    silent, behind, other = desk.order(), desk.order(), desk.order(package="glance")
    desk.until(other)
    assert desk.state(other) is OrderState.TAKEN
    assert desk.state(silent) is desk.state(behind) is OrderState.WAITING
    assert desk.git.reached.count("nova") == 1

    desk.git.let_go("nova", HostUnreachable("it cannot be polled", cause="it took longer than 60 s"))
    desk.until(silent, behind)
    assert desk.refused(silent) == desk.refused(behind) == ("HostUnreachable", Fault.NETWORK)
    cause = desk.book.order(silent).cause
    assert cause is not None
    assert cause.summary == "it cannot be polled: it took longer than 60 s"
    assert desk.world.store.builds(package="nova") == ()


def test_only_so_many_go_to_one_host_and_one_by_one_once_it_was_silent(desk: Desk) -> None:
    desk.git.hang("nova", "glance", "cinder")
    orders = [desk.order(package=name) for name in PACKAGES]
    desk.until(orders[-1])
    assert sorted(desk.git.reached) == ["glance", "neutron", "nova"]

    desk.git.let_go("nova", HostUnreachable("it cannot be polled"))
    desk.until(orders[0])
    assert "cinder" not in desk.git.reached
    desk.git.let_go("glance")
    desk.until_asked("nova", "glance", "neutron", "cinder")
    desk.git.let_go("cinder")
    desk.until(*orders)
    assert [desk.state(number) for number in orders] == [OrderState.REFUSED, *3 * [OrderState.TAKEN]]


def test_the_server_of_a_packaging_repository_is_asked_before_it_is_fetched(desk: Desk) -> None:
    packaging = PackagingRepository(url="https://distgit.example.org/nova", branch="rpm")
    desk.packages["nova"] = replace(package_of("nova"), packaging=packaging)
    order = desk.order()
    desk.ordering.take(None)
    assert desk.refused(order) == ("UpstreamUnreachable", Fault.NETWORK)
    assert desk.git.asked == [package_of("nova").upstream, packaging.url]
    assert desk.git.updated == [package_of("nova").upstream]


def test_what_was_under_way_at_the_end_waits_and_is_taken_by_the_next(desk: Desk, tmp_path: Path) -> None:
    desk.git.hang("nova")
    order = desk.order()
    desk.until_asked("nova")
    desk.stop.set()
    desk.git.let_go("nova")
    desk.ordering.close()
    assert desk.ordering.take(None) == 0
    assert desk.state(order) is OrderState.WAITING

    after = Desk(tmp_path / "after", desk.book)
    assert after.ordering.take(None) == 1
    assert after.state(order) is OrderState.TAKEN
    after.ordering.close()


def test_a_defect_is_told_and_ends_its_order_alone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, good = desk.order(), desk.order(package="neutron")

    def fail(url: str) -> None:
        if url.endswith("nova"):
            raise ZeroDivisionError
        FakeGit.update(desk.git, url)

    monkeypatch.setattr(desk.git, "update", fail)
    with pytest.raises(ZeroDivisionError):
        desk.ordering.take(None)
    assert desk.refused(broken) == ("ConveyorError", Fault.OURS)
    assert desk.state(good) is OrderState.TAKEN


def test_what_is_no_fault_of_the_order_lets_it_wait(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    order = desk.order()
    with monkeypatch.context() as patched:
        patched.setattr(desk.git, "update", lambda _url: (_ for _ in ()).throw(DiskFull("no room")))
        with pytest.raises(DiskFull):
            desk.ordering.take(None)
    assert desk.book.order(order).state is OrderState.WAITING

    desk.ordering.take(None)
    assert desk.book.order(order).state is OrderState.TAKEN


def test_a_kill_before_it_was_settled_costs_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    order = desk.order()
    with monkeypatch.context() as patched:
        patched.setattr(desk.book, "settle", lambda *_a, **_k: (_ for _ in ()).throw(DiskFull("no room")))
        with pytest.raises(DiskFull):
            desk.ordering.take(None)
    desk.ordering.take(None)

    assert len(desk.world.store.builds()) == 1
    assert desk.book.order(order).builds == (desk.world.store.builds()[0].id,)


def test_what_became_of_orders_is_forgotten_after_a_while(desk: Desk) -> None:
    old = desk.order()
    desk.ordering.take(None)
    desk.world.clock.advance(KEPT + timedelta(seconds=1))
    new = desk.order()
    desk.ordering.take(None)

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
