"""Clients that send or read slowly, on bare sockets: they hold neither threads nor memory, and not their connection."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest

from tests.support.logs import Logging
from tests.support.webprocess import WebProcess, web_process

pytestmark = pytest.mark.integration

# More than there are threads for requests.
MANY = 100
LARGE = 64 * 2**20
PATIENCE = 30


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    folder = tmp_path_factory.mktemp("slow")
    with web_process(folder, program="tests.support.impatient_web") as made:
        yield made
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def log(web: WebProcess) -> Logging:
    made = Logging(web.books.store, web.data)
    made.write(b"a line\n" * (LARGE // 7))
    return made


def is_closed(client: socket.socket) -> bool:
    """Whether the server has ended the connection; what came before is thrown away."""
    client.setblocking(False)
    with suppress(BlockingIOError):
        try:
            while client.recv(2**20):
                pass
        except ConnectionError:
            pass
        return True
    return False


def wait_closed(clients: list[socket.socket]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not all(is_closed(client) for client in clients):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    for client in clients:
        client.close()


def assert_answers(web: WebProcess) -> None:
    """Others are served all the while."""
    assert httpx.get(f"{web.url}/readyz", timeout=PATIENCE).json()["ready"]


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET /readyz HT",
        b"GET /readyz HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{",
        b"POST /hooks/github HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /rea",
    ],
)
def test_who_sends_byte_by_byte_is_let_go(web: WebProcess, begun: bytes) -> None:
    clients = [web.connect() for _ in range(MANY)]
    before = web.memory()
    for client in clients:
        client.sendall(begun)
    for _ in range(3):
        for client in clients:
            with suppress(ConnectionError):
                client.sendall(b"1")
        time.sleep(0.3)
    assert_answers(web)
    assert web.memory() - before < 32 * 2**20
    wait_closed(clients)


@pytest.mark.parametrize("part", ["", "/events"])
def test_who_does_not_read_is_let_go(web: WebProcess, log: Logging, part: str) -> None:
    assert_answers(web)
    before, open_before = web.memory(), web.connections()
    clients = []
    for _ in range(MANY):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", web.port))
        client.sendall(f"GET {log.url}{part} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        clients.append(client)
    time.sleep(1)
    assert_answers(web)
    assert web.memory() - before < 96 * 2**20
    deadline = time.monotonic() + PATIENCE
    while web.connections() > open_before + 5:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    for client in clients:
        client.close()
    assert_answers(web)


def test_who_reads_steadily_gets_all(web: WebProcess, log: Logging) -> None:
    got = 0
    began = time.monotonic()
    with httpx.stream("GET", f"{web.url}{log.url}", timeout=PATIENCE) as answer:
        for chunk in answer.iter_raw(2**20):
            got += len(chunk)
            time.sleep(0.08)
    assert got == log.path.stat().st_size
    assert time.monotonic() - began > 4


def test_headers_without_end_are_refused(web: WebProcess) -> None:
    client = web.connect()
    with suppress(ConnectionError):
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Long: " + b"x" * 200_000)
        assert b"400" in client.recv(4096)
    wait_closed([client])
