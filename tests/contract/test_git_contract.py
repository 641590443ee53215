"""What every `Git` does, the real one and the fake."""

from __future__ import annotations

import gzip
import io
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from conveyor.errors import RevisionMissing, UpstreamEmpty, UpstreamUnreachable
from conveyor.ports import Git
from conveyor.upstream.mirror import GitMirrors
from tests.fakes.git import FakeGit, FakeUpstream
from tests.support.upstream import FIRST_COMMIT_AT, GitUpstream, Upstream

NOWHERE = "file:///nowhere/missing.git"


@dataclass(frozen=True, kw_only=True)
class World:
    """An upstream, its URL, and the port that is to read it."""

    upstream: Upstream
    url: str
    git: Git


@pytest.fixture(params=["mirrors", "fake"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    if request.param == "fake":
        fake = FakeUpstream()
        return World(upstream=fake, url="https://example.org/fake", git=FakeGit({"https://example.org/fake": fake}))
    real = GitUpstream(tmp_path / "openstack" / "real.git")
    return World(upstream=real, url=real.url, git=GitMirrors(tmp_path / "mirrors", limit=30, fetch_limit=30))


def unpacked(path: Path) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(path.read_bytes()))) as archive:
        return {member.name: file.read() for member in archive if (file := archive.extractfile(member)) is not None}


def test_an_upstream_that_is_not_there(world: World) -> None:
    with pytest.raises(UpstreamUnreachable):
        world.git.update(NOWHERE)


def test_an_empty_upstream(world: World) -> None:
    world.git.update(world.url)
    with pytest.raises(UpstreamEmpty):
        world.git.resolve(world.url, "master")


def test_names_of_a_commit(world: World) -> None:
    first = world.upstream.commit("one")
    second = world.upstream.commit("two")
    world.upstream.tag("1.0", first)
    world.upstream.tag("light", first, annotated=False)
    world.upstream.tag("master", first)
    world.git.update(world.url)

    assert world.git.resolve(world.url, "master") == second
    assert world.git.resolve(world.url, "1.0") == first
    assert world.git.resolve(world.url, "light") == first
    assert world.git.resolve(world.url, first) == first
    assert world.git.resolve(world.url, second[:12]) == second


def test_a_name_that_is_not_there(world: World) -> None:
    world.upstream.commit("one", branch="stable")
    world.git.update(world.url)
    with pytest.raises(RevisionMissing) as caught:
        world.git.resolve(world.url, "stabel")
    assert "stable" in caught.value.hint


def test_a_mirror_is_made_when_it_is_asked(world: World) -> None:
    sha = world.upstream.commit("one")
    assert world.git.resolve(world.url, "master") == sha


def test_a_mirror_changes_with_update_alone(world: World) -> None:
    first = world.upstream.commit("one")
    world.git.update(world.url)
    second = world.upstream.commit("two")
    assert world.git.resolve(world.url, "master") == first
    world.git.update(world.url)
    assert world.git.resolve(world.url, "master") == second


def test_commits_oldest_first(world: World) -> None:
    shas = [world.upstream.commit(f"commit {number}") for number in range(4)]
    world.git.update(world.url)

    every = world.git.commits(world.url, tip=shas[3], after=None, limit=10)
    assert [commit.sha for commit in every] == shas
    assert every[1].subject == "commit 1"
    assert every[1].author == "Ada"
    assert every[1].committed_at == datetime.fromtimestamp(FIRST_COMMIT_AT + 60, UTC)
    newest = world.git.commits(world.url, tip=shas[3], after=None, limit=2)
    assert [commit.sha for commit in newest] == shas[2:]
    later = world.git.commits(world.url, tip=shas[3], after=shas[1], limit=10)
    assert [commit.sha for commit in later] == shas[2:]
    assert world.git.commits(world.url, tip=shas[3], after=shas[3], limit=10) == ()


def test_commits_follow_the_first_parent(world: World) -> None:
    base = world.upstream.commit("base")
    side = world.upstream.commit("side", branch="topic", parents=[base])
    main = world.upstream.commit("main")
    merge = world.upstream.commit("merge", parents=[main, side])
    world.git.update(world.url)
    found = world.git.commits(world.url, tip=merge, after=base, limit=10)
    assert [commit.sha for commit in found] == [main, merge]


def test_a_force_push_bounds_nothing(world: World) -> None:
    base = world.upstream.commit("base")
    dropped = world.upstream.commit("dropped")
    world.git.update(world.url)
    world.upstream.set_branch("master", base)
    new = world.upstream.commit("new")
    world.git.update(world.url)

    tip = world.git.resolve(world.url, "master")
    found = world.git.commits(world.url, tip=tip, after=dropped, limit=10)
    assert [commit.sha for commit in found] == [base, new]
    unknown = world.git.commits(world.url, tip=tip, after="1" * 40, limit=10)
    assert [commit.sha for commit in unknown] == [base, new]
    # A build of what was dropped may still be queued.
    assert world.git.resolve(world.url, dropped) == dropped


def test_what_is_in_the_history_of_a_commit(world: World) -> None:
    base = world.upstream.commit("base")
    side = world.upstream.commit("side", branch="topic", parents=[base])
    main = world.upstream.commit("main")
    merge = world.upstream.commit("merge", parents=[main, side])
    assert world.git.contains(world.url, tip=merge, sha=base) is None
    world.git.update(world.url)
    assert all(world.git.contains(world.url, tip=merge, sha=sha) for sha in (base, side, main, merge))
    assert world.git.contains(world.url, tip=main, sha=side) is False
    assert world.git.contains(world.url, tip=base, sha=merge) is False
    assert world.git.contains(world.url, tip=merge, sha="1" * 40) is False
    assert world.git.contains(world.url, tip=merge, sha="--all") is False
    for tip in ("1" * 40, "master", "--all", ""):
        assert world.git.contains(world.url, tip=tip, sha=base) is None
    assert world.git.contains(NOWHERE, tip=merge, sha=base) is None


def test_where_two_commits_part(world: World) -> None:
    base = world.upstream.commit("base")
    old = world.upstream.commit("old")
    new = world.upstream.commit("new", parents=[base])
    merge = world.upstream.commit("merge", parents=[new, old])
    other = world.upstream.commit("other", branch="orphan", parents=[])
    world.git.update(world.url)
    assert world.git.merge_base(world.url, one=old, other=new) == base
    assert world.git.merge_base(world.url, one=old, other=base) == base
    assert world.git.merge_base(world.url, one=merge, other=old) == old
    assert world.git.merge_base(world.url, one=old, other=other) is None
    for unknown in ("1" * 40, "master", "--all", ""):
        assert world.git.merge_base(world.url, one=old, other=unknown) is None
        assert world.git.merge_base(world.url, one=unknown, other=old) is None


def test_what_a_repository_has(world: World) -> None:
    assert (world.git.refs(world.url).branches, world.git.refs(world.url).tags) == ({}, {})
    first = world.upstream.commit("one")
    second = world.upstream.commit("two")
    world.upstream.set_branch("stable/1", first)
    world.upstream.tag("1.0", first)
    world.upstream.tag("light", second, annotated=False)
    found = world.git.refs(world.url)
    assert (found.branches, found.tags) == ({"master": second, "stable/1": first}, {"1.0": first, "light": second})
    assert world.git.refs(world.url, branches=["master", "gone"]).branches == {"master": second}
    assert world.git.refs(world.url, tags=False).tags == {}
    world.upstream.delete_branch("stable/1")
    assert world.git.refs(world.url).branches == {"master": second}
    with pytest.raises(UpstreamUnreachable):
        world.git.refs(NOWHERE)


def test_the_tags_of_a_mirror_are_those_that_were_fetched(world: World) -> None:
    assert world.git.tags(world.url) == {}
    first = world.upstream.commit("one")
    second = world.upstream.commit("two")
    world.upstream.tag("1.0", first)
    world.upstream.tag("$(reboot)", second, annotated=False)
    assert world.git.tags(world.url) == {}
    world.git.update(world.url)
    assert world.git.tags(world.url) == {"1.0": first, "$(reboot)": second}
    world.upstream.tag("1.0", second)
    world.git.update(world.url)
    assert world.git.tags(world.url)["1.0"] == second


def test_a_branch_that_is_deleted(world: World) -> None:
    sha = world.upstream.commit("one")
    world.upstream.set_branch("topic", sha)
    world.git.update(world.url)
    world.upstream.delete_branch("topic")
    world.upstream.commit("inside", branch="topic/inside")
    world.git.update(world.url)
    with pytest.raises(RevisionMissing):
        world.git.resolve(world.url, "topic")


def test_history_without_a_tag(world: World) -> None:
    first = world.upstream.commit("one", body="Sem-Ver: feature")
    second = world.upstream.commit("two")
    world.upstream.tag("newton-eol", first)
    history = world.git.history(world.url, second)
    assert (history.tag, history.tag_version, history.commits_since) == (None, None, 2)
    assert history.footers == ("feature",)
    assert history.ignored_tags == ("newton-eol",)
    assert history.commit.sha == second


def test_history_at_a_tag(world: World) -> None:
    sha = world.upstream.commit("one", body="Sem-Ver: feature")
    world.upstream.tag("v1.0.0", sha, annotated=False)
    world.upstream.tag("1.0.0rc1", sha)
    history = world.git.history(world.url, sha)
    assert (history.tag, history.tag_version, history.commits_since) == ("v1.0.0", "1.0.0", 0)
    assert history.footers == ()


def test_history_since_a_tag(world: World) -> None:
    old = world.upstream.commit("old")
    world.upstream.tag("0.9", old)
    world.upstream.tag("old-and-forgotten", old)
    tagged = world.upstream.commit("tagged")
    world.upstream.tag("1.0", tagged)
    world.upstream.commit("one", body="Text first.\n\nSem-Ver: api-break, feature\nChange-Id: I1")
    tip = world.upstream.commit("two", body="sem-ver:bugfix")
    world.upstream.tag("$(reboot)", tip)
    later = world.upstream.commit("later")
    world.upstream.tag("2.0", later)

    history = world.git.history(world.url, tip)
    assert (history.tag, history.tag_version, history.commits_since) == ("1.0", "1.0", 2)
    assert history.footers == ("api-break", "bugfix", "feature")
    assert history.ignored_tags == ("$(reboot)",)


def test_history_counts_what_was_merged(world: World) -> None:
    base = world.upstream.commit("base")
    tagged = world.upstream.commit("tagged")
    world.upstream.tag("1.0", tagged)
    side = world.upstream.commit("side", branch="topic", parents=[base])
    merge = world.upstream.commit("merge", parents=[tagged, side])
    assert world.git.history(world.url, merge).commits_since == 2


def test_history_takes_the_highest_of_the_nearest_tags(world: World) -> None:
    base = world.upstream.commit("base")
    world.upstream.tag("2015.1.0", base)
    new = world.upstream.commit("new numbering")
    world.upstream.tag("12.0.0", new)
    stable = world.upstream.commit("stable", branch="stable", parents=[new])
    world.upstream.tag("12.0.1", stable)
    main = world.upstream.commit("main", parents=[new])
    world.upstream.tag("13.0.0", main)
    merge = world.upstream.commit("merge", parents=[main, stable])
    history = world.git.history(world.url, merge)
    # The merge itself, and what the stable branch brings along.
    assert (history.tag, history.commits_since) == ("13.0.0", 2)


def test_history_forgets_an_old_numbering(world: World) -> None:
    world.upstream.tag("2015.1.0", world.upstream.commit("base"))
    world.upstream.tag("12.0.0", world.upstream.commit("new numbering"))
    assert world.git.history(world.url, world.upstream.commit("tip")).tag == "12.0.0"


def test_files(world: World) -> None:
    sha = world.upstream.commit("one", files={"z": b"", "a/b.py": b"", 'caf\u00e9 "x"'.replace('"', ""): b""})
    assert world.git.files(world.url, sha) == ("a/b.py", "caf\u00e9 x", "z")


def test_archive(world: World, tmp_path: Path) -> None:
    sha = world.upstream.commit("one", files={"a/b.py": b"code", "PKG-INFO": b"old"})
    extra = {"PKG-INFO": b"new", "x.egg-info/SOURCES.txt": b"a\n" * 10_000}
    for name in ("one", "two"):
        world.git.archive(world.url, sha, prefix="nova-1.0", extra=extra, into=tmp_path / name)
    assert unpacked(tmp_path / "one") == {
        "nova-1.0/PKG-INFO": b"new",
        "nova-1.0/a/b.py": b"code",
        "nova-1.0/x.egg-info/SOURCES.txt": b"a\n" * 10_000,
    }
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_read(world: World) -> None:
    sha = world.upstream.commit("one", files={"nova.spec.j2": b"Name: nova", "debian/control": b"Source: nova"})
    files = world.git.read(world.url, sha)
    assert [(file.path, file.content) for file in files] == [
        ("debian/control", b"Source: nova"),
        ("nova.spec.j2", b"Name: nova"),
    ]


def test_a_commit_that_is_not_there(world: World, tmp_path: Path) -> None:
    world.upstream.commit("one")
    missing = "1" * 40
    with pytest.raises(RevisionMissing):
        world.git.files(world.url, missing)
    with pytest.raises(RevisionMissing):
        world.git.history(world.url, missing)
    with pytest.raises(RevisionMissing):
        world.git.archive(world.url, missing, prefix="x", extra={}, into=tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_folder_that_is_no_working_copy(world: World, tmp_path: Path) -> None:
    world.upstream.commit("one")
    (tmp_path / "plain").mkdir()
    with pytest.raises(RevisionMissing):
        world.git.import_worktree(world.url, tmp_path / "plain")
