"""What holds of the scheduler whatever happens, beside a model of it that is slow and plain."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from conveyor.queue.dependencies import Dependencies
from tests.support.queue_world import PACKAGES, World, circle, edges_of, relations_of, waits_for

STEPS = 80
packages = st.sampled_from(PACKAGES)
worlds = st.integers(0, 2**32).map(lambda seed: World(Random(seed)))


@settings(max_examples=300)
@given(
    changes=st.lists(st.tuples(packages, st.one_of(st.none(), st.sets(packages))), min_size=1, max_size=12),
    bootstraps=st.lists(st.sets(packages), min_size=1, max_size=3),
    often=st.booleans(),
)
def test_dependencies_are_those_of_the_rule_however_they_came_about(
    changes: list[tuple[str, set[str] | None]], bootstraps: list[set[str]], often: bool
) -> None:
    graph: dict[str, set[str]] = {}
    dependencies = Dependencies("deb")
    seen: dict[str, tuple[str, ...]] = dict.fromkeys(PACKAGES, ())
    for number, (package, needs) in enumerate(changes):
        dependencies.relate(package, None if needs is None else relations_of(package, needs))
        graph.pop(package, None)
        if needs is not None:
            graph[package] = needs
        bootstrap = bootstraps[number % len(bootstraps)]
        dependencies.bootstrap(bootstrap)
        if often or number == len(changes) - 1:
            told = set(dependencies.refresh())
            now = {each: dependencies.waits_for(each) for each in PACKAGES}
            assert {each for each in PACKAGES if now[each] != seen[each]} <= told
            seen = now
            expected = waits_for(graph, bootstrap)
            assert {each: set(waits) for each, waits in now.items()} == {
                each: expected.get(each, set()) for each in now
            }
            edges = edges_of(graph)
            assert {cycle.packages for cycle in dependencies.cycles()} == {
                tuple(sorted(circle(edges, each))) for each in graph if circle(edges, each)
            }
            for cycle in dependencies.cycles():
                steps = zip(cycle.way, (*cycle.way[1:], cycle.way[0]), strict=True)
                assert all(needed in edges[package] for package, needed in steps)


@settings(max_examples=150, deadline=None)
@given(world=worlds)
def test_what_starts_may_start_and_all_that_waits_starts_in_the_end(world: World) -> None:
    for _ in range(STEPS):
        world.step()
        lanes = [world.lane(build) for build in world.given]
        assert len(set(lanes)) == len(lanes)
    world.finish_all()

    assert world.waiting() == []
    assert list(world.scheduler.order(world.now)) == []
    assert world.scheduler.wakes_at() is None


@settings(max_examples=40, deadline=None)
@given(world=worlds)
def test_the_order_has_each_waiting_build_once_and_begins_with_the_next(world: World) -> None:
    for _ in range(STEPS):
        world.step()
        order = [item.build for item in world.scheduler.order(world.now)]
        following = world.scheduler.next(world.now)

        assert sorted(order) == sorted(world.waiting())
        if following is not None:
            assert order[0] == following.build


@settings(max_examples=40, deadline=None)
@given(world=worlds)
def test_what_may_not_start_is_held_by_something_that_is_told(world: World) -> None:
    for _ in range(STEPS):
        world.step()
    startable = world.startable()
    for build in world.items:
        told = world.scheduler.explain(build, world.now)

        assert (told is not None) == (build in world.waiting())
        if told is not None:
            assert (told.held == ()) == (build in startable)
