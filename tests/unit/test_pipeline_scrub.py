"""Bit rot: what is found when the pool is read, and that a damaged file is never newly listed."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from conveyor.errors import ArtifactDamaged
from conveyor.model.build import Build, Outcome
from conveyor.model.published import Flaw
from conveyor.repository import pool
from conveyor.repository.pool import Pace
from tests.support.published import plain_artifact
from tests.support.retention import Trunk, broken
from tests.support.workshop import TARGET, tree_of


@pytest.fixture
def trunk(tmp_path: Path) -> Trunk:
    return Trunk(tmp_path, "nova", "oslo")


def package_of(trunk: Trunk, name: str) -> Path:
    """The newest built package of a name in the pool."""
    return max(trunk.root / "pool" / path for path in trunk.pool() if path.endswith(".fake") and name in path)


def flip(path: Path) -> bytes:
    """Change one bit, and nothing of size and time; returns what it was."""
    good, status = path.read_bytes(), path.stat()
    path.write_bytes(bytes([good[0] ^ 1]) + good[1:])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return good


def findings(trunk: Trunk) -> list[tuple[str, Flaw, str]]:
    report = trunk.scrub().run(TARGET.name)
    return [(Path(each.path).name, each.flaw, each.package) for each in report.findings]


def waiting(trunk: Trunk, package: str) -> Build:
    """A good build that is not published: as after a kill right behind `finish`."""
    trunk.workshop.push(package, "Not published")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trunk.tree, "publish", _killed)
        with pytest.raises(ArtifactDamaged, match="stands for a kill"):
            trunk.workshop.build(package)
    return trunk.store.unpublished()[0]


def _killed(*_: object) -> Path:
    raise ArtifactDamaged("stands for a kill")


class TestReading:
    def test_a_good_pool_is_read_whole_and_left_as_it_is(self, trunk: Trunk) -> None:
        for name in ("nova", "oslo", "nova"):
            trunk.publish(name)
        before = tree_of(trunk.data)
        report = trunk.scrub().run(TARGET.name)
        sizes = [(trunk.root / "pool" / path).stat().st_size for path in trunk.pool()]
        assert (report.target, report.files, report.size, report.findings) == (TARGET.name, len(sizes), sum(sizes), ())
        assert tree_of(trunk.data) == before

    def test_one_bit_is_found_and_named(self, trunk: Trunk) -> None:
        trunk.publish("nova")
        trunk.publish("oslo")
        path = package_of(trunk, "oslo")
        flip(path)
        assert findings(trunk) == [(path.name, Flaw.DAMAGED, "oslo")]

    def test_what_the_disk_cannot_read_is_damaged(self, trunk: Trunk, monkeypatch: pytest.MonkeyPatch) -> None:
        trunk.publish("nova")
        path = package_of(trunk, "nova")
        open_file = Path.open

        def cannot(self: Path, *arguments: str, **named: int) -> object:
            if self == path:
                raise OSError(errno.EIO, "Input/output error")
            return open_file(self, *arguments, **named)  # type: ignore[call-overload]

        monkeypatch.setattr(Path, "open", cannot)
        assert findings(trunk) == [(path.name, Flaw.DAMAGED, "nova")]

    def test_missing_and_foreign_files_are_named(self, trunk: Trunk) -> None:
        trunk.publish("nova")
        trunk.publish("oslo")
        package = package_of(trunk, "oslo")
        package.unlink()
        pool_folder = trunk.root / "pool"
        (pool_folder / "notes.txt").write_text("by hand")
        (pool_folder / "ab").mkdir(exist_ok=True)
        (pool_folder / "ab" / "loose").write_text("by hand")
        beside = package_of(trunk, "nova")
        beside.with_name("away").symlink_to("/etc/passwd")
        beside.with_name("good.tar").symlink_to(f"../../{beside.relative_to(pool_folder)}")
        assert sorted(findings(trunk)) == [
            ("away", Flaw.FOREIGN, ""),
            ("good.tar", Flaw.FOREIGN, ""),  # it has another name than what it shows
            ("loose", Flaw.FOREIGN, ""),
            ("notes.txt", Flaw.FOREIGN, ""),
            (package.name, Flaw.MISSING, "oslo"),
        ]

    def test_a_manifest_that_cannot_be_read_is_named(self, trunk: Trunk) -> None:
        build = trunk.publish("nova")
        manifest = trunk.tree.snapshot_folder(TARGET.name, build.commit.id) / "manifest.json"
        manifest.write_text("{")
        (finding,) = trunk.scrub().run(TARGET.name).findings
        assert (trunk.root / finding.path, finding.flaw) == (manifest, Flaw.DAMAGED)

    def test_it_keeps_to_its_pace(self, monkeypatch: pytest.MonkeyPatch) -> None:
        slept: list[float] = []
        monkeypatch.setattr(time, "monotonic", lambda: 100.0)
        monkeypatch.setattr(time, "sleep", slept.append)
        pace = Pace(1000)
        pace.have_read(500)
        pace.have_read(1500)
        Pace().have_read(10**9)
        assert slept == [0.5, 2.0]


class TestPublishing:
    def test_a_damaged_package_of_another_s_build_stops_the_snapshot(self, trunk: Trunk) -> None:
        before = trunk.publish("oslo")
        path = package_of(trunk, "oslo")
        good = flip(path)
        findings(trunk)
        trunk.workshop.push("nova", "Next")
        with pytest.raises(ArtifactDamaged, match=rf"{path.name} of oslo is damaged") as raised:
            trunk.workshop.build("nova")
        assert "'conveyor build oslo'" in raised.value.hint
        assert "'conveyor scrub --repair --target debian-13-amd64'" in raised.value.hint
        assert trunk.in_tree() == {before.commit.id}
        # Brought back from a backup, it must be read before it counts.
        path.write_bytes(good)
        assert [type(error) for error in trunk.workshop.recovery.run()] == [ArtifactDamaged]
        assert findings(trunk) == []
        assert trunk.workshop.recovery.run() == ()
        assert len(trunk.in_tree()) == 2

    def test_a_newer_build_of_the_damaged_package_is_published(self, trunk: Trunk) -> None:
        trunk.publish("oslo")
        flip(package_of(trunk, "oslo"))
        findings(trunk)
        trunk.publish("oslo")
        trunk.publish("nova")
        assert len(trunk.in_tree()) == 3

    def test_own_files_are_read_back_before_they_are_listed(self, trunk: Trunk) -> None:
        build = waiting(trunk, "nova")
        path = package_of(trunk, "nova")
        good = flip(path)
        (error,) = trunk.workshop.recovery.run()
        assert isinstance(error, ArtifactDamaged)
        assert path.name in error.what
        assert trunk.in_tree() == set()
        assert trunk.store.build(build.id).outcome is Outcome.SUCCEEDED
        path.write_bytes(good)
        findings(trunk)
        assert trunk.workshop.recovery.run() == ()
        assert trunk.in_tree() == {build.commit.id}

    def test_a_file_that_is_gone_or_cut_off_stops_the_snapshot(self, trunk: Trunk) -> None:
        waiting(trunk, "nova")
        path = package_of(trunk, "nova")
        path.write_bytes(path.read_bytes()[:-1])
        (error,) = trunk.workshop.recovery.run()
        assert isinstance(error, ArtifactDamaged)
        assert error.what == f"the pool of {TARGET.name} lacks {path.name} of nova"
        path.unlink()
        assert trunk.workshop.recovery.run() != ()

    def test_the_same_file_from_another_build_mends_it(self, trunk: Trunk) -> None:
        trunk.world.packaging.recipes["nova"] = "make shared.fake of all versions\n"
        trunk.publish("nova")
        path = trunk.root / "pool" / next(each for each in trunk.pool() if each.endswith("shared.fake"))
        good = flip(path)
        assert findings(trunk) == [("shared.fake", Flaw.DAMAGED, "nova")]
        trunk.publish("nova")
        assert path.read_bytes() == good
        assert findings(trunk) == []
        assert broken(trunk.root) == []


def test_what_retention_removes_is_remembered_as_damaged_no_more(trunk: Trunk) -> None:
    trunk.publish("nova")
    flip(package_of(trunk, "nova"))
    assert len(findings(trunk)) == 1
    trunk.publish("nova")
    trunk.run()
    assert list((trunk.root / ".damaged").iterdir()) == []
    assert findings(trunk) == []


def test_a_damaged_file_in_the_pool_is_replaced_by_the_same_one(tmp_path: Path) -> None:
    path, artifact = plain_artifact(tmp_path, "nova.rpm", b"content")
    pool.add(tmp_path, path, artifact)
    stored = tmp_path / "pool" / artifact.pool_path
    stored.write_bytes(b"kontent")
    inode = stored.stat().st_ino
    pool.add(tmp_path, path, artifact)
    assert stored.read_bytes() == b"content"
    assert stored.stat().st_ino != inode  # a reader of the old one is not disturbed
