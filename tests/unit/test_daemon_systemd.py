"""What systemd hears of the daemon, on real sockets."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from conveyor.daemon.systemd import Systemd


@pytest.fixture(params=["path", "abstract"])
def heard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """A socket that listens, and how its address is told."""
    name = f"conveyor-test-{os.getpid()}"
    address, told = (str(tmp_path / "s"),) * 2 if request.param == "path" else (f"\0{name}", f"@{name}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(5)
        yield told, listener


def test_all_that_is_told(heard: tuple[str, socket.socket]) -> None:
    told, listener = heard
    systemd = Systemd({"NOTIFY_SOCKET": told})
    assert systemd.listens
    for say, expected in (
        (systemd.ready, b"READY=1"),
        (systemd.alive, b"WATCHDOG=1"),
        (systemd.stopping, b"STOPPING=1"),
        (lambda: systemd.status("2 builds\nREADY=0" + "x" * 500), b"STATUS=2 builds\xef\xbf\xbdREADY=0"),
    ):
        say()
        assert listener.recv(4096)[:200].startswith(expected)
    systemd.reloading()
    first, second = listener.recv(4096).decode().split("\n")
    assert first == "RELOADING=1"
    assert second.startswith("MONOTONIC_USEC=")
    assert second.partition("=")[2].isdigit()


def test_nobody_listens(tmp_path: Path) -> None:
    for environ in (
        {},
        {"NOTIFY_SOCKET": ""},
        {"NOTIFY_SOCKET": "relative"},
        {"NOTIFY_SOCKET": str(tmp_path / "gone")},
    ):
        Systemd(environ).ready()
    assert not Systemd({}).listens


def test_a_listener_that_reads_nothing_stops_nobody(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "s"))
        systemd = Systemd({"NOTIFY_SOCKET": str(tmp_path / "s")})
        for _ in range(2000):
            systemd.alive()


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_how_often_it_wants_to_hear(environ: dict[str, str], seconds: float | None) -> None:
    assert Systemd(environ).beat_seconds == seconds
