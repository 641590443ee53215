"""The real daemon as a process, with workers that build quickly: what it builds, and what a kill or an edit costs."""

from __future__ import annotations

import json
import os
import platform
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from conveyor.model.build import Outcome, State
from conveyor.model.event import EventKind
from conveyor.model.lease import DAEMON, Lease
from conveyor.pipeline.poll import Wanted
from tests.support.clocks import FakedClock
from tests.support.daemons import QuickSite, alive, site_of
from tests.support.site import DEB, RULES, holding, wait_for

pytestmark = pytest.mark.integration

OUTCOMES = (
    EventKind.SUCCEEDED,
    EventKind.WORKS_AGAIN,
    EventKind.FAILED,
    EventKind.FAILED_AGAIN,
    EventKind.ERRORED,
    EventKind.CANCELLED,
    EventKind.SUPERSEDED,
    EventKind.GAVE_UP,
)
LONG = "sleep 600"
EDITS = 50


@pytest.fixture
def site() -> Iterator[QuickSite]:
    with site_of(QuickSite) as made:
        yield made


def told(site: QuickSite) -> list[tuple[str, int | None]]:
    """What became of attempts."""
    return [(event.kind.value, event.build) for event in site.events(*OUTCOMES)]


class TestBuilding:
    def test_what_waits_is_built_and_published_and_told_of(self, site: QuickSite) -> None:
        site.add("other")
        numbers = site.queue("hello", "other")
        daemon = site.daemon()
        for number in numbers:
            site.in_the_trunk(number)
        (late,) = site.queue_pushed("sleep 0")
        site.in_the_trunk(late)
        assert daemon.stop() == 0
        assert sorted(told(site)) == sorted(("succeeded", number) for number in [*numbers, late])
        kinds = [event.kind for event in site.events()]
        assert (kinds[0], kinds[-1]) == (EventKind.DAEMON_STARTED, EventKind.DAEMON_STOPPED)
        assert kinds.count(EventKind.STARTED) == kinds.count(EventKind.PUBLISHED) == 3
        assert (site.data / "repos" / DEB / "current").resolve().name == site.one(late).commit.id
        assert site.left_behind == []

    def test_a_failure_is_final_and_the_next_success_works_again(self, site: QuickSite) -> None:
        daemon = site.daemon()
        for behaviour in ("sleep 0", "fail", "fail", "sleep 0"):
            site.finished(*site.queue_pushed(behaviour))
        daemon.stop()
        assert [kind for kind, _ in told(site)] == ["succeeded", "failed", "failed-again", "works-again"]
        failed = site.events(EventKind.FAILED)[0]
        assert failed.detail["attempt"] == 1
        assert "code 1" in str(failed.detail["cause"])

    def test_what_errored_is_tried_again(self, site: QuickSite) -> None:
        (number,) = site.queue_pushed("error-until 2")
        daemon = site.daemon()
        build = site.in_the_trunk(number)
        assert (build.attempt, build.errors) == (3, 0)
        daemon.stop()
        assert [kind for kind, _ in told(site)] == ["errored", "errored", "succeeded"]

    def test_what_errors_always_is_given_up(self, site: QuickSite) -> None:
        (number,) = site.queue_pushed("error")
        daemon = site.daemon(env={"CONVEYOR_DAEMON_RETRIES": "1"})
        wait_for(lambda: site.events(EventKind.GAVE_UP), "the build to be given up")
        daemon.stop()
        assert [kind for kind, _ in told(site)] == ["errored", "errored", "gave-up"]
        assert (site.one(number).state, site.one(number).outcome) == (State.FINISHED, Outcome.ERRORED)

    def test_builds_run_side_by_side_but_those_of_one_package_one_after_the_other(self, site: QuickSite) -> None:
        other = site.add("other")
        site.push(LONG)
        site.push(LONG, upstream=other)
        first, second = site.queue("hello", "other")
        (third,) = site.queue_pushed("sleep 0")
        daemon = site.daemon(env={"CONVEYOR_DAEMON_WORKERS": "3"})
        for number in (first, second):
            site.wait(number, lambda build: build.state is State.RUNNING)
        assert site.one(third).state is State.QUEUED
        site.cancel(first)
        site.in_the_trunk(third)
        daemon.signal(signal.SIGTERM)
        daemon.signal(signal.SIGINT)
        assert daemon.end() == 0
        assert site.one(second).state is State.QUEUED

    def test_a_worker_is_replaced_after_its_builds(self, site: QuickSite) -> None:
        daemon = site.daemon(env={"CONVEYOR_DAEMON_BUILDS_PER_WORKER": "1"})
        for _ in range(2):
            site.in_the_trunk(*site.queue_pushed("sleep 0"))
        daemon.stop()
        assert len({line["pid"] for line in daemon.said("build given")}) == 2
        assert daemon.said("worker lost") == []

    def test_a_package_that_repos_yaml_has_no_more_is_not_built(self, site: QuickSite) -> None:
        site.add("other")
        (number,) = site.queue("other")
        del site.packages["other"]
        site.configure()
        daemon = site.daemon("--no-poll")
        build = site.finished(number)
        daemon.stop()
        assert (build.outcome, build.attempt) == (Outcome.SUPERSEDED, 0)
        assert build.ended == "repos.yaml has the package no more"
        assert told(site) == [("superseded", number)]


class TestCancelling:
    def test_a_running_build_is_cancelled_and_the_next_goes_on(self, site: QuickSite) -> None:
        (number,) = site.queue_pushed(LONG)
        daemon = site.daemon()
        site.running(number)
        site.cancel(number)
        build = site.finished(number)
        assert build.cause is not None
        assert (build.outcome, build.cause.summary) == (Outcome.CANCELLED, "ada cancelled it")
        site.in_the_trunk(*site.queue_pushed("sleep 0"))
        daemon.stop()
        assert len({line["pid"] for line in daemon.said("build given")}) == 1
        assert told(site)[0] == ("cancelled", number)

    def test_one_that_a_person_builds_is_cancelled_too(self, site: QuickSite) -> None:
        site.push(LONG)
        person = site.start("build", "hello")
        wait_for(lambda: site.stage() == "build", "the stage build")
        daemon = site.daemon()
        site.cancel(1)
        said = site.end(person)
        daemon.stop()
        assert said.code == 130
        assert site.one(1).outcome is Outcome.CANCELLED


class TestStopping:
    def test_a_running_build_may_end(self, site: QuickSite) -> None:
        (number,) = site.queue_pushed("sleep 3")
        daemon = site.daemon()
        site.running(number)
        (waiting,) = site.queue_pushed("sleep 0")
        assert daemon.stop() == 0
        assert site.one(number).published
        assert site.one(waiting).state is State.QUEUED

    def test_one_that_takes_too_long_is_put_back_as_if_nothing_had_been(self, site: QuickSite) -> None:
        (number,) = site.queue_pushed(LONG)
        daemon = site.daemon(env={"CONVEYOR_DAEMON_STOP_WITHIN": "1s"})
        site.running(number)
        assert daemon.stop() == 0
        build = site.one(number)
        assert (build.state, build.errors, build.claim) == (State.QUEUED, 0, None)
        assert told(site) == []
        assert site.left_behind == []

    def test_a_second_signal_does_not_wait(self, site: QuickSite) -> None:
        (number,) = site.queue_pushed(LONG)
        daemon = site.daemon(env={"CONVEYOR_DAEMON_STOP_WITHIN": "10m"})
        site.running(number)
        daemon.signal(signal.SIGINT)
        wait_for(lambda: daemon.said("stopping"), "the first signal")
        daemon.signal(signal.SIGINT)
        assert daemon.end() == 0
        assert site.one(number).state is State.QUEUED


class TestKills:
    def test_the_daemon_is_killed_and_the_next_builds_what_it_had(self, site: QuickSite) -> None:
        (number,) = site.queue_pushed("sleep 5")
        daemon = site.daemon()
        site.running(number)
        workers = daemon.workers()
        daemon.kill()
        wait_for(lambda: not any(alive(pid) for pid in workers), "the workers to die with it")
        assert site.one(number).state is State.RUNNING
        again = site.daemon()
        build = site.in_the_trunk(number)
        again.stop()
        assert (build.attempt, build.outcome) == (2, Outcome.SUCCEEDED)
        assert told(site) == [("errored", number), ("succeeded", number)]
        assert site.left_behind == []

    def test_a_worker_is_killed_and_its_build_is_built_by_another(self, site: QuickSite) -> None:
        (number,) = site.queue_pushed("sleep 3")
        daemon = site.daemon()
        claim = site.running(number).claim
        assert claim is not None
        assert daemon.workers() == [claim.pid]
        os.kill(claim.pid, signal.SIGKILL)
        build = site.in_the_trunk(number)
        assert (build.attempt, daemon.stop()) == (2, 0)
        assert [line["build"] for line in daemon.said("worker lost")] == [number]
        assert len({line["pid"] for line in daemon.said("build given")}) == 2

    def test_a_build_that_kills_its_workers_is_given_up(self, site: QuickSite) -> None:
        (number,) = site.queue_pushed("die")
        daemon = site.daemon(env={"CONVEYOR_DAEMON_RETRIES": "1"})
        wait_for(lambda: site.events(EventKind.GAVE_UP), "the build to be given up")
        daemon.stop()
        assert told(site) == [("errored", number), ("errored", number), ("gave-up", number)]

    def test_a_worker_is_killed_while_it_publishes_and_what_it_built_is_published(self, site: QuickSite) -> None:
        (number,) = site.queue_pushed("sleep 0")
        with holding(site.data / "repos" / DEB / ".lock"):
            daemon = site.daemon()
            wait_for(lambda: site.stage() == "publish", "the stage publish")
            for pid in daemon.workers():
                os.kill(pid, signal.SIGKILL)
            wait_for(lambda: daemon.said("worker lost"), "the loss to be noticed")
        build = site.in_the_trunk(number)
        daemon.stop()
        assert (build.attempt, build.outcome) == (1, Outcome.SUCCEEDED)
        assert told(site) == [("succeeded", number)]


class TestTwo:
    def test_the_second_refuses_and_says_who_has_it(self, site: QuickSite) -> None:
        first = site.daemon()
        wait_for(lambda: first.said("daemon started"), "the first")
        second = site.daemon()
        assert second.end() == 3
        assert f"process {first.process.pid}" in second.log.read_text()
        assert second.workers() == []
        assert first.stop() == 0

    def test_with_wait_it_stands_in_when_the_first_ends(self, site: QuickSite) -> None:
        first = site.daemon()
        wait_for(lambda: first.said("daemon started"), "the first")
        second = site.daemon("--wait")
        (number,) = site.queue_pushed("sleep 0")
        site.in_the_trunk(number)
        assert second.lines == []
        first.kill()
        wait_for(lambda: second.said("daemon started"), "the second")
        site.in_the_trunk(*site.queue_pushed("sleep 0"))
        assert second.stop() == 0

    def test_one_that_lost_its_lease_puts_its_builds_back_and_ends(self, site: QuickSite) -> None:
        (number,) = site.queue_pushed(LONG)
        daemon = site.daemon(env={"CONVEYOR_DAEMON_LOST_AFTER": "3s"})
        site.running(number)
        now = datetime.now(UTC)
        other = Lease(name=DAEMON, token="x", host="elsewhere", pid=1, process_started=1, since=now, heartbeat_at=now)
        with site.books() as books:
            holder = books.leases.holder(DAEMON)
            assert holder is not None
            assert (holder.pid, holder.host) == (daemon.process.pid, platform.node())
            books.leases.release(DAEMON, holder.token)
            assert books.leases.take(other, lost_after=60) == other
        assert daemon.end() == 3
        assert site.one(number).state is State.QUEUED
        assert "another daemon has taken over" in daemon.log.read_text()
        refused = site.daemon()
        assert refused.end() == 3
        assert "on elsewhere" in refused.log.read_text()


class TestConfiguration:
    def test_a_broken_edit_changes_nothing_and_is_told_once(self, site: QuickSite) -> None:
        daemon = site.daemon()
        wait_for(lambda: daemon.said("worker started"), "a worker")
        good = (site.folder / "repos.yaml").read_text()
        (site.folder / "repos.yaml").write_text(good + "  nova: {upstrem: 'https://x'}\n  nova2: 3\n")
        wait_for(lambda: site.events(EventKind.CONFIGURATION_BROKEN), "the mistakes to be told")
        site.in_the_trunk(*site.queue_as_it_was("sleep 0", good))
        (line,) = daemon.said("the new configuration has mistakes: the one before stays in use")
        assert any("did you mean 'upstream'?" in mistake for mistake in line["mistakes"])
        site.add("other")
        (event,) = site.events(EventKind.CONFIGURATION_BROKEN)
        assert len(event.detail["mistakes"]) >= 2  # type: ignore[arg-type]
        wait_for(lambda: site.events(EventKind.CONFIGURATION_LOADED), "the correction to be read")
        assert site.events(EventKind.CONFIGURATION_LOADED)[0].detail["added"] == ["other"]
        site.in_the_trunk(*site.queue("other"))
        assert daemon.stop() == 0

    def test_sighup_reads_it_again(self, site: QuickSite) -> None:
        daemon = site.daemon()
        wait_for(lambda: daemon.said("daemon started"), "the daemon")
        daemon.signal(signal.SIGHUP)
        wait_for(lambda: daemon.said("configuration loaded"), "the configuration to be read")
        site.in_the_trunk(*site.queue_pushed("sleep 0"))
        assert daemon.stop() == 0

    def test_running_builds_end_as_they_began(self, site: QuickSite) -> None:
        (number,) = site.queue_pushed("sleep 5")
        daemon = site.daemon()
        claim = site.running(number).claim
        site.add("other")
        wait_for(lambda: daemon.said("configuration loaded"), "the configuration to be read")
        build = site.in_the_trunk(number)
        assert (build.attempt, claim is not None) == (1, True)
        site.in_the_trunk(*site.queue("other"))
        assert daemon.stop() == 0
        assert len({line["pid"] for line in daemon.said("build given")}) == 2

    def test_a_start_with_mistakes_ends_with_2(self, site: QuickSite) -> None:
        (site.folder / "repos.yaml").write_text("packages: 3\n")
        assert site.daemon().end() == 2


class TestDisk:
    def test_without_room_nothing_is_taken_until_there_is_some(self, site: QuickSite) -> None:
        settings = site.folder / "conveyor.toml"
        before = settings.read_text()
        settings.write_text('min_free_disk = "1000T"\n' + before)
        (number,) = site.queue_pushed("sleep 0")
        daemon = site.daemon()
        wait_for(lambda: site.events(EventKind.DISK_LOW), "the disk to be found low")
        wait_for(lambda: daemon.said("worker started"), "a worker")
        assert site.one(number).state is State.QUEUED
        settings.write_text(before)
        site.in_the_trunk(number)
        assert daemon.stop() == 0
        assert [event.kind for event in site.events(EventKind.DISK_LOW, EventKind.DISK_FINE)] == [
            EventKind.DISK_LOW,
            EventKind.DISK_FINE,
        ]


class TestOnce:
    def test_it_builds_all_and_ends_with_0(self, site: QuickSite) -> None:
        site.add("other")
        numbers = site.queue("hello", "other")
        assert site.once() == 0
        assert all(site.one(number).published for number in numbers)
        assert site.once() == 0
        assert site.left_behind == []

    def test_a_failure_ends_with_1_and_an_error_with_3(self, site: QuickSite) -> None:
        other = site.add("other")
        site.push("fail")
        site.push("error", upstream=other)
        site.queue("hello", "other")
        assert site.once() == 1
        site.queue("other")
        assert site.once() == 3
        assert [kind for kind, _ in told(site)].count("errored") == 2

    def test_packaging_that_is_being_edited_is_waited_for(self, site: QuickSite) -> None:
        assert site.once() == 0
        daemon = site.daemon("--once")
        # While it starts, and when it looks for the first time, the last edit is never two seconds ago.
        edits = 0
        while edits < EDITS:
            edits += bool(daemon.said("daemon started"))
            site.packaging("debian/rules.j2", f"{RULES}# {edits} {time.monotonic()}\n")
            time.sleep(0.1)
        assert daemon.end(120) == 0
        with site.opened() as conveyor:
            last = conveyor.poll.find(conveyor.repos.packages["hello"], Wanted())
            (newest,) = conveyor.store.builds(package="hello", limit=1)
        assert (newest.commit.id, newest.published) == (last.id, True)


class TestReminders:
    def test_what_still_fails_or_is_held_back_is_told_once_a_week(self, site: QuickSite) -> None:
        clock = FakedClock(site.folder)
        told = site.folder / "told"
        told.touch()
        with (site.folder / "conveyor.toml").open("a") as settings:
            settings.write(f'[[commands]]\nname = "file"\nargv = ["/bin/sh", "-c", "cat >> {told}; echo >> {told}"]\n')

        def once_after(days: float) -> list[tuple[str, object]]:
            """What a pass tells so many days later."""
            clock.forward(24 * days)
            before = len(told.read_text().splitlines())
            site.once(env=clock.environment)
            lines = [json.loads(line) for line in told.read_text().splitlines()[before:]]
            return [(line["type"], (line["data"]["build"] or {}).get("id")) for line in lines]

        site.add("other")
        site.push("fail")
        (number,) = site.queue()
        assert once_after(0) == [("failed", number)]
        assert sorted(once_after(7)) == [("pointer-held-back", None), ("still-failing", number)]
        assert once_after(6.5) == []
        assert site.events(EventKind.CLOCK_JUMPED) == []
