"""The only door to a subprocess, with real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from conveyor import command
from conveyor.command import Process, ask, attach, last_lines, minimal_environment, process_started, run
from conveyor.errors import CommandFailed, CommandMissing, CommandTimedOut, Fault, Interrupted, OutputTooLong

STRANGE = ["", " ", "a b", "$(id)", "`id`", "; id", "-x", "--", "\n", "\t", "ä\N{SNOWMAN}", "'", '"', "\\", "*", "\x01"]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_gone(file: Path) -> bool:
    """Whether the process whose id is in the file has ended."""
    return process_started(int(file.read_text())) is None


class TestRun:
    def test_output_code_and_seconds(self) -> None:
        done = run(["sh", "-c", "echo out; echo err >&2; exit 3"], timeout=10, check=False)
        assert (done.returncode, done.output, done.argv[0]) == (3, "out\nerr\n", "sh")
        assert 0 < done.seconds < 10

    def test_the_signal_that_ended_it(self) -> None:
        assert run(["sh", "-c", "kill -9 $$"], timeout=10, check=False).returncode == -9

    def test_arguments_arrive_as_they_are(self) -> None:
        done = run(["printf", "%s\\0", *STRANGE], timeout=10)
        assert done.output.split("\0")[:-1] == STRANGE

    def test_bytes_that_are_no_utf_8_are_replaced(self) -> None:
        assert run(["printf", "a\\377b"], timeout=10).output == "a\N{REPLACEMENT CHARACTER}b"

    def test_a_failure_tells_the_last_lines(self) -> None:
        with pytest.raises(CommandFailed, match="sh ended with code 7") as caught:
            run(["sh", "-c", "seq 100; exit 7"], timeout=10)
        assert caught.value.details == tuple(str(number) for number in range(81, 101))
        assert caught.value.fault is Fault.OURS

    def test_a_missing_program_is_told_with_what_to_do(self) -> None:
        with pytest.raises(CommandMissing, match="no-such-program is not installed") as caught:
            run(["no-such-program"], timeout=10)
        assert "doctor" in caught.value.hint
        assert caught.value.exit_code == 2

    def test_it_runs_in_a_folder_and_reads_what_it_is_given(self, tmp_path: Path) -> None:
        assert run(["pwd"], timeout=10, cwd=tmp_path).output.strip() == str(tmp_path)
        assert run(["cat"], timeout=10, input_bytes=b"given").output == "given"
        assert run(["cat"], timeout=10).output == ""

    def test_its_environment_is_minimal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SECRET", "hunter2")
        monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
        lines = run(["env"], timeout=10, env={"OWN": "1"}).output.splitlines()
        assert "LC_ALL=C.UTF-8" in lines
        assert "OWN=1" in lines
        assert not any("hunter2" in line for line in lines)
        assert minimal_environment({"PATH": "/x"})["PATH"] == "/x"

    def test_descriptors_are_inherited_only_when_they_are_passed(self) -> None:
        reading, writing = os.pipe()
        try:
            assert run(["sh", "-c", f"echo x > /proc/self/fd/{writing}"], timeout=10, check=False).returncode != 0
            run(["sh", "-c", f"echo x > /proc/self/fd/{writing}"], timeout=10, pass_fds=[writing])
            assert os.read(reading, 9) == b"x\n"
        finally:
            os.close(reading)
            os.close(writing)


class TestTimeOut:
    @pytest.mark.parametrize("logged", [False, True])
    def test_it_ends_the_whole_session(self, tmp_path: Path, logged: bool) -> None:
        text = f"sleep 1000 & echo $! > {tmp_path}/child; trap '' TERM; sleep 1000"
        with (tmp_path / "log").open("wb") as log, pytest.raises(CommandTimedOut, match=r"sh took longer than 0\.3 s"):
            run(["sh", "-c", text], timeout=0.3, log=log if logged else None)
        wait_until(lambda: is_gone(tmp_path / "child"))

    def test_a_child_that_outlives_its_parent_and_holds_the_output_is_ended_too(self, tmp_path: Path) -> None:
        text = f"sleep 1000 & echo $! > {tmp_path}/child"
        started = time.monotonic()
        with pytest.raises(CommandTimedOut):
            run(["sh", "-c", text], timeout=0.3)
        assert time.monotonic() - started < 5
        wait_until(lambda: is_gone(tmp_path / "child"))

    def test_ctrl_c_ends_the_whole_session(self, tmp_path: Path) -> None:
        text = f"sleep 1000 & echo $! > {tmp_path}/child; sleep 1000"
        main = threading.main_thread().ident
        assert main is not None

        def interrupt() -> None:
            wait_until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text() != "")
            signal.pthread_kill(main, signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with (tmp_path / "log").open("wb") as log, pytest.raises(KeyboardInterrupt):
            run(["sh", "-c", text], timeout=20, log=log)
        thread.join()
        wait_until(lambda: is_gone(tmp_path / "child"))


class TestSignalsWhileItStarts:
    @pytest.fixture(autouse=True)
    def _comes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """When the child is there, and its start not yet over."""

        class Signalled(subprocess.Popen[bytes]):
            def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401
                super().__init__(*args, **options)
                (tmp_path / "child").write_text(str(self.pid))
                signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(subprocess, "Popen", Signalled)

    @pytest.mark.parametrize("start", [partial(run, timeout=60), partial(ask, timeout=60, limit=1000)])
    def test_nothing_is_left(self, tmp_path: Path, start: Callable[[list[str]], object]) -> None:
        handler = signal.getsignal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            start(["sleep", "1000"])
        wait_until(lambda: is_gone(tmp_path / "child"))
        assert signal.getsignal(signal.SIGINT) is handler

    def test_one_that_is_ignored_stays_so(self) -> None:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            assert run(["true"], timeout=60).returncode == 0
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        finally:
            signal.signal(signal.SIGINT, before)


class TestStop:
    def test_it_ends_the_whole_session(self, tmp_path: Path) -> None:
        stop = threading.Event()
        text = f"sleep 1000 & echo $! > {tmp_path}/child; sleep 1000"

        def interrupt() -> None:
            wait_until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text() != "")
            stop.set()

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(Interrupted):
            run(["sh", "-c", text], timeout=20, stop=stop)
        thread.join()
        wait_until(lambda: is_gone(tmp_path / "child"))

    def test_one_that_is_never_stopped_ends_as_ever(self) -> None:
        stop = threading.Event()
        done = run(["sh", "-c", "cat; sleep 0.5; echo end"], timeout=20, input_bytes=b"given ", stop=stop)
        assert done.output == "given end\n"
        with pytest.raises(CommandTimedOut, match=r"longer than 0\.5 s"):
            run(["sleep", "20"], timeout=0.5, stop=stop)


class TestAsk:
    def test_output_is_kept_from_complaints(self) -> None:
        assert ask(["sh", "-c", "echo out; echo err >&2; printf '\\377'"], timeout=10, limit=99) == b"out\n\xff"
        assert ask(["env"], timeout=10, limit=9999, env={"OWN": "1"}).splitlines().count(b"OWN=1") == 1
        assert ask(["cat"], timeout=10, limit=9) == b""

    def test_a_failure_tells_what_it_complained_of(self) -> None:
        with pytest.raises(CommandFailed, match="sh ended with code 7") as caught:
            ask(["sh", "-c", "echo out; seq 100000 >&2; exit 7"], timeout=10, limit=99)
        assert caught.value.details == tuple(str(number) for number in range(99981, 100001))

    def test_a_missing_program(self) -> None:
        with pytest.raises(CommandMissing, match="no-such-program is not installed"):
            ask(["no-such-program"], timeout=10, limit=99)

    def test_what_is_printed_is_bounded(self, tmp_path: Path) -> None:
        with pytest.raises(OutputTooLong):
            ask(["sh", "-c", f"echo $$ > {tmp_path}/child; yes"], timeout=10, limit=10**6)
        wait_until(lambda: is_gone(tmp_path / "child"))
        assert len(ask(["head", "-c", "3000000", "/dev/zero"], timeout=10, limit=3_000_000)) == 3_000_000

    @pytest.mark.parametrize("text", ["sleep 1000", "exec >&- 2>&-; sleep 1000", "sleep 1000 &"])
    @pytest.mark.parametrize("stopped", [False, True])
    def test_it_is_ended_with_all_it_started(self, tmp_path: Path, text: str, stopped: bool) -> None:
        stop = threading.Event()
        if stopped:
            threading.Timer(0.3, stop.set).start()
        text = f"sleep 1000 & echo $! > {tmp_path}/child; {text}"
        with pytest.raises(Interrupted if stopped else CommandTimedOut):
            ask(["sh", "-c", text], timeout=20 if stopped else 0.3, limit=99, stop=stop)
        wait_until(lambda: is_gone(tmp_path / "child"))


class TestLog:
    def test_it_receives_output_and_error_as_they_come(self, tmp_path: Path) -> None:
        with (tmp_path / "log").open("wb") as log:
            done = run(["sh", "-c", "echo one; echo two >&2; printf '\\377'"], timeout=10, log=log)
        assert done.output == ""
        assert (tmp_path / "log").read_bytes() == b"one\ntwo\n\xff"

    def test_it_is_cut_at_its_limit_and_the_command_goes_on(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(command, "LOG_LIMIT", 1000)
        text = f"yes | head -c 300000; touch {tmp_path}/done"
        with (tmp_path / "log").open("wb") as log:
            assert run(["sh", "-c", text], timeout=20, log=log).returncode == 0
        content = (tmp_path / "log").read_bytes()
        assert content.startswith(b"y\n" * 500 + b"\n[the log is cut here")
        assert content.count(b"cut here") == 1
        assert len(content) < 1100
        assert (tmp_path / "done").exists()

    def test_a_full_disk_does_not_stop_the_command(self, tmp_path: Path) -> None:
        with Path("/dev/full").open("wb", buffering=0) as log:
            done = run(
                ["sh", "-c", f"yes | head -c 300000; touch {tmp_path}/done; exit 4"], timeout=20, log=log, check=False
            )
        assert done.returncode == 4
        assert (tmp_path / "done").exists()

    def test_the_command_cannot_reach_the_file(self, tmp_path: Path) -> None:
        with (tmp_path / "log").open("wb") as log:
            run(
                ["sh", "-c", "echo kept; readlink /proc/self/fd/1; : > /proc/self/fd/1"],
                timeout=10,
                log=log,
                check=False,
            )
        assert (tmp_path / "log").read_text().startswith("kept\npipe:")


class TestAttach:
    def test_without_a_terminal_it_gives_the_exit_code(self, capfd: pytest.CaptureFixture[str]) -> None:
        assert attach(["sh", "-c", "echo here; exit 6"]) == 6
        assert capfd.readouterr().out == "here\n"


class TestProcessStarted:
    def test_a_living_process_has_a_start_that_does_not_change(self) -> None:
        first = process_started(os.getpid())
        assert first is not None
        assert first == process_started(os.getpid())

    def test_a_zombie_and_a_missing_process_have_none(self) -> None:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        wait_until(lambda: process_started(pid) is None)
        os.waitpid(pid, 0)
        assert process_started(pid) is None

    def test_a_name_with_brackets_and_blanks_is_no_trouble(self, tmp_path: Path) -> None:
        program = tmp_path / ") R 1 2 3 ("
        program.symlink_to("/bin/sleep")
        pid = os.posix_spawn(program, [str(program), "1000"], {})
        try:
            started = process_started(pid)
            own = process_started(os.getpid())
            assert started is not None
            assert own is not None
            assert started >= own
        finally:
            os.kill(pid, 9)
            os.waitpid(pid, 0)


class TestLastLines:
    def test_a_log_is_read_from_where_it_is_asked_for(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        assert last_lines(log) == []
        log.write_bytes(b"one\ntwo\xff\nthree")
        assert last_lines(log) == ["one", "two\N{REPLACEMENT CHARACTER}", "three"]
        assert last_lines(log, 4) == ["two\N{REPLACEMENT CHARACTER}", "three"]

    def test_a_log_without_end_is_read_in_part(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("conveyor.command.READ_BYTES", 50)
        monkeypatch.setattr("conveyor.command.READ_LINES", 3)
        monkeypatch.setattr("conveyor.command.READ_LINE", 10)
        log = tmp_path / "log"
        log.write_bytes(b"\n" * 1000)
        assert last_lines(log) == ["", "", ""]
        log.write_bytes(b"first\n" + b"x" * 1000)
        assert last_lines(log) == ["x" * 10]


class TestProcess:
    def test_it_is_talked_to_in_lines(self) -> None:
        process = Process(["sh", "-c", 'while read -r line; do echo "heard $line"; done; exit 4'])
        lines = process.lines()
        for text in ("one", "ä\N{SNOWMAN}"):
            process.send(text)
            assert next(lines) == f"heard {text}"
        assert process.started == process_started(process.pid)
        assert process.end(0.01) is None
        process.signal(signal.SIGTERM)
        assert list(lines) == []
        assert process.end(10) == -signal.SIGTERM
        assert process.end(10) == -signal.SIGTERM
        process.send("nobody hears this")
        process.signal(signal.SIGTERM)

    def test_it_is_killed_with_what_it_started(self, tmp_path: Path) -> None:
        file = tmp_path / "pid"
        process = Process(["sh", "-c", f"sleep 1000 & echo $! > {file}.new; mv {file}.new {file}; echo ready; wait"])
        assert next(process.lines()) == "ready"
        process.kill()
        assert process.end(10) == -signal.SIGKILL
        wait_until(lambda: is_gone(file))
        process.kill()

    def test_its_environment_is_minimal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SECRET", "hunter2")
        process = Process(["env"], env={"OWN": "1"})
        lines = list(process.lines())
        assert process.end(10) == 0
        assert "OWN=1" in lines
        assert not any("hunter2" in line for line in lines)

    def test_a_missing_program_is_told(self) -> None:
        with pytest.raises(CommandMissing):
            Process(["no-such-program"])
