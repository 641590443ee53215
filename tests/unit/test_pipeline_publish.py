"""The pointers, and what becomes of a good build when publishing fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from conveyor.errors import DiskFull, LimitExceeded, SourceInvalid
from conveyor.model.artifact import Snapshot
from conveyor.model.build import Outcome, Stage
from tests.support.workshop import TARGET, Workshop, new_world


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(new_world(tmp_path, "nova", "oslo"))


def fail(workshop: Workshop, package: str) -> None:
    """Let the build of a package's next commit fail."""
    workshop.push(package, f"Break {package}")

    def refuse() -> None:
        raise LimitExceeded("too long")

    workshop.builder.hooks["build"] = refuse
    assert workshop.build(package).build.outcome is Outcome.FAILED
    workshop.builder.hooks.clear()


def snapshots(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> list[Snapshot]:
    """Every snapshot that is published from now on."""
    seen: list[Snapshot] = []
    publish = workshop.parts.repository.publish

    def spy(snapshot: Snapshot, extras: dict[str, bytes]) -> Path:
        seen.append(snapshot)
        return publish(snapshot, extras)

    monkeypatch.setattr(workshop.parts.repository, "publish", spy)
    return seen


class TestPointers:
    def test_consistent_stays_while_a_configured_package_fails(self, workshop: Workshop) -> None:
        workshop.build("oslo")
        good = workshop.build("nova").build
        fail(workshop, "oslo")
        workshop.push("nova", "Second")
        newer = workshop.build("nova").build
        assert workshop.pointed("current") == newer.commit.id
        assert workshop.pointed("consistent") == good.commit.id

    def test_consistent_moves_again_once_the_package_is_mended(self, workshop: Workshop) -> None:
        workshop.build("oslo")
        fail(workshop, "oslo")
        workshop.push("oslo", "Mend")
        mended = workshop.build("oslo").build
        assert workshop.pointed("consistent") == workshop.pointed("current") == mended.commit.id

    def test_a_package_that_was_removed_from_the_configuration_holds_nothing_back(self, workshop: Workshop) -> None:
        fail(workshop, "oslo")
        without_oslo = Workshop(workshop.world, configured=["nova"])
        build = without_oslo.build("nova").build
        assert without_oslo.pointed("consistent") == build.commit.id

    def test_a_package_that_never_succeeded_holds_consistent_back(self, workshop: Workshop) -> None:
        fail(workshop, "oslo")
        build = workshop.build("nova").build
        assert workshop.pointed("current") == build.commit.id
        assert workshop.pointed("consistent") is None

    def test_an_older_build_that_is_published_late_does_not_move_current_back(self, workshop: Workshop) -> None:
        _unpublished(workshop, "nova")
        workshop.push("nova", "Second")
        newer = workshop.build("nova").build
        workshop.recovery.run()
        assert workshop.parts.store.unpublished() == ()
        assert workshop.pointed("current") == newer.commit.id


class TestSnapshot:
    def test_it_holds_the_newest_good_build_of_every_package(
        self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        workshop.build("oslo")
        workshop.build("nova")
        fail(workshop, "oslo")
        workshop.push("nova", "Second")
        seen = snapshots(workshop, monkeypatch)
        build = workshop.build("nova").build
        (snapshot,) = seen
        assert (snapshot.commit_id, snapshot.package, snapshot.target) == (build.commit.id, "nova", TARGET.name)
        assert snapshot.created_at == build.commit.upstream.committed_at
        assert [(entry.package, entry.version, entry.latest_succeeded) for entry in snapshot.entries] == [
            ("nova", "1.2-1", True),
            ("oslo", "1.1-1", False),
        ]

    def test_an_older_builds_own_entry_is_its_own(self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
        old = _unpublished(workshop, "nova")
        workshop.push("nova", "Second")
        workshop.build("nova")
        seen = snapshots(workshop, monkeypatch)
        workshop.recovery.run()
        (snapshot,) = seen
        assert snapshot.commit_id == workshop.parts.store.build(old).commit.id
        assert snapshot.own.version == "1.1-1"


def _unpublished(workshop: Workshop, package: str) -> int:
    """A good build whose publishing failed; its number."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workshop.parts.repository, "publish", _no_room)
        with pytest.raises(DiskFull):
            workshop.build(package)
    return workshop.parts.store.unpublished()[0].id


def _no_room(*_: object) -> Path:
    raise DiskFull("no room for the snapshot")


class TestPublishingFails:
    def test_the_build_stays_good_and_is_published_by_the_next_order(self, workshop: Workshop) -> None:
        number = _unpublished(workshop, "nova")
        build = workshop.parts.store.build(number)
        assert (build.outcome, build.published, build.cause) == (Outcome.SUCCEEDED, False, None)
        assert workshop.progress.heard[-1] == "failed publish"
        workshop.builder.calls.clear()
        report = workshop.build("nova")
        assert (report.ran, report.build.published) == (False, True)
        assert workshop.builder.calls == []
        assert workshop.pointed("current") == build.commit.id

    def test_publishing_has_its_seconds_too(self, workshop: Workshop) -> None:
        build = workshop.build("nova").build
        (published,) = [time for time in build.stages if time.stage is Stage.PUBLISH]
        assert published.seconds >= 0

    def test_recovery_publishes_it(self, workshop: Workshop) -> None:
        number = _unpublished(workshop, "nova")
        assert workshop.recovery.run() == ()
        assert workshop.parts.store.build(number).published
        assert workshop.pointed("consistent") == workshop.parts.store.build(number).commit.id

    def test_one_build_that_cannot_be_published_does_not_keep_the_others_back(
        self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bad, good = _unpublished(workshop, "nova"), 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(workshop.parts.repository, "publish", _no_room)
            with pytest.raises(DiskFull):
                workshop.build("oslo")
            good = workshop.parts.store.builds(package="oslo")[0].id
        publish = workshop.parts.repository.publish

        def picky(snapshot: Snapshot, extras: dict[str, bytes]) -> Path:
            if snapshot.package == "nova":
                raise SourceInvalid("its name is not fit to be published")
            return publish(snapshot, extras)

        monkeypatch.setattr(workshop.parts.repository, "publish", picky)
        (problem,) = workshop.recovery.run()
        assert problem.what == "its name is not fit to be published"
        assert not workshop.parts.store.build(bad).published
        assert workshop.parts.store.build(good).published

    def test_a_build_of_a_target_that_is_gone_is_left_alone(self, workshop: Workshop) -> None:
        number = _unpublished(workshop, "nova")
        workshop.recovery._targets = {}
        assert workshop.recovery.run() == ()
        assert not workshop.parts.store.build(number).published


def test_of_a_log_without_end_the_end_is_published(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conveyor.pipeline.publish.PUBLISHED_LOG", 60)
    build = workshop.build("nova").build
    folder = workshop.parts.repository.snapshot_folder(TARGET.name, build.commit.id)
    whole = workshop.log(build).partition("== publish ==")[0]
    published = (folder / "logs/build.log").read_text()
    assert published.startswith(f"[the first {len(whole) + 14 - 60} bytes of this log are left out]\n")
    assert published.endswith("== publish ==\n")
