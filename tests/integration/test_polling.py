"""Real repositories over HTTP, and what comes of them in a real store."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from conveyor.model.event import EventKind
from conveyor.model.package import CommitPolicy, Following, PackagingFolder, PackagingRepository
from conveyor.model.watch import Polling
from conveyor.store import open_books
from conveyor.upstream.mirror import GitMirrors
from conveyor.upstream.packaging import PackagingSources
from tests.fakes.clock import FakeClock
from tests.support import gitservers
from tests.support.gitservers import GitHttpServer, garbage, git_over_http, hang, misbehaving, status, trickle
from tests.support.upstream import GitUpstream, git
from tests.support.watching import DEB, LONG_AFTER, RPM, Site, package

pytestmark = pytest.mark.integration

POLLING = Polling(interval=300, at_once=4, per_host=4, time_limit=1, retry_start=60, retry_limit=3600)
LIMIT = 60.0
HOSTILE_TAGS = ("1.0;x", "$(reboot)", "-1.1", "--upload-pack=x")


@dataclass(kw_only=True)
class World:
    """A server with repositories, and a folder for what is kept."""

    folder: Path
    server: GitHttpServer

    def upstream(self, name: str = "nova") -> GitUpstream:
        """A new repository with one commit."""
        made = GitUpstream(self.server.root / f"{name}.git")
        made.commit("First", files={"README": b"hello"})
        return made

    def url(self, name: str = "nova") -> str:
        """Where it is."""
        return f"{self.server.url}{name}.git"

    def packaging(self, name: str = "nova") -> PackagingFolder:
        """A new folder with packaging."""
        folder = self.folder / "specs" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "x.spec.j2").write_text("Name: x\n")
        return PackagingFolder(path=folder)

    def site(
        self,
        urls: Sequence[str] = (),
        *,
        following: Following = Following(),  # noqa: B008 - it is frozen
        targets: Sequence[str] = (DEB,),
        time_limit: float = LIMIT,
    ) -> Site:
        """A site that follows repositories, by default one that is called nova; their packages are p0, p1 and so on."""
        named = {"nova": self.url()} if not urls else {f"p{number}": url for number, url in enumerate(urls)}
        clock = FakeClock()
        books = open_books(f"sqlite:///{self.folder}/conveyor.db", now=clock.now)
        mirrors = GitMirrors(self.folder / "mirrors", limit=LIMIT, fetch_limit=LIMIT, poll_limit=time_limit)
        packages = [
            package(name, url=url, packaging=self.packaging(name), following=following, targets=targets)
            for name, url in named.items()
        ]
        return Site(packages, mirrors, PackagingSources(mirrors, settle=0), kept=books, clock=clock, polling=POLLING)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "git").mkdir()
    with git_over_http(tmp_path / "git") as server:
        yield World(folder=tmp_path, server=server)


def test_pushes(world: World) -> None:
    upstream, site = world.upstream(), world.site(targets=(DEB, RPM))
    assert site.kinds() == [EventKind.FIRST_SEEN]
    asked = len(world.server.asked)
    assert site.kinds() == []
    assert len(world.server.asked) - asked == 2
    base = git(upstream.folder, "rev-parse", "master")
    side = upstream.commit("Side", branch="topic", parents=[base])
    shas = [upstream.commit("One"), upstream.commit("Two")]
    shas.append(upstream.commit("Merge", parents=[shas[-1], side]))
    assert site.kinds() == [EventKind.NEW_COMMITS]
    assert site.waiting() == site.waiting(target=RPM) == [base, *shas]
    assert [build.commit.upstream.subject for build in site.builds()] == ["First", "One", "Two", "Merge"]


def test_a_force_push_a_rewritten_history_and_a_branch_that_comes_and_goes(world: World) -> None:
    upstream, site = world.upstream(), world.site()
    site.poll()
    base = git(upstream.folder, "rev-parse", "master")
    dropped = [upstream.commit("Dropped 0"), upstream.commit("Dropped 1")]
    site.poll()
    upstream.set_branch("master", base)
    new = upstream.commit("New")
    # The server forgets what nobody can reach.
    git(upstream.folder, "reflog", "expire", "--expire=now", "--all")
    git(upstream.folder, "gc", "--quiet", "--prune=now")
    forced, *others = site.poll()
    assert [event.kind for event in others] == [EventKind.NEW_COMMITS, EventKind.SUPERSEDED]
    assert (forced.kind, forced.detail["from"], forced.detail["to"]) == (EventKind.FORCE_PUSHED, dropped[1], new)
    assert site.waiting() == [base, new]
    assert site.superseded().keys() == set(dropped)

    upstream.delete_branch("master")
    assert site.kinds() == [EventKind.BRANCH_GONE]
    assert site.kinds() == []
    upstream.set_branch("master", new)
    newer = upstream.commit("Newer")
    assert site.kinds() == [EventKind.BRANCH_BACK, EventKind.NEW_COMMITS]
    assert site.waiting() == [base, new, newer]

    rewritten = upstream.commit("Rewritten", parents=[])
    assert site.kinds() == [EventKind.FORCE_PUSHED, EventKind.NEW_COMMITS, EventKind.SUPERSEDED]
    assert site.waiting() == [rewritten]


def test_a_renamed_branch(world: World) -> None:
    upstream, site = world.upstream(), world.site()
    site.poll()
    base = git(upstream.folder, "rev-parse", "master")
    git(upstream.folder, "branch", "--move", "master", "main")
    new = upstream.commit("New", branch="main")
    assert site.kinds() == [EventKind.BRANCH_GONE]
    site.change(branch="main")
    assert site.kinds() == [EventKind.BRANCH_BACK, EventKind.NEW_COMMITS]
    assert site.waiting() == [base, new]


def test_tags(world: World) -> None:
    upstream = world.upstream()
    first = git(upstream.folder, "rev-parse", "master")
    upstream.tag("v1.0", first)
    site = world.site(following=Following(commits=CommitPolicy.TAGS))
    site.poll()
    assert site.waiting() == [first]
    second = upstream.commit("Second")
    upstream.commit("Third")
    upstream.tag("nova-1.1", second)
    for name in HOSTILE_TAGS:
        upstream.tag(name, second)
    assert site.kinds() == [EventKind.NEW_COMMITS]
    assert site.waiting() == [first, second]
    assert site.watch.tags(["nova"])["nova"].shas == {"v1.0": first, "nova-1.1": second}
    upstream.tag("v1.0", second, annotated=False)
    git(upstream.folder, "update-ref", "-d", "refs/tags/nova-1.1")
    assert site.kinds() == [EventKind.TAG_GONE, EventKind.TAG_MOVED, EventKind.NEW_COMMITS]
    assert site.waiting() == [first, second]


def test_tags_that_move_or_go_under_a_package_that_follows_its_branch(world: World) -> None:
    upstream = world.upstream()
    first = git(upstream.folder, "rev-parse", "master")
    for name in ("v1.0", "nova-1.1", *HOSTILE_TAGS):
        upstream.tag(name, first)
    site = world.site(targets=(DEB, RPM))
    assert site.kinds() == [EventKind.FIRST_SEEN]
    asked = len(world.server.asked)
    assert site.kinds() == []
    assert len(world.server.asked) - asked == 2
    second = upstream.commit("Second")
    for name in ("v1.0", *HOSTILE_TAGS):
        upstream.tag(name, second, annotated=False)
    git(upstream.folder, "update-ref", "-d", "refs/tags/nova-1.1")
    gone, moved, new = site.poll()
    assert (gone.kind, gone.detail["tag"], gone.detail["from"], gone.detail["to"]) == (
        EventKind.TAG_GONE,
        "nova-1.1",
        first,
        None,
    )
    assert (moved.kind, moved.detail["tag"], moved.detail["from"], moved.detail["to"]) == (
        EventKind.TAG_MOVED,
        "v1.0",
        first,
        second,
    )
    assert new.kind is EventKind.NEW_COMMITS
    assert site.waiting() == site.waiting(target=RPM) == [first, second]
    site.restart()
    upstream.commit("Third")
    assert site.kinds() == [EventKind.NEW_COMMITS]


def test_packaging_in_a_folder_and_in_a_repository(world: World) -> None:
    world.upstream()
    site = world.site()
    site.poll()
    site.end()
    folder = world.packaging().path
    (folder / "x.spec.j2").write_text("Name: y\n")
    assert site.kinds() == [EventKind.NEW_PACKAGING]
    assert len(site.builds()) == 2
    site.end()

    distgit = GitUpstream(world.server.root / "distgit.git")
    sha = distgit.commit("Packaging", branch="rpm", files={"x.spec.j2": b"Name: x\n"})
    site.change(packaging=PackagingRepository(url=world.url("distgit"), branch="rpm"))
    assert site.kinds() == [EventKind.NEW_PACKAGING]
    assert site.builds()[-1].commit.packaging_sha == sha
    distgit.set_branch("rpm", distgit.commit("Instead", branch="other", parents=[]))
    assert site.kinds() == [EventKind.FORCE_PUSHED, EventKind.NEW_PACKAGING, EventKind.SUPERSEDED]


def refuse(_connection: socket.socket) -> None:
    """Close the connection at once."""


@pytest.mark.parametrize("answer", [hang, trickle, garbage, refuse, status(503), status(404)])
def test_a_server_that_misbehaves_holds_nobody_up(world: World, answer: Callable[[socket.socket], None]) -> None:
    world.upstream()
    with misbehaving(answer) as address:
        site = world.site([f"http://{address}/bad", world.url()], time_limit=1.0)
        events = [event for _ in range(4) for event in site.poll(LONG_AFTER)]
        assert [(event.kind, event.package) for event in events] == [
            (EventKind.FIRST_SEEN, "p1"),
            (EventKind.UNREACHABLE, "p0"),
        ]
        assert events[1].summary.isprintable()
        assert len(site.waiting("p1")) == 1
        assert site.builds("p0") == []
        remote = site.watch.remotes()[f"http://{address}/bad"]
        assert (remote.failures, remote.answered_at) == (4, None)
        assert remote.cause.isprintable()


def test_a_server_that_is_not_there_and_comes_back(world: World) -> None:
    upstream = world.upstream()
    gone = f"http://127.0.0.1:{gitservers.refused_port()}/nova.git"
    site = world.site([gone])
    for _ in range(3):
        events = site.poll(LONG_AFTER)
    assert [event.kind for event in events] == [EventKind.UNREACHABLE]
    site.change("p0", upstream=world.url())
    assert site.kinds() == [EventKind.FIRST_SEEN]
    upstream.folder.rename(upstream.folder.with_name("moved.git"))
    events = [event for _ in range(4) for event in site.poll(LONG_AFTER)]
    assert [event.kind for event in events] == [EventKind.UNREACHABLE]
    upstream.folder.with_name("moved.git").rename(upstream.folder)
    assert site.kinds(LONG_AFTER) == [EventKind.REACHABLE]


def test_a_fetch_that_fails_after_the_answer(world: World) -> None:
    upstream, site = world.upstream(), world.site()
    site.poll()
    before = site.watch.heads()
    new = upstream.commit("New")
    mirror = next((world.folder / "mirrors").glob("*.git"))
    hidden = upstream.folder / "objects-hidden"
    objects = upstream.folder / "objects"
    objects.rename(hidden)
    (objects / "pack").mkdir(parents=True)
    assert site.poll() == []
    assert site.watch.heads() == before
    assert mirror.exists()
    (objects / "pack").rmdir()
    objects.rmdir()
    hidden.rename(objects)
    assert site.kinds(LONG_AFTER) == [EventKind.NEW_COMMITS]
    assert site.waiting()[1:] == [new]


@pytest.mark.parametrize("branch", ["a;touch${IFS}x", "$(reboot)", "--upload-pack=x", "a'b\"c", "caf\u00e9"])
def test_branches_with_odd_names(world: World, branch: str) -> None:
    upstream, site = world.upstream(), world.site()
    sha = upstream.commit("Odd", branch=branch)
    site.change(branch=branch)
    assert site.kinds() == [EventKind.FIRST_SEEN]
    assert site.waiting() == [sha]
    newer = upstream.commit("Odder", branch=branch)
    site.poll()
    assert site.waiting() == [sha, newer]


def test_texts_of_a_commit_are_harmless_in_events(world: World) -> None:
    upstream, site = world.upstream(), world.site()
    site.poll()
    upstream.commit("\x1b]0;owned\x07 \u202e subject" + "x" * 3000)
    (event,) = site.poll()
    assert event.summary.isprintable()
    assert len(event.summary) < 400


def many_commits(upstream: GitUpstream, count: int) -> None:
    """Push so many commits at once."""
    person = b"committer Ada <ada@example.org> 1700000000 +0000\ndata 1\nx\n"
    stream = b"commit refs/heads/master\n%sfrom refs/heads/master^0\n" % person
    stream += b"".join(b"commit refs/heads/master\n%s" % person for _ in range(count - 1)) + b"done\n"
    git(upstream.folder, "fast-import", "--quiet", "--done", content=stream)


def test_ten_thousand_commits_at_once(world: World) -> None:
    upstream, site = world.upstream(), world.site(targets=(DEB, RPM))
    site.poll()
    base = git(upstream.folder, "rev-parse", "master")
    many_commits(upstream, 10_000)
    (event,) = site.poll()
    assert event.detail["count"] == 10_000
    in_order = git(upstream.folder, "rev-list", "--reverse", "--first-parent", "master").split()
    assert site.waiting() == site.waiting(target=RPM) == in_order
    # And all of them go again.
    upstream.set_branch("master", base)
    newest = upstream.commit("Instead")
    assert site.kinds() == [EventKind.FORCE_PUSHED, EventKind.NEW_COMMITS, EventKind.SUPERSEDED]
    assert site.waiting() == site.waiting(target=RPM) == [base, newest]


def test_ten_thousand_commits_of_which_the_newest_counts(world: World) -> None:
    upstream, site = world.upstream(), world.site(following=Following(commits=CommitPolicy.NEWEST))
    site.poll()
    many_commits(upstream, 10_000)
    site.poll()
    assert site.waiting() == [git(upstream.folder, "rev-parse", "master")]
    assert len(site.superseded()) == 10_000


def test_many_repositories_and_a_new_process(world: World) -> None:
    upstreams = [world.upstream(f"u{number}") for number in range(30)]
    site = world.site([world.url(f"u{number}") for number in range(30)])
    site.poll()
    assert all(len(site.waiting(name)) == 1 for name in site.packages)
    new = [upstream.commit("New") for upstream in upstreams[::3]]
    site.restart()
    site.poll()
    assert [site.waiting(f"p{number}")[1:] for number in range(0, 30, 3)] == [[sha] for sha in new]
    assert len(site.store.builds(limit=1000)) == 40
