"""diffoscope in the sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from conveyor.buildroot.diffoscope import PROGRAM, Diffoscope, require
from conveyor.buildroot.isolation.sandbox import Sandbox, ScratchKind
from conveyor.buildroot.jobs import Jobs
from conveyor.errors import CommandMissing
from tests.support.published import CONTROL, make_deb, need
from tests.support.roots import UID, need_sandbox

pytestmark = pytest.mark.integration


def test_it_says_what_differs_in_two_packages(tmp_path: Path) -> None:
    need_sandbox()
    need(PROGRAM)
    packages = [
        make_deb(tmp_path / name, "hello", "1.0-1", control=CONTROL.replace("Says hello", text))[0]
        for name, text in (("one", "Says hello"), ("other", "Says goodbye"))
    ]
    layers = tmp_path / "buildroots/layers"
    sandbox = Sandbox(jobs=Jobs(tmp_path / "jobs"), layers=layers, uid=UID, scratch=ScratchKind.AUTO)
    report = Diffoscope(sandbox).look_closer(*packages)
    assert "- Says hello" in report
    assert "+ Says goodbye" in report
    assert str(tmp_path) not in report
    assert list((tmp_path / "jobs").iterdir()) == []


def test_without_it_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CommandMissing, match="diffoscope is not installed"):
        require()
