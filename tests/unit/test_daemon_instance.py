"""That there is one daemon, and what it makes of edits."""

from __future__ import annotations

import os
import platform
import threading
from datetime import timedelta
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from conveyor.command import process_started
from conveyor.config import Settings
from conveyor.daemon import instance
from conveyor.daemon.instance import Held, locked
from conveyor.daemon.log import Log, set_up
from conveyor.daemon.site import check_unmoved
from conveyor.errors import ConfigurationInvalid, DaemonRunning, StoreUnusable
from conveyor.model.lease import DAEMON, Lease
from conveyor.wiring.configurationfiles import Files
from tests.fakes.clock import NOON, FakeClock
from tests.fakes.leases import MemoryLeases


@pytest.fixture
def log() -> Log:
    return set_up(StringIO())


@pytest.fixture
def leases() -> MemoryLeases:
    return MemoryLeases()


def of(host: str, *, pid: int = 1, started: int = 1, at: timedelta = timedelta(0)) -> Lease:
    return Lease(
        name=DAEMON, token="other", host=host, pid=pid, process_started=started, since=NOON, heartbeat_at=NOON + at
    )


class TestLock:
    def test_one_at_a_time_and_it_says_who(self, tmp_path: Path) -> None:
        with locked(tmp_path, wait=False):
            with pytest.raises(DaemonRunning) as caught, locked(tmp_path, wait=False):
                pass
            assert f"process {os.getpid()}" in caught.value.what
            assert caught.value.exit_code == 3
        with locked(tmp_path, wait=False):
            pass

    def test_who_waits_gets_it_at_the_end_of_the_other(self, tmp_path: Path) -> None:
        got = threading.Event()

        def stand_in() -> None:
            with locked(tmp_path, wait=True):
                got.set()

        with locked(tmp_path, wait=False):
            thread = threading.Thread(target=stand_in)
            thread.start()
            assert not got.wait(0.05)
        assert got.wait(20)
        thread.join()


class TestLease:
    def held(self, leases: MemoryLeases, log: Log, lost_after: float = 60) -> tuple[Held, threading.Event]:
        lost = threading.Event()
        return Held(leases, FakeClock(), lost_after, lost.set, log), lost

    def test_it_is_taken_renewed_and_given_back(self, leases: MemoryLeases, log: Log) -> None:
        held, lost = self.held(leases, log, 0.05)
        held.take(wait=False)
        holder = leases.holder(DAEMON)
        assert holder is not None
        assert (holder.host, holder.pid) == (platform.node(), os.getpid())
        renewed = threading.Event()
        renew = leases.renew

        def listen(name: str, token: str, at: object) -> bool:
            renewed.set()
            return renew(name, token, at)  # type: ignore[arg-type]

        leases.renew = listen  # type: ignore[method-assign]
        assert renewed.wait(20)
        held.give_back()
        assert leases.holder(DAEMON) is None
        assert not lost.is_set()

    def test_another_machines_daemon_is_told_of(self, leases: MemoryLeases, log: Log) -> None:
        leases.take(of("elsewhere"), lost_after=60)
        held, _ = self.held(leases, log)
        with pytest.raises(DaemonRunning) as caught:
            held.take(wait=False)
        assert "process 1 on elsewhere" in caught.value.what

    def test_one_that_was_not_heard_of_is_stood_in_for(self, leases: MemoryLeases, log: Log) -> None:
        leases.take(of("elsewhere", at=timedelta(seconds=-3600)), lost_after=60)
        held, _ = self.held(leases, log)
        held.take(wait=False)
        held.give_back()

    def test_who_waits_takes_it_when_it_is_given_back(
        self, leases: MemoryLeases, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(instance, "RETRY_SECONDS", 0.001)
        leases.take(of("elsewhere"), lost_after=60)
        held, _ = self.held(leases, log, 3600)
        thread = threading.Thread(target=held.take, kwargs={"wait": True})
        thread.start()
        leases.release(DAEMON, "other")
        thread.join(20)
        assert not thread.is_alive()
        held.give_back()

    def test_a_process_of_this_machine_that_is_gone_is_not_waited_for(self, leases: MemoryLeases, log: Log) -> None:
        pid = os.getpid()
        leases.take(of(platform.node(), pid=pid, started=(process_started(pid) or 0) - 1), lost_after=60)
        held, _ = self.held(leases, log)
        held.take(wait=False)
        held.give_back()

    def test_a_lease_that_another_took_is_lost(self, leases: MemoryLeases, log: Log) -> None:
        held, lost = self.held(leases, log, 0.05)
        held.take(wait=False)
        holder = leases.holder(DAEMON)
        assert holder is not None
        leases.release(DAEMON, holder.token)
        leases.take(of("elsewhere"), lost_after=60)
        assert lost.wait(20)
        held.give_back()
        assert leases.holder(DAEMON) == of("elsewhere")

    def test_a_store_that_does_not_answer_is_asked_again(
        self, leases: MemoryLeases, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = threading.Semaphore(0)

        def refuse(*_: object) -> bool:
            asked.release()
            raise StoreUnusable("gone")

        held, lost = self.held(leases, log, 0.01)
        monkeypatch.setattr(leases, "renew", refuse)
        held.take(wait=False)
        assert all(asked.acquire(timeout=20) for _ in range(3))
        assert not lost.is_set()
        held.give_back()


class TestFiles:
    @pytest.fixture
    def repos(self, tmp_path: Path) -> Path:
        file = tmp_path / "repos.yaml"
        file.write_text("one\n")
        os.utime(file, (1, 1))
        return file

    def settings(self, repos: Path) -> Settings:
        return cast(Settings, SimpleNamespace(source=None, repos=repos))

    def files(self, repos: Path, *, read_at: int = 10**18) -> Files:
        return Files(self.settings(repos), read_at)

    def test_an_edit_counts_once_nobody_writes_any_more(self, repos: Path) -> None:
        files = self.files(repos)
        assert not files.changed()
        repos.write_text("one, half wri")
        assert not files.changed()
        repos.write_text("one, half written")
        assert not files.changed()
        assert files.changed()
        assert not files.changed()

    def test_a_settings_file_may_appear_and_go(self, repos: Path) -> None:
        files = self.files(repos)
        settings = repos.with_name("conveyor.toml")
        for change in (settings.touch, settings.unlink):
            change()
            assert [files.changed(), files.changed(), files.changed()] == [False, True, False]

    def test_what_was_edited_while_it_was_read_is_read_again(self, repos: Path) -> None:
        os.utime(repos)
        files = self.files(repos, read_at=1)
        assert [files.changed(), files.changed(), files.changed()] == [False, True, False]

    def test_files_of_another_configuration_are_watched_from_then_on(self, repos: Path, tmp_path: Path) -> None:
        files = self.files(repos)
        other = tmp_path / "other/repos.yaml"
        other.parent.mkdir()
        other.write_text("two\n")
        files.watch(self.settings(other))
        files.changed()
        files.changed()
        repos.write_text("changed\n")
        assert [files.changed(), files.changed()] == [False, False]
        other.write_text("changed\n")
        assert [files.changed(), files.changed()] == [False, True]


def test_what_a_running_daemon_stands_on_cannot_be_moved() -> None:
    before = SimpleNamespace(data_dir=Path("/a"), database="sqlite:////a")
    check_unmoved(before, before)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationInvalid, match="data_dir and database cannot change"):
        check_unmoved(before, SimpleNamespace(data_dir=Path("/b"), database="sqlite:////b"))  # type: ignore[arg-type]
