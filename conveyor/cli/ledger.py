"""`conveyor ledger`: who moved which pointer from where to where, and whether that is still what was written."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.text import Text

from conveyor.cli.context import Context
from conveyor.cli.table import print_table
from conveyor.cli.text import plain
from conveyor.documents.ledger import entries_as_json
from conveyor.model.promotion import LedgerEntry
from conveyor.pipeline.pointing.verify_ledger import head_of

HEADINGS = ("entry", "at", "pointer", "target", "from", "to", "why", "who", "note")
SHOWN_DIGITS = 12
SHOWN_ENTRIES = 20

app = typer.Typer(
    help="Show who moved which pointer from where to where, newest first.",
    invoke_without_command=True,
    rich_markup_mode=None,
)


def register(parent: typer.Typer) -> None:
    """Add the commands."""
    parent.add_typer(app, name="ledger")


@app.callback()
def entries(
    context: typer.Context,
    target: Annotated[str | None, typer.Option(help="Only this target.")] = None,
    pointer: Annotated[str | None, typer.Option(help="Only this pointer.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = SHOWN_ENTRIES,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
) -> None:
    """Show who moved which pointer from where to where, newest first."""
    if context.invoked_subcommand is not None:
        return
    given: Context = context.obj
    with given.desk() as desk:
        found = desk.ledger(target, pointer, limit)
    if as_json:
        typer.echo(json.dumps(entries_as_json(found), indent=2))
    elif found:
        print_table(given.output, HEADINGS, [_row(entry) for entry in found])
    else:
        given.output.print("no pointer has moved yet" if not (target or pointer) else "no such pointer has moved yet")


@app.command()
def verify(
    context: typer.Context,
    expect: Annotated[
        str | None, typer.Option(metavar="NUMBER:HASH", help="An entry that was noted elsewhere, and must be there.")
    ] = None,
) -> None:
    """Check that every entry is what was written, and that none is missing; exit code 1 if not."""
    given: Context = context.obj
    with given.desk() as desk:
        last = desk.verify_ledger(expect)
    if last is None:
        given.output.print("the ledger has no entry yet")
        return
    given.output.print(f"{last.number} entries, each follows from the one before", soft_wrap=True)
    given.output.print(f"head: {head_of(last)}", soft_wrap=True)


def _row(entry: LedgerEntry) -> tuple[Text | str, ...]:
    return (
        str(entry.number),
        entry.at.astimezone().strftime("%Y-%m-%d %H:%M"),
        plain(entry.step.pointer),
        plain(entry.step.target),
        plain(entry.step.before or "-")[:SHOWN_DIGITS],
        plain(entry.step.after)[:SHOWN_DIGITS],
        entry.kind.value,
        plain(entry.actor),
        plain(entry.note),
    )
