"""The environment that host commands get."""

from __future__ import annotations

import pytest

from conveyor.buildroot.health import missing_programs
from conveyor.command import minimal_environment, run
from conveyor.model.health import Program

MKFS = Program(name="mkfs.ext4", package="e2fsprogs")


def test_programs_of_root_are_found_with_the_path_of_an_ordinary_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/local/bin:/usr/bin:/bin")
    assert missing_programs([MKFS]) == ()
    assert "mke2fs" in run(["mkfs.ext4", "-V"], timeout=10).output


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/opt/bin:/bin", "/opt/bin:/bin:/usr/sbin:/sbin"),
        ("/sbin:/bin", "/sbin:/bin:/usr/sbin"),
        ("/usr/sbin:/sbin", "/usr/sbin:/sbin"),
    ],
)
def test_the_path_of_the_caller_comes_first(monkeypatch: pytest.MonkeyPatch, path: str, expected: str) -> None:
    monkeypatch.setenv("PATH", path)
    assert minimal_environment()["PATH"] == expected


def test_nothing_else_of_the_caller_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "secret")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert "TOKEN" not in minimal_environment()
    assert minimal_environment()["LC_ALL"] == "C.UTF-8"
