"""What became of what was asked for, as a table, as JSON, and as an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from conveyor.cli.table import print_table
from conveyor.cli.text import plain
from conveyor.documents import FORMAT_VERSION
from conveyor.documents.builds import build_as_json, error_as_json
from conveyor.errors import EXIT_CODES, ConveyorError, Fault
from conveyor.model.build import Build, Outcome
from conveyor.pipeline.explaining.build import whose as whose_fault

HEADINGS = ("package", "target", "version", "outcome", "seconds", "repository")
COLOURS = {
    Outcome.SUCCEEDED: "green",
    Outcome.FAILED: "red",
    Outcome.ERRORED: "yellow",
    Outcome.CANCELLED: "dim",
    Outcome.SUPERSEDED: "dim",
}
SUPERSEDED = "nobody's fault, a newer commit is published"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one package on one target.

    Attributes:
        package: the package's name.
        target: the target's name.
        build: the build; None when it did not come to one.
        ran: whether this command ran it.
        repository: URL of its snapshot, or the folder with its files when it is not published; empty without one.
        log: path or URL of the log; None without one.
        error: why it did not come to a build, or was not published.
    """

    package: str
    target: str
    build: Build | None
    ran: bool
    repository: str
    log: Path | str | None
    error: ConveyorError | None = None

    @property
    def fault(self) -> Fault | None:
        """Whose fault it is that it did not succeed; None when it did."""
        if self.error is not None:
            return self.error.fault
        if self.build is not None and self.build.cause is not None:
            return self.build.cause.fault
        return None

    @property
    def outcome(self) -> Outcome:
        """The outcome, of an order that did not come to a build too."""
        if self.build is not None and self.build.outcome is not None:
            return self.build.outcome
        return Outcome.FAILED if self.fault in {Fault.PACKAGE, Fault.USER} else Outcome.ERRORED

    @property
    def seconds(self) -> float | None:
        """Wall time of the attempt that this command ran."""
        if not self.ran or self.build is None or not (self.build.started_at and self.build.finished_at):
            return None
        return sum(stage.seconds for stage in self.build.stages)


def exit_code(results: Sequence[Result]) -> int:
    """0 when all succeeded; else the code of what trying again cannot mend before that of what it can."""
    codes = {EXIT_CODES[result.fault] for result in results if result.fault is not None}
    return next((code for code in (2, 1, 3) if code in codes), 0)


def print_results(console: Console, errors: Console, results: Sequence[Result]) -> None:
    """The table, then each failure with what a packager needs to mend it."""
    for alike in _alike(results):
        print_failure(errors, alike[0], ", ".join(result.target for result in alike))
    print_table(console, HEADINGS, [_row(result) for result in results])


def as_json(results: Sequence[Result]) -> dict[str, Any]:
    """The results in a documented form: docs/json.md."""
    return {"format_version": FORMAT_VERSION, "results": [_as_json(result) for result in results]}


def _as_json(result: Result) -> dict[str, Any]:
    return {
        "package": result.package,
        "target": result.target,
        "outcome": result.outcome,
        "built_now": result.ran,
        "repository": result.repository or None,
        "log": str(result.log) if result.log else None,
        "build": build_as_json(result.build) if result.build else None,
        "error": error_as_json(result.error),
    }


def _row(result: Result) -> tuple[Text | str, ...]:
    note = "" if result.ran or result.build is None else " (before)"
    return (
        result.package,
        result.target,
        plain((result.build.version if result.build else None) or "-"),
        Text(result.outcome, COLOURS[result.outcome]) + note,
        "-" if result.seconds is None else f"{result.seconds:7.1f}",
        result.repository or "-",
    )


def _alike(results: Sequence[Result]) -> list[list[Result]]:
    """Those that did not succeed; together where one error is that of several targets."""
    groups: dict[tuple[str, int], list[Result]] = {}
    for number, result in enumerate(results):
        if result.fault is not None:
            told_by = number if result.error is None else id(result.error)
            groups.setdefault((result.package, told_by), []).append(result)
    return list(groups.values())


def print_failure(console: Console, result: Result, targets: str) -> None:
    """Whose fault, the cause in one line, the lines that matter, the log, what to do next."""
    fault = result.fault
    if fault is None:
        return
    summary, hint, details = _told(result)
    cause = result.build.cause if result.build else None
    stage = f" in {cause.stage}" if cause and cause.stage else ""
    whose = SUPERSEDED if result.outcome is Outcome.SUPERSEDED else whose_fault(fault)
    console.print(f"[bold red]{result.package} for {targets}{stage}[/bold red]: {whose}", highlight=False)
    console.print(f"  {plain(summary)}", highlight=False, markup=False, soft_wrap=True)
    for line in details:
        console.print(f"    | {plain(line)}", highlight=False, markup=False, soft_wrap=True)
    if result.log is not None:
        console.print(f"  whole log: {result.log}", highlight=False, markup=False, soft_wrap=True)
    if hint:
        console.print(f"  next: {plain(hint)}", highlight=False, markup=False, soft_wrap=True)


def _told(result: Result) -> tuple[str, str, tuple[str, ...]]:
    if result.error is not None:
        return result.error.summary, result.error.hint, result.error.details
    if result.build is not None and result.build.cause is not None:
        return result.build.cause.summary, result.build.cause.hint, result.build.cause.details
    return "", "", ()
