"""Parts of logs: found by line and by byte, whatever is in them."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from conveyor.errors import UnknownName
from conveyor.web.live import reading
from conveyor.web.live.index import BLOCK
from conveyor.web.live.reading import Logs
from conveyor.web.live.text import LINE_BYTES


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


def test_any_line_and_byte_is_found(path: Path) -> None:
    chance = random.Random(6)
    lines = [b"x" * chance.choice([0, 1, 80, 80, 80, 500, LINE_BYTES + 1, 3 * BLOCK]) for _ in range(2000)]
    path.write_bytes(b"\n".join(lines) + b"\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    with Logs().open(path) as log:
        assert log.lines() == len(lines)
        for number in [1, 2, 3, *chance.sample(range(1, len(lines)), 200), len(lines)]:
            assert log.start(number) == starts[number - 1]
            assert log.line_start(starts[number - 1]) == starts[number - 1]
            assert log.line_start(starts[number] - 1) == starts[number - 1]
            window = log.window(starts[number - 1], lines=3)
            expected = range(number, min(number + 3, len(lines) + 1))
            assert [(line.number, line.offset) for line in window.lines] == [(n, starts[n - 1]) for n in expected]
            assert [len(line.text) + line.cut for line in window.lines] == [len(lines[n - 1]) for n in expected]
            assert window.next == starts[expected[-1]]
        assert log.start(len(lines) + 2) is None
        assert log.window(log.size).lines == ()


def test_a_window_is_bounded_in_lines_and_bytes(path: Path) -> None:
    path.write_bytes(b"\n" * 5000)
    with Logs().open(path) as log:
        assert len(log.window(0).lines) == reading.MOST_LINES
    path.write_bytes((b"y" * 4000 + b"\n") * 5000)
    with Logs().open(path) as log:
        window = log.window(0)
        assert reading.MOST_BYTES <= sum(len(line.text) for line in window.lines) < reading.MOST_BYTES + LINE_BYTES


@pytest.mark.parametrize("ending", ["short", "z" * (3 * BLOCK)])
def test_a_last_line_without_an_end_is_there_and_may_go_on(path: Path, ending: str) -> None:
    path.write_text(f"one\n{ending}")
    logs = Logs()
    with logs.open(path) as log:
        window = log.window(0)
        assert (log.lines(), len(window.lines), window.open, window.next) == (2, 2, True, 4)
    with path.open("a") as file:
        file.write(" more\nnew\n")
    with logs.open(path) as log:
        window = log.window(window.next)
        assert [line.number for line in window.lines] == [2, 3]
        assert (log.lines(), window.open) == (3, False)


def test_a_log_that_is_replaced_or_cut_off_is_read_anew(path: Path) -> None:
    logs = Logs()
    path.write_bytes(b"old\n" * BLOCK)
    with logs.open(path) as log:
        assert log.lines() == BLOCK
    path.write_bytes(b"\n" * 10)
    with logs.open(path) as log:
        assert log.lines() == 10
    other = path.with_name("other")
    other.write_bytes(b"new line\n" * BLOCK)
    other.rename(path)
    with logs.open(path) as log:
        assert log.start(BLOCK) == 9 * (BLOCK - 1)


def test_what_is_no_log_is_not_read(path: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName), Logs().open(path):
        pass
    path.symlink_to("/etc/passwd")
    with pytest.raises(UnknownName), Logs().open(path):
        pass
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnknownName), Logs().open(tmp_path / "pipe"):
        pass
    with pytest.raises(UnknownName), Logs().open(tmp_path):
        pass


def test_few_logs_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "REMEMBERED", 2)
    logs = Logs()
    for number in range(5):
        path = tmp_path / str(number)
        path.write_text("x\n")
        with logs.open(path) as log:
            assert log.lines() == 1
    assert [known.name for known in logs._known] == ["3", "4"]
