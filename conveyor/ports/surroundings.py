"""The time, and who listens."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from conveyor.model.build import Build, Stage


class Clock(Protocol):
    """The time, so that tests can choose it."""

    def now(self) -> datetime:
        """The current time, with zone."""


class Progress(Protocol):
    """Hears of a build's stages as they run. Never in the write path: what it raises is not caught for it."""

    def started(self, build: Build, stage: Stage) -> None:
        """A stage begins."""

    def ended(self, build: Build, stage: Stage, seconds: float, failed: bool) -> None:
        """A stage has ended, after so many seconds."""

    def found_root(self, build: Build, *, ready: bool) -> None:
        """The layers of a build's root were all there, or some had to be made."""

    def waiting(self, build: Build) -> None:
        """Another process works on this build; we wait for it."""
