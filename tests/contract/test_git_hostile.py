"""Hostile and broken upstreams, servers and callers: GitMirrors stays harmless and says what is wrong."""

from __future__ import annotations

import gzip
import http.server
import io
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import pytest

from conveyor.errors import CommandMissing, CommandTimedOut, UpstreamUnreachable, UserError
from conveyor.upstream.fetch import BUSY, Writer, locked, make_bare
from conveyor.upstream.hardening import environment, folder_name, rewritten
from conveyor.upstream.history import NEAR
from conveyor.upstream.mirror import GitMirrors
from conveyor.upstream.queries import Queries
from tests.support.upstream import GitUpstream, git

LIMIT = 30.0


@pytest.fixture
def upstream(tmp_path: Path) -> GitUpstream:
    return GitUpstream(tmp_path / "openstack" / "nova.git")


@pytest.fixture
def mirrors(tmp_path: Path) -> GitMirrors:
    return GitMirrors(tmp_path / "mirrors", limit=LIMIT, fetch_limit=LIMIT)


def members_of(mirrors: GitMirrors, url: str, sha: str, into: Path) -> dict[str, tarfile.TarInfo]:
    mirrors.archive(url, sha, prefix="x", extra={}, into=into)
    with tarfile.open(into, errors="surrogateescape") as archive:
        return {member.name: member for member in archive}


def content_of(archive: Path, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(archive.read_bytes()))) as tar:
        file = tar.extractfile(name)
        assert file is not None
        return file.read()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "-x",
        "--upload-pack=touch x",
        "/srv/nova.git",
        "nova",
        "ext::sh -c touch% x",
        "fd::17",
        "https::ext::x",
        "ftp://example.org/nova",
        "https://-oProxyCommand=x/nova",
        "https://example.org/\x1b[2J",
        "https://example.org/a\nb",
        "git@example.org::nova",
    ],
)
def test_a_url_that_is_none(mirrors: GitMirrors, url: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no URL"):
        mirrors.update(url)
    assert not (tmp_path / "mirrors").exists()


def test_rewrites_take_the_longest_prefix() -> None:
    rewrites = {"https://example.org/": "file:///a/", "https://example.org/openstack/": "file:///b/"}
    assert rewritten("https://example.org/openstack/nova", rewrites) == "file:///b/nova"
    assert rewritten("https://example.org/x", rewrites) == "file:///a/x"
    assert rewritten("https://example.com/x", rewrites) == "https://example.com/x"


def test_a_rewritten_upstream(tmp_path: Path, upstream: GitUpstream) -> None:
    sha = upstream.commit("one")
    mirrors = GitMirrors(tmp_path / "mirrors", rewrites={"https://example.org/": f"file://{tmp_path}/openstack/"})
    assert mirrors.resolve("https://example.org/nova.git", "master") == sha


def test_folder_names() -> None:
    names = {folder_name(url) for url in ("https://example.org/a/b", "https://example.org/a-b", "https://me:pw@h/../x")}
    assert len(names) == 3
    assert all("/" not in name and "pw" not in name and not name.startswith(".") for name in names)


def test_a_password_is_not_shown(mirrors: GitMirrors) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(UpstreamUnreachable) as caught:
        mirrors.update(f"http://me:secret@127.0.0.1:{port}/nova")
    assert "secret" not in f"{caught.value} {caught.value.details}"
    assert caught.value.cause


def test_attributes_of_a_tree_change_nothing(mirrors: GitMirrors, upstream: GitUpstream, tmp_path: Path) -> None:
    attributes = b"* export-subst ident text eol=crlf working-tree-encoding=UTF-16 filter=evil\ngone export-ignore\n"
    content = b"$Format:%H$ $Id$\nline\n"
    sha = upstream.commit("one", files={".gitattributes": attributes, "file": content, "gone": b"", "a/gone": b""})
    names = members_of(mirrors, upstream.url, sha, tmp_path / "tar.gz")
    assert {"x/.gitattributes", "x/file", "x/gone", "x/a/gone"} <= names.keys()
    assert content_of(tmp_path / "tar.gz", "x/file") == content


def test_hooks_do_not_run(mirrors: GitMirrors, upstream: GitUpstream, tmp_path: Path) -> None:
    upstream.commit("one")
    mirrors.update(upstream.url)
    mirror = next((tmp_path / "mirrors").glob("*.git"))
    assert not (mirror / "hooks").exists()
    for repository in (mirror, upstream.folder):
        (repository / "hooks").mkdir(exist_ok=True)
        for name in ("reference-transaction", "post-update", "pre-auto-gc", "update", "post-checkout"):
            hook = repository / "hooks" / name
            hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
            hook.chmod(0o755)
    sha = upstream.commit("two")
    (tmp_path / "ran").unlink(missing_ok=True)
    mirrors.update(upstream.url)
    assert mirrors.resolve(upstream.url, "master") == sha
    assert not (tmp_path / "ran").exists()


def test_an_upstream_that_configures_programs(mirrors: GitMirrors, upstream: GitUpstream, tmp_path: Path) -> None:
    sha = upstream.commit("one")
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    for key in ("uploadpack.packObjectsHook", "core.fsmonitor", "core.sshCommand", "core.pager", "alias.upload-pack"):
        git(upstream.folder, "config", key, str(program))
    assert mirrors.resolve(upstream.url, "master") == sha
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "name", ["1.0;touch${IFS}x", "$(reboot)", "`reboot`", "--upload-pack=x", "-1.0", "--output=x", "a'b\"c", "\u202e"]
)
def test_names_like_shell_commands(mirrors: GitMirrors, upstream: GitUpstream, name: str) -> None:
    sha = upstream.commit("one")
    upstream.tag(name, sha)
    upstream.set_branch(f"b{name}", sha)
    assert mirrors.resolve(upstream.url, name) == sha
    assert mirrors.resolve(upstream.url, f"b{name}") == sha
    history = mirrors.history(upstream.url, sha)
    assert history.tag is None
    assert len(history.ignored_tags) == 1


@pytest.mark.parametrize("revision", ["", "-x", "--all", "HEAD~1", "master^{/x}", "@{-1}", ":/one", "a..b", "a b"])
def test_revisions_are_plain_names(mirrors: GitMirrors, upstream: GitUpstream, revision: str) -> None:
    upstream.commit("one")
    with pytest.raises(UserError, match="has no branch, tag or commit"):
        mirrors.resolve(upstream.url, revision)


def test_names_that_are_not_utf8(mirrors: GitMirrors, upstream: GitUpstream, tmp_path: Path) -> None:
    odd = os.fsdecode(b"caf\xe9\\\\ \\n.txt")
    sha = upstream.commit("one", files={odd: b"odd", "plain": b""})
    assert mirrors.files(upstream.url, sha) == ("plain",)
    names = members_of(mirrors, upstream.url, sha, tmp_path / "tar.gz")
    assert b"x/caf\xe9\\ \n.txt" in {os.fsencode(name) for name in names}


def test_symbolic_links_stay_links(mirrors: GitMirrors, upstream: GitUpstream, tmp_path: Path) -> None:
    sha = upstream.commit("one", files={"out": b"->/etc/passwd", "dangling": b"->../../x"})
    names = members_of(mirrors, upstream.url, sha, tmp_path / "tar.gz")
    assert (names["x/out"].issym(), names["x/out"].linkname) == (True, "/etc/passwd")
    assert names["x/dangling"].linkname == "../../x"


def test_links_out_of_packaging_are_refused(mirrors: GitMirrors, upstream: GitUpstream) -> None:
    inside = upstream.commit("in", files={"debian/a": b"x", "debian/b": b"->a", "c": b"->debian/b"})
    assert {file.path: file.content for file in mirrors.read(upstream.url, inside)}["c"] == b"x"
    for target in (b"->/etc/passwd", b"->../../etc/passwd", b"->loop", b"->debian"):
        sha = upstream.commit("out", files={"loop": target})
        mirrors.update(upstream.url)
        with pytest.raises(UserError, match="symbolic link"):
            mirrors.read(upstream.url, sha)


def test_submodules_are_empty_folders(mirrors: GitMirrors, upstream: GitUpstream, tmp_path: Path) -> None:
    modules = b'[submodule "sub"]\n\tpath = sub\n\turl = ext::sh -c touch% x\n'
    upstream.commit("one", files={".gitmodules": modules, "file": b""})
    tree = git(upstream.folder, "ls-tree", "master") + f"\n160000 commit {'1' * 40}\tsub\n"
    made = git(upstream.folder, "mktree", "--missing", content=tree.encode())
    sha = git(upstream.folder, "commit-tree", made, "-m", "sub")
    upstream.set_branch("master", sha)
    names = members_of(mirrors, upstream.url, sha, tmp_path / "tar.gz")
    assert names["x/sub"].isdir()
    assert mirrors.files(upstream.url, sha) == (".gitmodules", "file")


def test_a_tree_that_leads_out_of_itself_is_refused(mirrors: GitMirrors, upstream: GitUpstream, tmp_path: Path) -> None:
    upstream.commit("one", files={"file": b"x"})
    blob = git(upstream.folder, "rev-parse", "master:file")
    inner = b"100644 passwd\0" + bytes.fromhex(blob)
    tree = inner
    for name in (b"..", b".."):
        sha = git(upstream.folder, "hash-object", "-t", "tree", "-w", "--literally", "--stdin", content=tree)
        tree = b"40000 " + name + b"\0" + bytes.fromhex(sha)
    top = git(upstream.folder, "hash-object", "-t", "tree", "-w", "--literally", "--stdin", content=tree)
    upstream.set_branch("master", git(upstream.folder, "commit-tree", top, "-m", "out"))
    with pytest.raises(UpstreamUnreachable) as caught:
        mirrors.update(upstream.url)
    assert "fsck" in caught.value.cause
    assert not list((tmp_path / "mirrors").glob("*.new"))


def test_odd_dates_and_texts(mirrors: GitMirrors, upstream: GitUpstream) -> None:
    upstream.commit("one")
    tree = git(upstream.folder, "rev-parse", "master^{tree}")
    person = b"\x1b[31m\xffEve <> 99999999999999 +9999"
    commit = b"tree %s\nauthor %s\ncommitter %s\n\n\x1b]0;title\x07 \xff\xfe\n" % (tree.encode(), person, person)
    sha = git(upstream.folder, "hash-object", "-t", "commit", "-w", "--literally", "--stdin", content=commit)
    upstream.set_branch("master", sha)
    (info,) = mirrors.commits(upstream.url, tip=sha, after=None, limit=1)
    assert info.author.isprintable()
    assert info.subject.isprintable()
    assert info.committed_at.tzinfo is not None


def test_a_tag_far_behind(mirrors: GitMirrors, upstream: GitUpstream) -> None:
    upstream.tag("1.0", upstream.commit("one"))
    person = b"committer Ada <ada@example.org> 1700000000 +0000\ndata 1\nx\n"
    stream = b"commit refs/heads/master\n%sfrom refs/heads/master^0\n" % person
    stream += b"".join(b"commit refs/heads/master\n%s" % person for _ in range(NEAR)) + b"done\n"
    git(upstream.folder, "fast-import", "--quiet", "--done", content=stream)
    sha = mirrors.resolve(upstream.url, "master")
    history = mirrors.history(upstream.url, sha)
    assert (history.tag, history.commits_since) == ("1.0", NEAR + 1)


def test_an_empty_tree(mirrors: GitMirrors, upstream: GitUpstream, tmp_path: Path) -> None:
    sha = upstream.commit("one")
    mirrors.archive(upstream.url, sha, prefix="x", extra={"PKG-INFO": b"p"}, into=tmp_path / "tar.gz")
    assert content_of(tmp_path / "tar.gz", "x/PKG-INFO") == b"p"


def test_a_shallow_upstream_is_refused(mirrors: GitMirrors, upstream: GitUpstream, tmp_path: Path) -> None:
    upstream.commit("one")
    upstream.commit("two")
    git(tmp_path, "clone", "--quiet", "--depth=1", "--bare", upstream.url, "shallow.git")
    with pytest.raises(UserError, match="shallow clone") as caught:
        mirrors.update(f"file://{tmp_path}/shallow.git")
    assert "--unshallow" in caught.value.hint
    assert [path.suffix for path in (tmp_path / "mirrors").iterdir()] == [".lock"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a repository to another user")
def test_an_upstream_of_another_user(mirrors: GitMirrors, upstream: GitUpstream) -> None:
    sha = upstream.commit("one")
    for path in [upstream.folder, *upstream.folder.rglob("*")]:
        os.chown(path, 65534, 65534)
    assert mirrors.resolve(upstream.url, "master") == sha


def test_the_callers_git_variables_do_not_matter(
    mirrors: GitMirrors, upstream: GitUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = upstream.commit("one", files={"file": b""})
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'core.bare'='nonsense'")
    monkeypatch.setenv("GIT_ALTERNATE_OBJECT_DIRECTORIES", str(tmp_path))
    assert mirrors.resolve(upstream.url, "master") == sha
    assert mirrors.files(upstream.url, sha) == ("file",)


def test_a_killed_creation_is_made_anew(mirrors: GitMirrors, upstream: GitUpstream, tmp_path: Path) -> None:
    sha = upstream.commit("one")
    half = (tmp_path / "mirrors" / folder_name(upstream.url)).with_suffix(".new")
    half.mkdir(parents=True)
    (half / "HEAD").write_text("half")
    assert mirrors.resolve(upstream.url, "master") == sha
    assert not half.exists()


def test_a_killed_fetch_leaves_no_lock(mirrors: GitMirrors, upstream: GitUpstream, tmp_path: Path) -> None:
    upstream.commit("one")
    mirrors.update(upstream.url)
    mirror = tmp_path / "mirrors" / folder_name(upstream.url)
    for name in (BUSY, "packed-refs.lock", "refs/heads/master.lock", "objects/pack/tmp_pack_x", "shallow.lock"):
        (mirror / name).touch()
    (mirror / "objects" / "tmp_objdir-incoming-x").mkdir()
    sha = upstream.commit("two")
    mirrors.update(upstream.url)
    assert mirrors.resolve(upstream.url, "master") == sha
    assert not [path for path in mirror.rglob("*") if path.suffix == ".lock" or path.name.startswith("tmp_")]
    assert not (mirror / BUSY).exists()


def test_two_processes_at_once(upstream: GitUpstream, tmp_path: Path) -> None:
    for number in range(20):
        upstream.tag(f"1.{number}", upstream.commit(f"commit {number}", files={f"file{number}": b"x" * 1000}))
    code = (
        "import sys; from pathlib import Path; from conveyor.upstream.mirror import GitMirrors\n"
        "mirrors = GitMirrors(Path(sys.argv[1]), fetch_limit=30)\n"
        "for _ in range(5): mirrors.update(sys.argv[2])\n"
        "print(mirrors.resolve(sys.argv[2], 'master'))\n"
    )
    argv = [sys.executable, "-c", code, str(tmp_path / "mirrors"), upstream.url]
    processes = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    found = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert found == [git(upstream.folder, "rev-parse", "master")] * 2
    git(tmp_path / "mirrors" / folder_name(upstream.url), "fsck", "--strict")


def test_a_lock_that_another_holds(upstream: GitUpstream, tmp_path: Path) -> None:
    upstream.commit("one")
    mirrors = GitMirrors(tmp_path / "mirrors", fetch_limit=0.2)
    (tmp_path / "mirrors").mkdir()
    lock = (tmp_path / "mirrors" / folder_name(upstream.url)).with_suffix(".lock")
    with locked(lock, LIMIT), pytest.raises(CommandTimedOut, match="another process"):
        mirrors.update(upstream.url)
    GitMirrors(tmp_path / "mirrors").update(upstream.url)


def test_a_server_that_hangs(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"git://127.0.0.1:{server.getsockname()[1]}/nova"
        with pytest.raises(UpstreamUnreachable, match=r"longer than 0\.5 s"):
            GitMirrors(tmp_path / "mirrors", fetch_limit=0.5).update(url)
    assert url.encode() not in b"".join(running_commands())
    assert [path.suffix for path in (tmp_path / "mirrors").iterdir()] == [".lock"]


def test_a_question_that_hangs(upstream: GitUpstream, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    queries = Queries(git_dir=upstream.folder, environment=environment(protocol=""), limit=0.3)
    with pytest.raises(CommandTimedOut, match=r"longer than 0\.3 s"):
        queries.ask("hash-object", str(tmp_path / "pipe"))
    assert str(tmp_path).encode() not in b"".join(running_commands())


@pytest.mark.parametrize("programs", [(), ("env",)])
def test_git_is_missing(
    mirrors: GitMirrors,
    upstream: GitUpstream,
    tmp_path: Path,
    programs: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sha = upstream.commit("one")
    mirrors.update(upstream.url)
    (tmp_path / "bin").mkdir()
    for name in programs:
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(CommandMissing, match="git is not installed"):
        mirrors.files(upstream.url, sha)
    with pytest.raises(CommandMissing, match="git is not installed"):
        mirrors.update(upstream.url)


def test_git_speaks_one_protocol(upstream: GitUpstream, tmp_path: Path) -> None:
    with locked(tmp_path / "lock", LIMIT) as lock:
        writer = Writer(git_dir=tmp_path / "mirror.git", lock=lock, limit=LIMIT)
        make_bare(writer)
        with pytest.raises(UpstreamUnreachable) as caught:
            writer.fetch(upstream.url, "+refs/heads/*:refs/heads/*", protocol="https")
    assert caught.value.cause == "transport 'file' not allowed"


def running_commands() -> Iterator[bytes]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue


@contextmanager
def http_server(status: HTTPStatus) -> Iterator[tuple[str, list[str]]]:
    """A server that answers every request with one status; gives its URL, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(status)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/nova", asked
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "attempts"), [(HTTPStatus.SERVICE_UNAVAILABLE, 3), (HTTPStatus.NOT_FOUND, 1), (HTTPStatus.FORBIDDEN, 1)]
)
def test_only_what_may_pass_is_tried_again(
    mirrors: GitMirrors, status: HTTPStatus, attempts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http_server(status) as (url, asked), pytest.raises(UpstreamUnreachable) as caught:
        mirrors.update(url)
    assert len(asked) == attempts
    assert caught.value.cause.isprintable()
    assert "127.0.0.1" in caught.value.cause
