"""`conveyor export` and `conveyor import`: all that the store holds, as one file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from conveyor.cli.context import Context
from conveyor.wiring import export_store, import_store, opened_file, whole_file

STANDARD = Path("-")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("export")(export)
    app.command("import")(import_)


def export(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="File to write; '-' for standard output.")],
) -> None:
    """Write all that the store holds into a file, for a backup or for another database. Builds may go on meanwhile."""
    given: Context = context.obj
    if file == STANDARD:
        count = export_store(given.site, sys.stdout.buffer)
        sys.stdout.flush()
    else:
        with whole_file(file) as out:
            count = export_store(given.site, out)
    given.errors.print(f"exported {count} rows", soft_wrap=True)


def import_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="File that 'conveyor export' wrote; '-' for standard input.")],
) -> None:
    """Fill an empty store from an exported file: with all of it, or with nothing."""
    given: Context = context.obj
    if file == STANDARD:
        count = import_store(given.site, sys.stdin.buffer)
    else:
        with opened_file(file) as source:
            count = import_store(given.site, source)
    given.errors.print(f"imported {count} rows", soft_wrap=True)
