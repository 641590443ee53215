"""Builds taken from the queue by their numbers; what becomes of those that errored or whose process is gone."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from conveyor.config.daemon import DaemonEntry, daemon_settings
from conveyor.errors import Interrupted, LimitExceeded, MirrorUnreachable
from conveyor.model.build import Build, Claim, Outcome, State
from conveyor.model.event import EventKind
from conveyor.model.queue import REQUESTED, Priority
from conveyor.pipeline.attempt import cause_of
from conveyor.pipeline.claims import LOST, REBUILDS_AFTER_DEATH, Claims, Silence
from conveyor.pipeline.happenings import Happenings
from conveyor.pipeline.retry import LONGEST_WAIT, Retries, backoff
from conveyor.pipeline.run import PutBack
from tests.fakes.clock import NOON
from tests.fakes.events import MemoryEvents
from tests.support.workshop import TARGET, Workshop, new_world

FIVE_MINUTES = timedelta(minutes=5)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(new_world(tmp_path, "nova", "oslo"))


def waiting(workshop: Workshop, package: str = "nova") -> int:
    return workshop.parts.store.queue(workshop.commit(package), TARGET.name, retry=True).id


def told(workshop: Workshop) -> list[str]:
    skipped = {EventKind.STARTED, EventKind.PUBLISHED, EventKind.POINTER_MOVED}
    return [event.kind.value for event in workshop.world.events.after(0) if event.kind not in skipped]


def raiser(error: BaseException) -> Callable[[], None]:
    def hook() -> None:
        raise error

    return hook


def end(workshop: Workshop, error: Exception | None) -> Build:
    """Push a commit of nova, and build it to this end."""
    workshop.builder.hooks = {} if error is None else {"build": raiser(error)}
    workshop.push("nova", "More")
    report = workshop.queued.build(waiting(workshop))
    assert report is not None
    return report.build


class TestQueued:
    def test_it_is_built_and_published(self, workshop: Workshop) -> None:
        report = workshop.queued.build(waiting(workshop))
        assert report is not None
        assert (report.ran, report.build.published) == (True, True)
        assert workshop.pointed("current") == report.build.commit.id

    def test_it_is_the_commit_that_was_queued_not_the_newest(self, workshop: Workshop) -> None:
        number = waiting(workshop)
        workshop.push("nova", "Second")
        workshop.commit("nova")
        report = workshop.queued.build(number)
        assert report is not None
        assert (report.build.commit.upstream.subject, report.build.published) == ("First", True)

    @pytest.mark.parametrize(("packages", "targets", "what"), [(["oslo"], None, "package"), (None, [], "target")])
    def test_what_repos_yaml_has_no_more_is_superseded(
        self, workshop: Workshop, packages: Sequence[str] | None, targets: Sequence[str] | None, what: str
    ) -> None:
        number = waiting(workshop)
        others = [replace(TARGET, name=name) for name in ["another"]] if targets is not None else [TARGET]
        later = Workshop(workshop.world, configured=packages or (), targets=others)
        assert later.queued.build(number) is None
        build = workshop.parts.store.build(number)
        assert (build.outcome, build.attempt) == (Outcome.SUPERSEDED, 0)
        assert build.ended == f"repos.yaml has the {what} no more"
        assert told(workshop) == ["superseded"]

    def test_what_does_not_wait_any_more_is_left_alone(self, workshop: Workshop) -> None:
        number = waiting(workshop)
        workshop.world.queue.cancel(number, "ada", NOON)
        assert workshop.queued.build(number) is None
        assert workshop.builder.calls == []

    def test_a_good_build_is_published_if_it_was_not(self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
        number = waiting(workshop)
        with monkeypatch.context() as patch:
            patch.setattr(workshop.parts.repository, "publish", lambda *_: raiser(KeyboardInterrupt())())
            with pytest.raises(Interrupted):
                workshop.queued.build(number)
        workshop.builder.calls.clear()
        report = workshop.queued.build(1)
        assert report is not None
        assert (report.ran, report.build.published, workshop.builder.calls) == (False, True, [])

    def test_what_is_put_back_waits_as_if_nothing_had_been(self, workshop: Workshop) -> None:
        workshop.builder.hooks["build"] = raiser(PutBack())
        with pytest.raises(PutBack):
            workshop.queued.build(waiting(workshop))
        build = workshop.parts.store.build(1)
        assert (build.state, build.claim, build.errors, build.outcome) == (State.QUEUED, None, 0, None)
        assert {path.name for path in workshop.folder(build).iterdir()} == {"log", "packaging"}
        assert told(workshop) == []
        workshop.builder.hooks.clear()
        report = workshop.queued.build(1)
        assert report is not None
        assert (report.build.attempt, report.build.published) == (2, True)

    def test_who_cancelled_it_is_remembered(self, workshop: Workshop) -> None:
        def cancel() -> None:
            workshop.world.queue.cancel(1, "ada", NOON)
            raise KeyboardInterrupt

        workshop.builder.hooks["build"] = cancel
        with pytest.raises(Interrupted):
            workshop.queued.build(waiting(workshop))
        build = workshop.parts.store.build(1)
        assert build.cause is not None
        assert (build.outcome, build.cause.summary) == (Outcome.CANCELLED, "ada cancelled it")


def flip(workshop: Workshop, **versions: str) -> int:
    """A build that fails, and succeeds when it is tried again: with these packages in its root then."""
    workshop.world.packaging.recipes["nova"] += "needs python3\n"
    number = waiting(workshop)
    workshop.builder.hooks["build"] = raiser(LimitExceeded("too long"))
    workshop.queued.build(number)
    workshop.builder.hooks.clear()
    workshop.builder.versions |= versions
    workshop.world.queue.retry(number, REQUESTED, Priority.REQUEST, NOON)
    workshop.queued.build(number)
    return number


class TestHappenings:
    def test_each_attempt_is_told_once_and_compared_with_the_one_before(self, workshop: Workshop) -> None:
        bad, network = LimitExceeded("too long"), MirrorUnreachable("no network")
        for error in (bad, bad, network, None, None, network, bad):
            end(workshop, error)
        assert told(workshop) == [
            *("failed", "failed-again", "errored", "works-again", "succeeded", "errored", "failed"),
        ]

    def test_packages_are_compared_with_themselves(self, workshop: Workshop) -> None:
        end(workshop, LimitExceeded("too long"))
        workshop.builder.hooks = {}
        workshop.queued.build(waiting(workshop, "oslo"))
        assert told(workshop) == ["failed", "succeeded"]

    def test_an_event_has_what_is_to_be_told(self, workshop: Workshop) -> None:
        build = end(workshop, LimitExceeded("too long"))
        (event,) = workshop.world.events.newest(kinds=[EventKind.FAILED])
        assert (event.package, event.target, event.build) == ("nova", TARGET.name, build.id)
        assert event.summary == f"nova {build.commit.short} for {TARGET.name}: failed in build: too long"
        assert (event.detail["attempt"], event.detail["commit_id"]) == (1, build.commit.id)
        assert (event.detail["kind"], event.detail["stage"]) == ("LimitExceeded", "build")
        assert event.detail["version"] == build.version

    def test_what_was_before_there_were_events_counts(self, workshop: Workshop) -> None:
        end(workshop, LimitExceeded("too long"))
        silent = Happenings(MemoryEvents(), workshop.parts.store)
        workshop.push("nova", "More")
        build = workshop.parts.store.build(waiting(workshop))
        (event,) = silent.ended(build, Outcome.SUCCEEDED, None, "1-1")
        assert event.kind is EventKind.WORKS_AGAIN

    def test_of_a_working_copy_nothing_is_told(self, workshop: Workshop) -> None:
        build = workshop.parts.store.build(waiting(workshop))
        local = replace(build, commit=replace(build.commit, trunk=False))
        assert workshop.happenings.ended(local, Outcome.FAILED, None, None) == ()

    def test_another_outcome_for_the_same_input_is_told_once(self, workshop: Workshop) -> None:
        number = flip(workshop)
        (event,) = workshop.world.events.newest(kinds=[EventKind.FLAKY])
        assert (event.build, event.detail["attempts"]) == (number, [1, 2])
        assert "flaky: attempt 1 failed and attempt 2 succeeded" in event.summary

    def test_in_another_root_it_is_another_input(self, workshop: Workshop) -> None:
        flip(workshop, python3="2")
        assert workshop.world.events.newest(kinds=[EventKind.FLAKY]) == ()

    def test_publishing_and_moves_of_pointers_are_told(self, workshop: Workshop) -> None:
        build = end(workshop, None)
        kinds = [event.kind for event in workshop.world.events.after(0)]
        moves = [EventKind.POINTER_MOVED] * 2
        assert kinds == [EventKind.STARTED, EventKind.SUCCEEDED, *moves, EventKind.PUBLISHED]
        (_, move) = workshop.world.events.newest(kinds=[EventKind.POINTER_MOVED])
        assert (move.target, move.detail["pointer"], move.detail["after"]) == (TARGET.name, "current", build.commit.id)


class TestRetries:
    def retries(self, workshop: Workshop, retries: int = 3) -> Retries:
        return Retries(queue=workshop.world.queue, clock=workshop.world.clock, retries=retries, wait=FIVE_MINUTES)

    def test_what_errored_waits_for_a_moment_and_is_built_again(self, workshop: Workshop) -> None:
        build = end(workshop, MirrorUnreachable("no network"))
        self.retries(workshop).run()
        again = workshop.parts.store.build(build.id)
        assert build.finished_at is not None
        assert (again.state, again.errors) == (State.QUEUED, 1)
        assert again.not_before == build.finished_at + backoff(FIVE_MINUTES, 1, str(build.id))
        self.retries(workshop).run()
        assert workshop.parts.store.build(build.id) == again

    def test_it_is_given_up_after_so_many_times(self, workshop: Workshop) -> None:
        number = end(workshop, MirrorUnreachable("no network")).id
        for _ in range(5):
            self.retries(workshop, 2).run()
            workshop.queued.build(number)
        assert workshop.parts.store.build(number).attempt == 3
        assert told(workshop) == ["errored", "errored", "errored", "gave-up"]

    def test_failed_and_cancelled_builds_are_final(self, workshop: Workshop) -> None:
        number = end(workshop, LimitExceeded("too long")).id
        self.retries(workshop).run()
        assert workshop.parts.store.build(number).state is State.FINISHED

    def test_an_end_that_lies_ahead_is_no_reason_to_wait_for_it(self, workshop: Workshop) -> None:
        number = end(workshop, MirrorUnreachable("no network")).id
        workshop.world.clock.advance(timedelta(days=-30))
        now = workshop.world.clock.now()
        self.retries(workshop).run()
        moment = workshop.parts.store.build(number).not_before
        assert moment is not None
        assert moment - now < 2 * FIVE_MINUTES

    def test_each_wait_is_about_twice_as_long_and_none_is_longer_than_the_longest(self) -> None:
        waits = [backoff(FIVE_MINUTES, failures, "7") for failures in range(1, 100)]
        for failures, wait in enumerate(waits[:5], 1):
            assert 0.8 <= wait / (FIVE_MINUTES * 2 ** (failures - 1)) <= 1.2
        assert max(waits) <= LONGEST_WAIT * 1.2

    def test_a_mirror_that_is_gone_for_a_day_costs_no_build(self) -> None:
        settings = daemon_settings(DaemonEntry())
        first = timedelta(seconds=settings.retry_wait)
        for build in range(100):
            waits = [backoff(first, failures, str(build)) for failures in range(1, settings.retries + 1)]
            assert sum(waits, timedelta()) > timedelta(days=1)

    def test_many_that_errored_at_once_are_not_tried_again_at_once(self) -> None:
        waits = {backoff(FIVE_MINUTES, 1, str(build)) for build in range(1000)}
        assert len(waits) > 900
        assert max(waits) - min(waits) > FIVE_MINUTES * 0.35


class TestClaims:
    def dead(self, workshop: Workshop, number: int, token: str) -> Build:
        process = subprocess.Popen(["true"])
        process.wait()
        claim = Claim(token=token, host=platform.node(), pid=process.pid, process_started=1, heartbeat_at=NOON)
        claimed = workshop.parts.store.claim(number, claim)
        assert claimed is not None
        return claimed

    def test_a_build_whose_processes_die_again_and_again_is_no_more_built_by_itself(self, workshop: Workshop) -> None:
        number = waiting(workshop)
        for attempt in range(REBUILDS_AFTER_DEATH + 1):
            assert workshop.parts.store.build(number).state is State.QUEUED
            self.dead(workshop, number, str(attempt))
            workshop.claims.release_dead()
        build = workshop.parts.store.build(number)
        assert (build.state, build.outcome, build.errors) == (State.FINISHED, Outcome.ERRORED, REBUILDS_AFTER_DEATH + 1)
        assert told(workshop) == ["errored"] * (REBUILDS_AFTER_DEATH + 1)
        assert workshop.world.queue.errored() == (build,)

    def test_one_that_was_claimed_anew_is_left_to_the_new_claim(self, workshop: Workshop) -> None:
        number = waiting(workshop)
        seen = self.dead(workshop, number, "first")
        workshop.claims.release(seen)
        self.dead(workshop, number, "second")
        workshop.claims.release(seen)
        build = workshop.parts.store.build(number)
        assert build.claim is not None
        assert (build.state, build.claim.token) == (State.RUNNING, "second")

    def test_what_was_to_be_cancelled_is(self, workshop: Workshop) -> None:
        number = waiting(workshop)
        self.dead(workshop, number, "first")
        workshop.world.queue.cancel(number, "ada", NOON)
        workshop.claims.release_dead()
        assert workshop.parts.store.build(number).outcome is Outcome.CANCELLED
        assert told(workshop) == ["cancelled"]


class TestSilence:
    @pytest.fixture
    def now(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        passed = [1000.0]
        monkeypatch.setattr("time.monotonic", lambda: passed[0])
        return passed

    def claimed(self, workshop: Workshop, host: str) -> int:
        number = waiting(workshop)
        claim = Claim(token=host, host=host, pid=1, process_started=1, heartbeat_at=NOON)
        assert workshop.parts.store.claim(number, claim) is not None
        return number

    def test_another_machine_that_says_nothing_for_long_is_gone(self, workshop: Workshop, now: list[float]) -> None:
        number = self.claimed(workshop, "elsewhere")
        silence = Silence(workshop.parts.store, 120)
        assert silence.lost() == ()
        now[0] += 119
        assert silence.lost() == ()
        now[0] += 2
        (lost,) = silence.lost()
        assert lost.id == number
        workshop.claims.release(lost, LOST)
        assert silence.lost() == ()
        assert workshop.parts.store.build(number).state is State.QUEUED

    def test_each_beat_is_heard_whatever_time_it_says(self, workshop: Workshop, now: list[float]) -> None:
        number = self.claimed(workshop, "elsewhere")
        silence = Silence(workshop.parts.store, 120)
        for step in range(10):
            workshop.parts.store.heartbeat(number, "elsewhere", NOON - timedelta(days=step + 1))
            assert silence.lost() == ()
            now[0] += 100

    def test_this_machine_is_looked_at_instead(self, workshop: Workshop, now: list[float]) -> None:
        self.claimed(workshop, platform.node())
        silence = Silence(workshop.parts.store, 120)
        assert silence.lost() == ()
        now[0] += 1000
        assert silence.lost() == ()


def test_a_claim_is_heard_of_while_its_build_runs(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conveyor.pipeline.heartbeat.BEAT_SECONDS", 0.001)
    beats: list[datetime] = []

    def listen() -> None:
        claim = workshop.parts.store.build(1).claim
        while claim is not None and len(beats) < 3:
            heard = workshop.parts.store.build(1).claim
            if heard is not None and heard.heartbeat_at not in beats:
                beats.append(heard.heartbeat_at)

    workshop.builder.hooks["build"] = listen
    workshop.queued.build(waiting(workshop))
    assert len(beats) == 3


def test_a_claim_that_is_lost_is_heard_of_no_more(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conveyor.pipeline.heartbeat.BEAT_SECONDS", 0.001)
    workshop.builder.hooks["build"] = lambda: workshop.parts.store.release(1, cause_of("gone"), NOON)
    with pytest.raises(Exception, match="lost"):
        workshop.queued.build(waiting(workshop))
    assert workshop.parts.store.build(1).state is State.QUEUED


def test_claims_are_of_this_process(workshop: Workshop) -> None:
    claims: Claims = workshop.claims
    taken = claims.take(waiting(workshop))
    assert taken is not None
    claims.release_dead()
    assert workshop.parts.store.build(taken.id).state is State.RUNNING
    assert claims.take(taken.id) is None
