"""`conveyor queue`: what runs, what waits, and why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import typer
from rich.text import Text

from conveyor.cli.context import Context
from conveyor.cli.table import print_table
from conveyor.cli.text import plain, say
from conveyor.documents.queue import queue_as_json
from conveyor.model.build import Build
from conveyor.pipeline.explaining.places import daemon_words
from conveyor.pipeline.explaining.queueview import QueueState, RunningBuild, WaitingBuild
from conveyor.pipeline.explaining.waits import cycle_hint, cycle_words
from conveyor.pipeline.explaining.words import distance, paused, resume_command

RUNNING = ("build", "package", "target", "commit", "stage", "seconds", "where")
WAITING = ("place", "build", "package", "target", "commit", "priority", "since", "why")
SHOWN = 50


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(queue)


def queue(
    context: typer.Context,
    target: Annotated[str | None, typer.Option(help="Only for this target.")] = None,
    package: Annotated[str | None, typer.Option(help="Only of this package.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="How many of those that wait.")] = SHOWN,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show what is being built, and what waits in the order in which it will start."""
    given: Context = context.obj
    with given.desk() as desk:
        state = desk.queue(package, target, limit)
    if as_json:
        typer.echo(json.dumps(queue_as_json(state), indent=2))
    else:
        _print(given, state)


def _print(given: Context, state: QueueState) -> None:
    for line in _above(state):
        say(given.output, line)
    if state.running:
        print_table(given.output, RUNNING, [_running(each, state.at) for each in state.running])
    else:
        say(given.output, "nothing runs")
    if state.waiting:
        given.output.print()
        print_table(given.output, WAITING, [_waiting(each, state.at) for each in state.waiting])
    left = state.count - len(state.waiting)
    if left > 0:
        say(given.output, f"{left} more wait: --limit")
    elif not state.waiting:
        say(given.output, "nothing waits")


def _above(state: QueueState) -> Iterator[str]:
    """What holds all of it back, or a part."""
    if not state.daemon.runs:
        yield f"{daemon_words(state.daemon, state.at)}: nothing starts by itself (conveyor daemon)"
    for pause in state.pauses:
        yield f"{paused(pause, state.at)} ({resume_command(pause)})"
    for cycle in state.cycles:
        hint = cycle_hint(cycle)
        yield cycle_words(cycle) + (f" ({hint})" if hint else "")


def _running(each: RunningBuild, now: datetime) -> tuple[Text | str, ...]:
    build, work = each.build, each.work
    since = work.since or build.started_at
    stage = "gone" if work.gone else work.stage or "-"
    return (
        *_named(build),
        Text("being cancelled" if build.cancelled_by else stage, "yellow" if build.cancelled_by or work.gone else ""),
        "-" if since is None else f"{max(0, int((now - since).total_seconds())):7}",
        plain(build.claim.host) if build.claim else "-",
    )


def _waiting(each: WaitingBuild, now: datetime) -> tuple[Text | str, ...]:
    return (
        str(each.place),
        *_named(each.build),
        each.item.priority.name.lower(),
        distance(each.item.queued_at, now),
        plain(each.why),
    )


def _named(build: Build) -> tuple[str, ...]:
    return str(build.id), build.commit.package, build.target, build.commit.short
