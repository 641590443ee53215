"""A packager's working copy as a commit in the mirror."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from conveyor.errors import RevisionMissing, UserError
from conveyor.upstream.mirror import GitMirrors
from tests.support.upstream import GitUpstream, git


@pytest.fixture
def upstream(tmp_path: Path) -> GitUpstream:
    upstream = GitUpstream(tmp_path / "nova.git")
    upstream.commit("one")
    ignores = b"*.pyc\nkept.pyc-not\n"
    upstream.tag("1.0", upstream.commit("two", files={"a": b"a", "b/c": b"c", "gone": b"", ".gitignore": ignores}))
    upstream.commit("three", files={"tracked.pyc": b"x"})
    return upstream


@pytest.fixture
def copy(tmp_path: Path, upstream: GitUpstream) -> Path:
    git(tmp_path, "clone", "--quiet", upstream.url, "copy")
    return tmp_path / "copy"


@pytest.fixture
def mirrors(tmp_path: Path) -> GitMirrors:
    return GitMirrors(tmp_path / "mirrors", limit=30, fetch_limit=30)


def state_of(folder: Path) -> dict[str, str]:
    """Every file below a folder, the repository's own included, with a hash of its content."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_nothing_changed(mirrors: GitMirrors, upstream: GitUpstream, copy: Path) -> None:
    commit = mirrors.import_worktree(upstream.url, copy)
    assert commit.sha == git(copy, "rev-parse", "HEAD")
    assert commit.subject == "three"


def test_changes_of_every_kind(mirrors: GitMirrors, upstream: GitUpstream, copy: Path) -> None:
    head = git(copy, "rev-parse", "HEAD")
    (copy / "a").write_text("changed")
    (copy / "a").chmod(0o755)
    (copy / "gone").unlink()
    (copy / "new").write_text("staged")
    git(copy, "add", "new")
    (copy / "untracked").write_text("untracked")
    (copy / "link").symlink_to("/etc/passwd")
    (copy / "ignored.pyc").write_text("ignored")
    (copy / "tracked.pyc").write_text("changed")
    (copy / ".git" / "info" / "exclude").write_text("private\n")
    (copy / "private").write_text("private")
    before = state_of(copy)

    commit = mirrors.import_worktree(upstream.url, copy)

    assert state_of(copy) == before
    assert commit == mirrors.import_worktree(upstream.url, copy)
    assert commit.sha != head
    assert mirrors.files(upstream.url, commit.sha) == (
        ".gitignore",
        "a",
        "b/c",
        "link",
        "new",
        "tracked.pyc",
        "untracked",
    )
    mirrors.update(upstream.url)
    history = mirrors.history(upstream.url, commit.sha)
    assert (history.tag, history.commits_since) == ("1.0", 2)
    assert history.commit.committed_at == mirrors.commits(upstream.url, tip=head, after=None, limit=1)[0].committed_at


def test_commits_that_upstream_does_not_have(mirrors: GitMirrors, upstream: GitUpstream, copy: Path) -> None:
    mirrors.update(upstream.url)
    (copy / "a").write_text("changed")
    git(copy, "commit", "--quiet", "--all", "--message", "mine")
    commit = mirrors.import_worktree(upstream.url, copy)
    assert commit.subject == "mine"
    assert mirrors.history(upstream.url, commit.sha).commits_since == 2
    mirrors.update(upstream.url)
    assert mirrors.resolve(upstream.url, commit.sha) == commit.sha
    assert mirrors.resolve(upstream.url, "master") != commit.sha


def test_nothing_of_the_working_copy_runs(
    mirrors: GitMirrors, upstream: GitUpstream, copy: Path, tmp_path: Path
) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\ncat\n")
    program.chmod(0o755)
    (copy / ".gitattributes").write_text("* filter=evil text eol=lf\n")
    for key in ("filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "core.fsmonitor"):
        git(copy, "config", key, str(program))
    for name in ("post-index-change", "pre-commit", "reference-transaction", "post-commit"):
        hook = copy / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(program.read_text())
        hook.chmod(0o755)
    (copy / "a").write_bytes(b"line\r\n")

    commit = mirrors.import_worktree(upstream.url, copy)

    assert not (tmp_path / "ran").exists()
    assert {file.path: file.content for file in mirrors.read(upstream.url, commit.sha)}["a"] == b"line\r\n"


def test_a_linked_working_copy(mirrors: GitMirrors, upstream: GitUpstream, copy: Path, tmp_path: Path) -> None:
    git(copy, "worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"), "HEAD~1")
    linked = tmp_path / "linked"
    assert mirrors.import_worktree(upstream.url, linked).sha == git(linked, "rev-parse", "HEAD")
    (linked / "new").write_text("new")
    commit = mirrors.import_worktree(upstream.url, linked)
    assert "new" in mirrors.files(upstream.url, commit.sha)


def test_odd_names(mirrors: GitMirrors, upstream: GitUpstream, tmp_path: Path) -> None:
    odd = tmp_path / "-odd $(reboot) caf\u00e9 100%20%"
    git(tmp_path, "clone", "--quiet", upstream.url, f"./{odd.name}")
    (odd / "--output=x").write_text("new")
    commit = mirrors.import_worktree(upstream.url, odd)
    assert "--output=x" in mirrors.files(upstream.url, commit.sha)


def test_a_folder_below_the_top(mirrors: GitMirrors, upstream: GitUpstream, copy: Path) -> None:
    with pytest.raises(RevisionMissing, match="lies within") as caught:
        mirrors.import_worktree(upstream.url, copy / "b")
    assert str(copy) in caught.value.hint


def test_a_folder_that_is_missing(mirrors: GitMirrors, upstream: GitUpstream, tmp_path: Path) -> None:
    with pytest.raises(RevisionMissing):
        mirrors.import_worktree(upstream.url, tmp_path / "missing")


def test_a_working_copy_without_a_commit(mirrors: GitMirrors, upstream: GitUpstream, tmp_path: Path) -> None:
    (tmp_path / "fresh").mkdir()
    git(tmp_path / "fresh", "init", "--quiet")
    with pytest.raises(RevisionMissing, match="has no commit"):
        mirrors.import_worktree(upstream.url, tmp_path / "fresh")


def test_a_shallow_working_copy(mirrors: GitMirrors, upstream: GitUpstream, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--depth=1", upstream.url, "shallow")
    with pytest.raises(UserError, match="shallow"):
        mirrors.import_worktree(upstream.url, tmp_path / "shallow")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a repository to another user")
def test_a_working_copy_of_another_user(mirrors: GitMirrors, upstream: GitUpstream, copy: Path) -> None:
    (copy / "new").write_text("new")
    for path in [copy, *copy.rglob("*")]:
        os.chown(path, 65534, 65534)
    assert "new" in mirrors.files(upstream.url, mirrors.import_worktree(upstream.url, copy).sha)
