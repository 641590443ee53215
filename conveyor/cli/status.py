"""`conveyor status`: how everything stands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.text import Text

from conveyor.cli import mirror
from conveyor.cli.context import Context
from conveyor.cli.results import COLOURS
from conveyor.cli.standings import print_standings
from conveyor.cli.table import print_table
from conveyor.cli.text import plain, say
from conveyor.documents.status import status_as_json
from conveyor.model.build import Build
from conveyor.pipeline.desk import Status
from conveyor.pipeline.explaining.build import stage_words
from conveyor.pipeline.explaining.places import daemon_words
from conveyor.pipeline.explaining.queueview import Glance
from conveyor.pipeline.explaining.words import count, named

HEADINGS = ("build", "package", "target", "version", "state", "finished", "why")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)


def status(
    context: typer.Context,
    package: Annotated[str | None, typer.Argument(help="Only this package.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show the latest build of each package on each target, the pointers, what runs and how many wait."""
    given: Context = context.obj
    with given.desk() as desk:
        found = desk.status(package)
    if as_json:
        typer.echo(json.dumps(status_as_json(found), indent=2))
    else:
        _print(given, found)


def _print(given: Context, found: Status) -> None:
    everything = [*found.builds, *found.copies]
    place = {name: number for number, name in enumerate(dict.fromkeys(build.commit.package for build in everything))}
    shown = sorted(everything, key=lambda build: place[build.commit.package])
    if shown:
        print_table(given.output, HEADINGS, [_row(build, found) for build in shown])
    else:
        given.output.print("nothing has been built yet: conveyor build PACKAGE")
    print_standings(given.output, found.standings)
    for line in _queue(found.queue):
        say(given.output, line)
    say(given.output, found.unsigned or f"signed by {found.signed_by}")
    mirror.print_standings(given, found.mirrors)


def _row(build: Build, found: Status) -> tuple[Text | str, ...]:
    copy = "" if build.commit.trunk else " (not part of the trunk)"
    flaky_mark = " (flaky)" if build.id in found.flaky else ""
    return (
        str(build.id),
        build.commit.package,
        build.target,
        plain(build.version or "-"),
        Text(build.outcome or build.state, COLOURS[build.outcome] if build.outcome else "cyan") + copy + flaky_mark,
        build.finished_at.astimezone().strftime("%Y-%m-%d %H:%M") if build.finished_at else "-",
        plain(build.cause.summary) if build.cause else "",
    )


def _queue(glance: Glance) -> Iterator[str]:
    yield daemon_words(glance.daemon, glance.at)
    for each in glance.running:
        yield f"running: {named(each.build)}: {stage_words(each.work, glance.at)}"
    if glance.waiting:
        yield f"{count(glance.waiting, 'build')} waiting: conveyor queue"
