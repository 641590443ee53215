"""Builds with logs, in the store that a web application answers from."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from conveyor.errors import Fault
from conveyor.model.build import Build, Cause, Outcome, Stage
from conveyor.ports import Store
from tests.fakes.store_samples import claim, commit

TARGET = "debian-12-amd64"


class Logging:
    """A build that runs, and writes a log.

    Args:
        store: where it is.
        data: the data directory.
        name: makes its commit another one.
    """

    def __init__(self, store: Store, data: Path, name: str = "1") -> None:
        self._store = store
        self._data = data
        self._name = name
        self.build: Build
        self.begin()

    def begin(self) -> None:
        """Begin an attempt: the first one, or another."""
        queued = self._store.queue(commit(self._name), TARGET, retry=True)
        self._token = f"token-{self._name}-{queued.attempt}"
        claimed = self._store.claim(queued.id, claim(self._token, datetime.now(UTC)))
        assert claimed is not None
        self.build = claimed
        self.path = self._data / f"builds/{claimed.id}/{claimed.attempt}/log"
        self.path.parent.mkdir(parents=True)
        self.path.touch()
        self._store.set_log(claimed.id, self._token, str(self.path.relative_to(self._data)))
        self.url = f"/api/v1/builds/{claimed.id}/attempts/{claimed.attempt}/log"

    def write(self, text: str | bytes) -> None:
        """Add to the log."""
        with self.path.open("ab") as file:
            file.write(text.encode() if isinstance(text, str) else text)

    def fail(self, *details: str) -> None:
        """End it."""
        cause = Cause(
            fault=Fault.PACKAGE,
            stage=Stage.BUILD,
            kind="BuildFailed",
            summary="the build failed",
            hint="",
            details=details,
        )
        self._store.finish(
            self.build.id,
            self._token,
            outcome=Outcome.FAILED,
            at=datetime.now(UTC),
            version=None,
            cause=cause,
            stages=(),
            entry=None,
        )
