"""The commands of the queue, and `conveyor why`, on a real store."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from conveyor.cli.main import app
from conveyor.command import process_started
from conveyor.errors import ConveyorError
from conveyor.model.build import Build, Claim, Outcome, Stage, State
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.lease import DAEMON, Lease
from conveyor.model.queue import Change, NewBuild, Priority, Reason, ReasonKind, Relations
from conveyor.model.watch import Head, Remote, Side
from conveyor.pipeline.attempt import STAGE_FILE
from conveyor.store import open_books
from conveyor.store.opening import Books
from tests.fakes import store_samples as sample

pytestmark = pytest.mark.integration

TARGET, OTHER = "debian-13-amd64", "debian-12-amd64"
REPOS = """\
targets:
  debian-12-amd64: {format: deb, suite: bookworm}
  debian-13-amd64: {format: deb, suite: trixie}
defaults: {targets: [debian-13-amd64]}
packages:
  nova: {upstream: "https://opendev.org/openstack/nova"}
  oslo.utils: {upstream: "https://opendev.org/openstack/oslo.utils"}
  glance: {upstream: "https://opendev.org/openstack/glance"}
promotions:
  tested: {votes: [smoke]}
"""
NOW = datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Site:
    """A site whose store the ports fill, and the command line on it."""

    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __call__(self, *arguments: str, expected: int = 0) -> str:
        """What a command prints, or what its error says."""
        done = CliRunner().invoke(app, [*self.options, *arguments], env={"SUDO_USER": "ann"})
        if isinstance(done.exception, ConveyorError):
            assert done.exception.exit_code == expected, done.exception
            return "\n".join([done.output, str(done.exception), *done.exception.details])
        assert done.exit_code == expected, done.output
        return done.output

    def json(self, *arguments: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self(*arguments, "--json"))
        return document

    @property
    def options(self) -> list[str]:
        return ["--repos", f"{self.folder}/repos.yaml", "--data-dir", f"{self.folder}/data"]

    @cached_property
    def books(self) -> Books:
        return open_books(f"sqlite:///{self.folder}/data/conveyor.db")

    def queue(self, package: str, name: str, target: str = TARGET, **more: Any) -> int:  # noqa: ANN401
        commit = sample.commit(f"{package} {name}", package=package)
        reason = more.pop("reason", Reason(kind=ReasonKind.NEW_COMMIT))
        new = NewBuild(commit=commit, target=target, priority=Priority.FRESH, reason=reason, **more)
        (number,) = self.books.queue.apply(Change(builds=(new,)), NOW)
        return number

    def start(self, number: int, pid: int | None = None, host: str = "") -> Build:
        """Have a process run a build: this one, if none is named."""
        pid = pid or os.getpid()
        claim = Claim(
            token=f"{number} {time.monotonic()}",
            host=host or platform.node(),
            pid=pid,
            process_started=process_started(pid) or 0,
            heartbeat_at=datetime.now(UTC),
        )
        build = self.books.store.claim(number, claim)
        assert build is not None
        return build

    def end(self, number: int, outcome: Outcome) -> Build:
        build = self.start(number)
        assert build.claim is not None
        good = outcome is Outcome.SUCCEEDED
        return self.books.store.finish(
            number,
            build.claim.token,
            outcome=outcome,
            at=datetime.now(UTC),
            version="1-1",
            cause=None if good else sample.CAUSE,
            stages=sample.STAGES,
            entry=sample.entry(build, datetime.now(UTC)) if good and build.commit.trunk else None,
        )

    def copy(self, package: str = "nova") -> int:
        """A working copy that was built."""
        commit = sample.commit("copy", package=package, trunk=False, extended="local")
        number = self.books.store.queue(commit, TARGET, retry=False).id
        self.end(number, Outcome.FAILED)
        return number

    def daemon(self, host: str = "") -> None:
        """Have a daemon run: this process."""
        lease = Lease(
            name=DAEMON,
            token="t",
            host=host or platform.node(),
            pid=os.getpid(),
            process_started=process_started(os.getpid()) or 0,
            since=NOW,
            heartbeat_at=datetime.now(UTC),
        )
        self.books.leases.take(lease, lost_after=60)

    def sleeper(self) -> subprocess.Popen[bytes]:
        """A process that ends when it is interrupted."""
        process = subprocess.Popen([sys.executable, "-c", "import time; print(flush=True); time.sleep(600)"], stdout=-1)
        self.processes.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    def events(self) -> list[EventKind]:
        return [event.kind for event in self.books.events.after(0)]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    for name in ("nova", "oslo.utils", "glance"):
        (tmp_path / "specs" / name).mkdir(parents=True)
    (tmp_path / "repos.yaml").write_text(REPOS)
    (tmp_path / "conveyor.toml").write_text("[signing]\nunsigned = true\n")
    (tmp_path / "data").mkdir()
    site = Site(folder=tmp_path)
    yield site
    site.books.store.close()
    for process in site.processes:
        process.kill()
        process.communicate()


def state(site: Site, number: int) -> State | Outcome:
    build = site.books.store.build(number)
    return build.outcome or build.state


class TestQueue:
    def test_an_empty_one(self, site: Site) -> None:
        assert site("queue").splitlines() == [
            "no daemon is running: nothing starts by itself (conveyor daemon)",
            "nothing runs",
            "nothing waits",
        ]

    def test_what_runs_and_what_waits_in_order_and_why(self, site: Site) -> None:
        site.daemon()
        numbers = [site.queue("nova", "1"), site.queue("nova", "2"), site.queue("glance", "1")]
        site.start(numbers[0])
        document = site.json("queue")
        (running,) = document["running"]
        assert (running["build"], running["package"], running["attempt"]) == (numbers[0], "nova", 1)
        assert {each["build"]: each["why"] for each in document["waiting"]}[numbers[1]] == f"after build {numbers[0]}"
        assert [each["place"] for each in document["waiting"]] == [1, 2]
        assert document["count"] == 2
        assert document["daemon"]["runs"] is True
        said = site("queue")
        assert "no daemon" not in said
        assert f"after build {numbers[0]}" in said

    def test_the_stage_of_a_build_of_this_machine(self, site: Site) -> None:
        number = site.queue("nova", "1")
        site.start(number)
        folder = site.folder / f"data/builds/{number}/1"
        folder.mkdir(parents=True)
        (folder / STAGE_FILE).write_text("build")
        (running,) = site.json("queue")["running"]
        assert running["stage"] == Stage.BUILD
        assert site.json("why", str(number))["why"]["summary"].startswith("it is in build, for ")
        (shown,) = site.json("status")["running"]
        assert shown == {**running, "stage_since": shown["stage_since"]}

    def test_filters_and_a_limit(self, site: Site) -> None:
        for name in "123":
            site.queue("nova", name)
        glance = site.queue("glance", "1")
        assert [each["build"] for each in site.json("queue", "--package", "glance")["waiting"]] == [glance]
        assert site.json("queue", "--target", OTHER)["count"] == 0
        limited = site.json("queue", "--limit", "2")
        assert (len(limited["waiting"]), limited["count"]) == (2, 4)
        assert "3 more wait: --limit" in site("queue", "--limit", "1")
        assert "unknown package 'nowa'" in site("queue", "--package", "nowa", expected=2)

    def test_circles_are_named(self, site: Site) -> None:
        for one, other in (("nova", "glance"), ("glance", "nova")):
            site.books.queue.set_relations(TARGET, one, Relations(requires=(f"lib{other}",), provides=(f"lib{one}",)))
            site.queue(one, "1")
        (cycle,) = site.json("queue")["cycles"]
        assert cycle["packages"] == ["glance", "nova"]
        assert "build-depend on each other: glance -> nova -> glance" in site("queue")
        assert "build-depend on each other" in site("why", "1")


class TestCancel:
    def test_what_waits_ends_at_once_and_the_log_says_who(self, site: Site) -> None:
        number = site.queue("nova", "1")
        assert f"build {number} of nova" in site("cancel", str(number))
        build = site.books.store.build(number)
        assert (build.outcome, build.cancelled_by) == (Outcome.CANCELLED, f"ann@{platform.node()}")
        assert site.events() == [EventKind.CANCELLED]
        assert f"ann@{platform.node()} cancelled it while it waited" in site("why", str(number))

    def test_a_process_of_this_machine_is_interrupted_without_a_daemon(self, site: Site) -> None:
        number, process = site.queue("nova", "1"), site.sleeper()
        site.start(number, process.pid)
        assert "its process was told to stop" in site("cancel", str(number))
        assert process.wait(timeout=30) == -signal.SIGINT
        assert "(ann" in site("cancel", str(number))  # once more: somebody cancelled it before
        assert "is gone" in site("why", str(number))

    def test_the_daemon_of_this_machine_interrupts_itself(self, site: Site) -> None:
        site.daemon()
        number, process = site.queue("nova", "1"), site.sleeper()
        site.start(number, process.pid)
        assert "the daemon ends it" in site("cancel", str(number), "--actor", "bob")
        assert process.poll() is None
        assert site.books.queue.cancelling()[0].cancelled_by == "bob"
        assert site.json("why", str(number))["why"]["state"] == "being cancelled"

    def test_a_pid_that_is_used_again_is_left_alone(self, site: Site) -> None:
        number, process = site.queue("nova", "1"), site.sleeper()
        claim = Claim(token="t", host=platform.node(), pid=process.pid, process_started=1, heartbeat_at=NOW)
        assert site.books.store.claim(number, claim) is not None
        assert "its process is gone" in site("cancel", str(number))
        assert process.poll() is None

    def test_another_machine_has_to_do_it_itself(self, site: Site) -> None:
        number = site.queue("nova", "1")
        site.start(number, host="elsewhere")
        assert "runs on elsewhere, where no daemon is" in site("cancel", str(number))

    def test_all_of_a_package_or_only_what_waits(self, site: Site) -> None:
        site.daemon()
        numbers = [site.queue("nova", name) for name in "123"]
        other = site.queue("glance", "1")
        site.start(numbers[0])
        site("cancel", "--package", "nova", "--waiting")
        assert [state(site, each) for each in (*numbers, other)] == ["running", "cancelled", "cancelled", "queued"]
        site("cancel", "--package", "nova")
        assert [build.id for build in site.books.queue.cancelling()] == [numbers[0]]
        assert "nothing of glance waits" in site("cancel", "--package", "glance", "--target", OTHER)

    def test_a_package_that_repos_yaml_has_no_more(self, site: Site) -> None:
        number = site.queue("gone", "1")
        site("cancel", "--package", "gone")
        assert state(site, number) == Outcome.CANCELLED

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["7"], "there is no build 7"),
            (["1"], "build 1 cannot be cancelled: it was cancelled"),
            ([], "not clear"),
            (["1", "--package", "nova"], "not clear"),
            (["1", "--waiting"], "go with --package only"),
            (["--package", "nova", "--target", "nowhere"], "unknown target 'nowhere'"),
            (["nova"], "Invalid value"),
        ],
    )
    def test_mistakes(self, site: Site, arguments: list[str], told: str) -> None:
        site("cancel", str(site.queue("nova", "1")))
        assert told in site("cancel", *arguments, expected=2)

    def test_what_can_be_cancelled_is_though_others_cannot(self, site: Site) -> None:
        first, second = site.queue("nova", "1"), site.queue("nova", "2")
        site("cancel", str(first))
        said = site("cancel", str(first), str(second), "77", expected=2)
        assert state(site, second) == Outcome.CANCELLED
        assert "2 builds were not cancelled" in said
        assert "there is no build 77" in said


class TestRetry:
    @pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.ERRORED, Outcome.CANCELLED, Outcome.SUPERSEDED])
    def test_what_did_not_succeed_waits_again(self, site: Site, outcome: Outcome) -> None:
        number = site.queue("nova", "1")
        site.end(number, outcome)
        said = site("retry", str(number))
        assert "attempt 2" in said
        assert "no daemon is running" in said
        assert state(site, number) == State.QUEUED
        priority, reason = site.books.store.reason(number)
        assert (priority, reason.kind, reason.detail) == (
            Priority.REQUEST,
            ReasonKind.REQUESTED,
            f"ann@{platform.node()}",
        )

    def test_the_latest_of_a_package(self, site: Site) -> None:
        site.daemon()
        old, new = site.queue("nova", "1"), site.queue("nova", "2")
        site.end(old, Outcome.FAILED)
        site.end(new, Outcome.FAILED)
        site.copy()
        assert "no daemon" not in site("retry", "nova")
        assert (state(site, old), state(site, new)) == (Outcome.FAILED, State.QUEUED)

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["1"], "build 1 of nova"),
            (["1"], "conveyor rebuild nova"),
            (["2"], "has not ended: it is queued"),
            (["3"], "not part of the trunk"),
            (["4"], "repos.yaml does not build gone"),
            (["7"], "there is no build 7"),
            (["nova"], "no build of nova is to be tried again"),
            (["nowa"], "unknown package 'nowa'"),
            (["glance"], "it was never built"),
            (["1", "--target", OTHER], f"is for {TARGET}"),
        ],
    )
    def test_what_is_refused(self, site: Site, arguments: list[str], told: str) -> None:
        site.end(site.queue("nova", "1"), Outcome.SUCCEEDED)
        site.queue("nova", "2")
        site.copy()
        site.end(site.queue("gone", "1"), Outcome.FAILED)
        assert told in site("retry", *arguments, expected=2)


class TestFlaky:
    def test_another_outcome_for_the_same_input_is_shown(self, site: Site) -> None:
        number = site.queue("nova", "1")
        for outcome in (Outcome.FAILED, Outcome.SUCCEEDED):
            if outcome is Outcome.SUCCEEDED:
                site("retry", str(number))
            build = site.start(number)
            assert build.claim is not None
            site.books.store.set_buildroot(number, build.claim.token, "a" * 64)
            good = outcome is Outcome.SUCCEEDED
            site.books.store.finish(
                number,
                build.claim.token,
                outcome=outcome,
                at=datetime.now(UTC),
                version="1-1",
                cause=None if good else sample.CAUSE,
                stages=sample.STAGES,
                entry=sample.entry(build, datetime.now(UTC)) if good else None,
            )
        assert site.json("status")["flaky"] == [number]
        assert "(flaky)" in site("status")
        assert "flaky: attempt 1 failed and attempt 2 succeeded" in site("why", str(number))


class TestRebuild:
    def test_the_newest_good_builds_of_a_package(self, site: Site) -> None:
        site.end(site.queue("nova", "1"), Outcome.SUCCEEDED)
        good = site.queue("nova", "2")
        site.end(good, Outcome.SUCCEEDED)
        site.end(site.queue("nova", "3"), Outcome.FAILED)
        said = site("rebuild", "nova")
        (build,) = site.books.store.builds(package="nova", limit=1)
        assert f"build {build.id} of nova" in said
        assert f"as build {good} was" in said
        assert "no daemon is running" in said
        assert build.commit == site.books.store.build(good).commit.rebuilt(1)
        priority, reason = site.books.store.reason(build.id)
        assert (priority, reason.kind, reason.build) == (Priority.REQUEST, ReasonKind.REQUESTED, good)
        assert f"ann@{platform.node()}" in reason.detail

    def test_one_that_waits_already_goes_before_others(self, site: Site) -> None:
        site.daemon()
        good = site.queue("nova", "1")
        site.end(good, Outcome.SUCCEEDED)
        site("rebuild", str(good))
        (build,) = site.books.store.builds(package="nova", limit=1)
        site("prioritize", str(build.id), "--rebuild")
        assert "waits already" in site("rebuild", "nova")
        assert site.books.store.reason(build.id)[0] is Priority.REQUEST
        assert site.books.store.builds(package="nova", limit=1) == (site.books.store.build(build.id),)

    def test_as_a_document(self, site: Site) -> None:
        site.daemon()
        good = site.queue("nova", "1")
        site.end(good, Outcome.SUCCEEDED)
        (shown,) = site.json("rebuild", "nova")["rebuilds"]
        assert (shown["of"], shown["is_new"], shown["build"]["state"]) == (good, True, "queued")

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["1"], "conveyor rebuild 2"),
            (["2", "--target", OTHER], f"is for {TARGET}"),
            (["3"], "oslo.utils was never built well: build 3"),
            (["oslo.utils"], "conveyor retry oslo.utils"),
            (["glance"], "conveyor build glance"),
            (["4"], "repos.yaml does not build gone"),
            (["nowa"], "unknown package 'nowa'"),
            (["77"], "there is no build 77"),
            (["77", "glance"], "2 were not built anew"),
        ],
    )
    def test_what_is_refused(self, site: Site, arguments: list[str], told: str) -> None:
        site.end(site.queue("nova", "1"), Outcome.SUCCEEDED)
        site.end(site.queue("nova", "2"), Outcome.SUCCEEDED)
        site.end(site.queue("oslo.utils", "1"), Outcome.FAILED)
        site.end(site.queue("gone", "1"), Outcome.SUCCEEDED)
        assert told in site("rebuild", *arguments, expected=2)


class TestPause:
    @pytest.mark.parametrize(
        ("arguments", "scope", "resume"),
        [
            ([], "everything", "conveyor resume"),
            (["--target", TARGET], f"target {TARGET}", f"conveyor resume --target {TARGET}"),
            (["--package", "nova"], "package nova", "conveyor resume --package nova"),
        ],
    )
    def test_a_pause_is_told_everywhere_until_it_is_ended(
        self, site: Site, arguments: list[str], scope: str, resume: str
    ) -> None:
        number = site.queue("nova", "1")
        site.daemon()
        said = site("pause", *arguments, "--note", "gate is red")
        assert said.startswith(f"{scope} was paused by ann@{platform.node()} at ")
        assert ": gate is red" in said
        assert resume in site("queue")
        assert site.json("queue")["waiting"][0]["why"].startswith("paused by ann@")
        assert "gate is red" in site("why", str(number))
        assert site.json("why", "nova")["why"]["state"] == "paused"
        assert f"{scope} is resumed" in site("resume", *arguments)
        assert "paused" not in site("queue")
        assert site.events() == [EventKind.PAUSED, EventKind.RESUMED]

    def test_twice_changes_nothing(self, site: Site) -> None:
        site("pause", "--note", "first")
        said = site("pause", "--note", "second")
        assert said.startswith("nothing changed: everything was paused by ann@")
        assert "first" in said
        assert site.events() == [EventKind.PAUSED]
        site("resume")
        assert "everything was not paused" in site("resume")

    def test_what_is_paused_still_is_told(self, site: Site) -> None:
        site("pause", "--target", TARGET)
        said = site("resume")
        assert "everything was not paused" in said
        assert f"still: target {TARGET} was paused by" in said

    def test_what_is_configured_no_more_can_be_resumed(self, site: Site) -> None:
        assert "package gone was not paused" in site("resume", "--package", "gone")

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["--target", "nowhere"], "unknown target"),
            (["--package", "nowa"], "did you mean 'nova'"),
            (["--package", "nova", "--target", TARGET], "exclude each other"),
        ],
    )
    def test_mistakes(self, site: Site, arguments: list[str], told: str) -> None:
        assert told in site("pause", *arguments, expected=2)
        assert site.books.queue.pauses() == ()


class TestPrioritize:
    def test_first_and_last(self, site: Site) -> None:
        first, second = site.queue("glance", "1"), site.queue("nova", "1")
        site("prioritize", str(second))
        assert [each["build"] for each in site.json("queue")["waiting"]] == [second, first]
        assert "has the priority rebuild now" in site("prioritize", str(second), "--rebuild")
        assert [each["build"] for each in site.json("queue")["waiting"]] == [first, second]
        assert site.events() == [EventKind.PRIORITIZED] * 2

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["7"], "there is no build 7"),
            (["1"], "it was cancelled"),
            (["1", "--urgent", "--backlog"], "--urgent, --backlog exclude each other"),
            ([], "Missing argument"),
        ],
    )
    def test_mistakes(self, site: Site, arguments: list[str], told: str) -> None:
        site("cancel", str(site.queue("nova", "1")))
        assert told in site("prioritize", *arguments, expected=2)


class TestPoll:
    def test_the_daemon_is_asked_and_without_one_that_is_told(self, site: Site) -> None:
        said = site("poll", "nova", "glance", "nova")
        assert "to be polled now: nova, glance" in said
        assert "no daemon is running: nothing happens until one does" in said
        assert {poke.package: poke.actor for poke in site.books.watch.pokes()} == dict.fromkeys(
            ("nova", "glance"), f"ann@{platform.node()}"
        )
        assert "asked for a poll" in site("why", "nova")
        site.daemon()
        assert "no daemon" not in site("poll", "--all")
        assert len(site.books.watch.pokes()) == 3

    @pytest.mark.parametrize("arguments", [[], ["nova", "--all"], ["nowa"]])
    def test_mistakes(self, site: Site, arguments: list[str]) -> None:
        site("poll", *arguments, expected=2)
        assert site.books.watch.pokes() == ()


class TestEvents:
    def record(self, site: Site) -> None:
        events = [
            NewEvent(kind=EventKind.NEW_COMMITS, summary="2 commits", package="nova"),
            NewEvent(kind=EventKind.FAILED, summary="\x1b[31mboom", package="nova", target=TARGET, build=1),
            NewEvent(kind=EventKind.SUCCEEDED, summary="fine", package="glance", target=TARGET, detail={"attempt": 1}),
        ]
        site.books.events.record(events, NOW)

    def test_the_newest_comes_last(self, site: Site) -> None:
        assert site("events") == "nothing of that has happened yet\n"
        self.record(site)
        lines = site("events").splitlines()
        assert [line.split()[0] for line in lines] == ["event", "1", "2", "3"]
        assert "\x1b" not in site("events")
        (event,) = site.json("events", "--kind", "succeeded")["events"]
        assert event == {
            "number": 3,
            "at": event["at"],
            "kind": "succeeded",
            "summary": "fine",
            "package": "glance",
            "target": TARGET,
            "build": None,
            "detail": {"attempt": 1},
        }

    @pytest.mark.parametrize(
        ("options", "numbers"),
        [
            (["--package", "nova"], [1, 2]),
            (["--target", TARGET], [2, 3]),
            (["--kind", "failed", "--kind", "new-commits"], [1, 2]),
            (["--limit", "1"], [3]),
            (["--package", "nova", "--kind", "succeeded"], []),
        ],
    )
    def test_filters(self, site: Site, options: list[str], numbers: list[int]) -> None:
        self.record(site)
        assert [event["number"] for event in site.json("events", *options)["events"]] == numbers

    def test_what_is_no_kind_is_refused(self, site: Site) -> None:
        assert "'nonsense' is not one of" in site("events", "--kind", "nonsense", expected=2)

    def test_followed_it_tells_what_happens_next(self, site: Site) -> None:
        self.record(site)
        argv = [sys.executable, "-m", "conveyor.cli.main", *site.options, "events", "--follow", "--json"]
        with subprocess.Popen([*argv, "--package", "nova"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            try:
                assert [json.loads(process.stdout.readline())["number"] for _ in range(2)] == [1, 2]
                self.record(site)
                assert [json.loads(process.stdout.readline())["number"] for _ in range(2)] == [4, 5]
                process.send_signal(signal.SIGINT)
                assert process.wait(timeout=30) == 130
            finally:
                process.kill()


class TestStatus:
    def test_a_working_copy_is_not_the_latest_outcome(self, site: Site) -> None:
        good = site.queue("nova", "1")
        site.end(good, Outcome.SUCCEEDED)
        copy = site.copy()
        document = site.json("status")
        assert [build["id"] for build in document["builds"]] == [good]
        assert [build["id"] for build in document["working_copies"]] == [copy]
        assert "failed (not part of the trunk)" in site("status", "nova")
        newer = site.queue("nova", "2")
        document = site.json("status")
        assert [build["id"] for build in document["builds"]] == [newer]
        assert document["working_copies"] == []

    def test_a_package_that_was_only_built_from_a_working_copy(self, site: Site) -> None:
        copy = site.copy()
        assert "not part of the trunk" in site("status")
        assert site.json("status")["builds"] == []
        assert f"build {copy} has no log" in site("log", "nova", expected=2)

    def test_daemon_and_queue(self, site: Site) -> None:
        assert "no daemon is running" in site("status")
        site.daemon()
        site.start(site.queue("nova", "1"))
        site.queue("nova", "2")
        said = site("status")
        assert f"the daemon runs on {platform.node()}, process {os.getpid()}, started at" in said
        assert "running: build 1 of nova" in said
        assert "1 build waiting: conveyor queue" in said
        document = site.json("status")
        assert (document["daemon"]["runs"], document["waiting"], len(document["running"])) == (True, 1, 1)

    def test_a_daemon_that_was_not_heard_of_is_gone(self, site: Site) -> None:
        lease = Lease(
            name=DAEMON,
            token="t",
            host="elsewhere",
            pid=1,
            process_started=1,
            since=NOW - timedelta(hours=2),
            heartbeat_at=NOW - timedelta(hours=1),
        )
        site.books.leases.take(lease, lost_after=60)
        assert "no daemon is running: that on elsewhere, process 1 was last heard of at" in site("status")

    def test_the_log_is_the_trunks(self, site: Site) -> None:
        good = site.queue("nova", "1")
        build = site.start(good)
        assert build.claim is not None
        path = site.folder / f"data/builds/{good}/1/log"
        path.parent.mkdir(parents=True)
        path.write_text("the trunk's\n")
        site.books.store.set_log(good, build.claim.token, f"builds/{good}/1/log")
        copy = site.copy()
        said = site("log", "nova")
        assert "the trunk's" in said
        assert f"build {copy} is newer, and not part of the trunk: conveyor log {copy}" in said


class TestWhy:
    def test_a_failure(self, site: Site) -> None:
        number = site.queue("nova", "1")
        site.end(number, Outcome.FAILED)
        why = site.json("why", str(number))["why"]
        assert why["state"] == "failed"
        assert why["summary"] == "in buildroot: python3-nothing is nowhere"
        assert why["log"] == ["line 1", "line 2"]
        assert why["hint"] == "add it to the target"
        said = site("why", str(number))
        assert "    | line 1" in said
        assert "next: add it to the target" in said

    def test_all_that_goes_by_a_name(self, site: Site) -> None:
        number = site.queue("nova", "1")
        commit = site.books.store.build(number).commit
        for name, subject in {
            str(number): "build",
            commit.short: "commit",
            commit.id: "commit",
            "nova": "package",
            TARGET: "target",
            "current": "pointer",
            f"{TARGET}/consistent": "pointer",
            "tested": "pointer",
            "deadbeef": "commit",
        }.items():
            assert site.json("why", name)["why"]["subject"] == subject, name
            assert site("why", name).startswith(f"{subject} ")

    def test_a_commit_on_all_its_targets(self, site: Site) -> None:
        number = site.queue("nova", "1")
        site.end(number, Outcome.FAILED)
        why = site.json("why", site.books.store.build(number).commit.short)["why"]
        assert (why["state"], [each["name"] for each in why["because"]]) == ("failed", [str(number)])

    def test_a_repository_that_does_not_answer(self, site: Site) -> None:
        site.daemon()
        url = "https://opendev.org/openstack/nova"
        head = Head(package="nova", side=Side.UPSTREAM, url=url, ref="master", sha="a" * 40, at=NOW)
        site.books.queue.apply(Change(heads=(head,)), NOW)
        remote = Remote(
            url=url,
            polled_at=NOW,
            answered_at=NOW - timedelta(hours=3),
            failures=4,
            cause="Could not resolve host",
            next_at=NOW + timedelta(minutes=20),
        )
        site.books.watch.polled([remote])
        assert site.json("why", "nova")["why"]["state"] == "not polled"
        assert "Could not resolve host" in site("why", "nova")
        missing = site("why", "deadbeef")
        assert "no build has such a commit" in missing
        assert f"upstream {url} has not answered since" in missing
        assert "Could not resolve host" in site("why", "deadbeef", "--package", "nova")

    def test_a_target_that_stands_still(self, site: Site) -> None:
        site.queue("nova", "1")
        why = site.json("why", TARGET)["why"]
        assert (why["state"], why["summary"]) == (
            "stands still",
            "no daemon is running, so nothing happens by itself; 0 builds running, 1 waiting",
        )
        site.daemon()
        site.books.events.record([NewEvent(kind=EventKind.DISK_LOW, summary="1 GiB is free")], NOW)
        assert "the disk is low" in site("why", TARGET)
        site.books.events.record([NewEvent(kind=EventKind.DISK_FINE, summary="fine")], NOW)
        assert site.json("why", TARGET)["why"]["state"] == "waits"
        assert site.json("why", OTHER)["why"]["state"] == "unused"

    def test_a_rebuild_names_what_led_to_it(self, site: Site) -> None:
        first = site.queue("oslo.utils", "1")
        site.end(first, Outcome.SUCCEEDED)
        reason = Reason(kind=ReasonKind.DEPENDENCY, detail="oslo.utils 1-1", build=first, cascade=1)
        second = site.queue("nova", "1", reason=reason)
        why = site.json("why", str(second))["why"]
        assert any(
            "it was rebuilt because: a build dependency changed: oslo.utils 1-1" in each for each in why["lines"]
        )
        assert why["because"][0]["name"] == str(first)

    def test_upstreams_text_does_nothing_to_the_terminal(self, site: Site) -> None:
        reason = Reason(kind=ReasonKind.NEW_TAG, detail="\x1b[2J\x1b]0;title\x07v1")
        assert "\x1b" not in site("why", str(site.queue("nova", "1", reason=reason)))

    @pytest.mark.parametrize("name", ["nowa", "99", f"{TARGET}/nowhere", "nowhere/current"])
    def test_what_nothing_goes_by(self, site: Site, name: str) -> None:
        assert f"nothing goes by {name!r}" in site("why", name, expected=2)
