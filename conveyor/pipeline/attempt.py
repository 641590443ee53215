"""One attempt of a build: its folder, its log, its stages and their seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conveyor.command import last_lines
from conveyor.errors import ConveyorError, Fault
from conveyor.model.build import Build, Cause, Stage, StageTime
from conveyor.ports import Progress


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
        self.write(f"== {stage} ==")
        self._offset = self.log.stat().st_size
        self._progress.started(self.build, stage)
        started = time.monotonic()
        failed = True
        try:
            yield
            failed = False
        finally:
            seconds = time.monotonic() - started
            self.stages.append(StageTime(stage=stage, seconds=seconds))
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
        return Cause(
            fault=error.fault,
            stage=self.stage,
            kind=type(error).__name__,
            summary=error.summary,
            hint=error.hint,
            details=error.details,
        )


def cause_of(summary: str, fault: Fault = Fault.OURS) -> Cause:
    """A cause outside of any stage."""
    return Cause(fault=fault, stage=None, kind="Interrupted", summary=summary, hint="", details=())
