"""Retention on a real tree: what goes, what stays, and that nothing which stays loses a file."""

from __future__ import annotations

import json
import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conveyor.errors import SnapshotDamaged
from conveyor.model.promotion import Move, MoveKind, Step
from conveyor.model.published import Retention
from tests.support.retention import NOTHING_BUT_THE_NEWEST, Trunk, broken, listed
from tests.support.workshop import TARGET, tree_of


@pytest.fixture
def trunk(tmp_path: Path) -> Trunk:
    return Trunk(tmp_path, "nova", "oslo")


def disk_usage(folder: Path) -> int:
    """As du counts: each inode once."""
    seen = {(status.st_dev, status.st_ino): status.st_blocks * 512 for status in _statuses(folder)}
    return sum(seen.values())


def _statuses(folder: Path) -> list[os.stat_result]:
    return [folder.lstat(), *(path.lstat() for path in folder.rglob("*"))]


def step(
    trunk: Trunk, pointer: str, before: str | None, after: str, *, keep: bool = False, begin_only: bool = False
) -> None:
    """Write a move into the ledger, as who moves pointers does."""
    whole = (Step(target=TARGET.name, pointer=pointer, before=before, after=after),)
    at = trunk.world.clock.now()
    number = trunk.ledger.begin(Move(kind=MoveKind.PROMOTED, actor="ada", keep=keep, at=at, steps=whole))
    if not begin_only:
        trunk.ledger.complete(number, at)


class TestWhatGoes:
    def test_old_snapshots_go_with_what_only_they_reach(self, trunk: Trunk) -> None:
        builds = [trunk.publish(name) for name in ("oslo", "nova", "nova", "nova")]
        gone = trunk.run()
        assert [each.build for each in gone.snapshots] == [build.id for build in builds[:3]]
        assert trunk.in_tree() == {builds[3].commit.id}
        # nova's newest and oslo's only build.
        assert trunk.pool() == listed(trunk.root)
        assert len(trunk.pool()) == 6
        assert broken(trunk.root) == []
        assert gone.builds == tuple(build.id for build in builds[:3])
        assert {path.name for path in (trunk.data / "builds").iterdir()} == {str(builds[3].id)}

    def test_history_still_knows_them(self, trunk: Trunk) -> None:
        first = trunk.publish("nova")
        second = trunk.publish("nova")
        trunk.run()
        collected = {each.build: each.collected_at is not None for each in trunk.store.published(TARGET.name)}
        assert collected == {first.id: True, second.id: False}
        assert trunk.store.build(first.id).published

    def test_nothing_publishes_them_again(self, trunk: Trunk) -> None:
        first = trunk.publish("nova")
        trunk.publish("nova")
        stale = trunk.store.build(first.id)
        trunk.run()
        assert trunk.workshop.recovery.run() == ()
        trunk.workshop.publisher.publish(stale, TARGET)
        assert first.commit.id not in trunk.in_tree()

    def test_the_newest_good_build_of_each_package_stays_in_the_pool(self, trunk: Trunk) -> None:
        trunk.publish("oslo")
        for _ in range(3):
            trunk.publish("nova")
        trunk.run()
        after = trunk.publish("nova")
        assert broken(trunk.root) == []
        manifest = trunk.tree.manifest(TARGET.name, after.commit.id)
        assert [each.package for each in manifest.packages] == ["nova", "oslo"]

    def test_files_that_no_build_brought_to_its_end_go_too(self, trunk: Trunk) -> None:
        trunk.publish("nova")
        trunk.publish("nova")
        content = trunk.root / "pool/ab" / f"ab{'0' * 62}"
        content.mkdir(parents=True)
        (content / "left.fake").write_text("of a build that was killed")
        empty = trunk.root / "pool/ab" / f"ab{'1' * 62}"
        empty.mkdir()
        trunk.run()
        assert not content.exists()
        assert not empty.exists()

    def test_a_kept_root_keeps_the_folder_of_its_build(self, trunk: Trunk) -> None:
        first = trunk.publish("nova")
        trunk.publish("nova")
        (trunk.data / "builds" / str(first.id) / "1/root").mkdir()
        assert trunk.run().builds == ()
        assert (trunk.data / "builds" / str(first.id) / "1/log").exists()

    def test_links_beside_a_source_package_go_with_it(self, trunk: Trunk) -> None:
        trunk.publish("nova")
        (old,) = [path for path in trunk.pool() if path.endswith(".fake")]
        (trunk.root / "pool" / old).with_name("tarball.gz").symlink_to(f"../../{old}")
        trunk.publish("nova")
        (new,) = [path for path in trunk.pool() if path.endswith(".fake") and path != old]
        (trunk.root / "pool" / new).with_name("tarball.gz").symlink_to(f"../../{new}")
        trunk.run()
        assert not (trunk.root / "pool" / old).parent.exists()
        assert (trunk.root / "pool" / new).with_name("tarball.gz").exists()

    def test_a_name_of_kept_content_goes_and_the_other_stays(self, trunk: Trunk) -> None:
        trunk.world.packaging.recipes["nova"] = "make nova_{version}.fake the same content\n"
        first = trunk.publish("nova")
        trunk.publish("nova")
        names = {path for path in trunk.pool() if path.endswith(".fake")}
        assert len({Path(path).parent for path in names}) == 1
        removal = trunk.run()
        assert {path for path in trunk.pool() if path.endswith(".fake")} == names & listed(trunk.root)
        assert first.version is not None
        assert [path for path in removal.files if path.endswith(".fake")] == [
            path for path in names if first.version in path
        ]


class TestWhatStays:
    def test_without_a_policy_everything(self, trunk: Trunk) -> None:
        for _ in range(3):
            trunk.publish("nova")
        before = tree_of(trunk.data)
        trunk.policies.clear()
        assert trunk.collect().run(TARGET.name, dry_run=False) is None
        trunk.policies[TARGET.name] = Retention()
        assert trunk.collect().run(TARGET.name, dry_run=False) is None
        assert tree_of(trunk.data) == before

    def test_where_nothing_was_published_nothing_is_made(self, trunk: Trunk) -> None:
        assert trunk.run().snapshots == ()
        assert not trunk.root.exists()

    def test_what_a_pointer_points_at(self, trunk: Trunk) -> None:
        first, second, third = (trunk.publish("nova") for _ in range(3))
        with trunk.tree.writing(TARGET.name):
            trunk.tree.point(TARGET.name, "tested", first.commit.id)
        trunk.run()
        assert trunk.in_tree() == {first.commit.id, third.commit.id}
        assert broken(trunk.root) == []
        assert second.commit.id not in trunk.in_tree()

    def test_what_a_link_in_any_folder_leads_to(self, trunk: Trunk) -> None:
        first, _, third = (trunk.publish("nova") for _ in range(3))
        (trunk.root / "component/common").mkdir(parents=True)
        shard = f"{first.commit.id[:2]}/{first.commit.id[2:4]}/{first.commit.id}"
        (trunk.root / "component/common/tested").symlink_to(f"../../{shard}/conveyor.client")
        trunk.run()
        assert trunk.in_tree() == {first.commit.id, third.commit.id}
        assert broken(trunk.root) == []

    def test_what_a_pointer_left_until_the_grace_is_over(self, trunk: Trunk) -> None:
        trunk.policies[TARGET.name] = Retention(newest=1, grace=3600)
        first = trunk.publish("nova")
        trunk.publish("nova")
        trunk.pass_hours(10)
        last = trunk.publish("nova")
        step(trunk, "tested", first.commit.id, last.commit.id)
        trunk.pass_hours(0.9)
        trunk.run()
        assert first.commit.id in trunk.in_tree()
        trunk.pass_hours(0.2)
        trunk.run()
        assert trunk.in_tree() == {last.commit.id}

    def test_what_the_ledger_keeps_and_what_is_on_its_way(self, trunk: Trunk) -> None:
        kept, before, after, gone, last = (trunk.publish("nova").commit.id for _ in range(5))
        step(trunk, "release", None, kept, keep=True)
        step(trunk, "tested", before, after, begin_only=True)
        trunk.pass_hours(99)
        trunk.run()
        assert trunk.in_tree() == {kept, before, after, last}
        assert gone not in trunk.in_tree()

    def test_a_good_build_that_is_not_published_yet(self, trunk: Trunk) -> None:
        trunk.publish("nova")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trunk.store, "mark_published", lambda *_, **_named: None)
            trunk.workshop.push("nova", "Not marked")
            waiting = trunk.workshop.build("nova").build
        shutil.rmtree(trunk.tree.snapshot_folder(TARGET.name, waiting.commit.id))
        trunk.publish("nova")
        trunk.run()
        assert trunk.workshop.recovery.run() == ()
        assert trunk.tree.snapshot_folder(TARGET.name, waiting.commit.id).is_dir()
        assert broken(trunk.root) == []

    def test_a_snapshot_that_the_store_does_not_know(self, trunk: Trunk) -> None:
        first = trunk.publish("nova")
        folder = trunk.tree.snapshot_folder(TARGET.name, first.commit.id)
        copy = folder.with_name("f" * 40 + "_" + "0" * 8)
        shutil.copytree(folder, copy, symlinks=True)
        (copy / "manifest.json").write_text((copy / "manifest.json").read_text().replace(first.commit.id, copy.name))
        moved = trunk.root / "ff/ff" / copy.name
        moved.parent.mkdir(parents=True)
        copy.rename(moved)
        trunk.publish("nova")
        trunk.run()
        assert moved.is_dir()
        assert not folder.exists()
        assert broken(trunk.root) == []

    def test_everything_where_one_manifest_cannot_be_read(self, trunk: Trunk) -> None:
        builds = [trunk.publish("nova") for _ in range(3)]
        manifest = trunk.tree.snapshot_folder(TARGET.name, builds[2].commit.id) / "manifest.json"
        manifest.write_bytes(manifest.read_bytes()[:-10])
        before = tree_of(trunk.data)
        for dry_run in (True, False):
            with pytest.raises(SnapshotDamaged, match=r"manifest\.json cannot be read"):
                trunk.run(dry_run=dry_run)
        assert tree_of(trunk.data) == before
        assert all(each.collected_at is None for each in trunk.store.published(TARGET.name))

    def test_everything_where_a_manifest_is_another_s(self, trunk: Trunk) -> None:
        builds = [trunk.publish("nova") for _ in range(3)]
        folders = [trunk.tree.snapshot_folder(TARGET.name, build.commit.id) for build in builds]
        shutil.copyfile(folders[0] / "manifest.json", folders[2] / "manifest.json")
        with pytest.raises(SnapshotDamaged, match=r"has another's manifest\.json"):
            trunk.run()
        assert len(trunk.in_tree()) == 3


class TestFigures:
    def test_the_dry_run_changes_nothing_and_says_what_the_run_says(self, trunk: Trunk) -> None:
        for name in ("oslo", "nova", "oslo", "nova"):
            trunk.publish(name)
        before = tree_of(trunk.data)
        trunk.world.clock.advance(timedelta(days=9))
        told = trunk.run(dry_run=True)
        assert tree_of(trunk.data) == before
        assert told.snapshots
        assert trunk.run() == told

    def test_the_bytes_are_those_that_the_disk_has_more(self, trunk: Trunk) -> None:
        for _ in range(6):
            trunk.publish("nova")
        before = disk_usage(trunk.data)
        told = trunk.run().size
        # Folders of two digits stay in the pool; the blocks of folders that have shrunk are not given back.
        assert before - disk_usage(trunk.data) == told

    def test_metadata_that_a_later_snapshot_shows_too_frees_nothing(self, trunk: Trunk) -> None:
        first, second = trunk.publish("nova"), trunk.publish("nova")
        folder = trunk.tree.snapshot_folder(TARGET.name, first.commit.id)
        (carried,) = [folder / path for path in trunk.writer.checksummed(folder)]
        assert carried.stat().st_nlink == 2
        with_link = trunk.run(dry_run=True).size
        newer = trunk.tree.snapshot_folder(TARGET.name, second.commit.id)
        (newer / carried.relative_to(folder)).unlink()
        assert trunk.run(dry_run=True).size == with_link + carried.stat().st_blocks * 512


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.lists(st.sampled_from(["nova", "oslo", "glance"]), min_size=1, max_size=6),
    newest=st.integers(0, 4),
    younger=st.integers(0, 5),
    pointed=st.sets(st.integers(0, 5), max_size=2),
)
def test_no_snapshot_that_stays_loses_a_file(
    tmp_path_factory: pytest.TempPathFactory, order: list[str], newest: int, younger: int, pointed: set[int]
) -> None:
    trunk = Trunk(tmp_path_factory.mktemp("trunk"), "nova", "oslo", "glance")
    builds = [trunk.publish(name) for name in order]
    with trunk.tree.writing(TARGET.name):
        for number in (each for each in pointed if each < len(builds)):
            trunk.tree.point(TARGET.name, f"pointer-{number}", builds[number].commit.id)
    trunk.policies[TARGET.name] = Retention(newest=newest, younger_than=younger * 3600, grace=0)
    told = trunk.run(dry_run=True)
    assert trunk.run() == told
    assert broken(trunk.root) == []
    entries = trunk.store.entries(TARGET.name)
    assert trunk.pool() == listed(trunk.root) | {made.pool_path for entry in entries for made in entry.artifacts}
    assert {each.commit for each in told.snapshots}.isdisjoint(trunk.in_tree())
    assert {build.commit.id for build in builds} == {each.commit for each in told.snapshots} | trunk.in_tree()
    # Another build of every package is published on what is left.
    for name in ("nova", "oslo", "glance"):
        trunk.publish(name)
    assert broken(trunk.root) == []


def test_a_second_run_finds_nothing(trunk: Trunk) -> None:
    for _ in range(4):
        trunk.publish("nova")
    trunk.run()
    again = trunk.run()
    assert (again.snapshots, again.files, again.builds, again.size) == ((), (), (), 0)
    assert trunk.policies[TARGET.name] == NOTHING_BUT_THE_NEWEST
    assert json.loads((next(trunk.root.glob("??/??/*/manifest.json"))).read_text())["target"] == TARGET.name
