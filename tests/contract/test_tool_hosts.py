"""What every ToolHost does: the machine itself, and containers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from conveyor.buildroot.isolation import cgroup
from conveyor.buildroot.isolation.sandbox import ScratchKind
from conveyor.buildroot.jobs import Jobs
from conveyor.buildroot.tools.containertool import ContainerTools
from conveyor.buildroot.tools.hosttool import HostTools
from conveyor.buildroot.tools.toolhost import ToolCall, ToolHost
from conveyor.errors import CommandMissing, CommandTimedOut, SandboxUnusable
from conveyor.model.target import Limits
from tests.support.containers import need_containers, remove_volumes, shared_runtimes
from tests.support.roots import need_sandbox

pytestmark = pytest.mark.integration

needs_groups = pytest.mark.skipif(cgroup.kind() == "none", reason="no control groups are writable here")
LIMITS = Limits(seconds=30, memory=256 * 1024**2, disk=64 * 1024**2, processes=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A tool's host, and its folder."""

    tools: ToolHost
    data: Path

    def run(self, text: str, *arguments: Path, log: Path) -> int:
        """The exit code of a shell script."""
        return self.tools.run(script(text, *arguments), log).exit_code


@pytest.fixture(params=["host", "container"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    data = tmp_path / "data"
    if request.param == "host":
        need_sandbox()
        yield Place(
            tools=HostTools(jobs=Jobs(data / "jobs"), folder=data / "tools", scratch=ScratchKind.MEMORY), data=data
        )
    else:
        image = need_containers()
        tools = ContainerTools(jobs=Jobs(data / "jobs"), image=image, runtimes=shared_runtimes())
        yield Place(tools=tools, data=data)
        remove_volumes()
    assert str(data) not in Path("/proc/1/mountinfo").read_text()
    assert not (data / "jobs").exists() or list((data / "jobs").iterdir()) == []


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def script(text: str, *arguments: Path) -> ToolCall:
    return ToolCall(argv=("/bin/sh", "-c", text, "sh", *map(str, arguments)), limits=LIMITS)


@pytest.mark.parametrize(("text", "code"), [("true", 0), ("exit 3", 3), ("exit 125", 125), ("kill -9 $$", 137)])
def test_its_exit_code_is_told(place: Place, log: Path, text: str, code: int) -> None:
    end = place.tools.run(script(text), log)
    assert (end.exit_code, end.disk_full, end.out_of_memory, end.out_of_processes) == (code, False, False, False)


def test_what_it_writes_goes_to_the_log(place: Place, log: Path) -> None:
    log.write_text("before\n")
    place.tools.run(script("echo one; echo two >&2"), log)
    assert sorted(log.read_text().splitlines()) == ["before", "one", "two"]


def test_its_environment_is_small(place: Place, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    monkeypatch.setenv("http_proxy", "http://proxy.example.org")
    place.tools.run(replace(script("env"), environment={"COLOUR": "blue"}), log)
    lines = log.read_text().splitlines()
    names = {line.partition("=")[0] for line in lines}
    # What podman and busybox add by themselves.
    assert names - {"HOSTNAME", "TERM", "container", "SHLVL"} == {"PATH", "LC_ALL", "HOME", "COLOUR", "PWD"}
    assert f"HOME={place.tools.scratch()}" in lines


def test_a_proxy_is_for_calls_with_a_network(place: Place, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.example.org")
    place.tools.run(replace(script("env"), network=True), log)
    assert "http_proxy=http://proxy.example.org" in log.read_text().splitlines()


def test_it_starts_in_its_scratch_folder(place: Place, log: Path) -> None:
    place.tools.run(script("pwd"), log)
    assert log.read_text() == f"{place.tools.scratch()}\n"


def test_a_cache_lasts_and_is_its_own(place: Place, log: Path) -> None:
    one, two = place.tools.cache("debian-13-amd64"), place.tools.cache("debian+13-amd64")
    assert place.run('echo kept > "$1/file"', one, log=log) == 0
    assert place.run('cat "$1/file"; ls "$2"', one, two, log=log) == 0
    assert log.read_text() == "kept\n"


def test_the_scratch_folder_is_new_and_as_large_as_the_limit(place: Place, log: Path) -> None:
    for _ in range(2):
        log.unlink(missing_ok=True)
        place.run('ls "$1"; echo x > "$1/file"; df -k "$1" | tail -n 1', place.tools.scratch(), log=log)
        (line,) = log.read_text().splitlines()
        assert 40 * 1024 < int(line.split()[1]) <= 64 * 1024


def test_what_it_reads_it_cannot_change_and_what_it_writes_is_the_callers(
    place: Place, tmp_path: Path, log: Path
) -> None:
    given = tmp_path / 'in, "with" blanks: and more'
    for folder in (given, tmp_path / "out"):
        folder.mkdir()
    (given / "file").write_text("hello\n")
    (tmp_path / "alone").write_text("alone\n")
    paths = (given, tmp_path / "out", tmp_path / "alone")
    text = 'cat "$1/file" "$3" > "$2/copy"; echo x > "$1/file"; echo x > "$3"; echo y > "$1/new"'
    call = replace(script(text, *paths), reads=(given, tmp_path / "alone"), writes=(tmp_path / "out",))
    assert place.tools.run(call, log).exit_code != 0
    assert (tmp_path / "out/copy").read_text() == "hello\nalone\n"
    owners = {path.lstat().st_uid for path in (tmp_path / "out", tmp_path / "out/copy")}
    assert owners == {tmp_path.stat().st_uid}
    assert [path.name for path in given.iterdir()] == ["file"]
    assert (given / "file").read_text() == "hello\n"
    assert (tmp_path / "alone").read_text() == "alone\n"


def test_a_tool_that_is_not_there_is_named(place: Place, log: Path) -> None:
    with pytest.raises(CommandMissing, match="no-such-tool"):
        place.tools.run(ToolCall(argv=("no-such-tool",), limits=LIMITS), log)


def test_surroundings_that_cannot_be_set_up_are_not_the_packages_fault(place: Place, tmp_path: Path, log: Path) -> None:
    with pytest.raises(SandboxUnusable) as caught:
        place.tools.run(replace(script("true"), reads=(tmp_path / "gone",)), log)
    assert "gone" in caught.value.cause


def test_it_may_mount_enter_a_root_and_take_the_network_away(place: Place, log: Path) -> None:
    text = (
        'cd "$1"; mkdir proc root; mount -t proc proc proc; mount -t tmpfs x root; mkdir root/bin; cp "$2" root/bin; '
        "exec unshare -n chroot root /bin/busybox echo inside"
    )
    call = script(text, place.tools.scratch(), Path("/usr/bin/busybox"))
    assert place.tools.run(call, log).exit_code == 0, log.read_text()
    assert log.read_text() == "inside\n"


def test_on_the_terminal_its_exit_code_is_told_too(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    assert place.tools.attach(script("echo hello; exit 7")) == 7
    assert capfd.readouterr().out == "hello\n"


def test_the_network_is_there_when_it_is_asked_for_only(place: Place, log: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        call = replace(script('busybox nc -w 2 127.0.0.1 "$1" -e true', Path(str(server.getsockname()[1]))))
        assert place.tools.run(call, log).exit_code != 0
        assert place.tools.run(replace(call, network=True), log).exit_code == 0


def test_it_sees_no_process_of_the_host(place: Place, log: Path) -> None:
    place.run("ls /proc | grep -c '^[0-9]'", log=log)
    assert int(log.read_text()) < 8


def test_time_kills_it(place: Place, log: Path) -> None:
    call = replace(script("sleep 1000 & sleep 1000"), limits=replace(LIMITS, seconds=2))
    with pytest.raises(CommandTimedOut, match="took longer than 2 s"):
        place.tools.run(call, log)


@needs_groups
def test_memory_is_limited(place: Place, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    limits = replace(LIMITS, memory=32 * 1024**2, disk=32 * 1024**2)
    end = place.tools.run(replace(script("head -c 400m /dev/zero | tail -n 1"), limits=limits), log)
    assert end.out_of_memory
    assert end.exit_code != 0
    assert not list(here.iterdir())


@needs_groups
def test_processes_are_limited(place: Place, log: Path) -> None:
    text = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22; do sleep 5 & done; exit 7"
    end = place.tools.run(replace(script(text), limits=replace(LIMITS, processes=20)), log)
    assert end.out_of_processes
    assert end.exit_code != 0


def test_disk_is_limited(place: Place, log: Path) -> None:
    end = place.tools.run(script('dd if=/dev/zero of="$1/big" bs=1M count=100', place.tools.scratch()), log)
    assert end.disk_full
    assert end.exit_code != 0
    assert not end.out_of_memory


def test_the_log_is_limited(place: Place, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conveyor.command.LOG_LIMIT", 100_000)
    assert place.run("yes | head -c 5000000", log=log) == 0
    assert log.stat().st_size < 101_000
