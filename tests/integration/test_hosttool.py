"""A tool on the real kernel: what it gets, its limits, and that nothing is left of it."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from conveyor.buildroot.isolation import cgroup
from conveyor.buildroot.isolation.sandbox import ScratchKind
from conveyor.buildroot.jobs import Jobs
from conveyor.buildroot.tools.hosttool import HostTools
from conveyor.buildroot.tools.toolhost import ToolCall
from conveyor.errors import CommandMissing, CommandTimedOut, SandboxUnusable
from conveyor.model.target import Limits
from tests.fakes.processes import spawn
from tests.support.left import groups, loops, sleepers, swept, wait
from tests.support.roots import need_sandbox

pytestmark = pytest.mark.integration

needs_groups = pytest.mark.skipif(cgroup.kind() == "none", reason="no control groups are writable here")
LIMITS = Limits(seconds=30, memory=256 * 1024**2, disk=64 * 1024**2, processes=100)
KINDS = pytest.mark.parametrize("kind", [ScratchKind.MEMORY, ScratchKind.DISK])


def make(data: Path, kind: ScratchKind = ScratchKind.MEMORY) -> HostTools:
    return HostTools(jobs=Jobs(data / "jobs"), folder=data / "tools", scratch=kind)


def script(text: str, *arguments: str) -> ToolCall:
    return ToolCall(argv=("/bin/sh", "-c", text, "sh", *arguments), limits=LIMITS)


@pytest.fixture(autouse=True)
def _nothing_left(tmp_path: Path) -> Iterator[None]:
    """After each test: no mount, no group, no folder, no loop device."""
    need_sandbox()
    yield
    assert str(tmp_path) not in Path("/proc/1/mountinfo").read_text()
    assert not (tmp_path / "jobs").exists() or list((tmp_path / "jobs").iterdir()) == []
    assert not (tmp_path / "tools/.scratch").exists() or list((tmp_path / "tools/.scratch").iterdir()) == []
    assert str(tmp_path) not in loops()
    assert groups(os.getpid()) == []


@pytest.fixture
def tools(tmp_path: Path) -> HostTools:
    return make(tmp_path)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


class TestRun:
    @pytest.mark.parametrize(("text", "code"), [("true", 0), ("exit 3", 3), ("exit 125", 125), ("kill -9 $$", 137)])
    def test_its_exit_code_is_told(self, tools: HostTools, log: Path, text: str, code: int) -> None:
        end = tools.run(script(text), log)
        assert (end.exit_code, end.disk_full, end.out_of_memory) == (code, False, False)

    def test_what_it_writes_goes_to_the_log(self, tools: HostTools, log: Path) -> None:
        log.write_text("before\n")
        tools.run(script("echo one; echo two >&2"), log)
        assert log.read_text() == "before\none\ntwo\n"

    def test_its_environment_is_small(self, tools: HostTools, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SECRET", "hunter2")
        monkeypatch.setenv("http_proxy", "http://proxy.example.org")
        tools.run(replace(script("env"), environment={"COLOUR": "blue"}), log)
        lines = log.read_text().splitlines()
        assert {line.partition("=")[0] for line in lines} == {"PATH", "LC_ALL", "HOME", "COLOUR", "PWD"}
        assert f"HOME={tools.scratch()}" in lines

    def test_a_cache_lasts_and_is_its_own(self, tools: HostTools, log: Path) -> None:
        assert tools.cache("one") != tools.cache("two")
        tools.run(script('echo kept > "$1/file"', str(tools.cache("one"))), log)
        assert (tools.cache("one") / "file").read_text() == "kept\n"

    @KINDS
    def test_the_scratch_folder_is_new_and_as_large_as_the_limit(
        self, tmp_path: Path, log: Path, kind: ScratchKind
    ) -> None:
        tools = make(tmp_path, kind)
        for _ in range(2):
            call = script(
                'ls "$1" | grep -v lost+found; echo x > "$1/file"; df -k "$1" | tail -n 1', str(tools.scratch())
            )
            tools.run(call, log)
            (line,) = log.read_text().splitlines()
            assert 40 * 1024 < int(line.split()[1]) <= 64 * 1024
            log.unlink()

    @KINDS
    def test_it_can_make_a_root_with_device_nodes_and_no_setuid_programs(
        self, tmp_path: Path, log: Path, kind: ScratchKind
    ) -> None:
        tools = make(tmp_path, kind)
        text = (
            'cd "$1"; mknod null c 1 3; echo x > null; cp /usr/bin/id id; chmod 4755 id; setpriv --reuid 64124 ./id -u'
        )
        assert tools.run(script(text, str(tools.scratch())), log).exit_code == 0
        assert log.read_text() == "64124\n"

    def test_what_it_reads_it_cannot_change(self, tools: HostTools, tmp_path: Path, log: Path) -> None:
        for name in ("in", "out"):
            (tmp_path / name).mkdir()
        (tmp_path / "in/file").write_text("hello\n")
        (tmp_path / "alone").write_text("alone\n")
        text = 'cat "$1/file" "$3" > "$2/copy"; echo x > "$1/file"; echo x > "$3"; echo y > "$1/new"'
        names = [str(tmp_path / name) for name in ("in", "out", "alone")]
        call = replace(script(text, *names), reads=(tmp_path / "in", tmp_path / "alone"), writes=(tmp_path / "out",))
        assert tools.run(call, log).exit_code != 0
        assert (tmp_path / "out/copy").read_text() == "hello\nalone\n"
        assert [path.name for path in (tmp_path / "in").iterdir()] == ["file"]
        assert (tmp_path / "in/file").read_text() == "hello\n"
        assert (tmp_path / "alone").read_text() == "alone\n"

    def test_a_tool_that_is_not_installed_is_named(self, tools: HostTools, log: Path) -> None:
        with pytest.raises(CommandMissing, match="no-such-tool"):
            tools.run(ToolCall(argv=("no-such-tool",), limits=LIMITS), log)

    def test_surroundings_that_cannot_be_set_up_are_not_the_packages_fault(
        self, tools: HostTools, tmp_path: Path, log: Path
    ) -> None:
        with pytest.raises(SandboxUnusable) as caught:
            tools.run(replace(script("true"), reads=(tmp_path / "gone",)), log)
        assert "gone" in caught.value.cause

    def test_it_may_mount_and_that_ends_with_it(self, tools: HostTools, log: Path) -> None:
        assert tools.run(script('mount -t tmpfs x "$1"', str(tools.cache("mounted"))), log).exit_code == 0

    def test_on_the_terminal_its_exit_code_is_told_too(
        self, tools: HostTools, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "in").mkdir()
        assert tools.attach(replace(script('echo hello; touch "$1/x"', str(tmp_path / "in")), reads=(tmp_path / "in",)))
        assert tools.attach(script("exit 7")) == 7
        assert capfd.readouterr().out == "hello\n"


class TestIsolation:
    def test_without_network_there_is_none(self, tools: HostTools, log: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = str(server.getsockname()[1])
            reach = script('exec 3<>"/dev/tcp/127.0.0.1/$1"', port)
            reach = replace(reach, argv=("/bin/bash", *reach.argv[1:]))
            assert tools.run(reach, log).exit_code != 0
            assert tools.run(replace(reach, network=True), log).exit_code == 0

    def test_it_sees_no_process_of_the_host(self, tools: HostTools, log: Path) -> None:
        tools.run(script("ls /proc | grep -c '^[0-9]'"), log)
        assert int(log.read_text()) < 8

    def test_it_cannot_load_kernel_modules(self, tools: HostTools, log: Path) -> None:
        tools.run(script("grep CapBnd /proc/self/status"), log)
        bounding = int(log.read_text().split()[1], 16)
        assert not bounding & (1 << 16)
        assert bounding & (1 << 21)


class TestLimits:
    def test_time_kills_all_of_it(self, tools: HostTools, log: Path) -> None:
        mark = f"97{os.getpid()}"
        call = replace(script(f"setsid sleep {mark} & sleep {mark}"), limits=replace(LIMITS, seconds=1))
        with pytest.raises(CommandTimedOut):
            tools.run(call, log)
        wait(lambda: sleepers(mark) == 0)

    def test_what_it_leaves_running_ends_with_it(self, tools: HostTools, log: Path) -> None:
        mark = f"96{os.getpid()}"
        assert tools.run(script(f"setsid sleep {mark} & true"), log).exit_code == 0
        wait(lambda: sleepers(mark) == 0)

    @needs_groups
    def test_memory(self, tmp_path: Path, log: Path) -> None:
        tools = make(tmp_path, ScratchKind.DISK)
        end = tools.run(
            replace(script("head -c 200m /dev/zero | tail -n 1"), limits=replace(LIMITS, memory=32 * 1024**2)), log
        )
        assert end.out_of_memory
        assert end.exit_code != 0

    @needs_groups
    def test_processes(self, tools: HostTools, log: Path) -> None:
        text = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22; do sleep 5 & done; exit 7"
        end = tools.run(replace(script(text), limits=replace(LIMITS, processes=20)), log)
        assert end.out_of_processes
        assert end.exit_code != 0

    @KINDS
    def test_disk(self, tmp_path: Path, log: Path, kind: ScratchKind) -> None:
        tools = make(tmp_path, kind)
        end = tools.run(script('dd if=/dev/zero of="$1/big" bs=1M count=100', str(tools.scratch())), log)
        assert end.disk_full
        assert end.exit_code != 0
        assert not end.out_of_memory

    def test_the_log(self, tools: HostTools, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("conveyor.command.LOG_LIMIT", 100_000)
        assert tools.run(script("yes | head -c 5000000"), log).exit_code == 0
        assert log.stat().st_size < 101_000


@KINDS
def test_a_kill_of_the_caller_leaves_nothing(tmp_path: Path, log: Path, kind: ScratchKind) -> None:
    tools = make(tmp_path, kind)
    mark = f"95{os.getpid()}"
    text = f'mount -t tmpfs x "$1"; setsid sleep {mark} & (trap "" TERM HUP; exec sleep {mark}) & sleep {mark}'
    caller = spawn(lambda: _run(tools, script(text, str(tools.cache("mounted"))), log))
    wait(lambda: sleepers(mark) == 3)
    os.kill(caller, signal.SIGKILL)
    os.waitpid(caller, 0)
    wait(lambda: sleepers(mark) == 0)
    wait(lambda: swept(tmp_path / "jobs", caller))


def _run(tools: HostTools, call: ToolCall, log: Path) -> None:
    tools.run(call, log)
