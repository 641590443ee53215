"""Which packages are built anew because what they build with has changed, and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from conveyor.model.build import Build, Outcome, State
from conveyor.model.event import EventKind
from conveyor.model.package import Following, RebuildPolicy
from conveyor.model.queue import Change, Priority, ReasonKind
from conveyor.model.target import Format
from conveyor.pipeline.rebuilds.circles import Bootstrap
from conveyor.pipeline.rebuilds.interfaces import Interfaces
from conveyor.pipeline.rebuilds.rebuilding import Rebuilds
from conveyor.queue import find_cycles
from tests.fakes.describer import FakeDescriber
from tests.fakes.store import MemoryStore
from tests.fakes.store_samples import CAUSE
from tests.fakes.toolchain import FakeToolchain
from tests.support.workshop import TARGET, Workshop, new_world, package_of

LIBRARY, PROGRAM = "libfoo", "tool"
LIMIT = 2


class Bench:
    """A library and a program that builds with it, both built once."""

    def __init__(self, tmp_path: Path, policy: RebuildPolicy) -> None:
        self.world = new_world(tmp_path, LIBRARY, PROGRAM)
        self.workshop = Workshop(self.world)
        assert isinstance(self.world.store, MemoryStore)
        self.store = self.world.store
        self.queue = self.world.queue
        self.world.packaging.recipes[PROGRAM] += f"needs {LIBRARY}\n"
        self.workshop.builder.available |= {LIBRARY, PROGRAM}
        self.packages = {name: package_of(name) for name in (LIBRARY, PROGRAM)}
        self.follow(PROGRAM, policy)
        self.build(LIBRARY)
        self.first = self.build(PROGRAM)

    def follow(self, name: str, policy: RebuildPolicy) -> None:
        self.packages[name] = replace(package_of(name), following=Following(rebuild=policy))

    def build(self, name: str) -> Build:
        """The newest commit, with the library that is installed at that moment."""
        self._install()
        return self.workshop.build(name).build

    def change(self, name: str) -> Build:
        self.workshop.push(name, f"More of {name}")
        return self.build(name)

    def run(self, number: int) -> Build:
        """Build what waits."""
        self._install()
        record = self.store.records[number]
        reason, commit = record.reason, record.build.commit
        build = self.workshop.orders.build(self.packages[commit.package], TARGET, commit, keep_root=False).build
        self.store.records[number].reason = reason  # an order is somebody's
        return build

    def plan(self) -> list[int]:
        rebuilds = Rebuilds(
            store=self.store,
            queue=self.queue,
            events=self.store.events,
            toolchains={Format.DEB: FakeToolchain()},
            interfaces=Interfaces(self.store, self.world.repository, {Format.DEB: FakeDescriber()}),
            packages=self.packages,
            bootstrap=Bootstrap(self.store, self.queue, self.packages, find_cycles),
            limit=LIMIT,
        )
        return list(rebuilds.plan(TARGET, self.world.clock.now()))

    def order(self, build: Build) -> list[int]:
        rebuilds = Rebuilds(
            store=self.store,
            queue=self.queue,
            events=self.store.events,
            toolchains={},
            interfaces=Interfaces(self.store, self.world.repository, {}),
            packages=self.packages,
            bootstrap=Bootstrap(self.store, self.queue, self.packages, find_cycles),
            limit=LIMIT,
        )
        return list(rebuilds.order(build, "ada@host", self.world.clock.now()))

    def _install(self) -> None:
        for entry in self.store.entries(TARGET.name):
            for artifact in entry.artifacts:
                self.workshop.builder.versions[artifact.name] = artifact.version


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, RebuildPolicy.ALWAYS)


def test_nothing_changed(bench: Bench) -> None:
    assert bench.plan() == []


def test_every_new_build_of_a_dependency(bench: Bench) -> None:
    library = bench.change(LIBRARY)
    (number,) = bench.plan()
    build = bench.store.build(number)
    assert (build.state, build.commit) == (State.QUEUED, bench.first.commit.rebuilt(1))
    priority, reason = bench.store.reason(number)
    assert priority is Priority.REBUILD
    assert (reason.kind, reason.build, reason.cascade) == (ReasonKind.DEPENDENCY, library.id, 1)
    assert reason.detail == f"{LIBRARY} 1.1-1 became 1.2-1"
    (event,) = bench.store.events.newest(kinds=[EventKind.QUEUED])
    assert reason.detail in event.summary


def test_a_rebuild_is_published_above_what_it_rebuilds_and_is_the_end_of_it(bench: Bench) -> None:
    bench.change(LIBRARY)
    (number,) = bench.plan()
    assert bench.plan() == []
    rebuilt = bench.run(number)
    assert (rebuilt.outcome, rebuilt.version, rebuilt.published) == (Outcome.SUCCEEDED, "1.1-1.1", True)
    assert bench.plan() == []


def test_the_next_rebuild_has_the_next_number(bench: Bench) -> None:
    for expected in ("1.1-1.1", "1.1-1.2"):
        bench.change(LIBRARY)
        (number,) = bench.plan()
        assert bench.run(number).version == expected


def test_a_commit_that_waits_is_built_with_it_anyway(bench: Bench) -> None:
    bench.change(LIBRARY)
    bench.workshop.push(PROGRAM, "More")
    bench.store.queue(bench.workshop.commit(PROGRAM), TARGET.name, retry=False)
    assert bench.plan() == []


def test_what_says_never_is_left_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path, RebuildPolicy.NEVER)
    bench.change(LIBRARY)
    assert bench.plan() == []


def test_by_what_others_are_built_against(tmp_path: Path) -> None:
    bench = Bench(tmp_path, RebuildPolicy.ABI)
    bench.change(LIBRARY)
    assert bench.plan() == []
    bench.world.packaging.recipes[LIBRARY] = "make libfoo_{evr}.fake abi close\n"
    bench.change(LIBRARY)
    assert bench.plan() == []


def test_an_interface_that_is_gone(tmp_path: Path) -> None:
    bench = Bench(tmp_path, RebuildPolicy.ABI)
    bench.world.packaging.recipes[LIBRARY] = f"make {LIBRARY}_{{evr}}.fake abi close\n"
    bench.change(LIBRARY)
    bench.change(PROGRAM)
    bench.world.packaging.recipes[LIBRARY] = f"make {LIBRARY}_{{evr}}.fake abi shut\n"
    bench.change(LIBRARY)
    (number,) = bench.plan()
    assert bench.store.reason(number)[1].detail.endswith("without close")


def test_a_dependency_that_the_trunk_never_had(tmp_path: Path) -> None:
    bench = Bench(tmp_path, RebuildPolicy.ABI)
    bench.workshop.builder.versions[LIBRARY] = "0.9-1"
    bench.workshop.push(PROGRAM, "More")
    bench.workshop.build(PROGRAM)
    bench.change(LIBRARY)
    (number,) = bench.plan()
    assert "not known any more" in bench.store.reason(number)[1].detail


def test_a_newer_one_of_the_distribution_is_no_change(bench: Bench) -> None:
    bench.workshop.push(PROGRAM, "More")
    bench.workshop.builder.versions[LIBRARY] = "99-1"
    bench.workshop.build(PROGRAM)
    assert bench.plan() == []


def test_a_root_that_still_had_the_old_one_does_not_lead_to_rebuilds_for_ever(bench: Bench) -> None:
    bench.change(LIBRARY)
    (number,) = bench.plan()
    bench.workshop.builder.versions[LIBRARY] = "1.1-1"
    build = bench.store.build(number)
    bench.workshop.orders.build(bench.packages[PROGRAM], TARGET, build.commit, keep_root=False)
    assert bench.plan() == []


def test_a_failed_build_is_tried_again_once_a_dependency_changed(bench: Bench) -> None:
    recipe = bench.world.packaging.recipes[PROGRAM]
    bench.world.packaging.recipes[PROGRAM] = recipe + "exit 2\n"
    failed = bench.change(PROGRAM)
    assert failed.outcome is Outcome.FAILED
    assert bench.plan() == []
    bench.change(LIBRARY)
    assert bench.plan() == [failed.id]
    priority, reason = bench.store.reason(failed.id)
    assert (priority, reason.kind) == (Priority.REBUILD, ReasonKind.DEPENDENCY)
    bench.run(failed.id)
    assert bench.plan() == []


def test_cascades_have_an_end(tmp_path: Path) -> None:
    bench = Bench(tmp_path, RebuildPolicy.ALWAYS)
    bench.world.packaging.recipes[LIBRARY] += f"needs {PROGRAM}\n"
    bench.follow(LIBRARY, RebuildPolicy.ALWAYS)
    bench.change(LIBRARY)
    for _ in range(LIMIT):
        (number,) = bench.plan()
        bench.run(number)
    assert bench.plan() == []
    (event,) = bench.store.events.newest(kinds=[EventKind.CASCADE_STOPPED])
    assert f"{LIMIT} rebuilds led to one another" in event.summary
    assert bench.plan() == []
    assert len(bench.store.events.newest(kinds=[EventKind.CASCADE_STOPPED])) == 1


def test_somebody_wants_it(bench: Bench) -> None:
    (number,) = bench.order(bench.first)
    priority, reason = bench.store.reason(number)
    assert (priority, reason.kind) == (Priority.REQUEST, ReasonKind.REQUESTED)
    assert "ada@host" in reason.detail
    assert bench.order(bench.first) == []
    assert bench.run(number).version == "1.1-1.1"


def test_packages_of_other_targets_are_left_alone(bench: Bench) -> None:
    bench.packages[PROGRAM] = replace(bench.packages[PROGRAM], targets=("other",))
    bench.change(LIBRARY)
    assert bench.plan() == []


def test_a_superseded_build_says_nothing(bench: Bench) -> None:
    bench.workshop.push(PROGRAM, "More")
    other = bench.store.queue(bench.workshop.commit(PROGRAM), TARGET.name, retry=False)
    bench.queue.apply(Change(superseded={other.id: "a newer one"}), bench.world.clock.now())
    bench.change(LIBRARY)
    (number,) = bench.plan()
    assert bench.store.build(number).commit == bench.first.commit.rebuilt(1)


def test_a_rebuild_that_was_given_up_is_not_the_last(bench: Bench) -> None:
    bench.change(LIBRARY)
    (number,) = bench.plan()
    bench.queue.apply(Change(superseded={number: "in the way"}), bench.world.clock.now())
    (other,) = bench.plan()
    assert bench.store.build(other).commit == bench.first.commit.rebuilt(2)
    assert len(bench.store.events.newest(kinds=[EventKind.QUEUED])) == 2


def fails_to_install(bench: Bench, number: int, *details: str) -> None:
    claimed = bench.workshop.claims.take(number)
    assert claimed is not None
    assert claimed.claim is not None
    bench.store.finish(
        number,
        claimed.claim.token,
        outcome=Outcome.FAILED,
        at=bench.world.clock.now(),
        version=None,
        cause=replace(CAUSE, kind="NotInstallable", summary="the packages cannot be installed", details=details),
        stages=(),
        entry=None,
    )


@pytest.mark.parametrize(
    ("told", "again"),
    [
        (f"nothing provides {LIBRARY} >= 1.2 needed by {PROGRAM}-1.1-1.noarch", True),
        (f"{PROGRAM} : Depends: {LIBRARY} (>= 1.2) but it is not going to be installed", True),
        (f"nothing provides {LIBRARY}-extras needed by {PROGRAM}-1.1-1.noarch", False),
    ],
)
def test_what_could_not_be_installed_is_tried_again_when_what_it_lacked_came(
    tmp_path: Path, told: str, again: bool
) -> None:
    bench = Bench(tmp_path, RebuildPolicy.NEVER)
    bench.workshop.push(PROGRAM, "More of it")
    waiting = bench.order(bench.first)[0]
    fails_to_install(bench, waiting, told)
    assert bench.plan() == []
    bench.change(LIBRARY)
    assert bench.plan() == ([waiting] if again else [])
    if again:
        _, reason = bench.store.reason(waiting)
        assert reason.detail == f"it could not be installed before there was {LIBRARY} 1.2-1"
        fails_to_install(bench, waiting, told)
        assert bench.plan() == []


def test_what_was_cancelled_is_left_alone_until_something_changes(bench: Bench) -> None:
    bench.change(LIBRARY)
    (number,) = bench.plan()
    claimed = bench.workshop.claims.take(number)
    assert claimed is not None
    assert claimed.claim is not None
    bench.store.finish(
        number,
        claimed.claim.token,
        outcome=Outcome.CANCELLED,
        at=bench.world.clock.now(),
        version=None,
        cause=None,
        stages=(),
        entry=None,
    )
    assert bench.plan() == []
    bench.change(LIBRARY)
    assert bench.plan() == [number]


def test_nobody_builds_with_what_is_not_in_the_trunk_yet(bench: Bench) -> None:
    library = bench.change(LIBRARY)
    record = bench.store.records[library.id]
    published, record.published_at = record.published_at, None
    assert bench.plan() == []
    record.published_at = published
    assert len(bench.plan()) == 1
