"""The server as a process."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from conveyor.web.serve import listening_socket
from tests.support.web import REPOS

ROOT = Path(__file__).parents[2]


def command(folder: Path, listen: str) -> list[str]:
    (folder / "repos.yaml").write_text(REPOS)
    return [sys.executable, "-m", "conveyor.cli.main", "--data-dir", str(folder / "data"), "serve", "--listen", listen]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_asked_to_stop(tmp_path: Path, sent: signal.Signals) -> None:
    listen = f"127.0.0.1:{free_port()}"
    arguments = command(tmp_path, listen)
    with subprocess.Popen(arguments, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE) as process:
        assert _answers(f"http://{listen}/healthz") == {"alive": True}
        process.send_signal(sent)
        _, told = process.communicate(timeout=30)
    assert process.returncode == 0
    assert told.decode() == f"serving http://{listen}/\n"


def test_it_does_not_wait_for_who_listens_to_events(tmp_path: Path) -> None:
    listen = f"127.0.0.1:{free_port()}"
    arguments = command(tmp_path, listen)
    with subprocess.Popen(arguments, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE) as process:
        _answers(f"http://{listen}/healthz")
        with httpx.stream("GET", f"http://{listen}/api/v1/events/stream", timeout=30) as stream:
            lines = stream.iter_lines()
            assert next(lines) == "retry: 2000"
            process.send_signal(signal.SIGTERM)
            assert list(lines) == [""]
        process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:0"])
def test_the_second_part_of_an_answer_does_not_wait_for_the_first_ones_receipt(listen: str) -> None:
    with listening_socket(listen) as listening:
        client = socket.create_connection(listening.getsockname()[:2])
        connection, _ = listening.accept()
        with client, connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_an_address_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run(
            command(tmp_path, listen), cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=False
        )
    assert done.returncode == 2
    assert f"the page cannot be served on {listen}: Address already in use" in done.stderr.decode()


def test_what_is_no_address_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        command(tmp_path, "nowhere"), cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=False
    )
    assert done.returncode == 2
    assert "is no address to listen on" in done.stderr.decode()


def _answers(url: str) -> object:
    deadline = time.monotonic() + 30
    while True:
        try:
            return httpx.get(url).json()
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
