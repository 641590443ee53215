"""A shell in the root that a build left, on a real terminal."""

from __future__ import annotations

import os
import pty
import re
import sys
import termios
import time
from dataclasses import replace
from pathlib import Path

import pytest

from conveyor.errors import BuildFailed, LimitExceeded, UnknownName
from conveyor.ports import BuildPlan
from tests.support.roots import copy_program, fill_root, need_sandbox
from tests.support.touched import Site
from tests.support.workshop import TARGET

pytestmark = pytest.mark.integration

PERL = Path("/usr/bin/perl")  # every Debian has it
# Puts a command for the shell that reads the terminal afterwards: what a hostile build would do to whoever looks at it.
TYPE_INTO_TERMINAL = r"""
my $TIOCSTI = 0x5412;
for my $key (split //, "echo ty''ped\n") { ioctl(STDIN, $TIOCSTI, $key) or exit 1 }
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    need_sandbox()
    fill_root(tmp_path / "root")
    return Site(tmp_path)


@pytest.fixture
def kept(site: Site, tmp_path: Path) -> Path:
    """The root of a failed build."""
    keep = tmp_path / "builds/root"
    results = tmp_path / "results"
    results.mkdir()
    root = site.builder.prepare(TARGET, ["gcc"], None, site.log)
    plan = BuildPlan(script=b"echo half > done; ls /packages; exit 2\n", arguments=())
    with pytest.raises(BuildFailed, match="code 2"):
        site.builder.build(root, plan, [], results, site.log, keep)
    return keep


def test_it_sees_what_the_build_left_and_returns_its_exit_code(site: Site, kept: Path) -> None:
    assert site.builder.shell(TARGET, kept, ["/bin/sh", "-c", "test $(cat done) = half && test -e /packages/gcc"]) == 0
    assert site.builder.shell(TARGET, kept, ["/bin/sh", "-c", "exit 9"]) == 9


def test_what_it_changes_stays_until_the_next_shell(site: Site, kept: Path) -> None:
    site.builder.shell(TARGET, kept, ["/bin/sh", "-c", "echo more >> done"])
    assert (kept / "upper/build/tree/done").read_text() == "half\nmore\n"
    assert site.builder.shell(TARGET, kept, ["grep", "more", "done"]) == 0


def test_it_is_as_shut_in_as_the_build(site: Site, kept: Path) -> None:
    text = "test $(id -u) = 1000 && ! ls /root && test $(tail -n +3 /proc/net/dev | wc -l) = 1"
    assert site.builder.shell(TARGET, kept, ["/bin/sh", "-c", text]) == 0


def test_a_root_that_was_not_kept_is_told(site: Site, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="was not kept"):
        site.builder.shell(TARGET, tmp_path / "nothing", ["/bin/sh"])


def test_a_root_whose_layers_are_gone_is_told(site: Site, kept: Path) -> None:
    for record in site.store.layers.glob("*/layer.json"):
        record.unlink()
        (record.parent / "root").rename(record.parent / "old")
    with pytest.raises(UnknownName, match="layers"):
        site.builder.shell(TARGET, kept, ["/bin/sh"])


def test_a_build_whose_root_is_kept_has_its_time_limit_too(site: Site, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    hurried = replace(TARGET, limits=replace(TARGET.limits, seconds=1))
    root = site.builder.prepare(hurried, [], None, site.log)
    plan = BuildPlan(script=b"sleep 100\n", arguments=())
    with pytest.raises(LimitExceeded, match="took longer than 1 s"):
        site.builder.build(root, plan, [], tmp_path / "results", site.log, tmp_path / "keep")


class Terminal:
    """A person at a terminal: types, and reads what comes."""

    def __init__(self, argv: list[str]) -> None:
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            os.execvpe(argv[0], argv, {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PS1": "host> "})
        self.seen = ""

    def resize(self, rows: int, columns: int) -> None:
        termios.tcsetwinsize(self._master, (rows, columns))

    def settings(self) -> list[object]:
        return list(termios.tcgetattr(self._master))

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def read_until(self, pattern: str) -> str:
        deadline = time.monotonic() + 60
        os.set_blocking(self._master, False)
        while not re.search(pattern, self.seen):
            assert time.monotonic() < deadline, self.seen
            try:
                self.seen += os.read(self._master, 4096).decode("utf-8", "replace")
            except BlockingIOError:
                time.sleep(0.02)
            except OSError as error:
                raise AssertionError(self.seen) from error
        return self.seen

    def close(self) -> None:
        os.close(self._master)
        os.waitpid(self.pid, 0)


OPEN_SHELL = """
import sys
from pathlib import Path
from tests.support.touched import Site
from tests.support.workshop import TARGET
site = Site(Path(sys.argv[1]))
print("code", site.builder.shell(TARGET, Path(sys.argv[2]), ["/bin/sh", "-i"]))
"""


def test_a_person_can_work_in_it(tmp_path: Path, kept: Path) -> None:
    terminal = Terminal([sys.executable, "-c", OPEN_SHELL, str(tmp_path), str(kept)])
    terminal.resize(33, 99)
    terminal.read_until(r"\$ ")
    terminal.type("stty size; echo in''side; tty; exit 5\n")
    seen = terminal.read_until("code 5")
    assert "inside" in seen
    assert "33 99" in seen
    terminal.close()


def test_what_lies_in_it_cannot_type_into_the_callers_terminal(tmp_path: Path, kept: Path) -> None:
    copy_program(PERL, kept / "upper")
    (kept / "upper/build/tree/evil").write_text(TYPE_INTO_TERMINAL)
    text = f"'{sys.executable}' -c '{OPEN_SHELL}' '{tmp_path}' '{kept}'; read -r typed; echo \"got <$typed>\"\n"
    (tmp_path / "session.sh").write_text(text)
    terminal = Terminal(["/bin/sh", str(tmp_path / "session.sh")])
    terminal.read_until(r"\$ ")
    terminal.type("perl evil; echo ended $?; exec sleep 0\n")
    assert re.search("ended [01]", terminal.read_until("code 0"))
    terminal.type("by hand\n")
    assert "got <by hand>" in terminal.read_until("got <.*>")
    terminal.close()


def test_the_terminal_is_as_it_was_afterwards(tmp_path: Path, kept: Path) -> None:
    terminal = Terminal([sys.executable, "-c", OPEN_SHELL, str(tmp_path), str(kept)])
    before = terminal.settings()
    terminal.read_until(r"\$ ")
    terminal.type("stty raw -echo; exit 0\n")
    terminal.read_until("code 0")
    assert terminal.settings() == before
    terminal.close()
