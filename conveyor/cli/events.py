"""`conveyor events`: what happened."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.text import Text

from conveyor.cli.context import Context
from conveyor.cli.table import print_table
from conveyor.cli.text import plain
from conveyor.documents.events import event_as_json, events_as_json
from conveyor.model.event import Event, EventKind

HEADINGS = ("event", "at", "kind", "what")
SHOWN = 50
COLOURS = {
    EventKind.FAILED: "red",
    EventKind.FAILED_AGAIN: "red",
    EventKind.ERRORED: "yellow",
    EventKind.GAVE_UP: "red",
    EventKind.SUCCEEDED: "green",
    EventKind.WORKS_AGAIN: "green",
    EventKind.PUBLISHED: "green",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(events)


def events(
    context: typer.Context,
    package: Annotated[str | None, typer.Option(help="Only about this package.")] = None,
    target: Annotated[str | None, typer.Option(help="Only about this target.")] = None,
    kind: Annotated[list[EventKind] | None, typer.Option(help="Only of this kind; repeatable.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="How many of the newest.")] = SHOWN,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as more happens, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; with --follow a line for each event.")] = False,
) -> None:
    """Show what happened, the newest last."""
    given: Context = context.obj
    kinds = frozenset(kind or ())
    with given.desk() as desk:
        # First: what is recorded between the two looks is followed, or shown and then left out.
        newest = desk.events(None, None, (), 1)
        shown = desk.events(package, target, kinds, limit)[::-1]
        if not follow:
            _print(given, shown, as_json=as_json)
            return
        last = max((event.number for event in (*newest, *shown)), default=0)
        _print_lines(given, shown, as_json=as_json)
        for event in desk.follow(package, target, kinds, last):
            _print_lines(given, [event], as_json=as_json)


def _print(given: Context, found: Sequence[Event], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(events_as_json(found), indent=2))
    elif found:
        print_table(given.output, HEADINGS, [_row(event) for event in found])
    else:
        given.output.print("nothing of that has happened yet")


def _print_lines(given: Context, found: Sequence[Event], *, as_json: bool) -> None:
    for event in found:
        if as_json:
            typer.echo(json.dumps(event_as_json(event)))
        else:
            print_table(given.output, (), [_row(event)])
    given.output.file.flush()


def _row(event: Event) -> tuple[Text | str, ...]:
    return (
        str(event.number),
        event.at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
        Text(event.kind, COLOURS.get(event.kind, "")),
        plain(event.summary),
    )
