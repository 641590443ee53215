"""The daemon's HTTP server, asked over real sockets; and whether the daemon is ready."""

from __future__ import annotations

import gzip
import json
import os
import platform
import socket
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import httpx
import pytest
from prometheus_client import CollectorRegistry, Gauge, make_wsgi_app

from conveyor.command import process_started
from conveyor.daemon.health import Readiness
from conveyor.daemon.http import HttpServer, make_app
from conveyor.daemon.vitals import Serving, Vitals
from conveyor.daemon.watchdog import Work
from conveyor.errors import StoreUnusable, UserError
from conveyor.model.lease import DAEMON, Lease
from conveyor.model.watch import Remote
from tests.fakes.clock import NOON, FakeClock
from tests.fakes.leases import MemoryLeases
from tests.fakes.watch import MemoryWatch


@contextmanager
def serving(
    reasons: tuple[str, ...] = (), *, address: str = "127.0.0.1:0", clients: int = 8, seconds: float = 5
) -> Iterator[HttpServer]:
    registry = CollectorRegistry()
    Gauge("x", "X.", registry=registry).set(3)
    server = HttpServer(address, make_app(make_wsgi_app(registry), lambda: reasons), clients=clients, seconds=seconds)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def get(server: HttpServer, path: str, method: str = "GET") -> httpx.Response:
    return httpx.request(method, f"http://127.0.0.1:{server.port}{path}", timeout=20, trust_env=False)


class TestServer:
    def test_metrics(self) -> None:
        with serving() as server:
            answer = get(server, "/metrics")
        assert answer.status_code == 200
        assert "\nx 3.0\n" in answer.text
        assert answer.headers["content-type"].startswith("text/plain")

    def test_they_are_compressed_for_who_wants_that(self) -> None:
        with serving() as server, httpx.Client(trust_env=False) as client:
            url = f"http://127.0.0.1:{server.port}/metrics"
            with client.stream("GET", url, headers={"accept-encoding": "gzip"}) as answer:
                assert b"\nx 3.0\n" in gzip.decompress(b"".join(answer.iter_raw()))

    def test_alive_and_ready(self) -> None:
        with serving() as server:
            assert get(server, "/healthz").json() == {"alive": True}
            ready = get(server, "/readyz")
        assert (ready.status_code, ready.json()) == (200, {"ready": True, "reasons": []})

    def test_not_ready(self) -> None:
        with serving(("the disk is low",)) as server:
            assert get(server, "/healthz").status_code == 200
            answer = get(server, "/readyz")
        assert (answer.status_code, answer.json()["reasons"]) == (503, ["the disk is low"])

    def test_what_is_not_there(self) -> None:
        with serving() as server:
            assert get(server, "/").status_code == 404
            assert get(server, "/../etc/passwd").status_code == 404
            assert get(server, "/metrics", "POST").status_code == 405
            head = get(server, "/readyz", "HEAD")
        assert (head.status_code, head.content) == (200, b"")

    def test_an_address_of_ipv6(self) -> None:
        with serving(address="[::1]:0") as server:
            answer = httpx.get(f"http://[::1]:{server.port}/healthz", trust_env=False)
        assert answer.status_code == 200

    def test_an_address_that_is_taken(self) -> None:
        with serving() as server:
            address = f"127.0.0.1:{server.port}"
            with pytest.raises(UserError, match="another process does") as raised:
                HttpServer(address, make_app(make_wsgi_app(CollectorRegistry()), tuple))
        assert "listen" in raised.value.hint
        with pytest.raises(UserError):
            HttpServer("192.0.2.1:1", make_app(make_wsgi_app(CollectorRegistry()), tuple))

    def test_one_that_never_started_can_be_stopped(self) -> None:
        HttpServer("127.0.0.1:0", make_app(make_wsgi_app(CollectorRegistry()), tuple)).stop()

    def test_slow_clients_are_cut_off(self) -> None:
        with serving(seconds=0.3) as server, socket.create_connection(("127.0.0.1", server.port)) as slow:
            slow.settimeout(10)
            slow.sendall(b"GET /metrics HTTP/1.1\r\nx: ")
            began = time.monotonic()
            while slow.recv(4096):
                pass
            assert time.monotonic() - began < 8

    def test_slow_clients_keep_others_out_for_so_long_only(self) -> None:
        with serving(clients=2, seconds=0.3) as server:
            slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(6)]
            deadline = time.monotonic() + 10
            while True:
                try:
                    assert get(server, "/healthz").status_code == 200
                    break
                except httpx.TransportError:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            for each in slow:
                each.close()
            assert threading.active_count() < 20

    @pytest.mark.parametrize(
        "request_", [b"\x00\xff\r\n\r\n", b"GET\r\n\r\n", b"x" * 70_000, b"GET / HTTP/9.9\r\n\r\n"]
    )
    def test_garbage_gets_an_error_and_ends(self, request_: bytes) -> None:
        with serving(seconds=1) as server:
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                client.settimeout(10)
                client.sendall(request_)
                client.shutdown(socket.SHUT_WR)
                try:
                    while client.recv(65536):
                        pass
                except ConnectionResetError:
                    pass
            assert get(server, "/healthz").status_code == 200


class BrokenWatch(MemoryWatch):
    """Its store does not answer."""

    def remotes(self, urls: Collection[str] | None = None) -> dict[str, Remote]:  # noqa: ARG002 - the port's
        raise StoreUnusable("the store is locked", cause="somebody")


def lease(at: datetime = NOON) -> Lease:
    pid = os.getpid()
    return Lease(
        name=DAEMON,
        token="t",
        host=platform.node(),
        pid=pid,
        process_started=process_started(pid) or 0,
        since=at,
        heartbeat_at=at,
    )


def readiness(
    vitals: Vitals | None = None,
    *,
    held: Lease | None = None,
    watch: MemoryWatch | None = None,
    polls: bool = True,
) -> tuple[str, ...]:
    leases = MemoryLeases()
    leases.take(held or lease(), lost_after=60)
    return Readiness(
        leases=leases,
        watch=watch or MemoryWatch(),
        clock=FakeClock(),
        vitals=vitals or Vitals(),
        lost_after=60,
        polls=polls,
    ).reasons()


def remote(answered_at: datetime | None) -> Remote:
    return Remote(url="u", polled_at=NOON, answered_at=answered_at, failures=0, cause="", next_at=NOON)


class TestReadiness:
    def test_a_daemon_that_works(self) -> None:
        watch = MemoryWatch()
        watch.polled([remote(NOON)])
        assert readiness(watch=watch) == ()

    def test_a_store_that_does_not_answer(self) -> None:
        assert readiness(watch=BrokenWatch()) == ("the store is locked: somebody",)

    @pytest.mark.parametrize("held", [replace(lease(), pid=1), replace(lease(), host="elsewhere")])
    def test_a_lease_of_another(self, held: Lease) -> None:
        assert readiness(held=held) == ("another daemon has the lease, or none",)

    def test_a_lease_that_was_lost(self) -> None:
        assert readiness(Vitals(lease_lost=True)) == ("another daemon has the lease, or none",)

    def test_a_lease_that_nobody_renews(self) -> None:
        held = lease(NOON - timedelta(minutes=5))
        assert readiness(held=held) == ("the lease was not renewed for too long",)

    def test_before_the_first_answer(self) -> None:
        watch = MemoryWatch()
        watch.polled([remote(None)])
        assert readiness(watch=watch) == ("no repository has answered yet",)
        assert readiness(watch=watch, polls=False) == ()

    def test_what_stands_still_a_low_disk_and_a_page_that_is_gone(self) -> None:
        page = Serving(runs=False, restarts=1, trouble="the page is gone")
        vitals = Vitals(disk_low=True, page=page, stale=frozenset({Work.POLLING, Work.BUILDING}))
        assert readiness(vitals) == (
            "the disk is low: no build is taken",
            "the page is gone",
            "no build has begun or ended, though some wait",
            "no repository has answered",
        )


def test_what_answers_is_json() -> None:
    with serving(("é",)) as server:
        assert json.loads(get(server, "/readyz").content) == {"ready": False, "reasons": ["é"]}
