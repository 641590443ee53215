"""What a repository's server says it has: over every protocol, and from servers that misbehave."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conveyor.errors import CommandMissing, HostUnreachable, Interrupted, UpstreamUnreachable, UserError
from conveyor.upstream import refs
from conveyor.upstream.fetch import locked
from conveyor.upstream.hardening import folder_name
from conveyor.upstream.mirror import GitMirrors
from tests.support import gitservers
from tests.support.gitservers import endless, garbage, git_daemon, git_over_http, hang, misbehaving, status, trickle
from tests.support.upstream import GitUpstream, git

LIMIT = 20.0


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def upstream(tmp_path: Path) -> GitUpstream:
    return GitUpstream(tmp_path / "openstack" / "nova.git")


@pytest.fixture
def mirrors(tmp_path: Path) -> GitMirrors:
    return GitMirrors(tmp_path / "mirrors", poll_limit=LIMIT)


@pytest.fixture(params=["http", "daemon", "file", "ssh", "rewritten"])
def url(
    request: pytest.FixtureRequest, upstream: GitUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The upstream over each protocol."""
    root = upstream.folder.parent
    match request.param:
        case "http":
            with git_over_http(root) as server:
                yield f"{server.url}nova.git"
        case "daemon":
            with git_daemon(root) as served:
                yield f"{served}nova.git"
        case "ssh":
            monkeypatch.setenv("PATH", str(gitservers.ssh_program(tmp_path / "bin")))
            yield f"ssh://git@example.org{upstream.folder}"
        case "rewritten":
            yield "https://example.org/nova.git"
        case _:
            yield upstream.url


def test_over_every_protocol(upstream: GitUpstream, url: str, tmp_path: Path) -> None:
    first = upstream.commit("one")
    tip = upstream.commit("two")
    upstream.set_branch("stable/1", first)
    upstream.set_branch("not/refs/heads/master", first)
    upstream.tag("1.0", first)
    upstream.tag("light", tip, annotated=False)
    git(upstream.folder, "update-ref", "refs/changes/01/1/1", tip)
    mirrors = GitMirrors(
        tmp_path / "mirrors", rewrites={"https://example.org/": f"file://{upstream.folder.parent}/"}, poll_limit=LIMIT
    )

    every = mirrors.refs(url)
    assert every.branches == {"master": tip, "not/refs/heads/master": first, "stable/1": first}
    assert every.tags == {"1.0": first, "light": tip}
    assert mirrors.refs(url, branches=["master", "gone"], tags=False).branches == {"master": tip}
    assert mirrors.refs(url, branches=["master"]).tags == every.tags
    assert mirrors.refs(url, branches=[], tags=False).branches == {}
    assert not (tmp_path / "mirrors").exists()


def test_an_empty_repository(mirrors: GitMirrors, upstream: GitUpstream) -> None:
    assert (mirrors.refs(upstream.url).branches, mirrors.refs(upstream.url).tags) == ({}, {})


NAMES = ["1.0;touch${IFS}x", "$(reboot)", "`reboot`", "--upload-pack=x", "-1.0", "a'b\"c", "\u202e", "caf\u00e9"]


@pytest.mark.parametrize("name", NAMES)
def test_names_like_shell_commands(mirrors: GitMirrors, upstream: GitUpstream, name: str) -> None:
    sha = upstream.commit("one")
    upstream.set_branch(name, sha)
    upstream.tag(name, sha)
    found = mirrors.refs(upstream.url, branches=[name])
    assert (found.branches, found.tags) == ({name: sha}, {name: sha})


def test_names_with_control_characters(mirrors: GitMirrors, upstream: GitUpstream) -> None:
    """git makes no such names, but does not check those that a server tells."""
    sha = upstream.commit("one")
    odd = [b"a\x1b[2Jb", b"a\x85b", b"a\tb", b"caf\xe9", b"master^{}", b"../../x"]
    named = [b"%s refs/heads/%s" % (b"2" * 40, name) for name in odd]
    with misbehaving(gitservers.telling([b"%s refs/heads/master" % sha.encode(), *named])) as address:
        found = mirrors.refs(f"http://{address}/nova")
        chosen = mirrors.refs(f"http://{address}/nova", branches=["master", *(name.decode("latin1") for name in odd)])
    assert found.branches["master"] == sha
    assert len(found.branches) > 1
    assert chosen.branches["master"] == sha

    (upstream.folder / "packed-refs").write_bytes(
        b"# pack-refs with: peeled fully-peeled sorted \n%s refs/heads/a\x1bb\n" % sha.encode()
    )
    assert mirrors.refs(upstream.url).branches == {"master": sha}


@pytest.mark.parametrize("name", ["*", "mas*", "m[a]ster", "", "x..y"])
def test_a_branch_is_never_a_pattern(mirrors: GitMirrors, upstream: GitUpstream, name: str) -> None:
    upstream.commit("one")
    assert mirrors.refs(upstream.url, branches=[name]).branches == {}


@pytest.mark.parametrize("url", ["", "-x", "--upload-pack=touch x", "/srv/nova.git", "nova", "ext::sh -c touch% x"])
def test_a_url_that_is_none(mirrors: GitMirrors, url: str) -> None:
    with pytest.raises(UserError, match="is no URL"):
        mirrors.refs(url)


def test_a_repository_that_is_not_there(url: str, upstream: GitUpstream) -> None:
    upstream.folder.rename(upstream.folder.with_name("moved.git"))
    rewrites = {"https://example.org/": f"file://{upstream.folder.parent}/"}
    with pytest.raises(UpstreamUnreachable, match=r"cannot be polled: \S") as caught:
        GitMirrors(upstream.folder, rewrites=rewrites, poll_limit=LIMIT).refs(url)
    assert not isinstance(caught.value, HostUnreachable)
    assert caught.value.cause.isprintable()


def test_a_repository_of_another_kind_of_sha(mirrors: GitMirrors, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "--object-format=sha256", "other.git")
    tree = git(tmp_path / "other.git", "mktree", content=b"")
    sha = git(tmp_path / "other.git", "commit-tree", tree, "-m", "x")
    git(tmp_path / "other.git", "update-ref", "refs/heads/master", sha)
    with pytest.raises(UpstreamUnreachable, match="SHA-256"):
        mirrors.refs(f"file://{tmp_path}/other.git")


def test_no_repository_around_has_a_say(
    mirrors: GitMirrors, upstream: GitUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = upstream.commit("one")
    git(tmp_path, "init", "--quiet", "around")
    git(tmp_path / "around", "config", "url.file:///nowhere/.insteadOf", upstream.url)
    git(tmp_path / "around", "config", "protocol.file.allow", "never")
    monkeypatch.chdir(tmp_path / "around")
    assert mirrors.refs(upstream.url).branches == {"master": sha}


def refusing(_connection: socket.socket) -> None:
    """Close the connection at once."""


@pytest.mark.parametrize(
    ("answer", "kind", "cause"),
    [
        (hang, HostUnreachable, r"longer than 0\.5 s"),
        (trickle, HostUnreachable, r"longer than 0\.5 s"),
        (garbage, UpstreamUnreachable, "."),
        (refusing, UpstreamUnreachable, "."),
        (status(404), UpstreamUnreachable, "not found"),
        (status(403), UpstreamUnreachable, "403"),
        (status(500), UpstreamUnreachable, "500"),
        (status(503), HostUnreachable, "503"),
        (status(429), HostUnreachable, "429"),
    ],
)
def test_servers_that_misbehave(
    tmp_path: Path, answer: Callable[[socket.socket], None], kind: type[UpstreamUnreachable], cause: str
) -> None:
    with misbehaving(answer) as address, pytest.raises(kind, match="cannot be polled") as caught:
        GitMirrors(tmp_path / "mirrors", poll_limit=0.5).refs(f"http://me:secret@{address}/nova")
    assert type(caught.value) is kind
    assert caught.value.cause.isprintable()
    assert "secret" not in f"{caught.value} {caught.value.details}"
    assert caught.match(cause)


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HostUnreachable, match="cannot be polled"):
        GitMirrors(tmp_path, poll_limit=LIMIT).refs(f"http://127.0.0.1:{gitservers.refused_port()}/nova")


def test_an_answer_without_end_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refs, "BOUNDED", ("prlimit", f"--data={48 * 2**20}"))
    with misbehaving(endless) as address, pytest.raises(UpstreamUnreachable, match="cannot be polled") as caught:
        GitMirrors(tmp_path, poll_limit=LIMIT).refs(f"http://{address}/nova", branches=["master"])
    assert "longer than" not in caught.value.cause


def many_branches(upstream: GitUpstream, count: int) -> str:
    sha = upstream.commit("one")
    lines = "".join(f"{sha} refs/heads/b{number:07d}\n" for number in range(count))
    packed = f"# pack-refs with: peeled fully-peeled sorted \n{lines}{sha} refs/heads/master\n"
    (upstream.folder / "packed-refs").write_text(packed)
    return sha


def test_more_branches_than_anybody_needs(mirrors: GitMirrors, upstream: GitUpstream) -> None:
    sha = many_branches(upstream, 1_000_000)
    assert mirrors.refs(upstream.url, branches=["master"], tags=False).branches == {"master": sha}
    with pytest.raises(UpstreamUnreachable, match="longer than 32 MiB"):
        mirrors.refs(upstream.url)


def test_nobody_waits_once_it_is_stopped(tmp_path: Path) -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    started = time.monotonic()
    with misbehaving(hang) as address:
        mirrors = GitMirrors(tmp_path / "mirrors", poll_limit=LIMIT, fetch_limit=LIMIT, stop=stop)
        with pytest.raises(Interrupted):
            mirrors.refs(f"http://{address}/nova")
        with pytest.raises(Interrupted):
            mirrors.update(f"http://{address}/nova")
    lock = (tmp_path / "mirrors" / folder_name("file:///x")).with_suffix(".lock")
    with locked(lock, LIMIT), pytest.raises(Interrupted):
        mirrors.update("file:///x")
    assert time.monotonic() - started < LIMIT / 2
    assert not list((tmp_path / "mirrors").glob("*.new"))


def test_git_is_missing(
    mirrors: GitMirrors, upstream: GitUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr("conveyor.command.SYSTEM_FOLDERS", ())
    with pytest.raises(CommandMissing, match="prlimit is not installed"):
        mirrors.refs(upstream.url)
    (tmp_path / "bin" / "prlimit").symlink_to("/usr/bin/prlimit")
    with pytest.raises(CommandMissing, match="git is not installed"):
        mirrors.refs(upstream.url)


def test_a_repository_of_another_user(mirrors: GitMirrors, upstream: GitUpstream) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a repository to another user")
    sha = upstream.commit("one")
    for path in [upstream.folder, *upstream.folder.rglob("*")]:
        os.chown(path, 12345, 12345)
    assert mirrors.refs(upstream.url).branches == {"master": sha}
