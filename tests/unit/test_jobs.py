"""Temporary folders: gone at the end of their work, of their process, or when the next one starts."""

from __future__ import annotations

from pathlib import Path

from conveyor.buildroot.jobs import Jobs


def test_a_folder_goes_with_its_work(tmp_path: Path) -> None:
    with Jobs(tmp_path / "jobs").folder() as folder:
        (folder / "file").write_text("x")
    assert list((tmp_path / "jobs").iterdir()) == []


def test_what_was_renamed_away_stays(tmp_path: Path) -> None:
    with Jobs(tmp_path / "jobs").folder() as folder:
        folder.rename(tmp_path / "kept")
    assert (tmp_path / "kept").is_dir()


def test_clear_removes_what_this_process_has_and_nothing_else(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path / "jobs")
    others = tmp_path / "jobs" / "1-1-0"
    with jobs.folder() as folder:
        others.mkdir()
        jobs.clear()
        assert not folder.exists()
    assert others.is_dir()


def test_sweep_removes_what_dead_processes_left(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path / "jobs")
    with jobs.folder() as folder:
        (tmp_path / "jobs" / "1-1-0").mkdir()
        (tmp_path / "jobs" / "notes").mkdir()
        jobs.sweep()
        assert sorted(path.name for path in (tmp_path / "jobs").iterdir()) == sorted([folder.name, "notes"])
