"""Containers with podman: what they hold back, and what a kill leaves."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from conveyor.buildroot.jobs import Jobs
from conveyor.buildroot.tools.containerruntime import Runtimes
from conveyor.buildroot.tools.containers import LABEL, PREFIX
from conveyor.buildroot.tools.containertool import ContainerTools
from conveyor.buildroot.tools.toolhost import ToolCall
from conveyor.errors import CommandMissing, SandboxUnusable
from conveyor.model.target import Limits
from tests.fakes.processes import spawn
from tests.support.containers import need_containers, shared_runtimes
from tests.support.left import wait

pytestmark = pytest.mark.integration

LIMITS = Limits(seconds=30, memory=128 * 1024**2, disk=32 * 1024**2, processes=50)


@pytest.fixture
def image() -> str:
    return need_containers()


@pytest.fixture
def tools(image: str, tmp_path: Path) -> Iterator[ContainerTools]:
    yield ContainerTools(jobs=Jobs(tmp_path / "jobs"), image=image, runtimes=shared_runtimes())
    assert names_of(os.getpid()) == []


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def script(text: str, *arguments: Path) -> ToolCall:
    return ToolCall(argv=("/bin/sh", "-c", text, "sh", *map(str, arguments)), limits=LIMITS)


def names_of(pid: int) -> list[str]:
    """The containers of a process."""
    argv = ["podman", "ps", "--all", "--filter", f"name={PREFIX}{pid}-", "--format", "{{.Names}}"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()


class TestHeld:
    def test_it_sees_nothing_of_the_host(self, tools: ContainerTools, tmp_path: Path, log: Path) -> None:
        assert tools.run(script('test -e "$1"', tmp_path), log).exit_code == 1
        tools.run(script("hostname; ls -d /work /var/lib/containers /root/.bashrc /conveyor/*"), log)
        assert [line for line in log.read_text().splitlines() if not line.startswith("ls: ")] == [
            "build",
            "/conveyor/scratch",
            "/conveyor/status",
        ]

    def test_root_of_it_is_nobody_on_the_host(self, tools: ContainerTools, log: Path) -> None:
        tools.run(script("id -u; cat /proc/self/uid_map; grep NoNewPrivs /proc/self/status"), log)
        uid, mapping, privileges = log.read_text().splitlines()
        assert uid == "0"
        assert int(mapping.split()[1]) > 0
        assert privileges.split()[1] == "1"

    def test_it_cannot_write_its_image_nor_reach_devices_and_modules(self, tools: ContainerTools, log: Path) -> None:
        assert tools.run(script("echo x > /bin/new"), log).exit_code != 0
        assert tools.run(script('mknod "$1/disk" b 8 0', tools.scratch()), log).exit_code != 0
        tools.run(script("grep CapBnd /proc/self/status"), log)
        bounding = int(log.read_text().split()[-1], 16)
        forbidden = {"sys_module": 16, "sys_rawio": 17, "sys_ptrace": 19, "mknod": 27, "sys_boot": 22}
        assert [name for name, bit in forbidden.items() if bounding & (1 << bit)] == []

    def test_it_cannot_loosen_its_limits(self, tools: ContainerTools, log: Path) -> None:
        text = (
            "for file in /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max; do "
            'test ! -e "$file" || { echo max > "$file"; } ; done; mount -o remount,rw /sys/fs/cgroup/pids; '
            "cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max"
        )
        tools.run(script(text), log)
        assert log.read_text().splitlines().count(str(LIMITS.processes)) == 1

    def test_links_among_its_results_lead_nowhere_when_they_are_taken_back(
        self, tools: ContainerTools, tmp_path: Path, log: Path
    ) -> None:
        (tmp_path / "out").mkdir()
        precious = tmp_path / "precious"
        precious.write_text("")
        os.chown(precious, 12345, 12345)
        text = 'cd "$1"; ln -s "$2" link; mkdir folder; ln -s .. folder/up; cp /bin/busybox busybox; chmod 4755 busybox'
        call = replace(script(text, tmp_path / "out", precious), writes=(tmp_path / "out",))
        assert tools.run(call, log).exit_code == 0
        assert precious.stat().st_uid == 12345
        assert not (tmp_path / "out/busybox").stat().st_mode & 0o4000
        assert {path.lstat().st_uid for path in (tmp_path / "out").rglob("*")} == {os.geteuid()}


class TestEnd:
    def test_what_it_leaves_running_ends_with_it(self, tools: ContainerTools, log: Path) -> None:
        assert tools.run(script("setsid sleep 1000 & exit 5"), log).exit_code == 5

    def test_it_ends_when_its_caller_is_killed(self, tools: ContainerTools, tmp_path: Path, log: Path) -> None:
        del tools
        caller = self._killed_in_the_middle(tmp_path, log)
        wait(lambda: names_of(caller) == [])

    def test_what_a_killed_caller_left_is_swept(self, image: str, tmp_path: Path) -> None:
        runtimes = Runtimes(jobs=Jobs(tmp_path / "jobs"), site=f"sweep-{os.getpid()}")
        left, other = f"{PREFIX}{os.getpid()}-1-0", f"unrelated-{os.getpid()}"
        for name in (left, other):
            argv = ["podman", "create", "--name", name, "--label", f"{LABEL}={runtimes.site}", image, "sleep", "1000"]
            subprocess.run(argv, check=True, capture_output=True)
        try:
            runtimes.sweep()
            argv = ["podman", "ps", "--all", "--format", "{{.Names}}"]
            listed = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
            assert left not in listed
            assert other in listed
        finally:
            subprocess.run(["podman", "rm", "--force", other], check=True, capture_output=True)

    def _killed_in_the_middle(self, tmp_path: Path, log: Path) -> int:
        tools = ContainerTools(jobs=Jobs(tmp_path / "others"), image=need_containers(), runtimes=shared_runtimes())
        call = script("setsid sleep 1000 & echo started; exec sleep 1000")
        caller = spawn(lambda: _run(tools, call, log))
        wait(lambda: log.exists() and log.read_text() == "started\n")
        assert names_of(caller) != []
        os.kill(caller, signal.SIGKILL)
        os.waitpid(caller, 0)
        return caller


def _run(tools: ContainerTools, call: ToolCall, log: Path) -> None:
    tools.run(call, log)


class TestFound:
    def test_an_image_that_is_not_there_is_named(self, image: str, tmp_path: Path, log: Path) -> None:
        runtimes = shared_runtimes()
        assert runtimes.find(image)
        tools = ContainerTools(jobs=Jobs(tmp_path / "jobs"), image="localhost/no-such-image:1", runtimes=runtimes)
        with pytest.raises(CommandMissing, match="no-such-image") as caught:
            tools.run(script("true"), log)
        assert "containers/pbuilder" in caught.value.hint

    def test_a_runtime_that_is_not_there_is_named(self, image: str, tmp_path: Path) -> None:
        runtimes = Runtimes(jobs=Jobs(tmp_path / "jobs"), site="tests", command=("no-such-podman",))
        with pytest.raises(CommandMissing, match="no-such-podman is not installed"):
            runtimes.find(image)

    def test_options_that_do_not_work_are_not_taken_for_a_missing_image(self, image: str, tmp_path: Path) -> None:
        runtimes = Runtimes(jobs=Jobs(tmp_path / "jobs"), site="tests", command=("podman", "--runtime", "no-such"))
        with pytest.raises(SandboxUnusable, match="cannot run containers here") as caught:
            runtimes.find(image)
        assert "no-such" in caught.value.cause

    def test_flags_that_do_not_work_are_no_fault_of_the_package(self, image: str, tmp_path: Path) -> None:
        runtimes = Runtimes(jobs=Jobs(tmp_path / "jobs"), site="tests", command=("podman",), flags=("--memory", "x"))
        with pytest.raises(SandboxUnusable) as caught:
            runtimes.find(image)
        assert "container_run_flags" in caught.value.hint
        assert caught.value.cause
