"""`conveyor events`: what happened."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer
from rich.text import Text

from conveyor.cli.context import Context
from conveyor.cli.table import print_table
from conveyor.cli.text import plain
from conveyor.documents import FORMAT_VERSION
from conveyor.documents.events import event_as_json
from conveyor.model.event import Event, EventKind
from conveyor.ports import Events

HEADINGS = ("event", "at", "kind", "what")
SHOWN = 50
FOLLOW_SECONDS = 0.5
READ_AT_ONCE = 500
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
    with given.records() as records:
        # First: what is recorded between the two looks is followed, or shown and then left out.
        newest = records.events.newest(limit=1)
        found = records.events.newest(package=package, target=target, kinds=kinds, limit=limit) if limit else ()
        shown = found[::-1]
        if not follow:
            _print(given, shown, as_json=as_json)
            return
        last = max((event.number for event in (*newest, *shown)), default=0)
        _print_lines(given, shown, as_json=as_json)
        for event in _following(records.events, last):
            if (
                package in {None, event.package}
                and target in {None, event.target}
                and (not kinds or event.kind in kinds)
            ):
                _print_lines(given, [event], as_json=as_json)


def _following(log: Events, last: int) -> Iterator[Event]:
    """What happens from now on; it has no end."""
    while True:
        more = log.after(last, limit=READ_AT_ONCE)
        yield from more
        if more:
            last = more[-1].number
        else:
            time.sleep(FOLLOW_SECONDS)


def _print(given: Context, found: Sequence[Event], *, as_json: bool) -> None:
    if as_json:
        document = {"format_version": FORMAT_VERSION, "events": [event_as_json(event) for event in found]}
        typer.echo(json.dumps(document, indent=2))
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
