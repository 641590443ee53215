"""What every store does, whatever it keeps things in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy.exc import StatementError

from conveyor.errors import ClaimLost, ContentChanged, UnknownName
from conveyor.model.artifact import ArtifactKind
from conveyor.model.build import AttemptRecord, Outcome, Stage, State
from conveyor.model.queue import REQUESTED, Priority
from conveyor.ports import Store
from conveyor.store import open_store
from tests.fakes.store import MemoryStore
from tests.fakes.store_samples import (
    CAUSE,
    NOON,
    OTHER_TARGET,
    STAGES,
    TARGET,
    artifact,
    claim,
    commit,
    end,
    entry,
    minute,
    provenance,
    start,
    succeed,
)

CHATHAM = timezone(timedelta(hours=12, minutes=45))
QUEUED_AT = datetime(2026, 3, 1, 11, tzinfo=UTC)


@pytest.fixture(params=["memory", "sqlite_url", "emptied_postgresql_url"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore(lambda: QUEUED_AT)
        return
    opened = open_store(request.getfixturevalue(request.param), now=lambda: QUEUED_AT)
    yield opened
    opened.close()


class TestQueue:
    def test_a_new_build_waits_and_knows_its_commit(self, store: Store) -> None:
        build = store.queue(commit(extended="abc"), TARGET, retry=False)

        assert build.commit == commit(extended="abc")
        assert (build.target, build.state, build.attempt) == (TARGET, State.QUEUED, 0)
        assert build.queued_at == QUEUED_AT
        assert [build.outcome, build.version, build.cause, build.started_at, build.finished_at] == [None] * 5
        assert (build.log, build.claim, build.stages, build.published) == (None, None, (), False)
        assert store.build(build.id) == build

    def test_queueing_again_gives_the_same_build(self, store: Store) -> None:
        first = store.queue(commit(), TARGET, retry=False)

        assert store.queue(commit(), TARGET, retry=False) == first
        assert store.queue(commit(), TARGET, retry=True) == first
        assert store.builds() == (first,)

    def test_each_target_extended_hash_package_and_working_copy_is_a_build_of_its_own(self, store: Store) -> None:
        builds = [
            store.queue(commit(), TARGET, retry=False),
            store.queue(commit(), OTHER_TARGET, retry=False),
            store.queue(commit(extended="abc"), TARGET, retry=False),
            store.queue(commit(package="glance"), TARGET, retry=False),
            store.queue(commit(trunk=False), TARGET, retry=False),
        ]

        assert len({build.id for build in builds}) == 5
        assert not builds[-1].commit.trunk

    @pytest.mark.parametrize(
        "outcome", [Outcome.FAILED, Outcome.ERRORED, Outcome.CANCELLED, Outcome.SUPERSEDED], ids=str
    )
    def test_a_retry_queues_what_did_not_succeed_and_keeps_what_was_learnt(
        self, store: Store, outcome: Outcome
    ) -> None:
        ended = end(store, commit(), minute(1), outcome)

        assert store.queue(commit(), TARGET, retry=False).state is State.FINISHED
        again = store.queue(commit(), TARGET, retry=True)

        assert (again.id, again.state, again.outcome, again.attempt) == (ended.id, State.QUEUED, None, 1)
        assert (again.cause, again.stages, again.finished_at) == (CAUSE, STAGES, minute(1))
        assert again.queued_at == QUEUED_AT

    def test_a_retry_leaves_running_and_successful_builds_alone(self, store: Store) -> None:
        running = start(store, commit("running"), "t")
        succeeded = succeed(store, commit("good"), minute(1))

        assert store.queue(commit("running"), TARGET, retry=True) == running
        assert store.queue(commit("good"), TARGET, retry=True) == succeeded

    def test_text_that_no_database_can_hold_is_made_harmless(self, store: Store) -> None:
        hostile = replace(commit().upstream, author="A\x00\udcff\U0001f600", subject="'; DROP TABLE build; --\ud800")
        build = store.queue(replace(commit(), upstream=hostile), TARGET, retry=False)

        assert build.commit.upstream.author == "A\ufffd\ufffd\U0001f600"
        assert build.commit.upstream.subject == "'; DROP TABLE build; --\ufffd"
        assert store.builds() == (build,)

    def test_moments_come_back_equal_from_any_zone(self, store: Store) -> None:
        dated = replace(commit().upstream, committed_at=datetime(2026, 3, 29, 2, 30, 0, 123456, CHATHAM))
        build = store.queue(replace(commit(), upstream=dated), TARGET, retry=False)

        assert build.commit.upstream == dated
        assert build.commit.upstream.committed_at.utcoffset() == timedelta(0)

    @pytest.mark.parametrize(
        "moment",
        [datetime.min.replace(tzinfo=CHATHAM), datetime.max.replace(tzinfo=timezone(-timedelta(hours=12)))],
        ids=["before year 1", "after year 9999"],
    )
    def test_a_date_beyond_all_calendars_is_stored_as_the_nearest(self, store: Store, moment: datetime) -> None:
        dated = replace(commit().upstream, committed_at=moment)
        build = store.queue(replace(commit(), upstream=dated), TARGET, retry=False)

        assert build.commit.upstream.committed_at.replace(tzinfo=None) == moment.replace(tzinfo=None)

    def test_a_moment_without_zone_is_refused(self, store: Store) -> None:
        dated = replace(commit().upstream, committed_at=NOON.replace(tzinfo=None))

        with pytest.raises((ValueError, StatementError), match="no time zone"):
            store.queue(replace(commit(), upstream=dated), TARGET, retry=False)
        assert store.builds() == ()


class TestClaim:
    def test_it_starts_an_attempt(self, store: Store) -> None:
        queued = store.queue(commit(), TARGET, retry=False)
        running = store.claim(queued.id, claim("t", minute(1)))

        assert running is not None
        assert (running.state, running.attempt, running.started_at) == (State.RUNNING, 1, minute(1))
        assert running.claim == claim("t", minute(1))
        assert store.running() == (running,)
        assert store.build(queued.id) == running

    def test_only_a_queued_build_can_be_claimed(self, store: Store) -> None:
        running = start(store, commit("running"), "t1")
        finished = end(store, commit("finished"), minute(1))

        assert store.claim(running.id, claim("t2")) is None
        assert store.claim(finished.id, claim("t3")) is None
        assert store.claim(4711, claim("t4")) is None
        assert store.build(running.id) == running

    def test_the_next_attempt_starts_afresh(self, store: Store) -> None:
        end(store, commit(), minute(1))
        again = start(store, commit(), "second", at=minute(2))

        assert (again.attempt, again.started_at) == (2, minute(2))
        assert (again.cause, again.stages, again.finished_at, again.log) == (None, (), None, None)

    def test_running_builds_come_in_the_order_of_their_claims(self, store: Store) -> None:
        builds = [store.queue(commit(str(number)), TARGET, retry=False) for number in range(3)]
        for order, index in enumerate((2, 0, 1)):
            store.claim(builds[index].id, claim(f"t{index}", minute(order)))

        assert [build.id for build in store.running()] == [builds[index].id for index in (2, 0, 1)]

    def test_a_heartbeat_is_remembered_while_the_claim_lives(self, store: Store) -> None:
        build = start(store, commit(), "t")

        assert store.heartbeat(build.id, "t", minute(5))
        assert not store.heartbeat(build.id, "another", minute(6))
        assert not store.heartbeat(4711, "t", minute(6))
        assert store.build(build.id).claim == claim("t", minute(5))
        store.release(build.id, CAUSE, minute(7))
        assert not store.heartbeat(build.id, "t", minute(8))

    def test_the_log_is_remembered_while_the_claim_lives(self, store: Store) -> None:
        build = start(store, commit(), "t")
        store.set_log(build.id, "t", "logs/1.log")

        with pytest.raises(ClaimLost):
            store.set_log(build.id, "another", "logs/2.log")
        assert store.build(build.id).log == "logs/1.log"


class TestRelease:
    def test_the_build_waits_again_and_says_why(self, store: Store) -> None:
        build = start(store, commit(), "t")
        store.release(build.id, CAUSE, minute(3), token="t")
        released = store.build(build.id)

        assert (released.state, released.outcome, released.attempt) == (State.QUEUED, None, 1)
        assert (released.claim, released.cause, released.queued_at) == (None, CAUSE, minute(3))
        assert store.running() == ()
        again = start(store, commit(), "t2")
        assert again.attempt == 2

    def test_a_claim_made_meanwhile_is_left_alone(self, store: Store) -> None:
        build = start(store, commit(), "dead")
        store.release(build.id, CAUSE, minute(3), token="dead")
        again = start(store, commit(), "alive")
        store.release(build.id, CAUSE, minute(3), token="dead")

        assert store.build(build.id) == again

    def test_what_is_not_running_stays_as_it_is(self, store: Store) -> None:
        ended = end(store, commit(), minute(1))
        store.release(ended.id, CAUSE, minute(3))
        store.release(4711, CAUSE, minute(3))

        assert store.build(ended.id) == ended

    def test_a_released_worker_cannot_finish(self, store: Store) -> None:
        build = start(store, commit(), "dead")
        store.release(build.id, CAUSE, minute(3))
        again = start(store, commit(), "alive")

        with pytest.raises(ClaimLost, match=f"build {build.id}"):
            store.finish(
                build.id,
                "dead",
                outcome=Outcome.SUCCEEDED,
                at=minute(4),
                version="1-1",
                cause=None,
                stages=(),
                entry=entry(build, minute(4), artifact()),
            )
        assert store.build(build.id) == again
        assert store.entries(TARGET) == ()


class TestErrors:
    def test_they_are_counted_until_a_success(self, store: Store) -> None:
        build = store.queue(commit(), TARGET, retry=False)
        store.claim(build.id, claim("lost"))
        store.release(build.id, CAUSE, minute(1))
        assert store.build(build.id).errors == 1
        store.claim(build.id, claim("good"))
        good = store.finish(
            build.id,
            "good",
            outcome=Outcome.SUCCEEDED,
            at=minute(2),
            version="1-1",
            cause=None,
            stages=(),
            entry=entry(build, minute(2)),
        )

        assert good.errors == 0

    @pytest.mark.parametrize(
        ("outcome", "errors"),
        [(Outcome.FAILED, 0), (Outcome.ERRORED, 1), (Outcome.CANCELLED, 0), (Outcome.SUPERSEDED, 0)],
        ids=str,
    )
    def test_only_an_error_counts(self, store: Store, outcome: Outcome, errors: int) -> None:
        assert end(store, commit(), minute(1), outcome).errors == errors

    def test_a_person_who_asks_again_forgets_them(self, store: Store) -> None:
        end(store, commit(), minute(1), Outcome.ERRORED)

        assert store.queue(commit(), TARGET, retry=False).errors == 1
        assert store.queue(commit(), TARGET, retry=True).errors == 0


class TestReason:
    def test_a_person_asked_for_it(self, store: Store) -> None:
        build = store.queue(commit(), TARGET, retry=False)

        assert store.reason(build.id) == (Priority.REQUEST, REQUESTED)

    def test_an_unknown_build_is_an_error(self, store: Store) -> None:
        with pytest.raises(UnknownName, match="no build 4711"):
            store.reason(4711)


class TestAttempts:
    def test_the_first_one_comes_first(self, store: Store) -> None:
        build = start(store, commit(), "a", at=minute(1))
        store.set_log(build.id, "a", "logs/1")
        store.set_buildroot(build.id, "a", 64 * "a")
        store.release(build.id, CAUSE, minute(2))
        store.claim(build.id, claim("b", minute(3)))
        failed = replace(CAUSE, kind="BuildFailed")
        store.finish(
            build.id,
            "b",
            outcome=Outcome.FAILED,
            at=minute(4),
            version=None,
            cause=failed,
            stages=STAGES,
            entry=None,
        )
        start(store, commit(), "c", at=minute(5))

        assert store.attempts(build.id) == (
            AttemptRecord(
                number=1,
                outcome=Outcome.ERRORED,
                cause=CAUSE,
                stages=(),
                queued_at=QUEUED_AT,
                started_at=minute(1),
                finished_at=minute(2),
                log="logs/1",
                buildroot=64 * "a",
            ),
            AttemptRecord(
                number=2,
                outcome=Outcome.FAILED,
                cause=failed,
                stages=STAGES,
                queued_at=minute(2),
                started_at=minute(3),
                finished_at=minute(4),
                log=None,
                buildroot=None,
            ),
            AttemptRecord(
                number=3,
                outcome=None,
                cause=None,
                stages=(),
                queued_at=QUEUED_AT,
                started_at=minute(5),
                finished_at=None,
                log=None,
                buildroot=None,
            ),
        )

    def test_a_build_that_waits_or_is_unknown_has_none(self, store: Store) -> None:
        waiting = store.queue(commit(), TARGET, retry=False)

        assert store.attempts(waiting.id) == store.attempts(4711) == ()

    def test_the_root_is_remembered_while_the_claim_lives(self, store: Store) -> None:
        build = start(store, commit(), "t")

        with pytest.raises(ClaimLost):
            store.set_buildroot(build.id, "another", 64 * "a")
        assert store.attempts(build.id)[0].buildroot is None


class TestFinish:
    def test_a_failure_tells_all(self, store: Store) -> None:
        start(store, commit("other"), "other")
        ended = end(store, commit(), minute(9))

        assert (ended.state, ended.outcome, ended.attempt) == (State.FINISHED, Outcome.FAILED, 1)
        assert (ended.cause, ended.stages, ended.version) == (CAUSE, STAGES, None)
        assert (ended.finished_at, ended.claim) == (minute(9), None)
        assert store.build(ended.id) == ended

    def test_a_cause_outside_of_any_stage_without_words(self, store: Store) -> None:
        bare = replace(CAUSE, stage=None, hint="", details=())
        build = start(store, commit(), "t")
        ended = store.finish(
            build.id, "t", outcome=Outcome.ERRORED, at=minute(1), version=None, cause=bare, stages=(), entry=None
        )

        assert ended.cause == bare

    def test_a_hostile_log_line_is_made_harmless(self, store: Store) -> None:
        build = start(store, commit(), "t")
        cause = replace(CAUSE, details=("bell \x07, tab \t, emoji \U0001f600",))
        store.finish(
            build.id, "t", outcome=Outcome.FAILED, at=minute(1), version=None, cause=cause, stages=(), entry=None
        )

        assert store.build(build.id).cause == cause

    def test_a_success_brings_its_entry(self, store: Store) -> None:
        files = (
            artifact("nova_1.dsc", kind=ArtifactKind.SOURCE, architecture="source"),
            artifact("nova_1.tar.gz", kind=ArtifactKind.SUPPORT, name="nova_1.tar.gz", version="", architecture=""),
            artifact("nova_1_all.deb"),
            artifact("a-doc_1_all.deb", name="a-doc"),
        )
        finished = succeed(store, commit(extended="abc"), minute(9), *files)

        assert (finished.outcome, finished.version, finished.published) == (Outcome.SUCCEEDED, "1-1", False)
        assert store.entries(TARGET) == (entry(finished, minute(9), *files),)
        assert store.entries(OTHER_TARGET) == ()

    def test_a_version_once_known_stays_known(self, store: Store) -> None:
        build = start(store, commit(), "t")
        store.finish(
            build.id, "t", outcome=Outcome.FAILED, at=minute(1), version="1-1", cause=CAUSE, stages=(), entry=None
        )

        assert end(store, commit(), minute(2)).version == "1-1"

    def test_the_same_content_may_come_twice(self, store: Store) -> None:
        succeed(store, commit("1"), minute(1), artifact())
        succeed(store, commit("2"), minute(2), artifact())
        succeed(store, commit("1"), minute(3), artifact(), target=OTHER_TARGET)

        assert [one.upstream_sha for one in store.entries(TARGET)] == [commit("2").upstream.sha]

    def test_the_newest_builds_are_those_of_the_entries(self, store: Store) -> None:
        succeed(store, commit("1"), minute(1), artifact())
        newest = succeed(store, commit("2"), minute(2), artifact())
        end(store, commit("3"), minute(3))
        other = succeed(store, commit("1", package="other"), minute(1), artifact(name="other"))
        succeed(store, commit("1"), minute(3), artifact(), target=OTHER_TARGET)

        assert store.newest_builds(TARGET) == {"nova": newest.id, "other": other.id}
        assert store.newest_builds("nothing") == {}

    def test_other_content_under_a_known_name_is_refused_whole(self, store: Store) -> None:
        succeed(store, commit("1"), minute(1), artifact())
        build = start(store, commit("2"), "t")
        changed = entry(
            build, minute(2), artifact("other_1_all.deb", name="other"), artifact("nova_1_all.deb", content="changed")
        )

        with pytest.raises(ContentChanged, match=r"nova_1_all\.deb"):
            store.finish(
                build.id,
                "t",
                outcome=Outcome.SUCCEEDED,
                at=minute(2),
                version="1-1",
                cause=None,
                stages=(),
                entry=changed,
            )
        assert store.build(build.id) == build
        assert store.published_artifact(TARGET, "other", "1-1", "all") is None
        assert [one.upstream_sha for one in store.entries(TARGET)] == [commit("1").upstream.sha]

    def test_one_build_cannot_bring_two_contents_under_one_name(self, store: Store) -> None:
        with pytest.raises(ContentChanged):
            succeed(store, commit(), minute(1), artifact("a.deb"), artifact("b.deb"))

    def test_a_working_copy_may_have_any_content(self, store: Store) -> None:
        succeed(store, commit("1"), minute(1), artifact())
        local = succeed(store, commit("1", trunk=False), minute(2), artifact(content="changed"))

        assert local.outcome is Outcome.SUCCEEDED
        assert [one.succeeded_at for one in store.entries(TARGET)] == [minute(1)]
        assert store.published_artifact(TARGET, "nova", "1-1", "all") == artifact()

    def test_only_a_success_has_artifacts_and_one_of_the_trunk_always(self, store: Store) -> None:
        build = start(store, commit(), "t")
        other = store.queue(commit("other"), TARGET, retry=False)

        for outcome, wrong in (
            (Outcome.FAILED, entry(build, minute(1))),
            (Outcome.SUCCEEDED, None),
            (Outcome.SUCCEEDED, entry(other, minute(1))),
        ):
            with pytest.raises(ValueError, match="build"):
                store.finish(
                    build.id, "t", outcome=outcome, at=minute(1), version=None, cause=None, stages=(), entry=wrong
                )
        assert store.build(build.id) == build


class TestBuilds:
    def test_newest_first_of_a_package_a_target_or_all(self, store: Store) -> None:
        first = store.queue(commit("1"), TARGET, retry=False)
        second = store.queue(commit("2", package="glance"), TARGET, retry=False)
        third = store.queue(commit("1"), OTHER_TARGET, retry=False)

        assert store.builds() == (third, second, first)
        assert store.builds(limit=2) == (third, second)
        assert store.builds(package="nova") == (third, first)
        assert store.builds(target=TARGET) == (second, first)
        assert store.builds(package="nova", target=TARGET) == (first,)
        assert store.builds(package="unknown") == ()

    def test_those_of_the_trunk_and_others(self, store: Store) -> None:
        trunk = store.queue(commit("1"), TARGET, retry=False)
        copies = [store.queue(commit(name, trunk=False), TARGET, retry=False) for name in ("1", "2")]
        assert store.builds(package="nova", target=TARGET, trunk=True, limit=1) == (trunk,)
        assert store.builds(trunk=False) == (copies[1], copies[0])
        assert store.builds() == (copies[1], copies[0], trunk)

    def test_an_unknown_build_is_an_error(self, store: Store) -> None:
        with pytest.raises(UnknownName, match="no build 4711"):
            store.build(4711)

    def test_those_of_a_commit_are_found_by_the_beginning_of_its_id(self, store: Store) -> None:
        wanted = commit("1")
        first = succeed(store, wanted, minute(1))
        other_target = end(store, wanted, minute(2), target=OTHER_TARGET)
        extended = store.queue(commit("1", extended="abc"), TARGET, retry=False)
        store.queue(commit("2"), TARGET, retry=False)
        store.queue(commit("1", trunk=False), TARGET, retry=False)

        assert store.of_commit(wanted.upstream.sha[:6]) == (first, other_target, extended)
        assert store.of_commit(wanted.id) == (first, other_target, extended)
        assert store.of_commit(f"{wanted.id}_a") == (extended,)
        assert store.of_commit(f"{wanted.upstream.sha}_0000") == ()
        assert store.of_commit("%") == store.of_commit("zzzz") == ()


class TestEntries:
    def test_the_build_that_finished_last_of_each_package_sorted(self, store: Store) -> None:
        older = store.queue(commit("older"), TARGET, retry=False)
        succeed(store, commit("newer"), minute(1), version="2-1")
        succeed(store, commit("older"), minute(2), version="1-1")
        succeed(store, commit("1", package="Zed"), minute(3))
        succeed(store, commit("1", package="glance"), minute(3))

        assert [(one.package, one.version) for one in store.entries(TARGET)] == [
            ("Zed", "1-1"),
            ("glance", "1-1"),
            ("nova", "1-1"),
        ]
        assert store.entries(TARGET)[-1].upstream_sha == older.commit.upstream.sha

    def test_of_two_that_ended_at_one_moment_the_later_made_counts(self, store: Store) -> None:
        succeed(store, commit("1"), minute(1), version="1-1")
        succeed(store, commit("2"), minute(1), version="2-1")

        assert [one.version for one in store.entries(TARGET)] == ["2-1"]

    @pytest.mark.parametrize(
        ("outcome", "latest"),
        [
            (Outcome.FAILED, False),
            (Outcome.ERRORED, False),
            (Outcome.CANCELLED, True),
            (Outcome.SUPERSEDED, True),
        ],
        ids=str,
    )
    def test_a_later_failure_is_told(self, store: Store, outcome: Outcome, latest: bool) -> None:
        succeed(store, commit("1"), minute(1))
        end(store, commit("2"), minute(2), outcome)

        assert [one.latest_succeeded for one in store.entries(TARGET)] == [latest]
        assert [one.upstream_sha for one in store.entries(TARGET)] == [commit("1").upstream.sha]

    def test_a_failure_counts_until_a_success_not_until_its_retry(self, store: Store) -> None:
        succeed(store, commit("1"), minute(1))
        end(store, commit("2"), minute(2))
        store.queue(commit("2"), TARGET, retry=True)
        assert [one.latest_succeeded for one in store.entries(TARGET)] == [False]

        succeed(store, commit("2"), minute(3))
        assert [one.latest_succeeded for one in store.entries(TARGET)] == [True]

    def test_failures_before_elsewhere_and_of_working_copies_do_not_count(self, store: Store) -> None:
        end(store, commit("before"), minute(0))
        succeed(store, commit("1"), minute(1))
        end(store, commit("2"), minute(2), target=OTHER_TARGET)
        end(store, commit("2", package="glance"), minute(2))
        end(store, commit("2", trunk=False), minute(2))
        dead = start(store, commit("3"), "dead")
        store.release(dead.id, CAUSE, minute(3))

        assert [one.latest_succeeded for one in store.entries(TARGET)] == [True]

    def test_no_success_no_entry(self, store: Store) -> None:
        failed = end(store, commit(), minute(1))
        local = succeed(store, commit(trunk=False), minute(1))

        assert store.entries(TARGET) == ()
        for build_id in (failed.id, local.id, 4711):
            with pytest.raises(UnknownName):
                store.entry(build_id)

    def test_what_one_build_brings_however_old(self, store: Store) -> None:
        older = succeed(
            store, commit("older", extended="abc"), minute(1), artifact("b.deb"), artifact("a.deb", name="a")
        )
        newer = succeed(store, commit("newer"), minute(2), artifact("c.deb", name="c"))
        files = (artifact("b.deb"), artifact("a.deb", name="a"))

        assert store.entry(older.id) == entry(older, minute(1), *files)
        assert store.entry(newer.id) == store.entries(TARGET)[0]
        end(store, commit("bad"), minute(3))
        assert not store.entry(older.id).latest_succeeded


class TestFailing:
    def test_packages_that_failed_after_their_newest_success_sorted(self, store: Store) -> None:
        for package in ("nova", "glance", "Zed"):
            succeed(store, commit("good", package=package), minute(1))
        for package in ("nova", "Zed", "never-built"):
            end(store, commit("bad", package=package), minute(2))
            end(store, commit("worse", package=package), minute(3), Outcome.ERRORED)

        assert store.failing(TARGET) == ("Zed", "never-built", "nova")
        assert store.failing(OTHER_TARGET) == ()
        store.queue(commit("worse"), TARGET, retry=True)
        assert store.failing(TARGET) == ("Zed", "never-built", "nova")
        succeed(store, commit("worse"), minute(4))
        assert store.failing(TARGET) == ("Zed", "never-built")

    def test_what_says_nothing_of_the_trunk_does_not_count(self, store: Store) -> None:
        end(store, commit("before"), minute(0))
        succeed(store, commit("good"), minute(1))
        end(store, commit("2"), minute(2), Outcome.CANCELLED)
        end(store, commit("3"), minute(2), Outcome.SUPERSEDED)
        end(store, commit("4", trunk=False), minute(2))
        end(store, commit("5"), minute(2), target=OTHER_TARGET)

        assert store.failing(TARGET) == ()

    @pytest.mark.parametrize("first_fails", [True, False], ids=["failure made first", "success made first"])
    def test_of_two_that_ended_at_one_moment_the_later_made_counts(self, store: Store, first_fails: bool) -> None:
        queued = [store.queue(commit(name), TARGET, retry=False) for name in ("1", "2")]
        bad, good = queued if first_fails else reversed(queued)
        succeed(store, good.commit, minute(1))
        end(store, bad.commit, minute(1))

        assert store.failing(TARGET) == (() if first_fails else ("nova",))
        assert [one.latest_succeeded for one in store.entries(TARGET)] == [first_fails]


class TestPublished:
    def test_successful_trunk_builds_wait_for_their_snapshot_oldest_first(self, store: Store) -> None:
        store.queue(commit("later"), TARGET, retry=False)
        sooner = succeed(store, commit("sooner"), minute(1))
        later = succeed(store, commit("later"), minute(2))
        succeed(store, commit("local", trunk=False), minute(3))
        end(store, commit("failed"), minute(4))

        assert store.unpublished() == (sooner, later)
        published = store.mark_published(sooner.id, 0.75)
        assert store.unpublished() == (later,)
        assert published.published
        assert [(time.stage, time.seconds) for time in published.stages[-1:]] == [(Stage.PUBLISH, 0.75)]
        assert published.stages[:-1] == STAGES
        assert store.build(sooner.id) == published

    def test_publishing_again_changes_nothing(self, store: Store) -> None:
        build = succeed(store, commit(), minute(1))
        published = store.mark_published(build.id, 0.75)

        assert store.mark_published(build.id, 9.0) == published

    def test_only_a_successful_trunk_build_is_published(self, store: Store) -> None:
        for build in (end(store, commit(), minute(1)), succeed(store, commit(trunk=False), minute(2))):
            with pytest.raises(ValueError, match="trunk"):
                store.mark_published(build.id, 1.0)
        with pytest.raises(UnknownName):
            store.mark_published(4711, 1.0)

    def test_versions_of_successful_trunk_builds(self, store: Store) -> None:
        succeed(store, commit("1"), minute(1), version="1:1-1")
        succeed(store, commit("2"), minute(2), version="1:2-1")
        succeed(store, commit("2"), minute(2), version="2-1.el10", target=OTHER_TARGET)
        succeed(store, commit("3", package="glance"), minute(3), version="9-1")
        succeed(store, commit("4", trunk=False), minute(4), version="8-1")
        end(store, commit("5"), minute(5))

        assert store.published_versions(TARGET, "nova") == ("1:1-1", "1:2-1")
        assert store.published_versions(TARGET, "unknown") == ()

    def test_the_artifact_that_is_known_under_a_name(self, store: Store) -> None:
        succeed(
            store, commit("1"), minute(1), artifact(), artifact("nova.dsc", kind=ArtifactKind.SOURCE, name="source")
        )

        assert store.published_artifact(TARGET, "nova", "1-1", "all") == artifact()
        assert store.published_artifact(TARGET, "nova", "1-1", "amd64") is None
        assert store.published_artifact(TARGET, "nova", "1-2", "all") is None
        assert store.published_artifact(TARGET, "source", "1-1", "all") is None
        assert store.published_artifact(OTHER_TARGET, "nova", "1-1", "all") is None

    def test_who_publishes_a_name_now(self, store: Store) -> None:
        libs = artifact("lib_1_all.deb", name="lib"), artifact("tool_1_all.deb", name="tool")
        succeed(store, commit("1"), minute(1), artifact(), *libs)
        succeed(store, commit("2", package="glance"), minute(2), artifact("g_1_all.deb", name="lib", version="2-1"))
        succeed(store, commit("3"), minute(3), artifact("n_2_all.deb", version="2-1"))
        source = artifact("nova.dsc", kind=ArtifactKind.SOURCE, name="source")
        succeed(
            store, commit("4", package="heat"), minute(4), artifact("h_1_all.deb", name="lib", version="3-1"), source
        )
        succeed(store, commit("5", package="local", trunk=False), minute(5), artifact("l_1_all.deb", name="lib"))
        end(store, commit("6", package="heat"), minute(6))

        asked = ["lib", "tool", "nova", "source", "nobody"]
        assert store.publishers(TARGET, asked) == {"lib": ("glance", "heat"), "nova": ("nova",)}
        assert store.publishers(TARGET, ()) == {}
        assert store.publishers(OTHER_TARGET, asked) == {}


class TestProvenance:
    def test_it_comes_with_the_success_and_stays(self, store: Store) -> None:
        told = provenance("dpkg", "gcc")
        build = succeed(store, commit(), minute(1), artifact(), provenance=told)

        assert store.provenance(build.id) == told

    def test_nothing_recorded_is_none(self, store: Store) -> None:
        unrecorded = succeed(store, commit("1"), minute(1), artifact())
        failed = end(store, commit("2"), minute(2))

        assert [store.provenance(number) for number in (unrecorded.id, failed.id, 4711)] == [None] * 3

    def test_a_folder_and_a_builder_that_does_not_tell(self, store: Store) -> None:
        told = replace(provenance(), buildroot=None, packaging_branch="", packaging_commit="", packaged_at=None)
        empty = provenance(bootstrap=True)
        builds = [
            succeed(store, commit("1"), minute(1), artifact("1.deb", version="1"), provenance=told),
            succeed(store, commit("2"), minute(2), artifact("2.deb", version="2"), provenance=empty),
        ]

        assert [store.provenance(build.id) for build in builds] == [told, empty]
        assert empty.buildroot == ()

    def test_builds_share_a_buildroot(self, store: Store) -> None:
        told = provenance("dpkg", "gcc")
        builds = [
            succeed(store, commit(name), minute(1), artifact(f"{name}.deb", version=name), provenance=told)
            for name in ("1", "2")
        ]

        assert [store.provenance(build.id) for build in builds] == [told, told]

    def test_a_success_that_is_refused_leaves_none(self, store: Store) -> None:
        succeed(store, commit("1"), minute(1), artifact(content="one"))
        build = start(store, commit("2"), "t")
        with pytest.raises(ContentChanged):
            store.finish(
                build.id,
                "t",
                outcome=Outcome.SUCCEEDED,
                at=minute(2),
                version="1-1",
                cause=None,
                stages=(),
                entry=entry(build, minute(2), artifact(content="two")),
                provenance=provenance("dpkg"),
            )

        assert store.provenance(build.id) is None

    def test_a_working_copy_has_none(self, store: Store) -> None:
        build = start(store, commit(trunk=False), "t")
        store.finish(
            build.id,
            "t",
            outcome=Outcome.SUCCEEDED,
            at=minute(2),
            version="1",
            cause=None,
            stages=(),
            entry=None,
            provenance=provenance("dpkg"),
        )

        assert store.provenance(build.id) is None


class TestPublishedSnapshots:
    def test_the_one_published_last_comes_first(self, store: Store) -> None:
        first = succeed(store, commit("1"), minute(1))
        second = succeed(store, commit("2", package="glance"), minute(2), artifact("glance_1_all.deb", name="glance"))
        store.mark_published(first.id, 0.5)
        assert [one.build for one in store.published(TARGET)] == [first.id]
        store.mark_published(second.id, 0.5)

        newest, oldest = store.published(TARGET)
        assert (newest.build, newest.commit, newest.package) == (second.id, commit("2").id, "glance")
        assert (oldest.build, oldest.published_at, oldest.collected_at) == (first.id, QUEUED_AT, None)
        assert store.published(TARGET, limit=1) == (newest,)
        assert store.published(TARGET, package="nova") == (oldest,)
        assert store.published(TARGET, until=QUEUED_AT) == (newest, oldest)
        assert store.published(TARGET, until=QUEUED_AT - timedelta(seconds=1)) == ()
        assert store.published(OTHER_TARGET) == ()

    def test_those_of_a_commit_are_found_by_the_beginning_of_its_id(self, store: Store) -> None:
        wanted = commit("1", extended="abcd")
        for number, each in enumerate([commit("1"), wanted, commit("2")], start=1):
            build = succeed(store, each, minute(number), artifact(f"{number}_all.deb", version=f"{number}-1"))
            store.mark_published(build.id, 0.5)

        def found(beginning: str) -> list[int]:
            return [one.build for one in store.published(TARGET, commit=beginning)]

        assert found(wanted.id) == [2]
        assert found(wanted.id.removesuffix("bcd")) == [2]
        assert found(commit("1").id) == [2, 1]
        assert found(wanted.upstream.sha[:7]) == [2, 1]
        assert found("") == [3, 2, 1]
        assert found(wanted.upstream.sha[:6] + "%") == []

    def test_what_was_collected_is_told_with_its_first_date(self, store: Store) -> None:
        build = succeed(store, commit(), minute(1))
        store.mark_published(build.id, 0.5)
        store.mark_collected([build.id], minute(5))
        store.mark_collected([build.id], minute(6))

        assert [one.collected_at for one in store.published(TARGET)] == [minute(5)]

    def test_only_a_published_snapshot_is_collected(self, store: Store) -> None:
        build = succeed(store, commit(), minute(1))
        with pytest.raises(ValueError, match="no published snapshot"):
            store.mark_collected([build.id], minute(5))
