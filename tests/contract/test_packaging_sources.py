"""Packaging from folders and repositories."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conveyor.errors import RevisionMissing, UpstreamUnreachable, UserError
from conveyor.model.package import Package, PackagingFolder, PackagingRepository, VersionScheme
from conveyor.model.packaging import Packaging
from conveyor.ports import Git, PackagingSource
from conveyor.upstream.mirror import GitMirrors
from conveyor.upstream.packaging import PackagingSources
from tests.fakes.git import FakeGit, FakeUpstream
from tests.support.upstream import GitUpstream, Upstream, git

FAKE_URL = "https://example.org/distgit"


@pytest.fixture
def specs(tmp_path: Path) -> Path:
    """specs/nova and specs/python, the archetype, in no git repository yet."""
    write(tmp_path / "specs" / "nova" / "nova.spec.j2", "Name: nova")
    write(tmp_path / "specs" / "nova" / "debian" / "rules", "#!/usr/bin/make -f").chmod(0o755)
    write(tmp_path / "specs" / "python" / "python.spec.j2", "shared")
    write(tmp_path / "specs" / "other" / "other.spec.j2", "Name: other")
    return tmp_path / "specs"


@pytest.fixture
def source(tmp_path: Path) -> PackagingSource:
    return PackagingSources(GitMirrors(tmp_path / "mirrors"))


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def package(packaging: PackagingFolder | PackagingRepository, archetype: Path | None = None) -> Package:
    return Package(
        name="nova",
        distribution="nova",
        upstream="https://example.org/nova",
        branch="master",
        packaging=packaging,
        archetype=archetype,
        targets=(),
        version_scheme=VersionScheme.PBR,
        maintainers=(),
        component="",
    )


def load(source: PackagingSource, specs: Path, *, archetype: bool = True) -> Packaging:
    return source.load(package(PackagingFolder(path=specs / "nova"), archetype=specs / "python" if archetype else None))


def commit_all(specs: Path) -> None:
    if not (specs / ".git").exists():
        git(specs, "init", "--quiet")
    git(specs, "add", "--all")
    git(specs, "commit", "--quiet", "--allow-empty", "--message", "change")


def test_a_folder(source: PackagingSource, specs: Path) -> None:
    packaging = load(source, specs)
    assert [(file.path, file.content, file.executable) for file in packaging.files] == [
        ("debian/rules", b"#!/usr/bin/make -f", True),
        ("nova.spec.j2", b"Name: nova", False),
    ]
    assert [file.path for file in packaging.shared] == ["python.spec.j2"]
    assert len(packaging.sha) == 40
    assert packaging.release == 1
    assert load(source, specs) == packaging
    assert load(source, specs, archetype=False).shared == ()


def test_hidden_files_and_backups_are_no_packaging(source: PackagingSource, specs: Path) -> None:
    before = load(source, specs)
    for name in (".gitignore", "nova.spec.j2~", ".nova.spec.j2.swp", "debian/.hidden/file", "debian/rules.orig"):
        write(specs / "nova" / name, "x")
    assert load(source, specs) == before


@pytest.mark.parametrize("change", ["content", "mode", "rename", "added", "shared", "moved to shared"])
def test_every_change_changes_the_sha(source: PackagingSource, specs: Path, change: str) -> None:
    before = load(source, specs).sha
    match change:
        case "content":
            write(specs / "nova" / "nova.spec.j2", "Name: nova ")
        case "mode":
            (specs / "nova" / "nova.spec.j2").chmod(0o755)
        case "rename":
            (specs / "nova" / "nova.spec.j2").rename(specs / "nova" / "nova.spec")
        case "added":
            write(specs / "nova" / "empty", "")
        case "shared":
            write(specs / "python" / "python.spec.j2", "other")
        case _:
            (specs / "nova" / "nova.spec.j2").rename(specs / "python" / "nova.spec.j2")
    assert load(source, specs).sha != before


def test_the_release_counts_changes(source: PackagingSource, specs: Path) -> None:
    commit_all(specs)
    assert load(source, specs).release == 2
    write(specs / "other" / "other.spec.j2", "changed")
    assert load(source, specs).release == 2
    commit_all(specs)
    assert load(source, specs).release == 2
    write(specs / "nova" / "nova.spec.j2", "changed")
    assert load(source, specs).release == 3
    commit_all(specs)
    assert load(source, specs).release == 3
    write(specs / "python" / "new", "untracked")
    assert load(source, specs).release == 4
    commit_all(specs)
    assert load(source, specs).release == 4
    assert load(source, specs, archetype=False).release == 3


def test_backups_are_no_change(source: PackagingSource, specs: Path) -> None:
    commit_all(specs)
    write(specs / "nova" / "nova.spec.j2~", "backup")
    assert load(source, specs).release == 2


def test_a_repository_without_a_commit(source: PackagingSource, specs: Path) -> None:
    git(specs, "init", "--quiet")
    assert load(source, specs).release == 2


def test_an_archetype_in_another_repository(source: PackagingSource, specs: Path, tmp_path: Path) -> None:
    commit_all(specs)
    shared = tmp_path / "shared"
    write(shared / "python.spec.j2", "shared")
    commit_all(shared)
    found = source.load(package(PackagingFolder(path=specs / "nova"), archetype=shared))
    assert found.release == 3


def test_the_release_of_merged_branches_does_not_fall(source: PackagingSource, specs: Path) -> None:
    commit_all(specs)
    git(specs, "branch", "--quiet", "side")
    for text in ("two", "three"):
        write(specs / "nova" / "nova.spec.j2", text)
        commit_all(specs)
    before = load(source, specs).release
    git(specs, "checkout", "--quiet", "side")
    write(specs / "nova" / "nova.spec.j2", "three")
    commit_all(specs)
    git(specs, "merge", "--quiet", "--strategy=ours", "--no-edit", "master")
    assert load(source, specs).release > before


def test_packaging_in_a_shallow_clone(source: PackagingSource, specs: Path, tmp_path: Path) -> None:
    commit_all(specs)
    commit_all(specs)
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{specs}", "shallow")
    with pytest.raises(UserError, match="shallow"):
        load(source, tmp_path / "shallow")


def test_loading_leaves_the_repository_alone(source: PackagingSource, specs: Path, tmp_path: Path) -> None:
    commit_all(specs)
    git(specs, "config", "core.fsmonitor", f"touch {tmp_path}/ran; true")
    index = (specs / ".git" / "index").stat().st_mtime_ns
    os.utime(specs / "nova" / "nova.spec.j2")
    assert load(source, specs).release == 2
    assert (specs / ".git" / "index").stat().st_mtime_ns == index
    assert not (tmp_path / "ran").exists()


def test_a_folder_that_is_missing(source: PackagingSource, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        source.load(package(PackagingFolder(path=tmp_path / "missing")))


def test_symbolic_links(source: PackagingSource, specs: Path) -> None:
    (specs / "nova" / "nova.spec").symlink_to("nova.spec.j2")
    assert {file.path: file.content for file in load(source, specs).files}["nova.spec"] == b"Name: nova"
    for target in ("/etc/passwd", "../other/other.spec.j2", "missing", "debian", "loop"):
        link = specs / "nova" / "loop"
        link.symlink_to(target)
        with pytest.raises(UserError, match="symbolic link"):
            load(source, specs)
        link.unlink()


def test_a_name_that_is_not_utf8(source: PackagingSource, specs: Path) -> None:
    write(specs / "nova" / os.fsdecode(b"caf\xe9"), "x")
    with pytest.raises(UserError, match="not UTF-8"):
        load(source, specs)


@pytest.fixture(params=["mirrors", "fake"])
def distgit(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Upstream, str, Git]:
    """A packaging repository with its URL, and the Git that reads it."""
    if request.param == "fake":
        fake = FakeUpstream()
        return fake, FAKE_URL, FakeGit({FAKE_URL: fake})
    real = GitUpstream(tmp_path / "distgit.git")
    return real, real.url, GitMirrors(tmp_path / "mirrors")


def test_a_packaging_repository(distgit: tuple[Upstream, str, Git], specs: Path) -> None:
    upstream, url, mirrors = distgit
    files = {"nova.spec.j2": b"Name: nova", ".gitreview": b"x", "debian/control": b"Source: nova"}
    first = upstream.commit("one", branch="rpm-master", files=files)
    source = PackagingSources(mirrors)
    plain = package(PackagingRepository(url=url, branch="rpm-master"))

    packaging = source.load(plain)
    assert (packaging.sha, packaging.release) == (first, 1)
    assert [file.path for file in packaging.files] == ["debian/control", "nova.spec.j2"]

    second = upstream.commit("two", branch="rpm-master")
    assert (source.load(plain).sha, source.load(plain).release) == (second, 2)

    shared = source.load(package(plain.packaging, archetype=specs / "python"))
    assert shared.release == 2
    assert shared.sha != second
    assert len(shared.sha) == 40
    write(specs / "python" / "python.spec.j2", "changed")
    assert source.load(package(plain.packaging, archetype=specs / "python")).sha != shared.sha


def test_an_earlier_state_of_a_repository(distgit: tuple[Upstream, str, Git], specs: Path) -> None:
    upstream, url, mirrors = distgit
    upstream.commit("one", branch="rpm-master", files={"nova.spec.j2": b"Name: nova"})
    source = PackagingSources(mirrors)
    plain = package(PackagingRepository(url=url, branch="rpm-master"))
    shared = package(plain.packaging, archetype=specs / "python")
    before, shared_before = source.load(plain), source.load(shared)
    upstream.commit("two", branch="rpm-master", files={"nova.spec.j2": b"Name: newer"})
    assert source.load(plain).sha != before.sha

    assert source.at(plain, before.sha) == before
    assert source.at(shared, shared_before.sha) == shared_before
    assert source.at(plain, 40 * "0") is None
    write(specs / "python" / "python.spec.j2", "changed")
    assert source.at(shared, shared_before.sha) is None


def test_a_state_that_the_mirror_lacks_is_fetched(distgit: tuple[Upstream, str, Git]) -> None:
    upstream, url, mirrors = distgit
    upstream.commit("one", branch="rpm-master")
    source = PackagingSources(mirrors)
    plain = package(PackagingRepository(url=url, branch="rpm-master"))
    source.load(plain)
    second = upstream.commit("two", branch="rpm-master")
    found = source.at(plain, second)
    assert found is not None
    assert (found.sha, found.release) == (second, 2)


def test_an_earlier_state_of_a_folder_is_gone(source: PackagingSource, specs: Path) -> None:
    nova = package(PackagingFolder(path=specs / "nova"), archetype=specs / "python")
    before = source.load(nova)
    assert source.at(nova, before.sha) == before
    write(specs / "nova" / "nova.spec.j2", "Name: newer")
    assert source.at(nova, before.sha) is None


def test_a_packaging_repository_that_is_wrong(distgit: tuple[Upstream, str, Git]) -> None:
    upstream, url, mirrors = distgit
    upstream.commit("one")
    source = PackagingSources(mirrors)
    with pytest.raises(RevisionMissing):
        source.load(package(PackagingRepository(url=url, branch="rpm-master")))
    with pytest.raises(UpstreamUnreachable):
        source.load(package(PackagingRepository(url="file:///nowhere/missing.git", branch="master")))


@pytest.fixture
def quick(tmp_path: Path) -> PackagingSource:
    """One that does not wait for folders to be left alone."""
    return PackagingSources(GitMirrors(tmp_path / "mirrors"), settle=0)


def test_the_sha_alone(quick: PackagingSource, specs: Path) -> None:
    folder = PackagingFolder(path=specs / "nova")
    for nova in (package(folder), package(folder, archetype=specs / "python")):
        assert quick.sha(nova, "") == quick.sha(nova, "") == quick.load(nova).sha
        for path, text in (("nova/nova.spec.j2", "Name: novb"), ("python/python.spec.j2", "other"), ("nova/new", "x")):
            write(specs / path, text)
            assert quick.sha(nova, "") == quick.load(nova).sha
        (specs / "nova" / "new").unlink()
        assert quick.sha(nova, "") == quick.load(nova).sha
        (specs / "nova" / "debian" / "rules").chmod(0o644)
        assert quick.sha(nova, "") == quick.load(nova).sha


def test_what_did_not_change_is_not_read_again(
    quick: PackagingSource, specs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nova = package(PackagingFolder(path=specs / "nova"), archetype=specs / "python")
    before = quick.sha(nova, "")
    monkeypatch.setattr("conveyor.upstream.packaging.read_folder", None)
    assert quick.sha(nova, "") == before
    write(specs / "nova" / "nova.spec.j2", "Name: novb")
    with pytest.raises(TypeError):
        quick.sha(nova, "")


def test_a_folder_that_is_being_changed_has_no_sha_yet(tmp_path: Path, specs: Path) -> None:
    nova = package(PackagingFolder(path=specs / "nova"))
    patient = PackagingSources(GitMirrors(tmp_path / "mirrors"), settle=3600)
    assert patient.sha(nova, "") is None
    clock_was_set_back = PackagingSources(GitMirrors(tmp_path / "mirrors"), settle=-1)
    assert clock_was_set_back.sha(nova, "") == patient.load(nova).sha


def test_a_folder_without_a_sha(quick: PackagingSource, specs: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        quick.sha(package(PackagingFolder(path=specs / "gone")), "")
    (specs / "nova" / "link").symlink_to("/etc/passwd")
    with pytest.raises(UserError, match="symbolic link out of"):
        quick.sha(package(PackagingFolder(path=specs / "nova")), "")


def test_the_sha_of_a_repository(distgit: tuple[Upstream, str, Git], specs: Path) -> None:
    upstream, url, mirrors = distgit
    commit = upstream.commit("one", branch="rpm-master", files={"nova.spec.j2": b"Name: nova"})
    source = PackagingSources(mirrors, settle=0)
    plain = package(PackagingRepository(url=url, branch="rpm-master"))
    shared = package(plain.packaging, archetype=specs / "python")
    assert source.sha(plain, commit) == source.load(plain).sha == commit
    assert source.sha(shared, commit) == source.load(shared).sha
    assert source.sha(shared, 40 * "0") not in {source.sha(shared, commit), None}
