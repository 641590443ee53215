"""Packages that build-depend on each other, or on what is not there yet: what is built first, and once more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from conveyor.model.build import Build, Outcome, State
from conveyor.model.event import EventKind
from conveyor.model.package import Following
from conveyor.model.queue import Priority, Reason, ReasonKind, Relations
from conveyor.model.target import Format
from conveyor.pipeline.rebuilds.circles import Bootstrap
from conveyor.pipeline.rebuilds.interfaces import Interfaces
from conveyor.pipeline.rebuilds.rebuilding import Rebuilds
from conveyor.pipeline.rebuilds.relating import Foresight
from conveyor.queue import find_cycles
from tests.fakes.describer import FakeDescriber
from tests.fakes.store import MemoryStore
from tests.fakes.toolchain import FakeToolchain
from tests.support.workshop import TARGET, Workshop, new_world, package_of

LIB, TOOL, APP = "lib", "tool", "app"


class Ring:
    """A library that is built with a tool, which is built with the library."""

    def __init__(self, tmp_path: Path, *, first: bool = True) -> None:
        self.world = new_world(tmp_path, LIB, TOOL, APP)
        assert isinstance(self.world.store, MemoryStore)
        self.store = self.world.store
        self.queue = self.world.queue
        self.packages = {name: package_of(name) for name in (LIB, TOOL, APP)}
        self.packages[LIB] = replace(self.packages[LIB], following=Following(bootstrap=first))
        self.world.packaging.recipes[LIB] += f"full needs {TOOL}\n"
        self.world.packaging.recipes[TOOL] += f"needs {LIB}\n"
        self.world.packaging.recipes[APP] += f"needs {TOOL}\n"
        self.bootstrap = Bootstrap(self.store, self.queue, self.packages, find_cycles)
        self.workshop = Workshop(self.world, lacking=self.bootstrap.lacking)
        self.foresight = Foresight(self.workshop.parts, {TARGET.name: TARGET})
        self.rebuilds = Rebuilds(
            store=self.store,
            queue=self.queue,
            events=self.store.events,
            toolchains={Format.DEB: FakeToolchain()},
            interfaces=Interfaces(self.store, self.world.repository, {Format.DEB: FakeDescriber()}),
            bootstrap=self.bootstrap,
            packages=self.packages,
            limit=5,
        )

    def foresee(self, *names: str) -> None:
        """As a poll does that finds new commits."""
        for name in names:
            found = self.foresight.foresee(self.packages[name], self.workshop.commit(name))
            for target, relations in found.items():
                self.queue.set_relations(target, name, relations)

    def build(self, name: str) -> Build:
        """Build the newest commit, and have what it makes for others."""
        build = self.workshop.orders.build(
            self.packages[name], TARGET, self.workshop.commit(name), keep_root=False
        ).build
        return self._made(build)

    def run(self, number: int) -> Build:
        """Build what waits."""
        record = self.store.records[number]
        reason, commit = record.reason, record.build.commit
        build = self.workshop.orders.build(self.packages[commit.package], TARGET, commit, keep_root=False).build
        self.store.records[number].reason = reason  # an order is somebody's
        return self._made(build)

    def plan(self) -> list[int]:
        """What is due."""
        return list(self.rebuilds.plan(TARGET, self.world.clock.now()))

    def reason(self, number: int) -> Reason:
        """Why a build is there."""
        return self.store.reason(number)[1]

    def is_bootstrap(self, build: Build) -> bool:
        """Whether it was built without what needs it in turn."""
        made = self.store.provenance(build.id)
        assert made is not None
        return made.bootstrap

    def _made(self, build: Build) -> Build:
        if build.outcome is Outcome.SUCCEEDED:
            self.workshop.builder.available.add(build.commit.package)
            self.workshop.builder.versions[build.commit.package] = build.version or ""
        return build


@pytest.fixture
def ring(tmp_path: Path) -> Ring:
    return Ring(tmp_path)


def test_it_is_built_without_what_needs_it_and_then_once_more(ring: Ring) -> None:
    ring.foresee(LIB, TOOL)
    first = ring.build(LIB)
    assert (first.outcome, ring.is_bootstrap(first)) == (Outcome.SUCCEEDED, True)
    assert "built without tool" in ring.workshop.log(first)
    assert ring.plan() == []
    tool = ring.build(TOOL)
    (number,) = ring.plan()
    assert ring.reason(number) == Reason(
        kind=ReasonKind.BOOTSTRAP, detail="it was built without tool before", build=tool.id, cascade=1
    )
    assert ring.plan() == []
    full = ring.run(number)
    assert (full.outcome, full.commit.rebuild, ring.is_bootstrap(full)) == (Outcome.SUCCEEDED, 1, False)
    assert ring.plan() == []


def test_when_there_is_no_circle_any_more_it_is_built_once_more_too(ring: Ring) -> None:
    ring.foresee(LIB, TOOL)
    ring.build(LIB)
    ring.world.packaging.recipes[TOOL] = f"make {TOOL}_{{evr}}.fake content\n"
    ring.foresee(TOOL)
    (number,) = ring.plan()
    assert ring.reason(number).detail == "it is in no circle any more"
    assert ring.run(number).cause is not None
    assert ring.plan() == []


def test_the_next_commit_is_built_with_all_of_it(ring: Ring) -> None:
    ring.foresee(LIB, TOOL)
    ring.build(LIB)
    ring.build(TOOL)
    ring.workshop.push(LIB, "More")
    assert not ring.is_bootstrap(ring.build(LIB))
    assert ring.plan() == []


def test_a_full_build_that_failed_is_tried_again_when_what_it_needs_changes(ring: Ring) -> None:
    ring.foresee(LIB, TOOL)
    ring.build(LIB)
    ring.build(TOOL)
    (number,) = ring.plan()
    ring.workshop.builder.available.discard(TOOL)
    assert ring.run(number).outcome is Outcome.FAILED
    assert ring.plan() == []
    ring.workshop.push(TOOL, "More")
    ring.build(TOOL)
    assert ring.plan() == [number]
    assert ring.run(number).outcome is Outcome.SUCCEEDED


def test_what_was_tried_before_the_circle_was_known_is_tried_once_more(ring: Ring) -> None:
    ring.foresee(LIB)
    failed = ring.build(LIB)
    assert failed.outcome is Outcome.FAILED
    assert ring.plan() == []
    ring.foresee(TOOL)
    assert ring.plan() == [failed.id]
    assert ring.reason(failed.id).detail == "it is built without tool, which need it in turn"
    assert ring.is_bootstrap(ring.run(failed.id))


def test_it_is_not_tried_again_and_again(ring: Ring) -> None:
    ring.world.packaging.recipes[LIB] += "needs nowhere\n"
    ring.foresee(LIB, TOOL)
    failed = ring.build(LIB)
    assert ring.plan() == [failed.id]
    ring.run(failed.id)
    assert ring.plan() == []


def test_a_package_that_is_not_built_first_is_built_as_it_is(tmp_path: Path) -> None:
    ring = Ring(tmp_path, first=False)
    ring.foresee(LIB, TOOL)
    assert ring.build(LIB).outcome is Outcome.FAILED


def test_a_circle_that_nobody_breaks_is_told_once(tmp_path: Path) -> None:
    ring = Ring(tmp_path, first=False)
    ring.foresee(LIB, TOOL, APP)
    for _ in range(2):
        ring.plan()
        ring.rebuilds = Rebuilds(
            store=ring.store,
            queue=ring.queue,
            events=ring.store.events,
            toolchains={},
            interfaces=Interfaces(ring.store, ring.world.repository, {}),
            bootstrap=ring.bootstrap,
            packages=ring.packages,
            limit=5,
        )
    (event,) = ring.store.events.newest(kinds=[EventKind.CYCLE])
    assert "lib and tool build-depend on each other for debian-13-amd64 (lib -> tool -> lib)" in event.summary
    assert event.detail["packages"] == [LIB, TOOL]


def test_a_circle_that_is_broken_is_none(ring: Ring) -> None:
    ring.foresee(LIB, TOOL, APP)
    ring.plan()
    assert ring.store.events.newest(kinds=[EventKind.CYCLE]) == ()


def test_packages_that_repos_yaml_has_no_more_are_in_no_circle(ring: Ring) -> None:
    ring.foresee(LIB, TOOL)
    del ring.packages[TOOL]
    assert ring.bootstrap.lacking(ring.packages[LIB], TARGET.name) == ()


def test_a_build_waits_for_what_was_not_there(ring: Ring) -> None:
    ring.foresee(LIB, TOOL, APP)
    failed = ring.build(APP)
    assert failed.outcome is Outcome.FAILED
    assert ring.plan() == []
    ring.build(LIB)
    assert ring.plan() == []
    tool = ring.build(TOOL)
    assert failed.id in ring.plan()
    build, (priority, reason) = ring.store.build(failed.id), ring.store.reason(failed.id)
    assert (build.state, priority, reason.kind, reason.build) == (
        State.QUEUED,
        Priority.REQUEST,
        ReasonKind.DEPENDENCY,
        tool.id,
    )
    assert reason.detail == f"it could not be built before there was tool {tool.version}"
    assert ring.run(failed.id).outcome is Outcome.SUCCEEDED
    assert failed.id not in ring.plan()


def test_another_failure_is_final(ring: Ring) -> None:
    ring.world.packaging.recipes[APP] = "exit 1\n" + f"needs {LIB}\n"
    ring.foresee(LIB, TOOL, APP)
    ring.build(LIB)
    assert ring.build(APP).outcome is Outcome.FAILED
    ring.workshop.push(LIB, "More")
    ring.build(LIB)
    assert ring.plan() == []


def test_broken_packaging_is_left_to_its_build(ring: Ring) -> None:
    ring.foresee(APP)
    before = ring.queue.relations(TARGET.name)
    ring.world.packaging.recipes[APP] += "{undefined}"
    ring.foresee(APP)
    assert ring.queue.relations(TARGET.name) == before


def test_a_worker_records_what_nobody_knows_and_no_more(ring: Ring) -> None:
    known = Relations(requires=("newer",), provides=())
    ring.queue.set_relations(TARGET.name, APP, known)
    ring.build(APP)
    ring.build(TOOL)
    found = ring.queue.relations(TARGET.name)
    assert (found[APP], found[TOOL].requires) == (known, (LIB,))
