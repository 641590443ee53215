"""Whether who holds something is still there."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from conveyor.command import process_started
from conveyor.errors import PermissionMissing
from conveyor.model.lease import DAEMON, Lease
from conveyor.pipeline.holders import daemon_state, interrupt, is_gone, is_here
from tests.fakes import store_samples as sample

NOW = sample.minute(0)


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits to be interrupted."""
    code = "import time; print(flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as started:
        assert started.stdout is not None
        started.stdout.readline()
        yield started
        started.kill()


def lease(pid: int | None = None, *, host: str = "") -> Lease:
    pid = pid or os.getpid()
    return Lease(
        name=DAEMON,
        token="t",
        host=host or platform.node(),
        pid=pid,
        process_started=process_started(pid) or 0,
        since=NOW,
        heartbeat_at=NOW,
    )


def test_a_process_of_this_machine_is_known_to_be_there_or_gone(process: subprocess.Popen[bytes]) -> None:
    there = lease(process.pid)
    assert (is_here(there), is_gone(there)) == (True, False)
    assert is_gone(replace(there, process_started=there.process_started + 1))
    process.kill()
    process.wait()
    assert is_gone(there)


def test_of_another_machine_nothing_is_known() -> None:
    elsewhere = replace(lease(), host="elsewhere", process_started=1)
    assert (is_here(elsewhere), is_gone(elsewhere)) == (False, False)


def test_it_is_interrupted(process: subprocess.Popen[bytes]) -> None:
    assert interrupt(lease(process.pid))
    assert process.wait(timeout=30) == -signal.SIGINT
    assert not interrupt(lease(process.pid))


def test_who_has_the_pid_now_is_left_alone(process: subprocess.Popen[bytes]) -> None:
    assert not interrupt(replace(lease(process.pid), process_started=1))
    assert process.poll() is None


def test_another_users_process_is_told_as_such(
    process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(signal, "pidfd_send_signal", refuse)
    with pytest.raises(PermissionMissing, match=f"process {process.pid} is another user's"):
        interrupt(lease(process.pid))


@pytest.mark.parametrize(
    ("host", "silent", "runs"),
    [("", 0, True), ("", 3600, True), ("elsewhere", 59, True), ("elsewhere", 61, False), ("elsewhere", -60, True)],
)
def test_a_daemon_elsewhere_counts_as_gone_when_it_was_not_heard_of(host: str, silent: int, runs: bool) -> None:
    held = lease(host=host)
    assert daemon_state(held, NOW + timedelta(seconds=silent), 60).runs is runs


def test_a_daemon_here_is_gone_with_its_process() -> None:
    assert not daemon_state(replace(lease(), process_started=1), NOW, 60).runs
    assert not daemon_state(None, NOW, 60).runs
