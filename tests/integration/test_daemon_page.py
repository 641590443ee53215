"""The real daemon serving the status page: it comes back, goes with the daemon, and never is in a build's way."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from conveyor.command import process_started
from tests.support.daemons import Daemon, QuickSite, site_of
from tests.support.published import need
from tests.support.site import wait_for
from tests.support.webserver import free_port

pytestmark = pytest.mark.integration


@pytest.fixture
def site() -> Iterator[QuickSite]:
    need("setpriv")
    with site_of(QuickSite) as made:
        yield made


def serving(site: QuickSite, port: int, *arguments: str, **env: str) -> Daemon:
    return site.daemon("--no-poll", "--serve", *arguments, env={"CONVEYOR_WEB_LISTEN": f"127.0.0.1:{port}", **env})


def answers(port: int, path: str = "/healthz") -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False, timeout=20).status_code == 200
    except httpx.TransportError:
        return False


def metrics(port: int, prefix: str) -> set[str]:
    """What Prometheus is told that begins so, without that beginning."""
    lines = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=20).text.splitlines()
    return {line.removeprefix(prefix) for line in lines if line.startswith(prefix) and "_created" not in line}


def pages(daemon: Daemon) -> list[int]:
    """Process ids of all that served the page."""
    return [line["pid"] for line in daemon.said("page started")]


def can_be_listened_on(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def capabilities(pid: int) -> set[str]:
    """What a process may do or come to, as sets of bits."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line.split()[1] for line in lines if line.startswith(("CapPrm", "CapEff", "CapBnd", "CapInh"))}


def test_it_serves_the_page_and_starts_it_again_and_ends_it(site: QuickSite) -> None:
    port, health = free_port(), free_port()
    daemon = serving(site, port, CONVEYOR_DAEMON_LISTEN=f"127.0.0.1:{health}")
    wait_for(lambda: answers(port), "the page", 60)
    assert answers(port, "/")
    assert answers(port, "/api/v1/status")
    wait_for(lambda: metrics(health, "conveyor_page_") == {"up 1.0", "restarts_total 0.0"}, "the page to be told of")
    assert metrics(port, "conveyor_web_requests_total") >= {'{route="/",status="2xx"} 1.0'}
    (first,) = pages(daemon)
    assert capabilities(first) == {16 * "0"}

    os.kill(first, signal.SIGKILL)
    wait_for(lambda: len(pages(daemon)) == 2 and answers(port), "the page to be back", 60)
    told = {"up 1.0", "restarts_total 1.0"}
    wait_for(lambda: metrics(health, "conveyor_page_") == told, "the new page to be told of")
    assert [line["code"] for line in daemon.said("page lost: its own words are before this")] == [-signal.SIGKILL]
    (number,) = site.queue()
    site.in_the_trunk(number)

    assert daemon.stop() == 0
    assert [process_started(pid) for pid in pages(daemon)] == [None, None]
    assert can_be_listened_on(port)


def test_it_goes_with_a_daemon_that_is_killed(site: QuickSite) -> None:
    port = free_port()
    daemon = serving(site, port)
    wait_for(lambda: answers(port), "the page", 60)
    daemon.kill()

    wait_for(lambda: [process_started(pid) for pid in pages(daemon)] == [None], "the end of the page")
    # A process that was killed is no more before its connections are.
    wait_for(lambda: can_be_listened_on(port), "the port to be free")


def test_what_keeps_it_from_being_served_is_told_and_harms_no_build(site: QuickSite) -> None:
    health = free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        daemon = serving(site, taken.getsockname()[1], CONVEYOR_DAEMON_LISTEN=f"127.0.0.1:{health}")
        wait_for(lambda: len(daemon.said("page lost: its own words are before this", code=2)) >= 2, "two tries", 60)
        assert "the page cannot be served on" in daemon.log.read_text()
        ready = httpx.get(f"http://127.0.0.1:{health}/readyz", trust_env=False, timeout=20)
        assert (ready.status_code, ready.json()["reasons"]) in [
            (503, ["the page is not served: it is started again"]),
            (200, []),  # just now there is another try
        ]
        (number,) = site.queue()
        site.in_the_trunk(number)
    assert daemon.stop() == 0


def test_a_single_pass_serves_nothing(site: QuickSite) -> None:
    daemon = site.daemon("--once", "--serve")
    assert daemon.end() == 2
    assert "--serve and --once exclude each other" in daemon.log.read_text()
