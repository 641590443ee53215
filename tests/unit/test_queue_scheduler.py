"""Which build is next."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from conveyor.model.build import State
from conveyor.model.queue import Priority, Scope
from conveyor.queue.scheduler import PATIENCE
from tests.support.queue import (
    EVERYTHING,
    NOON,
    SECOND,
    finish,
    item,
    needs,
    package_scope,
    paused,
    run,
    scheduler_of,
    start,
    target_scope,
)


class TestOrder:
    def test_nothing_waits(self) -> None:
        assert scheduler_of().next(NOON) is None

    def test_the_lower_priority_goes_first_whatever_came_first(self) -> None:
        items = [item(number, f"p{number}", priority=each) for number, each in enumerate(reversed(Priority), 1)]
        assert run(scheduler_of(*items), items) == [5, 4, 3, 2, 1]

    def test_of_packages_that_had_nothing_yet_the_lower_number_goes_first(self) -> None:
        items = [item(3, "a"), item(1, "b"), item(2, "c")]
        assert run(scheduler_of(*items), items) == [1, 2, 3]

    def test_a_package_that_had_less_goes_first(self) -> None:
        items = [*(item(number, "big") for number in range(1, 6)), item(6, "small"), item(7, "small")]
        assert run(scheduler_of(*items), items) == [1, 6, 2, 7, 3, 4, 5]

    def test_starts_of_the_past_count(self) -> None:
        scheduler = scheduler_of(item(1, "big"), item(2, "small"))
        scheduler.served("deb", "big")
        assert start(scheduler) == 2

    def test_fairness_is_kept_by_target(self) -> None:
        """Else the RPM of a commit would wait for a round of all packages when its deb has started."""
        scheduler = scheduler_of(item(1, "a"), item(2, "b"), item(3, "a", "rpm"), item(4, "b", "rpm"), workers=4)
        assert [start(scheduler) for _ in range(4)] == [1, 3, 2, 4]

    def test_a_commit_goes_before_a_rebuild_of_its_package(self) -> None:
        items = [item(1, priority=Priority.REBUILD), item(2, priority=Priority.BACKLOG), item(3)]
        assert run(scheduler_of(*items), items) == [2, 3, 1]

    def test_builds_of_a_package_go_by_number_even_if_the_later_is_more_urgent(self) -> None:
        items = [item(1, priority=Priority.BACKLOG), item(2, priority=Priority.URGENT)]
        assert run(scheduler_of(*items), items) == [1, 2]

    @pytest.mark.parametrize(
        ("wish", "order"),
        [
            (Priority.URGENT, [1, 2, 3]),
            (Priority.REQUEST, [1, 2, 3]),
            # A backlog does not become fresh by having a newest commit.
            (Priority.FRESH, [3, 1, 2]),
        ],
    )
    def test_what_a_person_asks_for_lifts_what_is_before_it(self, wish: Priority, order: list[int]) -> None:
        items = [item(1, priority=Priority.BACKLOG), item(2, priority=wish), item(3, "other")]
        assert run(scheduler_of(*items), items) == order

    def test_a_wish_that_is_taken_back_lifts_nothing(self) -> None:
        items = [item(1, priority=Priority.BACKLOG), item(2, priority=Priority.URGENT), item(3, "other")]
        scheduler = scheduler_of(*items)
        scheduler.apply([replace(items[1], state=State.FINISHED)])
        assert start(scheduler) == 3

    def test_a_new_priority_counts_at_once(self) -> None:
        scheduler = scheduler_of(item(1, "a"), item(2, "b"))
        assert scheduler.next(NOON) == item(1, "a")
        scheduler.apply([item(2, "b", priority=Priority.REQUEST)])
        assert start(scheduler) == 2


class TestLimits:
    def test_no_more_than_the_workers(self) -> None:
        scheduler = scheduler_of(*(item(number, f"p{number}") for number in range(1, 5)), workers=2)
        assert [start(scheduler) for _ in range(3)] == [1, 2, None]
        finish(scheduler, item(1, "p1"))
        assert [start(scheduler) for _ in range(2)] == [3, None]

    def test_no_more_than_the_target_may(self) -> None:
        items = [item(1, "a"), item(2, "b"), item(3, "c", "rpm"), item(4, "d", "rpm")]
        scheduler = scheduler_of(*items, workers=4, deb=1)
        assert [start(scheduler) for _ in range(4)] == [1, 3, 4, None]
        scheduler.limit(4, {})
        assert start(scheduler) == 2

    def test_one_build_of_a_package_on_a_target_at_once(self) -> None:
        scheduler = scheduler_of(item(1), item(2), item(3, target="rpm"), workers=4)
        assert [start(scheduler) for _ in range(3)] == [1, 3, None]

    def test_a_build_of_another_process_keeps_its_lane_and_no_worker(self) -> None:
        scheduler = scheduler_of(replace(item(1), state=State.RUNNING), item(2), item(3, "other"))
        assert [start(scheduler) for _ in range(2)] == [3, None]
        assert scheduler.running() == (3,)

    def test_targets_share_the_workers(self) -> None:
        many = [item(number, f"p{number}") for number in range(1, 9)]
        few = [item(number, f"p{number}", "rpm") for number in range(9, 13)]
        scheduler = scheduler_of(*many, *few, workers=4)
        assert [start(scheduler) for _ in range(4)] == [1, 9, 2, 10]
        finish(scheduler, few[0])
        assert start(scheduler) == 11
        finish(scheduler, many[0])
        assert start(scheduler) == 3

    def test_with_one_worker_targets_take_turns(self) -> None:
        items = [item(number, f"p{number}", "rpm" if number > 3 else "deb") for number in range(1, 7)]
        assert run(scheduler_of(*items), items) == [1, 4, 2, 5, 3, 6]


class TestPauses:
    @pytest.mark.parametrize("scope", [EVERYTHING, target_scope("deb"), package_scope("nova")], ids=str)
    def test_nothing_is_taken_from_what_is_paused(self, scope: Scope) -> None:
        scheduler = scheduler_of(item(1))
        scheduler.pause(paused(scope))
        assert scheduler.next(NOON) is None
        scheduler.pause([])
        assert start(scheduler) == 1

    @pytest.mark.parametrize("scope", [target_scope("deb"), package_scope("nova")], ids=str)
    def test_the_rest_goes_on(self, scope: Scope) -> None:
        scheduler = scheduler_of(item(1), item(2, "other", "rpm"))
        scheduler.pause(paused(scope, package_scope("deb"), target_scope("nova")))
        assert [start(scheduler) for _ in range(2)] == [2, None]

    def test_what_comes_while_it_is_paused_waits_too(self) -> None:
        scheduler = scheduler_of()
        scheduler.pause(paused(package_scope("nova")))
        scheduler.apply([item(1)])
        assert scheduler.next(NOON) is None
        scheduler.pause([])
        assert start(scheduler) == 1


class TestMoments:
    def test_a_build_waits_for_its_moment(self) -> None:
        scheduler = scheduler_of(item(1, not_before=NOON + SECOND), item(2, "other", not_before=NOON + 2 * SECOND))
        assert scheduler.next(NOON) is None
        assert scheduler.wakes_at() == NOON + SECOND
        assert start(scheduler, NOON + SECOND) == 1
        assert scheduler.wakes_at() == NOON + 2 * SECOND

    def test_it_is_overtaken_by_newer_ones_of_its_package(self) -> None:
        items = [item(1, not_before=NOON + SECOND), item(2)]
        scheduler = scheduler_of(*items)
        assert start(scheduler) == 2
        finish(scheduler, items[1])
        assert start(scheduler, NOON + SECOND) == 1

    def test_one_whose_moment_was_brought_forward_starts_then(self) -> None:
        scheduler = scheduler_of(item(1, not_before=NOON + 90 * SECOND))
        scheduler.apply([item(1, not_before=NOON + SECOND)])
        assert scheduler.wakes_at() == NOON + SECOND
        scheduler.apply([item(1)])
        assert (scheduler.wakes_at(), start(scheduler)) == (None, 1)


class TestBooks:
    def test_only_what_waits_is_started(self) -> None:
        scheduler = scheduler_of(item(1))
        scheduler.started(1)
        for build in (1, 7):
            with pytest.raises(ValueError, match=f"build {build} does not wait"):
                scheduler.started(build)

    def test_a_given_build_runs_until_its_worker_is_free(self) -> None:
        """The store says that a build is finished before it is published, and what needs it has to wait for that."""
        scheduler = scheduler_of(item(1), item(2), workers=2)
        start(scheduler)
        for state in State:
            scheduler.apply([replace(item(1), state=state)])
            assert scheduler.next(NOON) is None
            assert scheduler.running() == (1,)
        scheduler.apply([replace(item(1), state=State.FINISHED)])
        scheduler.ended(1)
        assert start(scheduler) == 2

    def test_one_that_no_worker_took_waits_again(self) -> None:
        scheduler = scheduler_of(item(1))
        start(scheduler)
        scheduler.ended(1)
        assert start(scheduler) == 1

    def test_one_that_errored_meanwhile_waits_for_its_moment(self) -> None:
        scheduler = scheduler_of(item(1))
        start(scheduler)
        scheduler.apply([item(1, not_before=NOON + SECOND)])
        scheduler.ended(1)
        assert scheduler.next(NOON) is None
        assert start(scheduler, NOON + SECOND) == 1

    def test_to_hear_the_same_again_changes_nothing(self) -> None:
        scheduler = scheduler_of(item(1, "a"), item(2, "b"))
        scheduler.apply([item(2, "b"), item(1, "a"), replace(item(3, "c"), state=State.FINISHED)])
        scheduler.ended(1)
        assert [each.build for each in scheduler.order(NOON)] == [1, 2]

    def test_the_clock_may_go_back(self) -> None:
        items = [item(1, "a"), item(2, "a"), item(3, "b")]
        scheduler = scheduler_of(*items)
        assert start(scheduler, NOON + timedelta(days=400)) == 1
        finish(scheduler, items[0])
        assert run(scheduler, items, NOON - timedelta(days=400)) == [3, 2]


class TestDependencies:
    def test_what_is_needed_goes_first_though_its_number_is_higher(self) -> None:
        items = [item(1, "nova"), item(2, "oslo"), item(3, "other")]
        scheduler = scheduler_of(*items, workers=3)
        needs(scheduler, nova="oslo", oslo="", other="")
        assert [start(scheduler) for _ in range(3)] == [2, 3, None]
        finish(scheduler, items[1])
        assert start(scheduler) == 1

    @pytest.mark.parametrize(("seconds", "first"), [(-3600, 2), (0, 2), (60, 2), (61, 1)])
    def test_only_what_was_queued_before_or_together_goes_first(self, seconds: int, first: int) -> None:
        scheduler = scheduler_of(item(1, "nova"), item(2, "oslo", queued_at=NOON + seconds * SECOND))
        needs(scheduler, nova="oslo", oslo="")
        assert start(scheduler, NOON + 100 * SECOND) == first

    def test_another_targets_builds_do_not_count(self) -> None:
        scheduler = scheduler_of(item(1, "nova"), item(2, "oslo", "rpm"))
        needs(scheduler, nova="oslo", oslo="")
        assert start(scheduler) == 1

    def test_a_busy_dependency_does_not_starve_who_needs_it(self) -> None:
        items = [item(2 * hour + 1, "oslo", queued_at=NOON + hour * timedelta(hours=1)) for hour in range(5)]
        scheduler = scheduler_of(*items[:1], workers=2)
        needs(scheduler, nova="oslo", oslo="")
        start(scheduler)
        scheduler.apply([item(2, "nova", queued_at=NOON + SECOND)])
        scheduler.apply(items[1:])
        assert scheduler.next(NOON + timedelta(hours=4)) is None
        finish(scheduler, items[0])
        assert start(scheduler, NOON + timedelta(hours=4)) == 2

    def test_nobody_waits_for_dependencies_for_longer_than_patience(self) -> None:
        scheduler = scheduler_of(item(1, "oslo", queued_at=NOON - SECOND), item(2, "nova"), workers=2)
        needs(scheduler, nova="oslo", oslo="")
        start(scheduler)
        assert scheduler.next(NOON + PATIENCE - SECOND) is None
        assert start(scheduler, NOON + PATIENCE) == 2

    def test_a_clock_that_was_set_back_makes_nobody_wait(self) -> None:
        """Else each new build of the dependency would have been queued before what needs it."""
        scheduler = scheduler_of(item(1, "oslo"), item(2, "nova"), workers=2)
        needs(scheduler, nova="oslo", oslo="")
        start(scheduler)
        assert scheduler.next(NOON) is None
        assert start(scheduler, NOON - timedelta(hours=1)) == 2

    def test_what_others_wait_for_takes_over_their_priority(self) -> None:
        items = [
            item(1, "a"),
            item(2, "oslo", priority=Priority.BACKLOG),
            item(3, "glance", priority=Priority.REBUILD),
            item(4, "nova", priority=Priority.URGENT),
        ]
        scheduler = scheduler_of(*items)
        needs(scheduler, nova="glance", glance="oslo", oslo="", a="")
        assert run(scheduler, items) == [2, 3, 4, 1]

    def test_a_lent_priority_ends_with_the_need(self) -> None:
        items = [item(1, "a"), item(2, "oslo", priority=Priority.BACKLOG), item(3, "nova", priority=Priority.URGENT)]
        scheduler = scheduler_of(*items)
        needs(scheduler, nova="oslo", oslo="", a="")
        assert scheduler.next(NOON) == items[1]
        scheduler.apply([replace(items[2], state=State.FINISHED)])
        assert scheduler.next(NOON) == items[0]

    @pytest.mark.parametrize("gone", ["paused", "resting", "cancelled", "unrelated"])
    def test_what_does_not_go_on_by_itself_holds_nobody_back(self, gone: str) -> None:
        oslo = item(1, "oslo", priority=Priority.REBUILD)
        scheduler = scheduler_of(oslo, item(2, "nova"), item(3, "other"), workers=1)
        needs(scheduler, nova="oslo", oslo="")
        assert scheduler.next(NOON) == oslo
        if gone == "paused":
            scheduler.pause(paused(package_scope("oslo")))
        if gone == "resting":
            scheduler.apply([replace(oslo, not_before=NOON + SECOND)])
        if gone == "cancelled":
            scheduler.apply([replace(oslo, state=State.FINISHED)])
        if gone == "unrelated":
            scheduler.relate("deb", "nova", None)
        assert start(scheduler) == 2

    def test_a_running_build_of_a_paused_package_is_waited_for(self) -> None:
        scheduler = scheduler_of(item(1, "oslo"), item(2, "nova"), workers=2)
        needs(scheduler, nova="oslo", oslo="")
        start(scheduler)
        scheduler.pause(paused(package_scope("oslo")))
        assert scheduler.next(NOON) is None

    def test_a_chain_of_any_length_is_followed(self) -> None:
        count = 3000
        items = [item(number, f"p{number}", priority=Priority.REBUILD) for number in range(1, count + 1)]
        items[0] = item(1, "p1", priority=Priority.URGENT)
        scheduler = scheduler_of(*items)
        needs(scheduler, **{f"p{number}": f"p{number + 1}" for number in range(1, count + 1)})
        assert run(scheduler, items) == list(range(count, 0, -1))


class TestCycles:
    def test_a_circle_is_named_and_age_decides(self) -> None:
        items = [item(1, "b"), item(2, "a"), item(3, "c"), item(4, "d")]
        scheduler = scheduler_of(*items)
        needs(scheduler, a="b", b="c", c="a", d="a")
        (cycle,) = scheduler.cycles("deb")
        assert (cycle.target, cycle.packages, cycle.way) == ("deb", ("a", "b", "c"), ("a", "b", "c"))
        assert (cycle.bootstrap, cycle.unordered) == ((), ("a", "b", "c"))
        assert run(scheduler, items) == [1, 2, 3, 4]

    def test_bootstrap_cuts_it(self) -> None:
        items = [item(1, "b"), item(2, "a"), item(3, "c")]
        scheduler = scheduler_of(*items)
        needs(scheduler, a="b", b="c", c="a")
        scheduler.bootstrap(["c", "other"])
        (cycle,) = scheduler.cycles("deb")
        assert (cycle.bootstrap, cycle.unordered) == (("c",), ())
        assert run(scheduler, items) == [3, 1, 2]

    def test_bootstrap_waits_for_what_is_not_in_its_circle(self) -> None:
        items = [item(1, "a"), item(2, "b"), item(3, "base")]
        scheduler = scheduler_of(*items)
        needs(scheduler, a="b base", b="a", base="")
        scheduler.bootstrap(["a"])
        assert run(scheduler, items) == [3, 1, 2]

    def test_without_a_circle_bootstrap_means_nothing(self) -> None:
        items = [item(1, "a"), item(2, "b")]
        scheduler = scheduler_of(*items)
        scheduler.bootstrap(["a"])
        needs(scheduler, a="b", b="")
        assert scheduler.cycles("deb") == ()
        assert run(scheduler, items) == [2, 1]

    def test_the_shortest_way_round_is_told(self) -> None:
        scheduler = scheduler_of()
        needs(scheduler, a="b c", b="c", c="d", d="a")
        assert [cycle.way for cycle in scheduler.cycles("deb")] == [("a", "c", "d")]

    def test_a_circle_that_is_no_more_orders_again(self) -> None:
        items = [item(1, "a"), item(2, "b")]
        scheduler = scheduler_of(*items)
        needs(scheduler, a="b", b="a")
        assert scheduler.next(NOON) == items[0]
        needs(scheduler, b="")
        assert scheduler.cycles("deb") == ()
        assert run(scheduler, items) == [2, 1]


class TestWholeOrder:
    def test_moments_come_after_the_ready_and_pauses_last(self) -> None:
        scheduler = scheduler_of(
            item(1, "paused", priority=Priority.URGENT),
            item(2, "resting", priority=Priority.URGENT, not_before=NOON + 2 * SECOND),
            item(3, "restless", priority=Priority.REBUILD, not_before=NOON + SECOND),
            item(4, "nova", priority=Priority.REBUILD),
            item(5, "oslo"),
        )
        scheduler.pause(paused(package_scope("paused")))
        assert [each.build for each in scheduler.order(NOON)] == [5, 4, 3, 2, 1]

    def test_a_pause_of_everything_leaves_the_order(self) -> None:
        scheduler = scheduler_of(item(1, "a", priority=Priority.BACKLOG), item(2, "b"))
        scheduler.pause(paused(EVERYTHING))
        assert [each.build for each in scheduler.order(NOON)] == [2, 1]

    def test_nothing_is_changed_by_asking(self) -> None:
        items = [item(number, f"p{number % 3}") for number in range(1, 10)]
        scheduler = scheduler_of(*items)
        order = [each.build for each in scheduler.order(NOON)]
        assert run(scheduler, items) == order

    def test_what_a_limit_of_nothing_holds_back_is_in_it(self) -> None:
        scheduler = scheduler_of(item(1), workers=0, deb=0)
        assert scheduler.next(NOON) is None
        assert [each.build for each in scheduler.order(NOON)] == [1]

    def test_an_order_is_that_of_the_moment_it_was_asked_for(self) -> None:
        scheduler = scheduler_of(item(1, "oslo"), item(2, "nova"), workers=2)
        needs(scheduler, nova="oslo", oslo="")
        start(scheduler)
        order = scheduler.order(NOON)
        assert scheduler.next(NOON) is None
        scheduler.relate("deb", "nova", None)
        assert [each.build for each in order] == [2]
        assert start(scheduler) == 2

    def test_one_that_is_consumed_is_empty(self) -> None:
        scheduler = scheduler_of(item(1), item(2))
        assert [each.build for each in scheduler.consume(NOON)] == [1, 2]
        assert scheduler.next(NOON) is None
