"""Stages on a terminal as they run. Off a terminal nothing is said."""

from __future__ import annotations

from rich.console import Console
from rich.status import Status

from conveyor.model.build import Build, Stage


class SilentProgress:
    """The port Progress for a pipe, a file or `--json`."""

    def started(self, build: Build, stage: Stage) -> None:
        """Say nothing."""

    def ended(self, build: Build, stage: Stage, seconds: float, failed: bool) -> None:
        """Say nothing."""

    def found_root(self, build: Build, *, ready: bool) -> None:
        """Say nothing."""

    def waiting(self, build: Build) -> None:
        """Say nothing."""


class TerminalProgress:
    """The port Progress for a terminal: a line for each stage that has ended, a spinner for the one that runs.

    Args:
        console: the terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None
        self._named: tuple[int, int] | None = None

    def started(self, build: Build, stage: Stage) -> None:
        """Spin while the stage runs."""
        self._name(build)
        self._spin(f"{stage} …")

    def ended(self, build: Build, stage: Stage, seconds: float, failed: bool) -> None:
        """Put the stage's seconds down for good."""
        del build
        self._still()
        mark = "[red]✗[/red]" if failed else "[green]✓[/green]"
        self._console.print(f"  {mark} {stage:<10} {seconds:7.2f} s", highlight=False)

    def found_root(self, build: Build, *, ready: bool) -> None:
        """The seconds of its stage say it."""

    def waiting(self, build: Build) -> None:
        """Spin while another process builds."""
        self._name(build)
        process = f", process {build.claim.pid} on {build.claim.host}" if build.claim else ""
        self._spin(f"another conveyor builds this already{process}: waiting for it …")

    def _name(self, build: Build) -> None:
        """Say once for each attempt what is being built."""
        if self._named != (build.id, build.attempt):
            self._named = (build.id, build.attempt)
            title = f"[bold]{build.commit.package}[/bold] {build.commit.short} for [bold]{build.target}[/bold]"
            self._console.print(f"{title}  (build {build.id})", highlight=False)

    def _spin(self, text: str) -> None:
        if self._status is None:
            self._status = self._console.status(text)
            self._status.start()
        else:
            self._status.update(text)

    def _still(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
