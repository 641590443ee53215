"""The port Progress for tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from conveyor.model.build import Build, Stage


@dataclass(slots=True)
class FakeProgress:
    """Remembers what it heard.

    Attributes:
        heard: "started STAGE", "ended STAGE", "failed STAGE" and "waiting", in order.
        on_waiting: what happens while somebody waits for another process.
    """

    heard: list[str] = field(default_factory=list)
    on_waiting: Callable[[Build], None] | None = None

    def started(self, build: Build, stage: Stage) -> None:
        del build
        self.heard.append(f"started {stage}")

    def ended(self, build: Build, stage: Stage, seconds: float, failed: bool) -> None:
        del build
        assert seconds >= 0
        self.heard.append(f"{'failed' if failed else 'ended'} {stage}")

    def found_root(self, build: Build, *, ready: bool) -> None:
        del build
        self.heard.append("root ready" if ready else "root made")

    def waiting(self, build: Build) -> None:
        self.heard.append("waiting")
        if self.on_waiting is not None:
            self.on_waiting(build)
