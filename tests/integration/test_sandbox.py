"""The sandbox on a real kernel: what a command gets, what it cannot reach, and that nothing is left of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from conveyor.buildroot.isolation import cgroup
from conveyor.buildroot.isolation.sandbox import Bind, Call, Sandbox, ScratchKind
from conveyor.buildroot.jobs import Jobs
from conveyor.errors import CommandTimedOut, Fault, SandboxUnusable
from tests.fakes.processes import spawn
from tests.support.left import groups, loops, naming, sleepers, swept, wait
from tests.support.roots import LAYER, LIMITS, UID, make_sandbox, need_sandbox, running_as, script

pytestmark = pytest.mark.integration

MOMENTS = 20

needs_groups = pytest.mark.skipif(cgroup.kind() == "none", reason="no control groups are writable here")


@pytest.fixture(autouse=True)
def _nothing_left(tmp_path: Path) -> Iterator[None]:
    """After each test: no mount, no group, no folder, no process, no loop device."""
    need_sandbox()
    yield
    assert str(tmp_path) not in Path("/proc/1/mountinfo").read_text()
    jobs = tmp_path / "jobs"
    assert not jobs.exists() or list(jobs.iterdir()) == []
    assert running_as(UID) == []
    assert str(tmp_path) not in loops()
    assert groups(os.getpid()) == []


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return make_sandbox(tmp_path)


def output(sandbox: Sandbox, text: str) -> str:
    """What a script that must succeed writes."""
    finished = sandbox.run(script(text))
    assert finished.exit_code == 0, finished.output
    return finished.output


class TestCommand:
    @pytest.mark.parametrize(("text", "code"), [("true", 0), ("exit 3", 3), ("exit 255", 255), ("kill -9 $$", 137)])
    def test_its_exit_code_is_told(self, sandbox: Sandbox, text: str, code: int) -> None:
        finished = sandbox.run(script(text))
        assert (finished.exit_code, finished.disk_full, finished.out_of_memory) == (code, False, False)
        assert finished.seconds > 0

    def test_its_output_comes_back_or_goes_to_a_log(self, sandbox: Sandbox, tmp_path: Path) -> None:
        call = script("echo one; echo two >&2")
        assert sandbox.run(call).output == "one\ntwo\n"
        with (tmp_path / "log").open("ab") as log:
            assert sandbox.run(call, log).output == ""
        assert (tmp_path / "log").read_text() == "one\ntwo\n"

    def test_arguments_arrive_as_they_are(self, sandbox: Sandbox) -> None:
        strange = [
            "",
            " ",
            "a b",
            "$(id)",
            "`id`",
            "; id",
            "-x",
            "--",
            "\n",
            "\t",
            "ä\N{SNOWMAN}",
            "'",
            '"',
            "\\",
            "*",
            "\x01",
        ]
        call = replace(script(""), argv=("/bin/sh", "-c", 'printf "%s\\0" "$@"', "sh", *strange))
        assert sandbox.run(call).output.split("\0")[:-1] == strange

    def test_its_environment_is_empty_but_for_what_is_set(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SECRET", "hunter2")
        call = replace(script("env; cat /proc/*/environ"), environment={"RESULTS": "/build/results"})
        told = sandbox.run(call).output
        assert "hunter2" not in told
        lines = {line for line in told.replace("\0", "\n").splitlines() if line}
        names = {line.partition("=")[0] for line in lines}
        assert names <= {"PATH", "LC_ALL", "RESULTS", "PWD", "SHLVL", "_", "OLDPWD"}
        assert "RESULTS=/build/results" in lines

    def test_its_input_is_a_copy_in_its_working_folder(self, sandbox: Sandbox, tmp_path: Path) -> None:
        given = tmp_path / "input"
        (given / "deep").mkdir(parents=True)
        (given / "deep/file").write_text("hello")
        (given / "link").symlink_to("deep/file")
        call = replace(script("pwd; cat link; echo changed > deep/file; rm link; ls -n . | tail -n 1"), input=given)
        told = sandbox.run(call).output
        assert told.startswith("/build/tree\nhello")
        assert " 1000     1000 " in told
        assert (given / "deep/file").read_text() == "hello"
        assert (given / "link").is_symlink()

    def test_it_reads_nothing_from_standard_input(self, sandbox: Sandbox) -> None:
        assert output(sandbox, "wc -c") == "0\n"

    def test_it_inherits_no_descriptor(self, sandbox: Sandbox, tmp_path: Path) -> None:
        with (tmp_path / "secret").open("w+") as secret:
            os.set_inheritable(secret.fileno(), True)
            told = output(sandbox, "for fd in /proc/self/fd/*; do readlink $fd; done; true")
        assert "secret" not in told
        assert {line.partition(":")[0] for line in told.split()} <= {"/dev/null", "pipe", "/proc", "/proc/self/fd"}
        assert len([line for line in told.split() if line.startswith("pipe")]) == 2


class TestResults:
    def test_regular_files_are_collected_and_nothing_else(self, sandbox: Sandbox, tmp_path: Path) -> None:
        (tmp_path / "results").mkdir()
        text = (
            "cd /build/results; echo made > package; echo x > 'a b'; ln -s /etc/passwd link; ln -s package link2;"
            "mkfifo pipe; mkdir folder; echo x > folder/inside; chmod 000 package"
        )
        assert sandbox.run(script(text, results=tmp_path / "results")).exit_code == 0
        collected = {path.name: path for path in (tmp_path / "results").iterdir()}
        assert set(collected) == {"package", "a b"}
        assert collected["package"].read_text() == "made\n"
        status = collected["package"].stat()
        assert (status.st_uid, status.st_mode & 0o7777) == (0, 0o644)

    def test_a_hard_link_brings_content_of_the_root_only(self, sandbox: Sandbox, tmp_path: Path) -> None:
        (tmp_path / "results").mkdir()
        text = "echo own > /build/tree/own; ln /build/tree/own /build/results/own"
        assert sandbox.run(script(text, results=tmp_path / "results")).exit_code == 0
        assert (tmp_path / "results/own").read_text() == "own\n"

    def test_a_failed_command_has_none(self, sandbox: Sandbox, tmp_path: Path) -> None:
        (tmp_path / "results").mkdir()
        sandbox.run(script("echo made > /build/results/package; exit 1", results=tmp_path / "results"))
        assert list((tmp_path / "results").iterdir()) == []

    def test_the_folder_itself_cannot_be_replaced(self, sandbox: Sandbox, tmp_path: Path) -> None:
        (tmp_path / "results").mkdir()
        text = "rmdir /build/results || mv /build/results /build/away || ln -sfn /etc /build/results || true"
        assert sandbox.run(script(text, results=tmp_path / "results")).exit_code == 0
        assert list((tmp_path / "results").iterdir()) == []

    def test_a_folder_with_no_permissions_left_is_read_all_the_same(self, sandbox: Sandbox, tmp_path: Path) -> None:
        (tmp_path / "results").mkdir()
        text = "echo made > /build/results/package; chmod 000 /build/results"
        assert sandbox.run(script(text, results=tmp_path / "results")).exit_code == 0
        assert [path.name for path in (tmp_path / "results").iterdir()] == ["package"]


class TestLimits:
    def test_time_ends_the_command_and_all_it_started(self, sandbox: Sandbox) -> None:
        started = time.monotonic()
        text = "setsid sleep 1000 & (trap '' TERM HUP INT; sleep 1000) & sleep 1000"
        with pytest.raises(CommandTimedOut):
            sandbox.run(script(text, limits=replace(LIMITS, seconds=1)))
        assert time.monotonic() - started < 10

    @needs_groups
    @pytest.mark.parametrize("kind", [ScratchKind.MEMORY, ScratchKind.DISK])
    def test_memory(self, tmp_path: Path, kind: ScratchKind) -> None:
        sandbox = make_sandbox(tmp_path, kind)
        limits = replace(LIMITS, memory=32 * 1024**2, disk=16 * 1024**2)
        finished = sandbox.run(script("tail -c 200m /dev/zero", limits=limits))
        assert finished.out_of_memory
        assert finished.exit_code != 0

    @pytest.mark.parametrize("kind", [ScratchKind.MEMORY, ScratchKind.DISK])
    def test_disk(self, tmp_path: Path, kind: ScratchKind) -> None:
        sandbox = make_sandbox(tmp_path, kind)
        limits = replace(LIMITS, disk=16 * 1024**2)
        finished = sandbox.run(script("dd if=/dev/zero of=/build/tree/big bs=1M count=100", limits=limits))
        assert finished.disk_full
        assert finished.exit_code != 0
        assert not finished.out_of_memory

    @pytest.mark.parametrize("folder", ["/tmp", "/dev/shm"])
    @needs_groups
    def test_the_folders_in_memory_count_too(self, sandbox: Sandbox, folder: str) -> None:
        limits = replace(LIMITS, memory=32 * 1024**2, disk=16 * 1024**2)
        finished = sandbox.run(script(f"dd if=/dev/zero of={folder}/big bs=1M count=200", limits=limits))
        assert finished.exit_code != 0

    @needs_groups
    def test_processes(self, sandbox: Sandbox) -> None:
        limits = replace(LIMITS, processes=20, seconds=20)
        text = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22; do sleep 5 & done; exit 7"
        finished = sandbox.run(script(text, limits=limits))
        assert finished.exit_code != 0
        assert finished.out_of_processes

    @needs_groups
    def test_a_fork_bomb_ends_with_the_time_limit_at_the_latest(self, sandbox: Sandbox) -> None:
        limits = replace(LIMITS, processes=50, seconds=3)
        bomb = "bomb() { bomb | bomb & }; bomb; sleep 1000"
        started = time.monotonic()
        try:
            finished = sandbox.run(script(bomb, limits=limits))
        except CommandTimedOut:
            pass
        else:
            assert finished.exit_code != 0
        assert time.monotonic() - started < 20

    def test_output_cannot_fill_the_disk(
        self, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("conveyor.command.LOG_LIMIT", 100_000)
        with (tmp_path / "log").open("ab") as log:
            assert sandbox.run(script("yes | head -c 5000000"), log).exit_code == 0
        assert (tmp_path / "log").stat().st_size < 101_000


class TestIsolation:
    def test_it_is_an_unprivileged_user_without_any_capability(self, sandbox: Sandbox) -> None:
        told = output(sandbox, "id -u; id -g; id -G; cat /proc/self/status")
        assert told.startswith("1000\n1000\n1000\n")
        fields = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(fields[name], 16) == 0, name
        assert fields["NoNewPrivs"].strip() == "1"

    def test_on_the_host_it_is_a_user_that_nobody_is(self, sandbox: Sandbox, tmp_path: Path) -> None:
        (tmp_path / "keep/upper").mkdir(parents=True)
        assert sandbox.run(script("echo x > /build/tree/file", upper=tmp_path / "keep/upper")).exit_code == 0
        assert (tmp_path / "keep/upper/build/tree/file").stat().st_uid == UID

    def test_it_cannot_gain_rights(self, sandbox: Sandbox) -> None:
        told = sandbox.run(
            script(
                "unshare -U true; echo $?; mount -t tmpfs x /tmp; echo $?;"
                "chown 0 /build/tree; echo $?; su -c id; echo $?"
            )
        ).output
        codes = [line for line in told.splitlines() if line.isdigit()]
        assert len(codes) == 4
        assert "0" not in codes

    def test_a_setuid_program_gains_nothing(self, tmp_path: Path) -> None:
        sandbox = make_sandbox(tmp_path)
        setuid = tmp_path / "layers" / LAYER / "root/bin/rootid"
        setuid.write_bytes(Path("/usr/bin/busybox").read_bytes())
        setuid.chmod(0o4755)
        assert (
            output(sandbox, "cp /bin/busybox id; chmod 4755 id; ./id; exec -a id /bin/rootid; true").count("uid=0") == 0
        )

    def test_it_sees_its_own_root_only(self, sandbox: Sandbox, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("hunter2")
        told = output(sandbox, "ls -a / | sort; for f in /root /home /host /var /mnt; do ls $f 2>/dev/null; done; true")
        assert told.split() == [".", "..", "bin", "build", "dev", "etc", "proc", "tmp", "usr"]
        assert sandbox.run(script(f"cat {tmp_path}/secret")).exit_code != 0
        assert sandbox.run(script(f"cat /proc/1/root{tmp_path}/secret")).exit_code != 0

    def test_the_layer_below_cannot_be_changed(self, sandbox: Sandbox, tmp_path: Path) -> None:
        call = Call(
            argv=("/bin/sh", "-c", "rm /bin/ls; echo bad > /bin/sh; echo new > /new"),
            layers=(LAYER,),
            limits=LIMITS,
            privileged=True,
        )
        assert sandbox.run(call).exit_code == 0
        root = tmp_path / "layers" / LAYER / "root"
        assert (root / "bin/ls").is_symlink()
        assert (root / "bin/sh").is_symlink()
        assert not (root / "new").exists()

    def test_a_path_that_is_bound_is_read_only_unless_it_is_writable(self, sandbox: Sandbox, tmp_path: Path) -> None:
        for name in ("closed", "open"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "file").write_text("hello")
        call = replace(
            script("cat /build/closed/file /build/open/file"),
            binds=(Bind(source=tmp_path / "closed/file", target="/build/closed-file"),),
            argv=("/bin/sh", "-c", "cat /build/closed-file; echo x > /build/closed-file"),
        )
        finished = sandbox.run(call)
        assert finished.output.startswith("hello")
        assert finished.exit_code != 0
        assert (tmp_path / "closed/file").read_text() == "hello"

    def test_it_sees_no_process_of_the_host(self, sandbox: Sandbox) -> None:
        pids = output(sandbox, "ls /proc | grep '^[0-9]' | wc -l")
        assert int(pids) < 6
        assert sandbox.run(script(f"kill -0 {os.getpid()}")).exit_code != 0

    def test_it_has_no_network(self, sandbox: Sandbox) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            finished = sandbox.run(script(f"nc -w 2 127.0.0.1 {port} < /dev/null"))
            assert finished.exit_code != 0
        devices = output(sandbox, "ls /sys/class/net 2>/dev/null; tail -n +3 /proc/net/dev | cut -d: -f1")
        assert devices.split() == ["lo"]

    def test_it_reaches_no_abstract_socket_of_the_host(self, sandbox: Sandbox) -> None:
        name = f"conveyor-test-{os.getpid()}"
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(f"\0{name}")
            server.listen()
            assert name in Path("/proc/net/unix").read_text()
            assert output(sandbox, f"cat /proc/net/unix | grep -c {name} || true") == "0\n"

    def test_its_devices_are_harmless(self, sandbox: Sandbox) -> None:
        told = set(output(sandbox, "ls /dev").split())
        links = {"core", "fd", "stderr", "stdin", "stdout"}
        assert told - links <= {"console", "full", "null", "ptmx", "pts", "random", "shm", "tty", "urandom", "zero"}

    def test_it_cannot_change_the_kernels_settings(self, sandbox: Sandbox) -> None:
        before = Path("/proc/sys/kernel/core_pattern").read_text()
        finished = sandbox.run(script("echo x > /proc/sys/kernel/core_pattern"))
        assert finished.exit_code != 0
        assert Path("/proc/sys/kernel/core_pattern").read_text() == before

    @pytest.mark.parametrize("host_tools", [False, True])
    def test_nor_can_a_package_manager(self, sandbox: Sandbox, host_tools: bool) -> None:
        settings = "/proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/irq/default_smp_affinity"
        found = "for file in " + settings + "; do for top in '' /target; do (: >> $top$file) && echo opened; done; done"
        call = Call(
            argv=("/bin/sh", "-c", f"{found} 2>&1; cat /proc/sys/kernel/ostype"),
            layers=(LAYER,),
            limits=LIMITS,
            privileged=True,
            host_tools=host_tools,
        )
        told = sandbox.run(call).output
        assert "opened" not in told
        assert told.endswith("Linux\n")

    def test_a_package_manager_is_root_with_few_capabilities_and_no_way_out(self, sandbox: Sandbox) -> None:
        call = Call(
            argv=("/bin/sh", "-c", "id -u; cat /proc/self/status; mount -t tmpfs x /tmp; mknod /dev/sda b 8 0"),
            layers=(LAYER,),
            limits=LIMITS,
            privileged=True,
        )
        finished = sandbox.run(call)
        assert finished.output.startswith("0\n")
        fields = dict(line.split(":", 1) for line in finished.output.splitlines() if ":" in line)
        effective = int(fields["CapEff"], 16)
        for number, name in (
            (21, "sys_admin"),
            (27, "mknod"),
            (19, "sys_ptrace"),
            (12, "net_admin"),
            (16, "sys_module"),
        ):
            assert not effective & (1 << number), name
        assert finished.exit_code != 0

    def test_the_hosts_programs_see_the_root_at_target_and_nothing_of_the_host(
        self, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        (tmp_path / "secret").write_text("hunter2")
        call = Call(
            argv=(
                "/bin/sh",
                "-c",
                f"ls /target/bin/busybox; cat {tmp_path}/secret /etc/shadow /root/.ssh; touch /usr/x",
            ),
            layers=(LAYER,),
            limits=LIMITS,
            privileged=True,
            host_tools=True,
        )
        finished = sandbox.run(call)
        assert finished.output.startswith("/target/bin/busybox\n")
        assert "hunter2" not in finished.output
        assert finished.output.count("No such file") == 3
        assert finished.exit_code != 0


class TestCannotStart:
    def test_a_layer_that_is_gone_is_not_the_packages_fault(self, sandbox: Sandbox) -> None:
        with pytest.raises(SandboxUnusable) as caught:
            sandbox.run(replace(script("true"), layers=("gone",)))
        assert caught.value.fault is Fault.OURS
        assert "doctor" in caught.value.hint

    def test_a_root_that_lacks_the_program_is_not_the_packages_fault(self, sandbox: Sandbox) -> None:
        with pytest.raises(SandboxUnusable) as caught:
            sandbox.run(replace(script("true"), argv=("/bin/no-such-shell",)))
        assert "no-such-shell" in caught.value.summary

    def test_a_root_that_lacks_the_folders_to_mount_is_not_the_packages_fault(
        self, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        (tmp_path / "layers/empty/root").mkdir(parents=True)
        with pytest.raises(SandboxUnusable):
            sandbox.run(replace(script("true"), layers=("empty",)))

    def test_a_command_cannot_pass_for_one(self, sandbox: Sandbox) -> None:
        assert sandbox.run(script("exit 125")).exit_code == 125
        assert sandbox.run(script("exit 127")).exit_code == 127


class TestScratch:
    @pytest.mark.parametrize("kind", [ScratchKind.MEMORY, ScratchKind.DISK])
    def test_it_is_as_large_as_the_limit(self, tmp_path: Path, kind: ScratchKind) -> None:
        sandbox = make_sandbox(tmp_path, kind)
        told = output(sandbox, "cat /proc/mounts; df -k / | tail -n 1")
        assert " / overlay " in told
        size = int(told.split()[-5])
        assert 40 * 1024 < size <= 64 * 1024

    def test_on_disk_it_costs_the_page_cache_and_not_the_memory_of_the_build(self, tmp_path: Path) -> None:
        sandbox = make_sandbox(tmp_path, ScratchKind.DISK)
        limits = replace(LIMITS, memory=32 * 1024**2, disk=128 * 1024**2)
        finished = sandbox.run(script("dd if=/dev/zero of=/build/tree/big bs=1M count=100", limits=limits))
        assert (finished.exit_code, finished.out_of_memory, finished.disk_full) == (0, False, False)

    def test_in_memory_it_is_beside_the_memory_of_the_build(self, tmp_path: Path) -> None:
        sandbox = make_sandbox(tmp_path, ScratchKind.MEMORY)
        limits = replace(LIMITS, memory=32 * 1024**2, disk=128 * 1024**2)
        finished = sandbox.run(script("dd if=/dev/zero of=/build/tree/big bs=1M count=100", limits=limits))
        assert (finished.exit_code, finished.out_of_memory, finished.disk_full) == (0, False, False)

    def test_auto_takes_memory_where_there_is_plenty(self, tmp_path: Path) -> None:
        sandbox = make_sandbox(tmp_path, ScratchKind.AUTO)
        assert sandbox._in_memory(script("true"))
        assert not sandbox._in_memory(script("true", limits=replace(LIMITS, disk=2**60)))

    def test_a_kept_layer_has_all_that_was_written(self, sandbox: Sandbox, tmp_path: Path) -> None:
        upper = tmp_path / "keep/upper"
        upper.mkdir(parents=True)
        assert sandbox.run(script("echo made > /build/tree/file; exit 1", upper=upper)).exit_code == 1
        assert (upper / "build/tree/file").read_text() == "made\n"
        again = sandbox.run(script("cat /build/tree/file", upper=upper))
        assert again.output == "made\n"


class TestKilled:
    @pytest.mark.parametrize("kind", [ScratchKind.MEMORY, ScratchKind.DISK])
    @pytest.mark.parametrize("privileged", [False, True])
    def test_a_kill_of_the_caller_leaves_nothing(self, tmp_path: Path, kind: ScratchKind, privileged: bool) -> None:
        sandbox = make_sandbox(tmp_path, kind)
        mark = f"98{os.getpid()}"
        text = f"setsid sleep {mark} & (trap '' TERM HUP; exec sleep {mark}) & echo up > /dev/stdout; sleep {mark}"
        with (tmp_path / "log").open("ab") as log:
            caller = spawn(lambda: _run(sandbox, replace(script(text), privileged=privileged), log.fileno()))
            wait(lambda: sleepers(mark) >= 3)
        os.kill(caller, signal.SIGKILL)
        os.waitpid(caller, 0)
        wait(lambda: sleepers(mark) == 0)
        wait(lambda: str(tmp_path) not in loops())
        folders = list((tmp_path / "jobs").iterdir())
        assert [path.name.split("-")[0] for path in folders] == [str(caller)]
        assert str(tmp_path) not in Path("/proc/1/mountinfo").read_text()
        wait(lambda: swept(tmp_path / "jobs", caller))

    @pytest.mark.parametrize("privileged", [False, True])
    def test_a_kill_of_the_caller_at_any_moment_leaves_nothing_running(self, tmp_path: Path, privileged: bool) -> None:
        """Also while one process of the chain has started the next, which has not asked yet to die with it."""
        sandbox, mark = make_sandbox(tmp_path), f"97{os.getpid()}"
        began = time.monotonic()
        sandbox.run(replace(script("true"), privileged=privileged))
        whole = time.monotonic() - began
        with (tmp_path / "log").open("ab") as log:
            for moment in range(MOMENTS):
                caller = spawn(
                    lambda: _run(sandbox, replace(script(f"sleep {mark}"), privileged=privileged), log.fileno())
                )
                time.sleep(whole * moment / MOMENTS)
                os.kill(caller, signal.SIGKILL)
                os.waitpid(caller, 0)
        wait(lambda: naming(str(tmp_path)) == [] and sleepers(mark) == 0)
        cgroup.sweep()
        Jobs(tmp_path / "jobs").sweep()

    @needs_groups
    def test_the_sweep_kills_what_outlived_its_caller(self) -> None:
        mark = f"96{os.getpid()}"

        def leave() -> None:
            with cgroup.limited(f"{os.getpid()}-0-1", memory=2**30, processes=10) as held:
                for folder in held.folders:
                    (folder / "cgroup.procs").write_text(str(os.getpid()))
                subprocess.run(["sleep", mark], check=True)

        caller = spawn(leave)
        wait(lambda: sleepers(mark) == 1)
        os.kill(caller, signal.SIGKILL)
        os.waitpid(caller, 0)
        assert len(groups(caller)) >= 1
        cgroup.sweep()
        assert (sleepers(mark), groups(caller)) == (0, [])

    def test_the_sweep_leaves_the_living_alone(self, tmp_path: Path) -> None:
        jobs = Jobs(tmp_path / "jobs")
        with jobs.folder() as mine, cgroup.limited(mine.name, memory=2**30, processes=10) as mine_groups:
            (tmp_path / "jobs/99999999-1-0").mkdir()
            (tmp_path / "jobs/lost+found").mkdir()
            cgroup.sweep()
            jobs.sweep()
            assert mine.is_dir()
            assert all(folder.is_dir() for folder in mine_groups.folders)
            assert not (tmp_path / "jobs/99999999-1-0").exists()
            assert (tmp_path / "jobs/lost+found").is_dir()
        (tmp_path / "jobs/lost+found").rmdir()


def _run(sandbox: Sandbox, call: Call, log: int) -> None:
    with os.fdopen(log, "ab", closefd=False) as file:
        sandbox.run(call, file)
