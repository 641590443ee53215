"""The real daemon, asked from outside how it is, and telling people what became of a build."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from tests.support.daemons import QuickSite, site_of
from tests.support.receiver import receiver
from tests.support.site import DEB, wait_for
from tests.support.webserver import free_port

pytestmark = pytest.mark.integration

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def site() -> Iterator[QuickSite]:
    with site_of(QuickSite) as made:
        yield made


def get(port: int, path: str) -> httpx.Response | None:
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False, timeout=20)
    except httpx.TransportError:
        return None


def metric(port: int, name: str) -> float | None:
    """The value of a metric, its labels in its name."""
    answer = get(port, "/metrics")
    lines = answer.text.splitlines() if answer is not None else []
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), None)


def test_it_can_be_asked_how_it_is(site: QuickSite) -> None:
    port = free_port()
    daemon = site.daemon(env={"CONVEYOR_DAEMON_LISTEN": f"127.0.0.1:{port}"})
    wait_for(lambda: get(port, "/healthz"), "the daemon to listen")
    wait_for(lambda: metric(port, 'conveyor_workers{state="free"}') == 1, "a worker")
    built = f'conveyor_builds_total{{outcome="succeeded",target="{DEB}"}}'
    wait_for(lambda: (metric(port, built) or 0) >= 1, "the first build to be counted", 60)
    site.push("sleep 0")
    with site.books() as books:
        books.watch.poke(["hello"], "ada", datetime.now(UTC))
    installable = f'conveyor_seen_to_installable_seconds_count{{target="{DEB}"}}'
    wait_for(lambda: (metric(port, installable) or 0) >= 1, "the commit to be installable", 60)
    assert (metric(port, f'conveyor_build_stage_seconds_count{{stage="publish",target="{DEB}"}}') or 0) >= 2
    ready = get(port, "/readyz")
    assert ready is not None
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "reasons": []})
    assert daemon.stop() == 0
    assert get(port, "/healthz") is None


def test_an_address_that_is_taken_is_a_mistake_of_the_configuration(site: QuickSite) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        daemon = site.daemon(env={"CONVEYOR_DAEMON_LISTEN": f"127.0.0.1:{taken.getsockname()[1]}"})
        assert daemon.end() == 2
    assert "another process does" in daemon.log.read_text()


def test_systemd_hears_of_it(site: QuickSite) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(site.folder / "notify"))
        listener.settimeout(60)
        daemon = site.daemon(env={"NOTIFY_SOCKET": str(site.folder / "notify"), "WATCHDOG_USEC": "1000000"})
        heard: list[str] = []
        while heard.count("WATCHDOG=1") < 3:
            heard.append(listener.recv(4096).decode())
        assert daemon.stop() == 0
        listener.settimeout(5)
        while "STOPPING=1" not in heard:
            heard.append(listener.recv(4096).decode())
    assert heard[0] == "READY=1"
    assert "STATUS=0 of 1 workers build" in heard


def test_a_failure_is_told_to_a_webhook(site: QuickSite) -> None:
    (site.folder / "secret").write_text(SECRET)
    with receiver() as chat:
        hook = {"name": "chat", "url": chat.url, "secret_file": str(site.folder / "secret"), "events": ["failed"]}
        daemon = site.daemon(env={"CONVEYOR_WEBHOOKS": json.dumps([hook])})
        (number,) = site.queue_pushed("fail")
        site.finished(number)
        wait_for(lambda: chat.requests, "the webhook to be told", 60)
        assert daemon.stop() == 0
    told = json.loads(chat.requests[0].body)["data"]
    assert (told["build"]["id"], told["cause"]["fault"]) == (number, "package")
    assert told["links"]["log"] == str(site.data / f"builds/{number}/1/log")
    assert Path(told["links"]["log"]).exists()
