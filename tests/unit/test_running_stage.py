"""What an attempt says of the stage that runs, to those who look at its folder."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from conveyor.model.build import Stage
from conveyor.pipeline.attempt import STAGE_FILE, Attempt, running_stage
from tests.fakes import store_samples as sample
from tests.fakes.progress import FakeProgress
from tests.fakes.store import MemoryStore


def attempt(folder: Path) -> Attempt:
    return Attempt(sample.start(MemoryStore(), sample.commit(), "t"), folder, FakeProgress())


def test_a_stage_is_told_while_it_runs(tmp_path: Path) -> None:
    tried = attempt(tmp_path)
    assert running_stage(tmp_path) is None
    for stage in (Stage.RENDER, Stage.BUILD):
        with tried.running(stage):
            told = running_stage(tmp_path)
            assert told is not None
            assert told[0] is stage
            assert abs(datetime.now(UTC) - told[1]) < timedelta(minutes=1)
        assert running_stage(tmp_path) is None
    assert not (tmp_path / STAGE_FILE).exists()


def test_a_stage_that_fails_is_over(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), attempt(tmp_path).running(Stage.BUILD):
        raise KeyboardInterrupt
    assert running_stage(tmp_path) is None


def test_what_a_kill_left_half_written_is_no_stage(tmp_path: Path) -> None:
    (tmp_path / STAGE_FILE).write_text("bui")
    assert running_stage(tmp_path) is None
