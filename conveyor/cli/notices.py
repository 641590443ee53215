"""`conveyor notices`: what people and programs are still to be told, and what they were not told in the end."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated

import typer
from rich.text import Text

from conveyor.cli.context import Context
from conveyor.cli.table import print_table
from conveyor.cli.text import plain
from conveyor.documents.notices import notices_as_json
from conveyor.model.notice import Notice

HEADINGS = ("notice", "to", "by", "due", "tries", "about", "why not yet")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(notices)


def notices(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="At most so many that were given up.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show the mails and messages that wait to be sent, and those that were given up."""
    given: Context = context.obj
    with given.desk() as desk:
        waiting, given_up = desk.notices(limit)
    if as_json:
        typer.echo(json.dumps(notices_as_json(waiting, given_up), indent=2))
        return
    if not waiting and not given_up:
        given.output.print("everything was told, or is yet to happen")
        return
    print_table(given.output, HEADINGS, [*map(_row, given_up), *map(_row, waiting)])


def _row(notice: Notice) -> tuple[Text | str, ...]:
    due = _local(notice.due_at) if notice.given_up_at is None else Text("given up", "red")
    return (
        str(notice.id),
        plain(notice.recipient),
        notice.channel,
        due,
        str(notice.tries),
        plain(notice.subject),
        plain(notice.cause),
    )


def _local(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")
