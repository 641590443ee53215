"""What every Repository does; then what only the published tree has to: survive processes, kills and full disks."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from conveyor.errors import (
    ArtifactDamaged,
    ConveyorError,
    DiskFull,
    SigningFailed,
    SnapshotDamaged,
    SourceInvalid,
    UnknownName,
)
from conveyor.model.artifact import Artifact, ArtifactKind, Snapshot, SnapshotEntry
from conveyor.ports import IndexWriter, Repository
from conveyor.repository import files
from conveyor.repository.signing.published import Signing
from conveyor.repository.tree import PublishedTree
from tests.fakes.index_writer import FakeIndexWriter
from tests.fakes.repository import FakeRepository
from tests.fakes.signer import FakeSigner
from tests.support.published import commit_id_of, entry_of, plain_artifact, sha_of, snapshot_of

TARGET = "centos-10-x86_64"
ARCHITECTURE = "x86_64"


def published_tree(root: Path) -> PublishedTree:
    return PublishedTree(root, writers={TARGET: FakeIndexWriter()}, base_url="https://trunk.example.org/repos/")


@pytest.fixture(params=["fake", "tree"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Repository:
    root = tmp_path / "repos"
    return FakeRepository(root) if request.param == "fake" else published_tree(root)


@pytest.fixture
def tree(tmp_path: Path) -> PublishedTree:
    return published_tree(tmp_path / "repos")


def make_snapshot(repository: Repository, folder: Path, number: int) -> Snapshot:
    """A snapshot with one small artifact, which is in the pool."""
    path, artifact = plain_artifact(folder, f"nova-{number}.rpm", f"package {number}".encode())
    repository.add(TARGET, path, artifact)
    return snapshot_of(TARGET, ARCHITECTURE, number, entry_of("nova", number, (artifact,)))


class TestEveryRepository:
    def test_an_added_artifact_lies_in_the_pool_under_its_content(self, repository: Repository, tmp_path: Path) -> None:
        path, artifact = plain_artifact(tmp_path, "a~b^1+c.rpm", b"content")
        assert repository.add(TARGET, path, artifact) == artifact
        assert repository.add(TARGET, path, artifact) == artifact
        stored = repository.artifact_path(TARGET, artifact)
        assert stored.read_bytes() == b"content"
        assert stored.parts[-4:] == ("pool", artifact.sha256[:2], artifact.sha256, "a~b^1+c.rpm")

    def test_without_a_key_files_are_published_as_they_are(self, repository: Repository, tmp_path: Path) -> None:
        files = (plain_artifact(tmp_path, "a.rpm", b"content"), plain_artifact(tmp_path, "b.txt", b"text"))
        with repository.signed(TARGET, files) as signed:
            assert signed == files

    def test_the_pool_holds_what_has_the_same_content(self, repository: Repository, tmp_path: Path) -> None:
        path, artifact = plain_artifact(tmp_path, "a.rpm", b"content")
        assert not repository.holds(TARGET, path, artifact)
        repository.add(TARGET, path, artifact)
        assert repository.holds(TARGET, path, artifact)
        path.write_bytes(b"changed")
        assert not repository.holds(TARGET, path, artifact)

    def test_a_snapshot_is_published_under_its_shards(self, repository: Repository, tmp_path: Path) -> None:
        snapshot = make_snapshot(repository, tmp_path, 1)
        folder = repository.publish(snapshot, {"logs/build.log": b"fine\n"})
        sha = sha_of(1)
        assert folder.parts[-4:] == (TARGET, sha[:2], sha[2:4], commit_id_of(1))
        assert folder == repository.snapshot_folder(TARGET, snapshot.commit_id)
        assert (folder / "logs/build.log").read_bytes() == b"fine\n"
        assert (folder / "pool" / snapshot.own.artifacts[0].pool_path).read_bytes() == b"package 1"

    def test_a_published_snapshot_stays_as_it_is(self, repository: Repository, tmp_path: Path) -> None:
        snapshot = make_snapshot(repository, tmp_path, 1)
        folder = repository.publish(snapshot, {"build.log": b"first\n"})
        assert repository.publish(snapshot, {"build.log": b"second\n"}) == folder
        assert (folder / "build.log").read_bytes() == b"first\n"

    def test_pointers_move(self, repository: Repository, tmp_path: Path) -> None:
        assert repository.pointed(TARGET, "current") is None
        for number in (1, 2, 1):
            repository.publish(make_snapshot(repository, tmp_path, number), {})
            repository.point(TARGET, "current", commit_id_of(number))
            assert repository.pointed(TARGET, "current") == commit_id_of(number)
        assert repository.pointed(TARGET, "consistent") is None

    def test_all_pointers_are_told(self, repository: Repository, tmp_path: Path) -> None:
        assert repository.pointers(TARGET) == {}
        for number, pointer in [(1, "tested"), (2, "current"), (1, "consistent")]:
            repository.publish(make_snapshot(repository, tmp_path, number), {})
            repository.point(TARGET, pointer, commit_id_of(number))
        told = {"consistent": commit_id_of(1), "current": commit_id_of(2), "tested": commit_id_of(1)}
        assert list(repository.pointers(TARGET).items()) == list(told.items())

    def test_a_snapshot_says_what_it_holds(self, repository: Repository, tmp_path: Path) -> None:
        with pytest.raises(UnknownName, match="no repository of commit"):
            repository.manifest(TARGET, commit_id_of(1))
        snapshot = make_snapshot(repository, tmp_path, 1)
        repository.publish(snapshot, {})
        manifest = repository.manifest(TARGET, snapshot.commit_id)
        assert (manifest.target, manifest.commit, manifest.package) == (TARGET, snapshot.commit_id, "nova")
        assert manifest.own.artifacts == snapshot.own.artifacts

    def test_a_pointer_to_nothing_is_refused(self, repository: Repository) -> None:
        with pytest.raises(UnknownName):
            repository.point(TARGET, "current", commit_id_of(1))
        assert repository.pointed(TARGET, "current") is None

    def test_the_trunk_is_the_current_snapshot(self, repository: Repository, tmp_path: Path) -> None:
        assert repository.trunk(TARGET, ()) is None
        snapshot = make_snapshot(repository, tmp_path, 1)
        folder = repository.publish(snapshot, {})
        repository.point(TARGET, "current", snapshot.commit_id)
        trunk = repository.trunk(TARGET, snapshot.own.artifacts)
        assert trunk is not None
        assert trunk.folder / trunk.snapshot == folder
        assert trunk.binaries == snapshot.own.artifacts

    def test_one_thread_writes_at_a_time(self, repository: Repository) -> None:
        inside, most = 0, 0

        def work() -> None:
            nonlocal inside, most
            with repository.writing(TARGET):
                inside += 1
                most = max(most, inside)
                time.sleep(0.01)
                inside -= 1

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert most == 1

    def test_cleaning_keeps_what_is_published(self, repository: Repository, tmp_path: Path) -> None:
        snapshot = make_snapshot(repository, tmp_path, 1)
        repository.clean()
        folder = repository.publish(snapshot, {})
        repository.point(TARGET, "current", snapshot.commit_id)
        repository.clean()
        assert folder.is_dir()
        assert repository.pointed(TARGET, "current") == snapshot.commit_id


class TestNames:
    @pytest.mark.parametrize(
        "commit_id",
        [
            "",
            "..",
            "../../etc",
            "-" * 49,
            sha_of(1),
            f"{sha_of(1)}_cccccccc/x",
            f"{sha_of(1)}_cccccccc_..",
            f"{sha_of(1)}_cccccccc\n",
            f"{sha_of(1).upper()}_cccccccc",
        ],
    )
    def test_a_strange_commit_id_is_refused(self, tree: PublishedTree, commit_id: str) -> None:
        with pytest.raises(UnknownName):
            tree.snapshot_folder(TARGET, commit_id)

    @pytest.mark.parametrize(
        "pointer", ["", ".", "..", ".lock", "-x", "a/b", "pool", "ab", "a\nb", "a b", "a.asc", "x" * 101]
    )
    def test_a_strange_pointer_is_refused(self, tree: PublishedTree, pointer: str, tmp_path: Path) -> None:
        snapshot = make_snapshot(tree, tmp_path, 1)
        tree.publish(snapshot, {})
        with pytest.raises(UnknownName):
            tree.point(TARGET, pointer, snapshot.commit_id)

    @pytest.mark.parametrize("target", ["", "..", "../x", ".x", "-x", "a/b", "a\0b"])
    def test_a_strange_target_is_refused(self, tree: PublishedTree, target: str) -> None:
        with pytest.raises(UnknownName):
            tree.pointed(target, "current")

    @pytest.mark.parametrize("filename", ["", "..", "../x.rpm", "/etc/passwd", "-x.rpm", ".x", "a b", "a\nb", "a;b"])
    def test_a_strange_file_name_is_refused(self, tree: PublishedTree, filename: str, tmp_path: Path) -> None:
        path, artifact = plain_artifact(tmp_path, "x.rpm", b"content")
        strange = Artifact(
            filename=filename,
            sha256=artifact.sha256,
            size=artifact.size,
            kind=artifact.kind,
            name="x",
            version="",
            architecture="",
        )
        with pytest.raises(SourceInvalid):
            tree.add(TARGET, path, strange)
        with pytest.raises(SourceInvalid):
            tree.publish(snapshot_of(TARGET, ARCHITECTURE, 1, entry_of("nova", 1, (strange,))), {})

    @pytest.mark.parametrize(
        "path", ["", "/x", "../x", "logs/../../x", "a//b", "commit.yaml", "pool/x", "metadata/index", "conveyor.client"]
    )
    def test_an_extra_cannot_leave_or_replace(self, tree: PublishedTree, path: str, tmp_path: Path) -> None:
        snapshot = make_snapshot(tree, tmp_path, 1)
        with pytest.raises(SourceInvalid):
            tree.publish(snapshot, {path: b"evil"})
        assert not tree.snapshot_folder(TARGET, snapshot.commit_id).exists()
        assert_nothing_temporary(tmp_path)


def assert_nothing_temporary(folder: Path) -> None:
    assert list(folder.rglob(".tmp-*")) == []


class TestPool:
    def test_other_content_than_announced_is_refused(self, tree: PublishedTree, tmp_path: Path) -> None:
        path, artifact = plain_artifact(tmp_path, "x.rpm", b"content")
        path.write_bytes(b"changed")
        with pytest.raises(ConveyorError, match="not what it was"):
            tree.add(TARGET, path, artifact)
        assert not tree.artifact_path(TARGET, artifact).exists()
        assert_nothing_temporary(tmp_path)

    def test_a_symlink_out_of_the_results_is_refused(self, tree: PublishedTree, tmp_path: Path) -> None:
        path, artifact = plain_artifact(tmp_path, "x.rpm", b"content")
        link = tmp_path / "link.rpm"
        link.symlink_to(path)
        with pytest.raises(SourceInvalid, match="regular file"):
            tree.add(TARGET, link, artifact)

    @pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
    def test_what_is_no_file_is_refused(self, tree: PublishedTree, tmp_path: Path, make: object) -> None:
        path, artifact = plain_artifact(tmp_path, "x.rpm", b"content")
        path.unlink()
        assert callable(make)
        make(path)
        with pytest.raises(SourceInvalid, match="regular file"):
            tree.add(TARGET, path, artifact)

    def test_a_torn_file_is_replaced(self, tree: PublishedTree, tmp_path: Path) -> None:
        path, artifact = plain_artifact(tmp_path, "x.rpm", b"content")
        stored = tree.artifact_path(TARGET, artifact)
        stored.parent.mkdir(parents=True)
        stored.write_bytes(b"con")
        tree.add(TARGET, path, artifact)
        assert stored.read_bytes() == b"content"

    def test_a_snapshot_of_what_the_pool_lacks_is_refused(self, tree: PublishedTree, tmp_path: Path) -> None:
        _, artifact = plain_artifact(tmp_path, "x.rpm", b"content")
        with pytest.raises(ConveyorError, match=r"lacks x\.rpm"):
            tree.publish(snapshot_of(TARGET, ARCHITECTURE, 1, entry_of("nova", 1, (artifact,))), {})

    @pytest.mark.parametrize("lost", [Path.unlink, lambda path: os.truncate(path, 3)], ids=["missing", "cut off"])
    def test_what_the_pool_has_lost_since_the_last_snapshot_is_refused(
        self, tree: PublishedTree, tmp_path: Path, lost: Callable[[Path], None]
    ) -> None:
        glance, nova = (make_snapshot(tree, tmp_path, number).own for number in (1, 2))
        glance = replace(glance, package="glance")
        tree.publish(snapshot_of(TARGET, ARCHITECTURE, 1, nova, glance), {})
        lost(tree.artifact_path(TARGET, glance.artifacts[0]))
        with pytest.raises(ArtifactDamaged, match=r"lacks nova-1\.rpm of glance"):
            tree.publish(snapshot_of(TARGET, ARCHITECTURE, 3, nova, glance), {})
        tree.add(TARGET, tmp_path / "nova-1.rpm", glance.artifacts[0])
        tree.publish(snapshot_of(TARGET, ARCHITECTURE, 3, nova, glance), {})


class TestTree:
    def test_it_is_readable_by_all_whatever_the_umask(self, tree: PublishedTree, tmp_path: Path) -> None:
        old = os.umask(0o077)
        try:
            snapshot = make_snapshot(tree, tmp_path, 1)
            tree.publish(snapshot, {"logs/build.log": b"fine\n"})
            with tree.writing(TARGET):
                tree.point(TARGET, "current", snapshot.commit_id)
        finally:
            os.umask(old)
        root = tmp_path / "repos"
        for path in [root, *root.rglob("*")]:
            if path.is_symlink() or path.name.startswith("."):
                continue
            wanted = 0o755 if path.is_dir() else 0o644
            assert stat.S_IMODE(path.stat().st_mode) == wanted, path

    def test_a_pointer_is_a_relative_symlink(self, tree: PublishedTree, tmp_path: Path) -> None:
        snapshot = make_snapshot(tree, tmp_path, 1)
        tree.publish(snapshot, {})
        tree.point(TARGET, "current", snapshot.commit_id)
        sha = sha_of(1)
        assert str((tmp_path / "repos" / TARGET / "current").readlink()) == f"{sha[:2]}/{sha[2:4]}/{commit_id_of(1)}"

    def test_a_damaged_manifest_is_named(self, tree: PublishedTree, tmp_path: Path) -> None:
        snapshot = make_snapshot(tree, tmp_path, 1)
        (tree.publish(snapshot, {}) / "manifest.json").write_bytes(b"{")
        with pytest.raises(SnapshotDamaged, match=snapshot.commit_id):
            tree.manifest(TARGET, snapshot.commit_id)

    def test_links_that_are_no_pointers_are_left_out(self, tree: PublishedTree, tmp_path: Path) -> None:
        snapshot = make_snapshot(tree, tmp_path, 1)
        tree.publish(snapshot, {})
        tree.point(TARGET, "current", snapshot.commit_id)
        (tmp_path / "repos" / TARGET / "elsewhere").symlink_to("/srv/other")
        (tmp_path / "repos" / TARGET / "-x").symlink_to("current")
        assert list(tree.pointers(TARGET)) == ["current"]

    def test_the_client_file_has_the_immutable_url(self, tree: PublishedTree, tmp_path: Path) -> None:
        snapshot = make_snapshot(tree, tmp_path, 1)
        folder = tree.publish(snapshot, {})
        sha = sha_of(1)
        url = f"https://trunk.example.org/repos/{TARGET}/{sha[:2]}/{sha[2:4]}/{commit_id_of(1)}"
        assert url in (folder / "conveyor.client").read_text()
        name, text = tree.client_file(TARGET, "current")
        assert name == "conveyor.client"
        assert f"https://trunk.example.org/repos/{TARGET}/current\n" in text

    def test_a_signed_snapshot_has_its_signatures_and_keys_or_is_not_there(self, tmp_path: Path) -> None:
        signer = FakeSigner()
        signing = Signing(signer=signer, packages={})
        writers: dict[str, IndexWriter] = {TARGET: FakeIndexWriter()}
        tree = PublishedTree(tmp_path / "repos", writers=writers, base_url="https://x.org", signing=signing)
        signer.locked = True
        snapshot = make_snapshot(tree, tmp_path, 1)
        before = sorted((tmp_path / "repos").rglob("*"))
        with pytest.raises(SigningFailed):
            tree.publish(snapshot, {})
        assert sorted((tmp_path / "repos").rglob("*")) == before
        signer.locked = False
        folder = tree.publish(snapshot, {})
        index = (folder / "metadata/index").read_bytes()
        assert (folder / "metadata/index.asc").read_bytes() == signer.sign(index)
        assert (folder / "metadata/index.signed").read_bytes() == signer.clear_sign(index)
        for keys in (folder / "conveyor.asc", tmp_path / "repos" / TARGET / "conveyor.asc"):
            assert keys.read_bytes() == signer.public_keys
        assert f"{commit_id_of(1)}/conveyor.asc" in (folder / "conveyor.client").read_text()

    def test_a_package_s_signature_is_looked_for_once(self, tmp_path: Path) -> None:
        packages = _SignedByName()
        signing = Signing(signer=FakeSigner(), packages={FakeIndexWriter.format: packages})
        writers: dict[str, IndexWriter] = {TARGET: FakeIndexWriter()}
        tree = PublishedTree(tmp_path / "repos", writers=writers, base_url="https://x.org", signing=signing)
        parts = {}
        for name in ("signed-a", "signed-b", "plain", "signed-c"):
            path, artifact = plain_artifact(tmp_path, name, name.encode())
            parts[name] = tree.add(TARGET, path, replace(artifact, kind=ArtifactKind.BINARY))
        for number, (listed, demanded) in enumerate(
            [
                (["signed-a"], True),
                (["signed-a", "signed-b"], True),
                (["signed-a", "plain", "signed-b"], False),
                (["signed-a", "signed-c"], True),
                (["plain"], False),
            ],
            start=1,
        ):
            entry = entry_of("nova", number, tuple(parts[name] for name in listed))
            folder = tree.publish(snapshot_of(TARGET, ARCHITECTURE, number, entry), {})
            assert f"packages={demanded}" in (folder / "conveyor.client").read_text()
        assert packages.asked == ["signed-a", "signed-b", "plain", "signed-c", "plain"]

    def test_an_unknown_target_is_named(self, tree: PublishedTree) -> None:
        with pytest.raises(UnknownName, match="fedora-99"):
            tree.client_file("fedora-99", "current")

    def test_two_trees_are_the_same_bytes(self, tmp_path: Path) -> None:
        contents = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            tree = published_tree(tmp_path / name / "repos")
            for number in (1, 2):
                snapshot = make_snapshot(tree, tmp_path / name, number)
                tree.publish(snapshot, {"build.log": b"fine\n"})
                tree.point(TARGET, "current", snapshot.commit_id)
            contents.append(content_of(tmp_path / name / "repos"))
        assert contents[0] == contents[1]
        assert len(contents[0]) > 10

    def test_a_tree_that_has_published_others_writes_the_same_bytes(self, tmp_path: Path) -> None:
        root, again = tmp_path / "repos", tmp_path / "again"
        again.mkdir()
        tree = published_tree(root)
        entries: dict[str, SnapshotEntry] = {}
        for number, package in enumerate(["nova", "glance", "nova", "keystone", "glance", "nova"], start=1):
            parts = [plain_artifact(tmp_path, f"{package}-{number}{end}", b"%d" % number) for end in (".a", ".b")]
            # Of what was published before, some is failing now, and some is mended.
            entries = {name: replace(entry, latest_succeeded=number % 2 == 0) for name, entry in entries.items()}
            entries[package] = entry_of(package, number, tuple(artifact for _, artifact in parts))
            others = [entry for name, entry in entries.items() if name != package]
            snapshot = snapshot_of(TARGET, ARCHITECTURE, number, entries[package], *others)
            for path, artifact in parts:
                tree.add(TARGET, path, artifact)
                published_tree(again / "repos").add(TARGET, path, artifact)
            tree.publish(snapshot, {})
            published_tree(again / "repos").publish(snapshot, {})
        assert content_of(root) == content_of(again / "repos")
        assert b"FAILED" in b"".join(path.read_bytes() for path in root.rglob("versions.csv"))

    def test_a_reader_of_the_snapshot_before_finds_its_metadata(self, tree: PublishedTree, tmp_path: Path) -> None:
        current = tmp_path / "repos" / TARGET / "current"
        wanted: list[str] = []
        for number in range(6):
            snapshot = make_snapshot(tree, tmp_path, number)
            tree.publish(snapshot, {})
            tree.point(TARGET, "current", snapshot.commit_id)
            wanted.append((current / "metadata/index").read_text())
            assert all((current / "metadata" / name).is_file() for name in wanted)
        assert len(set(wanted)) == 6

    def test_what_is_carried_along_stays_bounded(self, tree: PublishedTree, tmp_path: Path) -> None:
        for number in range(25):
            snapshot = make_snapshot(tree, tmp_path, number)
            tree.publish(snapshot, {})
            tree.point(TARGET, "current", snapshot.commit_id)
        metadata = tmp_path / "repos" / TARGET / "current" / "metadata"
        assert len(list(metadata.glob("*-list"))) == 17

    def test_left_over_temporaries_do_not_block_and_are_cleaned(self, tree: PublishedTree, tmp_path: Path) -> None:
        snapshot = make_snapshot(tree, tmp_path, 1)
        abandoned = tmp_path / "repos" / TARGET / ".tmp-abandoned"
        (abandoned / "snapshot").mkdir(parents=True)
        tree.publish(snapshot, {})
        tree.point(TARGET, "current", snapshot.commit_id)
        tree.clean()
        assert_nothing_temporary(tmp_path)

    def test_cleaning_spares_what_a_living_writer_holds(self, tree: PublishedTree, tmp_path: Path) -> None:
        make_snapshot(tree, tmp_path, 1)
        with files.temporary_folder(tmp_path / "repos" / TARGET) as held:
            tree.clean()
            assert held.is_dir()
        assert not held.exists()


class _SignedByName:
    """The port PackageSigner on files whose names say whether they are signed."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def sign(self, paths: Sequence[Path]) -> None:
        raise NotImplementedError

    def has_signature(self, path: Path) -> bool:
        self.asked.append(path.name)
        return path.name.startswith("signed")


def content_of(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


FORK = multiprocessing.get_context("fork")


def write_round(root: Path, scratch: Path, numbers: range) -> None:
    """One writer: publishes and points, as the pipeline does."""
    tree = published_tree(root)
    scratch.mkdir()
    for number in numbers:
        snapshot = make_snapshot(tree, scratch, number)
        with tree.writing(TARGET):
            tree.publish(snapshot, {"build.log": b"fine\n" * 100})
            tree.point(TARGET, "current", snapshot.commit_id)


def read_once(current: Path) -> str:
    """What a client does: the entry file, then what it names, each through the pointer."""
    name = (current / "metadata/index").read_text()
    for line in (current / "metadata" / name).read_text().splitlines():
        path, size = line.split()
        assert (current / "pool" / path).stat().st_size == int(size)
    return name


class TestProcesses:
    def test_a_reader_never_meets_a_missing_file(self, tree: PublishedTree, tmp_path: Path) -> None:
        first = make_snapshot(tree, tmp_path, 0)
        tree.publish(first, {})
        tree.point(TARGET, "current", first.commit_id)
        root = tmp_path / "repos"
        writers = [
            FORK.Process(target=write_round, args=(root, tmp_path / f"w{n}", range(100 * n, 100 * n + 25)))
            for n in (1, 2, 3)
        ]
        for writer in writers:
            writer.start()
        seen = set()
        while any(writer.is_alive() for writer in writers):
            seen.add(read_once(root / TARGET / "current"))
        for writer in writers:
            writer.join()
        assert [writer.exitcode for writer in writers] == [0, 0, 0]
        assert len(seen) > 3
        assert all(tree.snapshot_folder(TARGET, commit_id_of(100 * n + 24)).is_dir() for n in (1, 2, 3))
        assert_nothing_temporary(root)

    def test_one_process_writes_at_a_time(self, tree: PublishedTree, tmp_path: Path) -> None:
        make_snapshot(tree, tmp_path, 0)
        with tree.writing(TARGET):
            writer = FORK.Process(target=write_round, args=(tmp_path / "repos", tmp_path / "w", range(1, 2)))
            writer.start()
            writer.join(0.3)
            assert writer.is_alive()
            assert tree.pointed(TARGET, "current") is None
        writer.join()
        assert tree.pointed(TARGET, "current") == commit_id_of(1)

    def test_two_publish_the_same_snapshot_at_once(self, tmp_path: Path) -> None:
        tree = published_tree(tmp_path / "repos")
        snapshot = make_snapshot(tree, tmp_path, 1)
        folders: list[Path] = []
        threads = [threading.Thread(target=lambda: folders.append(tree.publish(snapshot, {}))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert folders == [tree.snapshot_folder(TARGET, snapshot.commit_id)] * 4
        assert_nothing_temporary(tmp_path)

    def test_kill_at_any_point_leaves_nothing_that_blocks(self, tmp_path: Path) -> None:
        whole = without_carried(content_of_round(tmp_path / "whole"))
        chance = random.Random(20240101)
        killed = 0
        for attempt in range(30):
            base = tmp_path / f"attempt{attempt}"
            base.mkdir()
            child = FORK.Process(target=write_round, args=(base / "repos", base / "w", range(3)))
            child.start()
            time.sleep(chance.uniform(0, 0.06))
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
            child.join()
            killed += child.exitcode == -signal.SIGKILL
            assert_every_snapshot_is_whole(base / "repos")
            published_tree(base / "repos").clean()
            assert_nothing_temporary(base)
            write_round(base / "repos", base / "again", range(3))
            assert without_carried(content_of(base / "repos")) == whole
        assert killed > 5


def content_of_round(base: Path) -> dict[str, bytes]:
    base.mkdir()
    write_round(base / "repos", base / "w", range(3))
    return content_of(base / "repos")


def without_carried(content: dict[str, bytes]) -> dict[str, bytes]:
    """Less the metadata that pointers carry along: it depends on their moves, and the second round repeats some."""
    own = {str(Path(path).with_name(text.decode())) for path, text in content.items() if path.endswith("/index")}
    return {path: text for path, text in content.items() if not path.endswith("-list") or path in own}


def assert_every_snapshot_is_whole(root: Path) -> None:
    for number in range(3):
        folder = published_tree(root).snapshot_folder(TARGET, commit_id_of(number))
        if folder.exists():
            assert (folder / "build.log").read_bytes() == b"fine\n" * 100
            read_once(folder)
    if published_tree(root).pointed(TARGET, "current"):
        read_once(root / TARGET / "current")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    mountpoint = tmp_path / "disk"
    mountpoint.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(mountpoint)], check=False)
    if mounted.returncode != 0:
        pytest.skip("this machine does not allow to mount a tmpfs")
    try:
        yield mountpoint
    finally:
        subprocess.run(["umount", str(mountpoint)], check=True)


class TestFullDisk:
    def test_an_artifact_that_does_not_fit(self, small_disk: Path, tmp_path: Path) -> None:
        tree = published_tree(small_disk / "repos")
        path, artifact = plain_artifact(tmp_path, "big.rpm", os.urandom(5 << 20))
        with pytest.raises(DiskFull, match=r"no room left on the disk while writing big\.rpm") as raised:
            tree.add(TARGET, path, artifact)
        assert "No space left" in raised.value.summary
        assert raised.value.hint
        assert not tree.artifact_path(TARGET, artifact).exists()
        assert_nothing_temporary(small_disk)

    def test_a_snapshot_that_does_not_fit(self, small_disk: Path, tmp_path: Path) -> None:
        tree = published_tree(small_disk / "repos")
        first, second = (make_snapshot(tree, tmp_path, number) for number in (1, 2))
        tree.publish(first, {})
        tree.point(TARGET, "current", first.commit_id)
        with pytest.raises(DiskFull, match="the repository of nova"):
            tree.publish(second, {"build.log": os.urandom(5 << 20)})
        assert not tree.snapshot_folder(TARGET, second.commit_id).exists()
        assert_nothing_temporary(small_disk)
        assert tree.pointed(TARGET, "current") == first.commit_id
        tree.publish(second, {"build.log": b"fits"})
