"""`conveyor audit`: who did what on the web, and to who may do it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from conveyor.cli.context import Context
from conveyor.cli.table import print_table
from conveyor.cli.text import plain, say
from conveyor.config.moment import moment_of
from conveyor.documents.access import audit_as_json
from conveyor.model.access import AuditEntry, AuditQuery, Result

HEADINGS = ("number", "at", "who", "how", "from", "result", "what", "to")
COLOURS = {Result.REFUSED: "yellow", Result.FAILED: "red"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(audit)


def audit(
    context: typer.Context,
    actor: Annotated[str | None, typer.Option(help="Only what this user or token did.")] = None,
    action: Annotated[str | None, typer.Option(help="Only actions with this text in them, such as 'retry'.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only what was done to this.")] = None,
    result: Annotated[Result | None, typer.Option(help="Only what ended so.")] = None,
    since: Annotated[str | None, typer.Option(help="Only what was done since then, such as '2d ago'.")] = None,
    before: Annotated[int | None, typer.Option(help="Only what has a lower number than this.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many of the newest.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show who did what on the web, and to tokens and users, the newest last."""
    given: Context = context.obj
    query = AuditQuery(
        actor=actor,
        action=action,
        subject=subject,
        result=result,
        since=moment_of(since, datetime.now(UTC)).at if since else None,
        before=before,
        limit=limit,
    )
    with given.office() as office:
        found = office.deeds(query)[::-1]
    if as_json:
        typer.echo(json.dumps(audit_as_json(found), indent=2))
    elif found:
        print_table(given.output, HEADINGS, [_row(entry) for entry in found])
    else:
        say(given.output, "nothing of that has been done yet")


def _row(entry: AuditEntry) -> tuple[Text | str, ...]:
    deed = entry.deed
    return (
        str(entry.number),
        deed.at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
        plain(deed.actor),
        deed.means,
        plain(deed.address) or "-",
        Text(deed.result, COLOURS.get(deed.result, "")),
        plain(deed.action),
        plain(deed.subject),
    )
