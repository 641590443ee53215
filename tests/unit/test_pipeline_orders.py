"""What becomes of an order: its outcome, its cause, its folder, and that nothing is built twice."""

from __future__ import annotations

import errno
import os
import platform
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from conveyor.command import process_started
from conveyor.errors import (
    CommandFailed,
    ConveyorError,
    Fault,
    Interrupted,
    LimitExceeded,
    MirrorUnreachable,
    UnknownName,
    UserError,
)
from conveyor.model.artifact import Artifact, ArtifactKind
from conveyor.model.build import Build, Claim, Outcome, Stage, State
from conveyor.pipeline import orders
from conveyor.pipeline.attempt import cause_of
from conveyor.pipeline.poll import Wanted
from tests.fakes.clock import NOON
from tests.support.workshop import RECIPE, TARGET, Workshop, new_world, package_of

STAGE_OF = {
    "bootstrap": Stage.BASE,
    "make_source": Stage.SOURCE,
    "prepare": Stage.BUILDROOT,
    "build": Stage.BUILD,
    "check_install": Stage.INSTALL,
}
STAGES = [Stage.RENDER, Stage.BASE, Stage.SOURCE, Stage.BUILDROOT, Stage.BUILD, Stage.CHECK, Stage.INSTALL]


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(new_world(tmp_path, "nova", "oslo"))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "WAIT_SECONDS", 0.001)


def raiser(error: BaseException) -> Callable[[], None]:
    def hook() -> None:
        raise error

    return hook


def claim(token: str, *, pid: int, started: int, host: str | None = None) -> Claim:
    return Claim(token=token, host=host or platform.node(), pid=pid, process_started=started, heartbeat_at=NOON)


def claim_of_the_dead(host: str | None = None) -> Claim:
    """By a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return claim("dead", pid=process.pid, started=1, host=host)


def claim_of_the_living() -> Claim:
    pid = os.getpid()
    return claim("alive", pid=pid, started=process_started(pid) or 0)


def taken(workshop: Workshop, holder: Claim) -> Build:
    """The build of nova's newest commit, claimed by another process."""
    queued = workshop.parts.store.queue(workshop.commit("nova"), TARGET.name, retry=False)
    claimed = workshop.parts.store.claim(queued.id, holder)
    assert claimed is not None
    return claimed


def left(workshop: Workshop, build: Build) -> set[str]:
    """What the folder of the last attempt holds."""
    return {path.name for path in workshop.folder(build).iterdir()}


def binary_of(workshop: Workshop, build: Build) -> Artifact:
    """The package that a build made."""
    (package,) = (each for each in workshop.parts.store.entry(build.id).artifacts if each.kind is ArtifactKind.BINARY)
    return package


class TestGoodBuild:
    def test_it_is_published_and_both_pointers_move(self, workshop: Workshop) -> None:
        report = workshop.build("nova")
        assert (report.ran, report.root, report.folder) == (True, None, workshop.folder(report.build))
        build = report.build
        assert (build.state, build.outcome, build.published, build.version) == (
            (State.FINISHED, Outcome.SUCCEEDED, True, "1.1-1")
        )
        assert (build.cause, build.claim, build.attempt) == (None, None, 1)
        assert workshop.pointed("current") == workshop.pointed("consistent") == build.commit.id

    def test_its_stages_have_their_seconds_and_are_told_in_order(self, workshop: Workshop) -> None:
        build = workshop.build("nova").build
        assert [time.stage for time in build.stages][: len(STAGES)] == STAGES
        assert all(time.seconds >= 0 for time in build.stages)
        told = [f"{what} {stage}" for stage in [*STAGES, Stage.PUBLISH] for what in ("started", "ended")]
        assert workshop.progress.heard == told

    def test_its_log_has_each_stage_and_what_the_build_said(self, workshop: Workshop) -> None:
        log = workshop.log(workshop.build("nova").build)
        headings = [line.strip("= ") for line in log.splitlines() if line.startswith("==")]
        assert headings == [*STAGES, Stage.PUBLISH]
        assert "conveyor: nova 1.1-1 of " in log
        assert "\nhello\n" in log

    def test_its_folder_keeps_log_and_packaging_only(self, workshop: Workshop) -> None:
        build = workshop.build("nova").build
        assert left(workshop, build) == {"log", "packaging"}
        recipe = workshop.folder(build) / "packaging/recipe"
        assert recipe.read_text() == "say hello\nmake nova_1.1-1.fake content\n"
        assert recipe.stat().st_mode & 0o777 == 0o755

    def test_a_kept_root_stays(self, workshop: Workshop) -> None:
        report = workshop.build("nova", keep_root=True)
        assert left(workshop, report.build) == {"log", "packaging", "root"}
        assert report.root == workshop.folder(report.build) / "root"
        assert workshop.orders.shell(report.build, TARGET, ["sh", "-i"]) == 2

    def test_there_is_no_shell_without_a_kept_root(self, workshop: Workshop) -> None:
        with pytest.raises(UnknownName):
            workshop.orders.shell(workshop.build("nova").build, TARGET, ["sh"])

    def test_without_the_install_check_nothing_is_installed(self, workshop: Workshop) -> None:
        unchecked = replace(TARGET, install_check=False)
        report = workshop.orders.build(package_of("nova"), unchecked, workshop.commit("nova"), keep_root=False)
        assert report.build.published
        assert workshop.builder.calls == ["bootstrap", "make_source", "prepare", "build"]

    def test_trunk_is_a_source_of_dependencies_from_the_second_package_on(self, workshop: Workshop) -> None:
        workshop.build("oslo")
        workshop.build("nova")
        first, second = workshop.builder.trunks
        assert first is None
        assert second is not None
        assert [binary.filename for binary in second.binaries] == ["oslo_1.1-1.fake"]

    def test_its_log_is_published_with_it(self, workshop: Workshop) -> None:
        build = workshop.build("nova").build
        snapshot = workshop.parts.repository.snapshot_folder(TARGET.name, build.commit.id)
        assert "hello" in (snapshot / "logs/build.log").read_text()


class TestBuiltOnce:
    def test_a_second_order_of_the_same_commit_runs_nothing(self, workshop: Workshop) -> None:
        first = workshop.build("nova")
        workshop.builder.calls.clear()
        second = workshop.build("nova")
        assert not second.ran
        assert second.build == first.build
        assert second.folder == first.folder
        assert workshop.builder.calls == []

    def test_a_new_commit_and_new_packaging_are_new_builds(self, workshop: Workshop) -> None:
        first = workshop.build("nova").build
        workshop.push("nova", "Second")
        second = workshop.build("nova").build
        workshop.world.packaging.recipes["nova"] += "say more\n"
        workshop.world.packaging.releases["nova"] = 2
        third = workshop.build("nova").build
        assert len({first.id, second.id, third.id}) == 3
        assert (second.version, third.version) == ("1.2-1", "1.2-2")
        assert workshop.pointed("current") == third.commit.id

    def test_what_failed_is_built_again_when_it_is_asked_for(self, workshop: Workshop) -> None:
        workshop.builder.available.clear()
        workshop.world.packaging.recipes["nova"] += "needs libgood\n"
        failed = workshop.build("nova").build
        workshop.builder.available.add("libgood")
        retried = workshop.build("nova")
        assert (failed.outcome, retried.build.outcome) == (Outcome.FAILED, Outcome.SUCCEEDED)
        assert (retried.ran, retried.build.id, retried.build.attempt) == (True, failed.id, 2)
        assert retried.build.cause is None
        assert (workshop.parts.builds / str(failed.id) / "1/log").exists()


FAULTS = [
    (LimitExceeded("it took too long"), Outcome.FAILED, Fault.PACKAGE),
    (UserError("no such thing"), Outcome.FAILED, Fault.USER),
    (CommandFailed("the sandbox broke"), Outcome.ERRORED, Fault.OURS),
    (MirrorUnreachable("no network"), Outcome.ERRORED, Fault.NETWORK),
]


class TestBadBuild:
    @pytest.mark.parametrize("method", ["bootstrap", "make_source", "prepare", "build", "check_install"])
    @pytest.mark.parametrize(("error", "outcome", "fault"), FAULTS, ids=str)
    def test_the_fault_decides_the_outcome(
        self, workshop: Workshop, method: str, error: ConveyorError, outcome: Outcome, fault: Fault
    ) -> None:
        workshop.builder.hooks[method] = raiser(error)
        build = workshop.build("nova").build
        assert (build.state, build.outcome, build.published) == (State.FINISHED, outcome, False)
        assert build.cause is not None
        stage = STAGE_OF[method]
        assert (build.cause.fault, build.cause.stage, build.cause.kind) == (fault, stage, type(error).__name__)
        assert build.cause.summary == error.summary
        assert build.stages[-1].stage is build.cause.stage
        assert workshop.progress.heard[-1] == f"failed {build.cause.stage}"
        assert workshop.pointed("current") is None
        assert left(workshop, build) == {"log", "packaging"}
        assert workshop.log(build).endswith(f"conveyor: {outcome}: {error.summary}\n")

    def test_a_failing_build_is_explained_from_its_own_stage_of_the_log(self, workshop: Workshop) -> None:
        workshop.world.packaging.recipes["nova"] = "say oh dear\nexit 2\n"
        cause = workshop.build("nova").build.cause
        assert cause is not None
        assert cause.summary == "the build failed with code 2: oh dear"
        assert cause.details == ("oh dear",)
        assert "conveyor build nova --target debian-13-amd64 --shell" in cause.hint

    def test_a_broken_source_package_is_explained(self, workshop: Workshop) -> None:
        workshop.world.packaging.recipes["nova"] = "broken\n"
        cause = workshop.build("nova").build.cause
        assert cause is not None
        assert (cause.stage, cause.kind) == (Stage.SOURCE, "SourceInvalid")
        assert cause.summary.endswith("recipe: it is broken")
        assert "conveyor render nova" in cause.hint

    def test_a_missing_build_dependency_is_named(self, workshop: Workshop) -> None:
        workshop.world.packaging.recipes["nova"] += "needs libnothing\n"
        cause = workshop.build("nova").build.cause
        assert cause is not None
        assert (cause.stage, cause.kind) == (Stage.BUILDROOT, "BuildDependencyMissing")
        assert "libnothing" in cause.summary
        assert "build" not in workshop.builder.calls

    def test_what_cannot_be_installed_is_not_published(self, workshop: Workshop) -> None:
        workshop.world.packaging.recipes["nova"] += "depends libnothing\n"
        build = workshop.build("nova").build
        assert build.cause is not None
        assert (build.outcome, build.cause.kind) == (Outcome.FAILED, "NotInstallable")
        assert workshop.parts.store.entries(TARGET.name) == ()

    def test_a_mistake_in_a_template_is_told_before_anything_runs(self, workshop: Workshop) -> None:
        workshop.world.packaging.recipes["nova"] = "{undefined}"
        build = workshop.build("nova").build
        assert build.cause is not None
        assert (build.outcome, build.cause.kind, build.cause.stage) == (Outcome.FAILED, "TemplateInvalid", Stage.RENDER)
        assert workshop.builder.calls == []

    def test_a_build_that_makes_nothing_has_failed(self, workshop: Workshop) -> None:
        workshop.world.packaging.recipes["nova"] = "say done\n"
        build = workshop.build("nova").build
        assert build.cause is not None
        assert (build.outcome, build.cause.summary) == (Outcome.FAILED, "the build made no package")

    def test_the_kept_root_of_a_failed_build_stays_for_a_shell(self, workshop: Workshop) -> None:
        workshop.world.packaging.recipes["nova"] = "exit 1\n"
        report = workshop.build("nova", keep_root=True)
        assert report.build.outcome is Outcome.FAILED
        assert report.root is not None
        assert left(workshop, report.build) == {"log", "packaging", "root"}

    def test_another_fault_of_the_system_is_a_defect_and_shows(self, workshop: Workshop) -> None:
        workshop.builder.hooks["build"] = raiser(PermissionError(errno.EPERM, "no"))
        with pytest.raises(PermissionError):
            workshop.build("nova")


class TestFullDisk:
    @pytest.mark.parametrize("method", ["bootstrap", "make_source", "prepare", "build", "check_install"])
    def test_it_is_our_fault_and_says_so(self, workshop: Workshop, method: str) -> None:
        workshop.builder.hooks[method] = raiser(OSError(errno.ENOSPC, "No space left on device"))
        build = workshop.build("nova").build
        assert build.cause is not None
        assert (build.outcome, build.cause.kind, build.cause.fault) == (Outcome.ERRORED, "DiskFull", Fault.OURS)
        assert str(workshop.world.data) in build.cause.summary
        assert left(workshop, build) == {"log", "packaging"}

    def test_the_outcome_is_recorded_though_the_log_cannot_grow(self, workshop: Workshop) -> None:
        def fill() -> None:
            log = workshop.parts.builds / "1/1/log"
            log.unlink()
            log.symlink_to("/dev/full")
            raise OSError(errno.ENOSPC, "No space left on device")

        workshop.builder.hooks["build"] = fill
        build = workshop.build("nova").build
        assert build.cause is not None
        assert (build.outcome, build.cause.kind) == (Outcome.ERRORED, "DiskFull")

    def test_room_is_made_before_the_outcome_is_written(
        self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        workshop.builder.hooks["check_install"] = raiser(OSError(errno.ENOSPC, "No space left on device"))
        seen: list[set[str]] = []
        finish: Callable[..., Build] = workshop.parts.store.finish

        def spy(*args: object, **named: object) -> Build:
            seen.append({path.name for path in (workshop.parts.builds / "1/1").iterdir()})
            return finish(*args, **named)

        monkeypatch.setattr(workshop.parts.store, "finish", spy)
        workshop.build("nova")
        assert seen == [{"log", "packaging"}]


class TestInterrupted:
    @pytest.mark.parametrize("method", ["bootstrap", "make_source", "prepare", "build", "check_install"])
    def test_the_attempt_is_cancelled(self, workshop: Workshop, method: str) -> None:
        workshop.builder.hooks[method] = raiser(KeyboardInterrupt())
        with pytest.raises(Interrupted) as caught:
            workshop.build("nova")
        assert caught.value.exit_code == 130
        (build,) = workshop.parts.store.builds()
        assert (build.state, build.outcome, build.claim) == (State.FINISHED, Outcome.CANCELLED, None)
        assert left(workshop, build) == {"log", "packaging"}
        assert workshop.parts.store.failing(TARGET.name) == ()

    def test_it_is_built_when_it_is_asked_for_again(self, workshop: Workshop) -> None:
        workshop.builder.hooks["build"] = raiser(KeyboardInterrupt())
        with pytest.raises(Interrupted):
            workshop.build("nova")
        workshop.builder.hooks.clear()
        assert workshop.build("nova").build.published

    def test_while_it_is_published_it_stays_good_and_is_published_later(
        self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(workshop.parts.repository, "publish", lambda *_: raiser(KeyboardInterrupt())())
            with pytest.raises(Interrupted):
                workshop.build("nova")
        (build,) = workshop.parts.store.builds()
        assert (build.outcome, build.published) == (Outcome.SUCCEEDED, False)
        report = workshop.build("nova")
        assert (report.ran, report.build.published) == (False, True)

    def test_right_after_the_outcome_was_recorded_the_build_stays_good(
        self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        finish: Callable[..., Build] = workshop.parts.store.finish

        def interrupted(*args: object, **named: object) -> Build:
            finish(*args, **named)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(workshop.parts.store, "finish", interrupted)
            with pytest.raises(Interrupted):
                workshop.build("nova")
        (build,) = workshop.parts.store.builds()
        assert (build.outcome, build.published) == (Outcome.SUCCEEDED, False)


class TestOtherProcesses:
    def test_the_build_of_a_dead_process_is_taken_over(self, workshop: Workshop) -> None:
        left_over = taken(workshop, claim_of_the_dead())
        half_done = workshop.parts.builds / str(left_over.id) / "1/results"
        half_done.mkdir(parents=True)
        report = workshop.build("nova")
        assert (report.ran, report.build.outcome, report.build.attempt) == (True, Outcome.SUCCEEDED, 2)
        assert not half_done.exists()
        assert "waiting" not in workshop.progress.heard

    def test_recovery_gives_the_build_of_a_dead_process_back_to_the_queue(self, workshop: Workshop) -> None:
        left_over = taken(workshop, claim_of_the_dead())
        half_done = workshop.parts.builds / str(left_over.id) / "1/source"
        half_done.mkdir(parents=True)
        workshop.recovery.run()
        build = workshop.parts.store.build(left_over.id)
        assert (build.state, build.claim) == (State.QUEUED, None)
        assert build.cause is not None
        assert (build.cause.fault, build.cause.summary) == (Fault.OURS, "the process that built it was killed")
        assert not half_done.exists()

    def test_a_pid_that_is_used_again_is_another_process(self, workshop: Workshop) -> None:
        taken(workshop, claim("reused", pid=os.getpid(), started=1))
        assert workshop.build("nova").ran

    def test_a_living_process_is_waited_for(self, workshop: Workshop) -> None:
        running = taken(workshop, claim_of_the_living())

        def fail_it(build: Build) -> None:
            workshop.parts.store.finish(
                build.id,
                "alive",
                outcome=Outcome.FAILED,
                at=NOON,
                version=None,
                cause=None,
                stages=(),
                entry=None,
            )

        workshop.progress.on_waiting = fail_it
        report = workshop.build("nova")
        assert (report.ran, report.build.id, report.build.outcome) == (False, running.id, Outcome.FAILED)
        assert workshop.builder.calls == []
        assert workshop.progress.heard == ["waiting"]

    def test_recovery_leaves_a_living_process_alone(self, workshop: Workshop) -> None:
        running = taken(workshop, claim_of_the_living())
        workshop.recovery.run()
        assert workshop.parts.store.build(running.id) == running

    def test_what_a_living_process_gives_back_is_built(self, workshop: Workshop) -> None:
        taken(workshop, claim_of_the_living())
        cause = cause_of("it was given back")
        workshop.progress.on_waiting = lambda build: workshop.parts.store.release(build.id, cause, NOON)
        assert workshop.build("nova").ran

    def test_another_hosts_build_is_not_touched_even_if_its_pid_is_dead_here(self, workshop: Workshop) -> None:
        running = taken(workshop, claim_of_the_dead(host="another.example.org"))
        workshop.recovery.run()
        workshop.progress.on_waiting = lambda _: raiser(KeyboardInterrupt())()
        with pytest.raises(KeyboardInterrupt):
            workshop.build("nova")
        assert workshop.parts.store.build(running.id) == running

    def test_a_worker_that_lost_its_claim_changes_nothing(self, workshop: Workshop) -> None:
        def lose() -> None:
            workshop.parts.store.release(1, cause_of("it was not heard of"), NOON)

        workshop.builder.hooks["build"] = lose
        with pytest.raises(ConveyorError) as caught:
            workshop.build("nova")
        assert type(caught.value).__name__ == "ClaimLost"
        assert workshop.parts.store.build(1).state is State.QUEUED
        assert workshop.pointed("current") is None
        assert left(workshop, workshop.parts.store.build(1)) == {"log", "packaging"}


class TestUnpublished:
    @pytest.mark.parametrize("wanted", [Wanted(publish=False), Wanted(local=Path("/home/ada/nova"))])
    def test_it_never_enters_the_trunk(self, workshop: Workshop, wanted: Wanted) -> None:
        head = workshop.git.commits(package_of("nova").upstream, tip=workshop.push("nova", "x"), after=None, limit=1)
        workshop.git.worktrees[Path("/home/ada/nova")] = head[0]
        report = workshop.build("nova", wanted)
        build = report.build
        assert (build.outcome, build.published, build.commit.trunk) == (Outcome.SUCCEEDED, False, False)
        assert build.commit.id.endswith("_local")
        assert workshop.parts.store.entries(TARGET.name) == ()
        assert workshop.parts.store.unpublished() == ()
        workshop.recovery.run()
        assert workshop.pointed("current") is None
        assert not (workshop.world.data / "repos").exists()
        assert Stage.PUBLISH not in [time.stage for time in build.stages]

    def test_its_packages_are_kept_in_its_folder(self, workshop: Workshop) -> None:
        report = workshop.build("nova", Wanted(publish=False))
        assert left(workshop, report.build) == {"log", "packaging", "results"}
        assert (workshop.folder(report.build) / "results/nova_1.1-1.local.fake").read_text() == "content\n"

    def test_it_does_not_stand_for_the_published_build_of_the_same_commit(self, workshop: Workshop) -> None:
        workshop.build("nova", Wanted(publish=False))
        report = workshop.build("nova")
        assert (report.ran, report.build.published) == (True, True)

    def test_its_failure_does_not_hold_consistent_back(self, workshop: Workshop) -> None:
        workshop.builder.hooks["build"] = raiser(LimitExceeded("too long"))
        assert workshop.build("oslo", Wanted(publish=False)).build.outcome is Outcome.FAILED
        workshop.builder.hooks.clear()
        assert workshop.build("nova").build.commit.id == workshop.pointed("consistent")

    def test_an_older_version_can_be_built_without_publishing(self, workshop: Workshop) -> None:
        first = workshop.commit("nova").upstream.sha
        workshop.push("nova", "Second")
        workshop.build("nova")
        assert workshop.build("nova", Wanted(revision=first, publish=False)).build.outcome is Outcome.SUCCEEDED


def _build_nova(other: Workshop) -> None:
    assert other.build("nova").build.published


class TestOrder:
    def test_a_version_that_goes_backwards_is_refused_before_anything_runs(self, workshop: Workshop) -> None:
        workshop.build("nova")
        sha = workshop.push("nova", "Second")
        workshop.versions[sha] = "0.9"
        workshop.builder.calls.clear()
        build = workshop.build("nova").build
        assert build.cause is not None
        assert (build.outcome, build.cause.kind, build.cause.stage) == (
            (Outcome.FAILED, "VersionWentBackwards", Stage.RENDER)
        )
        assert "1.1-1" in build.cause.summary
        assert workshop.builder.calls == []
        assert workshop.pointed("current") != build.commit.id

    def test_a_version_that_was_overtaken_while_it_was_built_is_refused_too(self, workshop: Workshop) -> None:
        old = workshop.commit("nova")
        workshop.push("nova", "Second")
        other = Workshop(workshop.world)

        def overtake() -> None:
            _build_nova(other)
            workshop.git.update(package_of("nova").upstream)  # processes share their mirrors

        workshop.builder.hooks["build"] = overtake
        report = workshop.orders.build(package_of("nova"), TARGET, old, keep_root=False)
        assert report.build.cause is not None
        assert (report.build.outcome, report.build.cause.kind) == (Outcome.SUPERSEDED, "CommitSuperseded")
        (entry,) = workshop.parts.store.entries(TARGET.name)
        assert entry.version == "1.2-1"

    def test_a_commit_is_built_with_the_packaging_that_it_came_with(self, workshop: Workshop) -> None:
        packaging = workshop.world.packaging
        before, commit = packaging.recipes["nova"], workshop.commit("nova")
        packaging.recipes["nova"] += "say newer\n"
        gone = workshop.orders.build(package_of("nova"), TARGET, commit, keep_root=False).build
        assert gone.cause is not None
        assert (gone.outcome, gone.cause.kind) == (Outcome.SUPERSEDED, "CommitSuperseded")
        assert "the packaging of nova was changed" in gone.cause.summary
        assert (gone.cause.stage, workshop.builder.calls) == (Stage.RENDER, [])
        packaging.past["nova"] = (before,)
        kept = workshop.orders.build(package_of("nova"), TARGET, commit, keep_root=False).build
        assert (kept.outcome, kept.commit) == (Outcome.SUCCEEDED, commit)

    def test_an_older_commit_is_superseded_and_holds_consistent_back_from_nothing(self, workshop: Workshop) -> None:
        old = workshop.commit("nova").upstream.sha
        workshop.push("nova", "Second")
        newer = workshop.build("nova").build
        workshop.builder.calls.clear()
        build = workshop.build("nova", Wanted(revision=old)).build
        assert build.cause is not None
        assert (build.outcome, build.cause.fault, build.cause.stage) == (
            (Outcome.SUPERSEDED, Fault.PACKAGE, Stage.RENDER)
        )
        assert "the commit is not the newest" in build.cause.summary
        assert workshop.builder.calls == []
        assert workshop.parts.store.failing(TARGET.name) == ()
        assert workshop.build("oslo").build.published
        assert workshop.pointed("consistent") == workshop.pointed("current") != newer.commit.id

    def test_where_the_branch_is_gone_a_version_that_goes_backwards_is_a_failure(self, workshop: Workshop) -> None:
        old = workshop.commit("nova")
        workshop.push("nova", "Second")
        workshop.build("nova")
        upstream = workshop.world.upstreams[package_of("nova").upstream]
        upstream.set_branch("main", upstream.branches["master"])
        upstream.delete_branch("master")
        workshop.git.update(package_of("nova").upstream)
        build = workshop.orders.build(package_of("nova"), TARGET, old, keep_root=False).build
        assert (build.outcome, build.cause and build.cause.kind) == (Outcome.FAILED, "VersionWentBackwards")

    def test_the_same_version_with_other_content_is_refused(self, workshop: Workshop) -> None:
        first = workshop.build("nova").build
        workshop.world.packaging.recipes["nova"] = RECIPE.replace("NAME", "nova").replace("content", "other")
        build = workshop.build("nova").build
        assert build.cause is not None
        assert (build.outcome, build.cause.kind, build.cause.stage) == (Outcome.FAILED, "ContentChanged", Stage.CHECK)
        assert "nova_1.1-1.fake" in build.cause.summary
        assert "check_install" not in workshop.builder.calls[5:]
        assert workshop.pointed("current") == first.commit.id

    def test_a_version_that_was_collected_with_a_signature_cannot_be_compared(self, workshop: Workshop) -> None:
        package = binary_of(workshop, workshop.build("nova").build)
        workshop.parts.repository.artifact_path(TARGET.name, package).unlink()
        workshop.world.packaging.recipes["nova"] = RECIPE.replace("NAME", "nova").replace("content", "other")
        cause = workshop.build("nova").build.cause
        assert cause is not None
        assert (cause.kind, cause.stage) == ("ContentChanged", Stage.CHECK)
        assert "cannot be looked at any more" in cause.summary
        assert package.sha256[:12] in cause.summary
        assert "raises the release" in cause.hint

    def test_a_version_that_was_collected_is_built_again_with_the_same_content(self, workshop: Workshop) -> None:
        package = binary_of(workshop, workshop.build("nova").build)
        workshop.parts.repository.artifact_path(TARGET.name, package).unlink()
        workshop.world.packaging.recipes["nova"] += "say nothing new\n"
        assert workshop.build("nova").build.published
        assert workshop.parts.repository.artifact_path(TARGET.name, package).is_file()

    def test_the_same_content_again_is_fine(self, workshop: Workshop) -> None:
        workshop.build("nova")
        workshop.world.packaging.recipes["nova"] += "say nothing new\n"
        assert workshop.build("nova").build.published
