"""What is said of a failed build, in one line, from real logs of failing builds: tests/data/logs/builds."""

from __future__ import annotations

from pathlib import Path

import pytest

from conveyor.formats.deb.toolchain import DebToolchain
from conveyor.formats.rpm.toolchain import RpmToolchain
from conveyor.ports import Toolchain

LOGS = Path(__file__).parents[1] / "data/logs/builds"
DEB_STEP = "(in: override_dh_auto_build)"
# The same failures in both formats: by the end of the log's name, what the line has to hold.
SHARED = {
    "python-traceback": "json.decoder.JSONDecodeError: Expecting property name",
    "module-missing": "ModuleNotFoundError: No module named 'oslo_nothing'",
    "setup-py": "ModuleNotFoundError: No module named 'pbr.version_nothing'",
    "gcc-header": "bad.c:1:10: fatal error: missing.h: No such file or directory",
    "gcc-syntax": "type.c:3:5: error: expected",
    "gcc-link": "undefined reference to `nowhere'",
    "pytest-network": "AssertionError: E: Could not resolve host: example.org",
    "pytest-import": "ModuleNotFoundError: No module named 'oslo_nothing'",
    "unittest": "AssertionError: 1 != 2",
    "command-missing": "no-such-tool: ",
}
SECTION = {"pytest-network": "%check", "pytest-import": "%check", "unittest": "%check"}
EXPLAINED: dict[str, tuple[str, ...]] = {
    **{f"deb-{name}": (text, DEB_STEP) for name, text in SHARED.items()},
    **{f"rpm-{name}": (text, f"(in: {SECTION.get(name, '%build')})") for name, text in SHARED.items()},
    "deb-noisy-then-false": ("override_dh_auto_build", "Error 1"),
    "deb-make-missing-target": ("No rule to make target 'nothing'", DEB_STEP),
    "deb-install-missing": ("dh_install", '"no-such-file"'),
    "deb-rules-syntax": ("debian/rules:3: *** missing separator.",),
    "deb-compat": ("15 is the highest compatibility level",),
    "deb-source-changelog": ("debian/changelog(l1): badly formatted heading line",),
    "deb-source-control": ("debian/control doesn't list any binary package",),
    "deb-source-version": ("debian/changelog(l1): version '1.0_1' is invalid",),
    "deb-source-patch": ("1 out of 1 hunk FAILED", "debian/patches/fix.patch"),
    "rpm-noisy-then-false": ("'false' failed (in: %build)",),
    "rpm-files-missing": ("File not found:", "/usr/bin/greeting"),
    "rpm-files-unpackaged": ("Installed (but unpackaged) file(s) found: /usr/share/more, /usr/share/other",),
    "rpm-patch": ("1 out of 1 hunk FAILED", "hello.py", "(in: %prep)"),
    "rpm-prep": ("can't cd to greeting-2.0", "(in: %prep)"),
    "rpm-build-requires": ("Failed build dependencies: libdoesnotexist-devel is needed by greeting",),
    "rpm-source-if": ("line 7: Unclosed %if",),
    "rpm-source-tag": ("line 7: Unknown tag: Nonsense: yes",),
    "rpm-source-macro": ("line 7: Dependency tokens must begin with",),
    "rpm-source-noversion": ("Version field must be present",),
    "rpm-source-nosource": ("Bad file: ", "nothing.conf: No such file or directory"),
}


def explained(name: str) -> tuple[str, tuple[str, ...]]:
    toolchain: Toolchain = DebToolchain() if name.startswith("deb") else RpmToolchain()
    explain = toolchain.explain_source_failure if "-source-" in name else toolchain.explain_build_failure
    return explain((LOGS / f"{name}.log").read_text().splitlines())


def test_every_log_is_in_the_table() -> None:
    assert {path.stem for path in LOGS.glob("*.log")} == set(EXPLAINED)


@pytest.mark.parametrize("name", sorted(EXPLAINED))
def test_one_line_names_what_failed(name: str) -> None:
    summary, lines = explained(name)
    for text in EXPLAINED[name]:
        assert text in summary
    assert "\n" not in summary
    assert 0 < len(lines) <= 12


@pytest.mark.parametrize("toolchain", [DebToolchain(), RpmToolchain()], ids=["deb", "rpm"])
class TestAnyLog:
    def test_an_empty_one(self, toolchain: Toolchain) -> None:
        assert toolchain.explain_build_failure([]) == ("no output", ())
        assert toolchain.explain_source_failure([]) == ("no output", ())

    def test_one_that_tells_nothing_gives_its_last_lines(self, toolchain: Toolchain) -> None:
        summary, lines = toolchain.explain_build_failure([*(f"line {number}" for number in range(40)), "", ""])
        assert summary == "line 39"
        assert lines == tuple(f"line {number}" for number in range(28, 40))

    def test_colours_and_control_characters_are_left_out(self, toolchain: Toolchain) -> None:
        summary, lines = toolchain.explain_build_failure(["\x1b[31mValueError: bad\x07 \x1b[0mthing\r"])
        assert summary == "ValueError: bad thing"
        assert lines == ("ValueError: bad thing",)


def test_what_a_command_before_the_failing_one_logged_is_not_its_failure() -> None:
    log = [
        *("Executing(%check): /bin/sh -e /var/tmp/rpm-tmp.1", "+ cd greeting", "+ python3 -m tests"),
        *("ValueError: this is what the test expects", "ok", "+ install -m 644 missing.conf /etc"),
        *("install: cannot stat 'missing.conf': No such file or directory",),
        *("error: Bad exit status from /var/tmp/rpm-tmp.1 (%check)", "", "RPM build errors:"),
    ]
    summary, _ = RpmToolchain().explain_build_failure(log)
    assert summary == "install: cannot stat 'missing.conf': No such file or directory (in: %check)"


def test_the_exception_that_ended_the_command_counts_and_not_its_cause() -> None:
    log = [
        *("Executing(%build): /bin/sh -e /var/tmp/rpm-tmp.1", "+ python3 setup.py"),
        *("Traceback (most recent call last):", "KeyError: 'version'", "", "During handling of the above exception"),
        *("Traceback (most recent call last):", "SystemError: no version"),
        "error: Bad exit status from /var/tmp/rpm-tmp.1 (%build)",
    ]
    assert RpmToolchain().explain_build_failure(log)[0] == "SystemError: no version (in: %build)"


def test_a_long_list_is_cut() -> None:
    log = ["error: Installed (but unpackaged) file(s) found:", *(f"   /usr/{number}" for number in range(9))]
    assert RpmToolchain().explain_build_failure(log)[0] == (
        "error: Installed (but unpackaged) file(s) found: /usr/0, /usr/1, /usr/2, …"
    )
