"""What somebody at a terminal sees and does: stages, spinner, shells in kept roots, logs that grow."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import subprocess
import sys
import time

import pytest

from tests.support.site import RPM, Site

pytestmark = pytest.mark.e2e

PATIENCE = 60.0


class Terminal:
    """A command on a terminal of its own.

    Args:
        site: where it runs.
        arguments: `conveyor`'s.
    """

    def __init__(self, site: Site, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        self.seen = ""
        self._process = subprocess.Popen(
            ["/usr/bin/setsid", "--ctty", sys.executable, "-m", "conveyor.cli.main", *arguments],
            cwd=site.folder,
            env=site.environment({"TERM": "xterm", "COLUMNS": "120"}),
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        site.started.add(self._process.pid)
        os.close(slave)

    def expect(self, text: str) -> None:
        """Read until a text has come."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            assert self._read(), f"{text!r} did not come:\n{self.seen}"

    def type(self, text: str) -> None:
        """Type something."""
        os.write(self._master, text.encode())

    def end(self) -> int:
        """Read until it ends; its exit code."""
        while self._read():
            pass
        os.close(self._master)
        return self._process.wait(PATIENCE)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._master], [], [], PATIENCE)
        if not ready:
            self._process.kill()
        chunk = b""
        with contextlib.suppress(OSError):  # EIO: nobody has the other side open
            chunk = os.read(self._master, 65536)
        self.seen += chunk.decode("utf-8", "replace")
        return bool(chunk)


def test_stages_appear_as_they_run(rpm_site: Site) -> None:
    rpm_site.stall("build", 1)
    terminal = Terminal(rpm_site, "build", "hello")
    terminal.expect("hello")
    terminal.expect("render")
    terminal.expect("build …")
    assert terminal.end() == 0
    for stage in ("render", "source", "buildroot", "build", "check", "install", "publish"):
        assert re.search(rf"✓\S* +{stage} +\d+\.\d\d s", terminal.seen), terminal.seen
    assert "succeeded" in terminal.seen


def test_control_c_on_the_terminal(rpm_site: Site) -> None:
    rpm_site.stall("build", 60)
    terminal = Terminal(rpm_site, "build", "hello")
    terminal.expect("build …")
    terminal.type("\x03")
    assert terminal.end() == 130
    assert "was cancelled" in terminal.seen
    # The cursor, which a spinner hides, is back.
    assert terminal.seen.rfind("\x1b[?25h") > terminal.seen.rfind("\x1b[?25l")
    assert rpm_site.left_behind == []


def test_shell_in_the_root_of_a_failed_build(rpm_site: Site) -> None:
    rpm_site.replace("hello.spec.j2", "%build\n", "%build\necho left > left-by-the-build\nfalse\n")
    terminal = Terminal(rpm_site, "build", "hello", "--shell")
    terminal.expect("the root of the failed build")
    terminal.expect("$ ")
    terminal.type("pwd; id -u; cat rpmbuild/BUILD/*/*/left-by-the-build; echo e''nd\n")
    terminal.expect("\nend")
    terminal.type("exit 0\n")
    assert terminal.end() == 1
    assert all(text in terminal.seen for text in ("/build/tree", "1000", "\nleft")), terminal.seen
    assert rpm_site.left_behind == []


def test_kept_root(rpm_site: Site) -> None:
    kept = rpm_site.run("build", "hello", "--keep-root")
    assert kept.code == 0, kept.err
    assert "the root is kept: conveyor shell 1" in kept.err
    terminal = Terminal(rpm_site, "shell", "1")
    terminal.expect("$ ")
    terminal.type("ls rpmbuild; echo e''nd\n")
    terminal.expect("\nend")
    terminal.type("exit 7\n")
    assert terminal.end() == 7, terminal.seen
    assert "BUILD" in terminal.seen
    # Off a terminal it ends with its input.
    assert rpm_site.run("shell", "hello").code == 0


def test_shell_without_a_kept_root(rpm_site: Site) -> None:
    assert rpm_site.run("build", "hello").code == 0
    said = rpm_site.run("shell", "1")
    assert said.code == 2
    assert "the root of this build was not kept" in said.err
    assert "--keep-root" in said.err


def test_log_is_followed_while_the_build_runs(rpm_site: Site) -> None:
    rpm_site.replace("hello.spec.j2", "%build\n", "%build\necho be''gun\nsleep 8\necho do''ne\n")
    running = rpm_site.start("build", "hello")
    rpm_site.reach(running, "build")
    follower = rpm_site.start("log", "hello", "--follow")
    status = rpm_site.run("status", "--json").json["builds"]
    assert [(build["state"], build["outcome"]) for build in status] == [("running", None)]
    assert "running" in rpm_site.run("status").out
    told = rpm_site.end(follower)
    assert rpm_site.end(running).code == 0
    assert told.code == 0
    lines = told.out.splitlines()
    assert lines.index("begun") < lines.index("done")
    assert "\x1b" not in told.out


def test_escape_sequences_of_a_build_do_not_reach_the_terminal(rpm_site: Site) -> None:
    evil = r"printf '\033]0;owned\007\033[2J\033[31mred\n'; printf 'Error: \033[31mbad\n'; false"
    rpm_site.replace("hello.spec.j2", "%build\n", f"%build\n{evil}\n")
    said = rpm_site.run("build", "hello")
    assert said.code == 1
    log = rpm_site.run("log", "1")
    assert not {"\x1b", "\x07"} & set(said.out + said.err + log.out)
    assert "red" in log.out


def test_reader_that_goes_away(rpm_site: Site) -> None:
    rpm_site.replace("hello.spec.j2", "%build\n", "%build\nseq 200000\n")
    assert rpm_site.run("build", "hello", "--target", RPM).code == 0
    process = rpm_site.start("log", "1")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    error = process.stderr.read()
    process.stderr.close()
    process.wait(PATIENCE)
    assert error == ""
