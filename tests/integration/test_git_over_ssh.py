"""Real git over a real sshd: what is pushed is built, whose keys are taken, and who is not waited for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conveyor.errors import HostUnreachable, UpstreamUnreachable
from conveyor.model.event import EventKind
from conveyor.upstream.mirror import GitMirrors
from tests.support.daemons import QuickSite, site_of
from tests.support.gitservers import hang, misbehaving
from tests.support.left import wait
from tests.support.site import wait_for
from tests.support.sshserver import SshServer, ssh_server
from tests.support.upstream import GitUpstream

pytestmark = pytest.mark.integration

LIMIT = 1.0  # seconds
ASKS: dict[str, Callable[[GitMirrors, str], object]] = {
    "poll": lambda mirrors, url: mirrors.refs(url),
    "fetch": lambda mirrors, url: mirrors.update(url),
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshServer]:
    (tmp_path / "ssh").mkdir()
    with ssh_server(tmp_path / "ssh") as running:
        yield running
        wait(lambda: running.clients == [])


@pytest.fixture
def mirrors(server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitMirrors:
    monkeypatch.setenv("PATH", server.environment["PATH"])
    return GitMirrors(tmp_path / "mirrors")


@pytest.fixture
def hurried(server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitMirrors:
    monkeypatch.setenv("PATH", server.environment["PATH"])
    return GitMirrors(tmp_path / "mirrors", limit=LIMIT, fetch_limit=LIMIT, poll_limit=LIMIT)


@pytest.fixture
def url(server: SshServer, tmp_path: Path) -> str:
    upstream = GitUpstream(tmp_path / "nova.git")
    upstream.commit("First")
    return server.url(upstream.folder)


def test_what_is_pushed_is_polled_fetched_and_built(server: SshServer) -> None:
    with site_of(QuickSite) as site:
        url = server.url(site.upstream.folder)
        site.packages["hello"] = f'{{upstream: "{url}"}}'
        site.configure()
        daemon = site.daemon(env=server.environment)
        site.seen()
        sha = site.push("sleep 0")
        site.seen()
        site.built()
        with site.books() as books:
            (build,) = books.store.of_commit(sha)
            assert build.published
            server.know("login")
            for failures in range(1, 4):
                site.poke()
                wait_for(lambda: books.watch.remotes()[url].failures == failures, "the refusal")  # noqa: B023
            (event,) = site.events(EventKind.UNREACHABLE)
            assert "has changed and you have requested strict checking" in event.summary
            server.know("host")
            site.push("sleep 0")
            site.seen()
        site.built()
        assert site.events(EventKind.REACHABLE)
        assert daemon.stop() == 0


@pytest.mark.parametrize("ask", ASKS)
def test_a_host_whose_key_is_not_known_is_not_talked_to(
    server: SshServer, mirrors: GitMirrors, url: str, ask: str
) -> None:
    server.know()
    with pytest.raises(UpstreamUnreachable, match="Host key verification failed") as unknown:
        ASKS[ask](mirrors, url)
    assert "make it known to the user that Conveyor runs as" in unknown.value.hint
    server.know("login")
    with pytest.raises(UpstreamUnreachable, match=r"Host key for .* has changed") as other:
        ASKS[ask](mirrors, url)
    assert other.value.hint == unknown.value.hint
    assert any("SHA256:" in line for line in other.value.details)
    server.know("host")
    ASKS[ask](mirrors, url)


@pytest.mark.parametrize("ask", ASKS)
def test_a_server_that_lets_in_and_then_says_nothing_is_given_up(
    server: SshServer, hurried: GitMirrors, url: str, ask: str
) -> None:
    server.use("hanging")
    with pytest.raises(UpstreamUnreachable, match=f"longer than {LIMIT:g} s"):
        ASKS[ask](hurried, url)
    wait(lambda: server.clients == [])


@pytest.mark.parametrize("ask", ASKS)
def test_so_is_one_that_never_says_a_word(server: SshServer, hurried: GitMirrors, ask: str) -> None:
    with misbehaving(hang) as address, pytest.raises(UpstreamUnreachable, match=f"longer than {LIMIT:g} s"):
        ASKS[ask](hurried, f"ssh://git@{address}/nova.git")
    wait(lambda: server.clients == [])


def test_nobody_who_is_refused_is_asked_for_a_password(server: SshServer, mirrors: GitMirrors, url: str) -> None:
    server.use("host")
    with pytest.raises(UpstreamUnreachable, match="Permission denied"):
        mirrors.refs(url)
    with pytest.raises(HostUnreachable, match="refused"):
        mirrors.refs(url.replace(url.split(":")[2].split("/", maxsplit=1)[0], "1"))
