"""`conveyor doctor`: is this machine able to build each target?"""

from __future__ import annotations

from contextlib import suppress

import typer
from rich.text import Text

from conveyor.cli.context import Context
from conveyor.cli.table import print_table
from conveyor.errors import EXIT_CODES, Fault, PermissionMissing
from conveyor.model.health import Finding
from conveyor.wiring import examine, gain_root


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(context: typer.Context) -> None:
    """Tell whether this machine can build each target, and what is missing."""
    given: Context = context.obj
    # Without it the machine is examined all the same, and this is the first thing told.
    with suppress(PermissionMissing):
        gain_root(given.site)
    with given.opened() as conveyor:
        findings = tuple(examine(conveyor))
    print_table(given.output, (), [_row(finding) for finding in findings])
    for finding in findings:
        if finding.remedy:
            given.output.print(f"{finding.subject}: {finding.remedy}", markup=False, soft_wrap=True)
    raise typer.Exit(0 if all(finding.good for finding in findings) else EXIT_CODES[Fault.OURS])


def _row(finding: Finding) -> tuple[Text | str, ...]:
    mark = Text("ok", "green") if finding.good else Text("missing", "red")
    return mark, finding.subject, finding.detail
