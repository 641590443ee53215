"""What every queue does, whatever it keeps builds in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from conveyor.errors import ClaimLost, NotPossible, UnknownName
from conveyor.model.build import Build, Outcome, State
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.queue import (
    Change,
    NewBuild,
    Pause,
    Priority,
    QueueItem,
    Reason,
    ReasonKind,
    Relations,
    Scope,
    ScopeKind,
)
from conveyor.model.watch import Head, Side
from conveyor.ports import Events, Queue, Store, Watch
from conveyor.store import open_books
from tests.fakes.queue import MemoryQueue
from tests.fakes.store import MemoryStore
from tests.fakes.store_samples import (
    CAUSE,
    NOON,
    OTHER_TARGET,
    TARGET,
    claim,
    commit,
    end,
    minute,
    sha1,
    succeed,
)
from tests.fakes.watch import MemoryWatch

QUEUED_AT = NOON - timedelta(hours=1)
FRESH = Reason(kind=ReasonKind.NEW_COMMIT, detail="Do 1")
HEAD = Head(package="nova", side=Side.UPSTREAM, url="https://git/nova", ref="master", sha=sha1("1"), at=NOON)
ALL, THE_TARGET = Scope(kind=ScopeKind.ALL), Scope(kind=ScopeKind.TARGET, name=TARGET)


@dataclass(frozen=True, kw_only=True)
class Kept:
    queue: Queue
    store: Store
    watch: Watch
    events: Events

    def new(self, *commits: str, target: str = TARGET) -> tuple[int, ...]:
        """Queue fresh commits."""
        return self.queue.apply(Change(builds=tuple(new(name, target=target) for name in commits)), NOON)

    def kinds(self) -> list[EventKind]:
        return [event.kind for event in self.events.after(0)]

    def run(self, build_id: int, outcome: Outcome, at: datetime = NOON) -> Build:
        """Claim and finish without success."""
        token = f"{build_id} at {at} {len(self.store.attempts(build_id))}"
        assert self.store.claim(build_id, claim(token, at))
        return self.store.finish(
            build_id, token, outcome=outcome, at=at, version=None, cause=CAUSE, stages=(), entry=None
        )


@pytest.fixture(params=["memory", "sqlite_url", "emptied_postgresql_url"])
def kept(request: pytest.FixtureRequest) -> Iterator[Kept]:
    if request.param == "memory":
        store, watch = MemoryStore(lambda: QUEUED_AT), MemoryWatch()
        yield Kept(queue=MemoryQueue(store, watch), store=store, watch=watch, events=store.events)
        return
    books = open_books(request.getfixturevalue(request.param), now=lambda: QUEUED_AT)
    yield Kept(queue=books.queue, store=books.store, watch=books.watch, events=books.events)
    books.store.close()


def new(
    name: str = "1",
    *,
    target: str = TARGET,
    package: str = "nova",
    priority: Priority = Priority.FRESH,
    reason: Reason = FRESH,
    superseded: str = "",
) -> NewBuild:
    return NewBuild(
        commit=commit(name, package=package), target=target, priority=priority, reason=reason, superseded=superseded
    )


def numbers(builds: tuple[Build, ...] | tuple[QueueItem, ...]) -> list[int]:
    return [one.build if isinstance(one, QueueItem) else one.id for one in builds]


class TestApply:
    def test_builds_wait_in_the_order_given_with_their_reasons(self, kept: Kept) -> None:
        reason = Reason(kind=ReasonKind.DEPENDENCY, detail="oslo.utils 1.2", build=12, cascade=2)
        wanted = (new("b"), new("a", priority=Priority.REBUILD, reason=reason), new("b", target=OTHER_TARGET))
        made = kept.queue.apply(Change(builds=wanted), minute(3))

        builds = [kept.store.build(number) for number in made]
        assert [(build.commit, build.target) for build in builds] == [(one.commit, one.target) for one in wanted]
        assert list(made) == sorted(made)
        assert {(build.state, build.outcome, build.attempt, build.queued_at) for build in builds} == {
            (State.QUEUED, None, 0, minute(3))
        }
        assert [kept.store.reason(number) for number in made] == [
            (Priority.FRESH, FRESH),
            (Priority.REBUILD, reason),
            (Priority.FRESH, FRESH),
        ]

    def test_a_commit_that_has_a_build_keeps_it_as_it_is(self, kept: Kept) -> None:
        failed = end(kept.store, commit("1"), minute(1))
        waiting = kept.store.queue(commit("2"), TARGET, retry=False)
        made = kept.queue.apply(Change(builds=(new("1"), new("2"), new("3"), new("3"))), minute(2))

        assert len(made) == 1
        assert kept.store.build(failed.id) == failed
        assert kept.store.build(waiting.id) == waiting
        assert kept.store.reason(waiting.id)[0] is Priority.REQUEST

    def test_one_that_is_superseded_at_once_is_recorded_and_never_waits(self, kept: Kept) -> None:
        made = kept.queue.apply(Change(builds=(new("1", superseded="abc is newer"), new("2"))), NOON)

        first, second = (kept.store.build(number) for number in made)
        assert (first.state, first.outcome, first.ended, first.attempt) == (
            State.FINISHED,
            Outcome.SUPERSEDED,
            "abc is newer",
            0,
        )
        assert second.state is State.QUEUED
        assert numbers(kept.queue.changes(0).items) == [second.id]
        assert kept.store.claim(first.id, claim("t")) is None

    def test_a_superseded_one_can_be_asked_for(self, kept: Kept) -> None:
        (number,) = kept.queue.apply(Change(builds=(new("1", superseded="abc is newer"),)), NOON)
        asked = kept.store.queue(commit("1"), TARGET, retry=True)

        assert (asked.id, asked.state, asked.outcome, asked.ended) == (number, State.QUEUED, None, "")

    def test_what_waits_is_superseded_and_what_runs_or_has_ended_stays(self, kept: Kept) -> None:
        waiting, running, ended = kept.new("1", "2", "3")
        kept.store.claim(running, claim("t"))
        failed = kept.run(ended, Outcome.FAILED)
        kept.queue.apply(Change(superseded=dict.fromkeys((waiting, running, ended, 4711), "too many wait \x00")), NOON)

        build = kept.store.build(waiting)
        assert (build.state, build.outcome, build.ended) == (
            State.FINISHED,
            Outcome.SUPERSEDED,
            "too many wait \ufffd",
        )
        assert kept.store.build(running).state is State.RUNNING
        assert kept.store.build(running).cancelled_by == ""
        assert kept.store.build(ended) == failed

    def test_what_runs_is_to_be_cancelled_and_what_waits_is_superseded(self, kept: Kept) -> None:
        waiting, running, ended = kept.new("1", "2", "3")
        kept.store.claim(running, claim("t"))
        failed = kept.run(ended, Outcome.FAILED)
        kept.queue.apply(Change(cancelled=dict.fromkeys((waiting, running, ended), "abc is newer \x00")), NOON)

        assert numbers(kept.queue.cancelling()) == [running]
        assert kept.store.build(running).cancelled_by == "abc is newer \ufffd"
        assert kept.store.build(waiting).outcome is Outcome.SUPERSEDED
        assert kept.store.build(ended) == failed

    def test_heads_and_events_come_with_it(self, kept: Kept) -> None:
        told = NewEvent(kind=EventKind.NEW_COMMITS, summary="1 commit", package="nova")
        kept.queue.apply(Change(builds=(new(),), heads=(HEAD,), events=(told, told)), minute(1))

        assert kept.watch.heads() == {("nova", Side.UPSTREAM): HEAD}
        assert [(one.number, one.kind, one.at) for one in kept.events.after(0)] == [
            (1, EventKind.NEW_COMMITS, minute(1)),
            (2, EventKind.NEW_COMMITS, minute(1)),
        ]

    def test_the_same_again_records_its_events_again_and_nothing_else(self, kept: Kept) -> None:
        told = NewEvent(kind=EventKind.NEW_COMMITS, summary="1 commit")
        old, running = kept.new("old", "running")
        kept.store.claim(running, claim("t"))
        change = Change(
            builds=(new("1"), new("2", superseded="why")),
            superseded={old: "why"},
            cancelled={running: "why"},
            heads=(HEAD,),
            events=(told,),
        )
        kept.queue.apply(change, NOON)
        before = kept.store.builds()

        assert kept.queue.apply(change, minute(1)) == ()
        assert kept.store.builds() == before
        assert kept.watch.heads() == {("nova", Side.UPSTREAM): HEAD}
        assert len(kept.events.after(0)) == 2

    def test_nothing_is_fine(self, kept: Kept) -> None:
        assert kept.queue.apply(Change(), NOON) == ()

    def test_text_of_upstream_is_made_harmless(self, kept: Kept) -> None:
        hostile = replace(commit().upstream, author="\x00", subject="\udcff")
        one = replace(new(), commit=replace(commit(), upstream=hostile), reason=replace(FRESH, detail="\x00"))
        (number,) = kept.queue.apply(Change(builds=(one,)), NOON)

        upstream = kept.store.build(number).commit.upstream
        assert (upstream.author, upstream.subject) == ("\ufffd", "\ufffd")
        assert kept.store.reason(number)[1].detail == "\ufffd"


class TestChanges:
    def test_from_0_all_that_waits_and_runs(self, kept: Kept) -> None:
        waiting, running, ended = kept.new("1", "2", "3")
        kept.store.claim(running, claim("t"))
        kept.run(ended, Outcome.FAILED)
        changes = kept.queue.changes(0)

        assert numbers(changes.items) == [waiting, running]
        assert changes.items[0] == QueueItem(
            build=waiting,
            package="nova",
            target=TARGET,
            state=State.QUEUED,
            priority=Priority.FRESH,
            queued_at=NOON,
        )
        assert changes.items[1].state is State.RUNNING

    def test_an_empty_queue(self, kept: Kept) -> None:
        changes = kept.queue.changes(0)
        assert changes.items == ()

        assert kept.queue.changes(changes.number).items == ()
        (number,) = kept.new("1")
        assert numbers(kept.queue.changes(changes.number).items) == [number]

    def test_a_number_that_was_not_reached_yet_gives_all_there_is(self, kept: Kept) -> None:
        ended, waits, runs = kept.new("1", "2", "3")
        kept.run(ended, Outcome.FAILED)
        kept.store.claim(runs, claim("t"))
        seen = kept.queue.changes(0)
        assert (numbers(seen.items), seen.is_whole) == ([waits, runs], True)
        assert not kept.queue.changes(seen.number).is_whole
        assert not kept.queue.changes(1).is_whole
        assert kept.queue.changes(seen.number + 1) == seen

    def test_each_change_is_told_once(self, kept: Kept) -> None:
        one, two = kept.new("1", "2")
        seen = kept.queue.changes(0).number

        def changed() -> list[tuple[int, State]]:
            nonlocal seen
            changes = kept.queue.changes(seen)
            assert changes.number >= seen
            seen = changes.number
            return [(item.build, item.state) for item in changes.items]

        assert changed() == []
        kept.store.claim(one, claim("a"))
        assert changed() == [(one, State.RUNNING)]
        kept.store.heartbeat(one, "a", minute(1))
        assert changed() == []
        kept.store.release(one, CAUSE, minute(1))
        assert changed() == [(one, State.QUEUED)]
        kept.run(one, Outcome.ERRORED)
        kept.queue.prioritize(two, Priority.URGENT, "ada", NOON)
        assert changed() == [(one, State.FINISHED), (two, State.QUEUED)]
        kept.queue.again(one, minute(5), minute(1))
        kept.queue.cancel(two, "ada", NOON)
        assert changed() == [(one, State.QUEUED), (two, State.FINISHED)]
        kept.queue.forget_waits(minute(2))
        assert changed() == [(one, State.QUEUED)]
        kept.store.claim(one, claim("b"))
        kept.queue.put_back(one, "b", minute(3))
        assert changed() == [(one, State.QUEUED)]
        kept.queue.apply(Change(superseded={one: "why"}), NOON)
        assert changed() == [(one, State.FINISHED)]
        kept.queue.retry(one, FRESH, Priority.REQUEST, NOON)
        three = kept.store.queue(commit("3"), TARGET, retry=False).id
        assert changed() == [(one, State.QUEUED), (three, State.QUEUED)]
        kept.store.queue(commit("3"), TARGET, retry=False)
        assert changed() == []

    def test_a_claim_that_was_lost_changes_nothing(self, kept: Kept) -> None:
        (number,) = kept.new("1")
        kept.store.claim(number, claim("t"))
        seen = kept.queue.changes(0).number
        assert kept.store.claim(number, claim("u")) is None
        with pytest.raises(ClaimLost):
            kept.queue.put_back(number, "u", NOON)

        assert kept.queue.changes(seen).items == ()

    def test_working_copies_are_left_out(self, kept: Kept) -> None:
        kept.store.queue(commit("1", trunk=False), TARGET, retry=False)

        assert kept.queue.changes(0).items == ()

    def test_that_something_is_paused_raises_the_number(self, kept: Kept) -> None:
        seen = kept.queue.changes(0).number
        kept.queue.pause(Pause(scope=ALL, actor="ada", note="", at=NOON))
        paused = kept.queue.changes(seen)
        kept.queue.resume(ALL, "ada", NOON)

        assert seen < paused.number < kept.queue.changes(seen).number
        assert paused.items == ()


class TestSizes:
    def test_how_many_wait_and_run_on_each_target(self, kept: Kept) -> None:
        assert kept.queue.sizes() == ()
        first, _, third = kept.new("1", "2", "3")
        kept.new("1", target=OTHER_TARGET)
        kept.queue.apply(Change(builds=(new("4"),)), minute(9))
        kept.store.queue(commit("5", trunk=False, extended="local"), TARGET, retry=False)
        kept.store.claim(first, claim("t"))
        kept.run(third, Outcome.FAILED)

        assert [(one.target, one.state, one.builds, one.oldest) for one in kept.queue.sizes()] == [
            (OTHER_TARGET, State.QUEUED, 1, NOON),
            (TARGET, State.QUEUED, 2, NOON),
            (TARGET, State.RUNNING, 1, NOON),
        ]


class TestRequests:
    def test_a_person_who_asks_for_what_waits_puts_it_before_others(self, kept: Kept) -> None:
        (number,) = kept.new("1")
        assert kept.store.queue(commit("1"), TARGET, retry=False).id == number
        assert kept.store.reason(number) == (Priority.FRESH, FRESH)
        kept.store.queue(commit("1"), TARGET, retry=True)

        priority, reason = kept.store.reason(number)
        assert (priority, reason.kind) == (Priority.REQUEST, ReasonKind.REQUESTED)

    def test_what_is_urgent_stays_urgent(self, kept: Kept) -> None:
        (number,) = kept.new("1")
        kept.queue.prioritize(number, Priority.URGENT, "ada", NOON)
        kept.store.queue(commit("1"), TARGET, retry=True)

        assert kept.store.reason(number) == (Priority.URGENT, FRESH)

    def test_what_errored_waits_for_nothing_any_more(self, kept: Kept) -> None:
        (number,) = kept.new("1")
        kept.run(number, Outcome.ERRORED)
        kept.queue.again(number, minute(60), NOON)
        build = kept.store.queue(commit("1"), TARGET, retry=True)

        assert (build.id, build.not_before, build.errors) == (number, None, 0)

    def test_what_was_given_up_and_cancelled_begins_anew(self, kept: Kept) -> None:
        given_up, cancelled = kept.new("1", "2")
        kept.run(given_up, Outcome.ERRORED)
        kept.queue.give_up(given_up, NOON)
        kept.queue.cancel(cancelled, "ada", NOON)
        builds = [kept.store.queue(commit(name), TARGET, retry=True) for name in ("1", "2")]

        assert [(build.state, build.errors, build.cancelled_by, build.ended) for build in builds] == [
            (State.QUEUED, 0, "", "")
        ] * 2
        kept.run(given_up, Outcome.ERRORED)
        assert numbers(kept.queue.errored()) == [given_up]


class TestRetry:
    @pytest.mark.parametrize(
        "outcome", [Outcome.FAILED, Outcome.ERRORED, Outcome.CANCELLED, Outcome.SUPERSEDED], ids=str
    )
    def test_what_ended_without_success_waits_again(self, kept: Kept, outcome: Outcome) -> None:
        (number,) = kept.new("1")
        kept.run(number, outcome)
        reason = Reason(kind=ReasonKind.BOOTSTRAP, detail="cycle", build=3, cascade=1)
        build = kept.queue.retry(number, reason, Priority.REBUILD, minute(4))

        assert (build.state, build.outcome, build.queued_at, build.errors, build.attempt) == (
            State.QUEUED,
            None,
            minute(4),
            0,
            1,
        )
        assert kept.store.reason(number) == (Priority.REBUILD, reason)
        assert kept.store.build(number) == build

    def test_what_succeeded_waits_or_runs_is_refused(self, kept: Kept) -> None:
        waiting, running = kept.new("1", "2")
        kept.store.claim(running, claim("t"))
        good = succeed(kept.store, commit("3"), NOON)

        for number in (waiting, running, good.id):
            before = kept.store.build(number)
            with pytest.raises(NotPossible, match=str(before.outcome or before.state)):
                kept.queue.retry(number, FRESH, Priority.REQUEST, NOON)
            assert kept.store.build(number) == before
        with pytest.raises(UnknownName):
            kept.queue.retry(4711, FRESH, Priority.REQUEST, NOON)


class TestErrored:
    def test_what_errored_is_listed_until_it_waits_again(self, kept: Kept) -> None:
        one, two, three = kept.new("1", "2", "3")
        for number in (two, one):
            kept.run(number, Outcome.ERRORED)
        kept.run(three, Outcome.FAILED)
        end(kept.store, commit("4", trunk=False), NOON, Outcome.ERRORED)
        assert numbers(kept.queue.errored()) == [one, two]

        again = kept.queue.again(one, minute(7), minute(2))
        assert again is not None
        assert (again.state, again.outcome, again.not_before, again.queued_at, again.errors) == (
            State.QUEUED,
            None,
            minute(7),
            minute(2),
            1,
        )
        assert numbers(kept.queue.errored()) == [two]
        assert [item.not_before for item in kept.queue.changes(0).items] == [minute(7)]

    def test_the_reason_becomes_a_retry_and_what_led_to_it_stays(self, kept: Kept) -> None:
        reason = Reason(kind=ReasonKind.DEPENDENCY, detail="oslo.utils", build=4, cascade=2)
        (number,) = kept.queue.apply(Change(builds=(new(priority=Priority.REBUILD, reason=reason),)), NOON)
        kept.run(number, Outcome.ERRORED)
        kept.queue.again(number, minute(1), NOON)

        assert kept.store.reason(number) == (Priority.REBUILD, replace(reason, kind=ReasonKind.RETRY))

    def test_errors_add_up_over_attempts(self, kept: Kept) -> None:
        (number,) = kept.new("1")
        for errors in range(1, 4):
            assert kept.run(number, Outcome.ERRORED, minute(errors)).errors == errors
            kept.queue.again(number, minute(errors), minute(errors))
        claimed = kept.store.claim(number, claim("t"))
        assert claimed is not None
        assert (claimed.not_before, claimed.errors) == (None, 3)

    def test_only_what_errored_is_tried_again(self, kept: Kept) -> None:
        waiting, running, failed = kept.new("1", "2", "3")
        kept.store.claim(running, claim("t"))
        kept.run(failed, Outcome.FAILED)

        assert [kept.queue.again(number, NOON, NOON) for number in (waiting, running, failed, 4711)] == [None] * 4

    def test_what_is_given_up_stays_as_it_is(self, kept: Kept) -> None:
        (number,) = kept.new("1")
        errored = kept.run(number, Outcome.ERRORED)
        kept.queue.give_up(number, minute(1))
        kept.queue.give_up(number, minute(2))
        kept.queue.give_up(4711, minute(2))

        assert kept.queue.errored() == ()
        assert kept.queue.again(number, NOON, NOON) is None
        assert kept.store.build(number) == errored
        assert [(one.kind, one.build, one.at) for one in kept.events.after(0)] == [
            (EventKind.GAVE_UP, number, minute(1))
        ]


class TestPutBack:
    def test_it_waits_as_if_it_had_not_been_claimed(self, kept: Kept) -> None:
        (number,) = kept.new("1")
        kept.store.claim(number, claim("t", minute(1)))
        kept.queue.put_back(number, "t", minute(2))
        build = kept.store.build(number)

        assert (build.state, build.outcome, build.errors, build.queued_at) == (State.QUEUED, None, 0, NOON)
        assert (build.claim, build.cause, build.cancelled_by) == (None, None, "")
        (attempt,) = kept.store.attempts(number)
        assert (attempt.outcome, attempt.finished_at, attempt.cause) == (Outcome.CANCELLED, minute(2), None)
        assert kept.store.claim(number, claim("u")) is not None

    def test_only_the_holder_may(self, kept: Kept) -> None:
        (number,) = kept.new("1")
        running = kept.store.claim(number, claim("t"))

        with pytest.raises(ClaimLost):
            kept.queue.put_back(number, "u", NOON)
        with pytest.raises(ClaimLost):
            kept.queue.put_back(4711, "t", NOON)
        assert kept.store.build(number) == running


class TestClaim:
    def test_what_is_told_of_it_comes_with_it(self, kept: Kept) -> None:
        (number,) = kept.new("1")

        def told(claimed: Build) -> tuple[NewEvent, ...]:
            return (NewEvent(kind=EventKind.STARTED, summary=f"attempt {claimed.attempt}", build=claimed.id),)

        assert kept.store.claim(number, claim("t", minute(1)), events=told) is not None
        assert kept.store.claim(number, claim("u", minute(2)), events=told) is None
        assert [(one.kind, one.build, one.summary, one.at) for one in kept.events.after(0)] == [
            (EventKind.STARTED, number, "attempt 1", minute(1))
        ]


class TestCancel:
    def test_what_waits_ends_at_once(self, kept: Kept) -> None:
        (number,) = kept.new("1")
        build = kept.queue.cancel(number, "ada \x00", minute(1))

        assert (build.state, build.outcome, build.cancelled_by) == (State.FINISHED, Outcome.CANCELLED, "ada \ufffd")
        assert "ada" in build.ended
        assert kept.store.build(number) == build
        assert kept.queue.cancelling() == ()
        assert [(one.kind, one.build, one.at) for one in kept.events.after(0)] == [
            (EventKind.CANCELLED, number, minute(1))
        ]

    def test_what_runs_goes_on_until_its_worker_ends_it(self, kept: Kept) -> None:
        (number,) = kept.new("1")
        kept.store.claim(number, claim("t"))
        build = kept.queue.cancel(number, "ada \x00", minute(1))
        kept.queue.cancel(number, "grace", minute(2))

        assert (build.state, build.cancelled_by) == (State.RUNNING, "ada \ufffd")
        assert kept.queue.cancelling() == (build,)
        assert kept.kinds() == []
        ended = kept.store.finish(
            number, "t", outcome=Outcome.CANCELLED, at=minute(3), version=None, cause=CAUSE, stages=(), entry=None
        )
        assert (ended.outcome, ended.cancelled_by) == (Outcome.CANCELLED, "ada \ufffd")
        assert kept.queue.cancelling() == ()

    def test_what_has_ended_is_refused(self, kept: Kept) -> None:
        (number,) = kept.new("1")
        failed = kept.run(number, Outcome.FAILED)

        with pytest.raises(NotPossible, match=f"build {number}.*failed"):
            kept.queue.cancel(number, "ada", NOON)
        with pytest.raises(UnknownName):
            kept.queue.cancel(4711, "ada", NOON)
        assert kept.store.build(number) == failed

    def test_it_came_too_late_for_what_ended_by_itself(self, kept: Kept) -> None:
        (number,) = kept.new("1")
        kept.store.claim(number, claim("t"))
        kept.queue.cancel(number, "ada", NOON)
        ended = kept.store.finish(
            number, "t", outcome=Outcome.FAILED, at=minute(3), version=None, cause=CAUSE, stages=(), entry=None
        )

        assert (ended.outcome, ended.cancelled_by) == (Outcome.FAILED, "")

    def test_what_errored_instead_is_not_tried_again(self, kept: Kept) -> None:
        (number,) = kept.new("1")
        kept.store.claim(number, claim("t"))
        kept.queue.cancel(number, "ada", NOON)
        kept.store.finish(
            number, "t", outcome=Outcome.ERRORED, at=minute(3), version=None, cause=CAUSE, stages=(), entry=None
        )

        assert kept.queue.errored() == ()
        assert kept.queue.again(number, NOON, NOON) is None

    @pytest.mark.parametrize("put_back", [True, False], ids=["put back", "lost"])
    def test_it_does_not_wait_again_when_its_worker_leaves(self, kept: Kept, put_back: bool) -> None:
        (number,) = kept.new("1")
        kept.store.claim(number, claim("t"))
        kept.queue.cancel(number, "ada", NOON)
        if put_back:
            kept.queue.put_back(number, "t", minute(1))
        else:
            kept.store.release(number, CAUSE, minute(1))

        build = kept.store.build(number)
        assert (build.state, build.outcome, build.cancelled_by) == (State.FINISHED, Outcome.CANCELLED, "ada")
        assert build.ended
        assert kept.queue.changes(0).items == ()
        assert kept.kinds() == [EventKind.CANCELLED]


class TestPrioritize:
    def test_what_waits_gets_it(self, kept: Kept) -> None:
        (number,) = kept.new("1")
        build = kept.queue.prioritize(number, Priority.URGENT, "ada", minute(1))

        assert build == kept.store.build(number)
        assert kept.store.reason(number) == (Priority.URGENT, FRESH)
        assert [item.priority for item in kept.queue.changes(0).items] == [Priority.URGENT]
        (told,) = kept.events.after(0)
        assert (told.kind, told.build, told.package, told.target, told.at) == (
            EventKind.PRIORITIZED,
            number,
            "nova",
            TARGET,
            minute(1),
        )
        assert told.detail == {"actor": "ada", "priority": "urgent"}

    def test_what_does_not_wait_is_refused(self, kept: Kept) -> None:
        running, ended = kept.new("1", "2")
        kept.store.claim(running, claim("t"))
        kept.run(ended, Outcome.FAILED)

        for number in (running, ended):
            with pytest.raises(NotPossible, match=f"build {number}"):
                kept.queue.prioritize(number, Priority.URGENT, "ada", NOON)
        with pytest.raises(UnknownName):
            kept.queue.prioritize(4711, Priority.URGENT, "ada", NOON)
        assert kept.kinds() == []


def test_after_the_clock_was_set_back_nothing_waits_for_longer(kept: Kept) -> None:
    made = kept.new("1", "2", "3")
    for number, until in zip(made, (5, 500, 50), strict=True):
        kept.run(number, Outcome.ERRORED)
        kept.queue.again(number, minute(until), NOON)
    waiting = kept.new("4")
    kept.queue.forget_waits(minute(60))

    assert [kept.store.build(number).not_before for number in (*made, *waiting)] == [
        minute(5),
        minute(60),
        minute(50),
        None,
    ]


class TestPauses:
    def test_the_oldest_first_each_part_once(self, kept: Kept) -> None:
        later = Pause(scope=ALL, actor="ada", note="the disk is changed \x00", at=minute(2))
        sooner = Pause(scope=THE_TARGET, actor="grace", note="", at=minute(1))
        assert kept.queue.pauses() == ()
        assert kept.queue.pause(later)
        assert kept.queue.pause(sooner)
        assert not kept.queue.pause(replace(sooner, actor="eve", at=minute(3)))

        assert kept.queue.pauses() == (sooner, replace(later, note="the disk is changed \ufffd"))

    def test_it_goes_on_once(self, kept: Kept) -> None:
        kept.queue.pause(Pause(scope=THE_TARGET, actor="ada", note="", at=NOON))
        assert not kept.queue.resume(ALL, "ada", minute(1))
        assert kept.queue.resume(THE_TARGET, "ada", minute(1))
        assert not kept.queue.resume(THE_TARGET, "ada", minute(1))

        assert kept.queue.pauses() == ()

    def test_both_are_told(self, kept: Kept) -> None:
        nova = Scope(kind=ScopeKind.PACKAGE, name="nova")
        for scope in (nova, nova, THE_TARGET, ALL):
            kept.queue.pause(Pause(scope=scope, actor="ada", note="why", at=NOON))
        kept.queue.resume(nova, "grace", minute(1))
        kept.queue.resume(nova, "grace", minute(1))

        assert [(one.kind, one.package, one.target, one.at) for one in kept.events.after(0)] == [
            (EventKind.PAUSED, "nova", "", NOON),
            (EventKind.PAUSED, "", TARGET, NOON),
            (EventKind.PAUSED, "", "", NOON),
            (EventKind.RESUMED, "nova", "", minute(1)),
        ]
        assert kept.events.after(0)[0].detail == {"actor": "ada", "note": "why"}


def test_what_packages_declare_is_known_by_target(kept: Kept) -> None:
    nova = Relations(requires=("python3-oslo.utils", "x \x00"), provides=("python3-nova",), fingerprint="abc")
    kept.queue.set_relations(TARGET, "nova", Relations(requires=("old",), provides=()))
    kept.queue.set_relations(TARGET, "nova", nova)
    kept.queue.set_relations(TARGET, "glance", Relations(requires=(), provides=()))

    assert kept.queue.relations(TARGET) == {
        "nova": replace(nova, requires=("python3-oslo.utils", "x \ufffd")),
        "glance": Relations(requires=(), provides=()),
    }
    assert kept.queue.relations(OTHER_TARGET) == {}


@pytest.mark.parametrize("kept", ["sqlite_url", "emptied_postgresql_url"], indirect=True)
def test_many_commits_at_once_take_few_statements(kept: Kept) -> None:
    commits = 2_000
    builds = tuple(
        new(str(number), target=target, superseded="" if number > commits - 3 else "there are newer ones")
        for number in range(commits)
        for target in (TARGET, OTHER_TARGET)
    )
    statements = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        made = kept.queue.apply(Change(builds=builds, heads=(HEAD,)), NOON)
    finally:
        event.remove(Engine, "before_cursor_execute", note)

    assert len(made) == 2 * commits
    assert list(made) == sorted(made)
    assert len(statements) < 30
    assert numbers(kept.queue.changes(0).items) == list(made[-4:])
    newest_first = [build.commit for build in kept.store.builds(limit=10)]
    assert newest_first == [one.commit for one in builds[:-11:-1]]
