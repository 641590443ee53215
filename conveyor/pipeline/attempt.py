"""One attempt of a build: its folder, its log, its stages and their seconds."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from conveyor.command import last_lines
from conveyor.errors import ConveyorError, Fault
from conveyor.model.build import Build, Cause, Stage, StageTime
from conveyor.ports import Progress

# Name of the folder with a kept root, in the attempt's folder.
ROOT = "root"
# What stays in the folder of an attempt that has ended.
KEPT = ("log", "packaging", ROOT)
# Says which stage runs, in the attempt's folder. A log may be long, and what a build writes into it is upstream's.
STAGE_FILE = "stage"


class Attempt:
    """Collects what happens in one attempt.

    Args:
        build: the claimed build.
        folder: existing folder of the attempt.
        progress: hears of the stages.

    Attributes:
        build: the claimed build.
        folder: the attempt's folder.
        log: its log.
        stages: the stages that have ended.
        stage: the stage that runs, or ran last.
    """

    def __init__(self, build: Build, folder: Path, progress: Progress) -> None:
        self.build = build
        self.folder = folder
        self.log = folder / "log"
        self.stages: list[StageTime] = []
        self.stage: Stage | None = None
        self._progress = progress
        self._offset = 0
        self.log.touch()

    @contextmanager
    def running(self, stage: Stage) -> Iterator[None]:
        """Time a stage, and tell of its beginning and end."""
        self.stage = stage
        marker = self.folder / STAGE_FILE
        started = time.monotonic()
        failed = True
        # Who stops it as soon as the log tells of it stops this stage.
        try:
            self.write(f"== {stage} ==")
            self._offset = self.log.stat().st_size
            self._progress.started(self.build, stage)
            with suppress(OSError):  # only those who look miss it
                marker.write_text(stage, encoding="utf-8")
            yield
            failed = False
        finally:
            seconds = time.monotonic() - started
            self.stages.append(StageTime(stage=stage, seconds=seconds))
            with suppress(OSError):
                marker.unlink(missing_ok=True)
            self._progress.ended(self.build, stage, seconds, failed)

    def write(self, line: str) -> None:
        """Add a line of our own to the log."""
        with self.log.open("a", encoding="utf-8", errors="replace") as file:
            file.write(f"{line}\n")

    def stage_log(self) -> list[str]:
        """The last lines that the running stage has written to the log."""
        return last_lines(self.log, self._offset)

    def cause(self, error: ConveyorError) -> Cause:
        """What went wrong, for the store and for people."""
        return cause_of_error(error, self.stage)


def cause_of_error(error: ConveyorError, stage: Stage | None = None) -> Cause:
    """What went wrong in a stage, or outside of any."""
    return Cause(
        fault=error.fault,
        stage=stage,
        kind=type(error).__name__,
        summary=error.summary,
        hint=error.hint,
        details=error.details,
    )


def cause_of(summary: str, fault: Fault = Fault.OURS) -> Cause:
    """A cause outside of any stage."""
    return Cause(fault=fault, stage=None, kind="Interrupted", summary=summary, hint="", details=())


def folder_of(builds: Path, build: Build) -> Path | None:
    """The folder of a build's last attempt, below the folder of all builds; None before the first."""
    return builds / str(build.id) / str(build.attempt) if build.attempt else None


def throw_away(folder: Path | None) -> None:
    """Remove what an ended attempt needs no more: all but its log, its packaging and a kept root."""
    paths = folder.iterdir() if folder is not None and folder.is_dir() else ()
    for path in [path for path in paths if path.name not in KEPT]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def running_stage(folder: Path) -> tuple[Stage, datetime] | None:
    """The stage that runs in the attempt of a folder, and since when; None where none does."""
    marker = folder / STAGE_FILE
    try:
        return Stage(marker.read_text(encoding="utf-8")), datetime.fromtimestamp(marker.stat().st_mtime, UTC)
    except (OSError, ValueError):
        return None
