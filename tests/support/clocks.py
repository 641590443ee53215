"""A wall clock that a test sets while processes run, by libfaketime(1). Clocks that only go on are left alone."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

VARIABLE = "FAKETIME_TIMESTAMP_FILE"

LIBRARIES = Path("/usr/lib")
NAME = "libfaketimeMT.so.1"


def mend_sleep() -> None:
    """Have Python sleep in a way that libfaketime leaves alone: it makes clock_nanosleep(2) fail with EINVAL."""
    if VARIABLE in os.environ:
        setattr(time, "sleep", lambda seconds: threading.Event().wait(seconds))  # noqa: B010


class FakedClock:
    """The clock of processes that are started with `environment`; the test is skipped where there is no libfaketime.

    Args:
        folder: where it is kept how far it is off.
    """

    def __init__(self, folder: Path) -> None:
        library = next(LIBRARIES.glob(f"*/faketime/{NAME}"), None)
        if library is None:
            pytest.skip("not installed: faketime")
        self._library = library
        self._file = folder / "faketime"
        self.hours = 0.0
        self.set(0)

    @property
    def environment(self) -> Mapping[str, str]:
        """What processes are to be started with."""
        return {
            "LD_PRELOAD": str(self._library),
            VARIABLE: str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def set(self, hours: float) -> None:
        """Set it so many hours ahead of the true time."""
        self.hours = hours
        new = self._file.with_suffix(".new")
        new.write_text(f"{hours * 3600:+.0f}\n")
        new.rename(self._file)

    def forward(self, hours: float) -> None:
        """Let so many hours go by."""
        self.set(self.hours + hours)

    def now(self) -> datetime:
        """What it says."""
        return datetime.now(UTC) + timedelta(hours=self.hours)
