"""`conveyor queue`: what runs, what waits, and why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.text import Text

from conveyor.cli.context import Context
from conveyor.cli.results import FORMAT_VERSION
from conveyor.cli.table import print_table
from conveyor.cli.text import plain, say
from conveyor.model.build import Build
from conveyor.model.queue import Pause
from conveyor.model.waiting import Cycle
from conveyor.pipeline.explaining.places import daemon_words
from conveyor.pipeline.explaining.queueview import QueueState, RunningBuild, WaitingBuild
from conveyor.pipeline.explaining.waits import cycle_hint, cycle_words, few_words
from conveyor.pipeline.explaining.words import distance, paused, resume_command
from conveyor.pipeline.holders import DaemonState
from conveyor.wiring import make_queue_view

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
    where = given.configuration.target(target).name if target else None
    of = given.configuration.package(package).name if package else None
    with given.records() as records:
        view = make_queue_view(given.site, given.configuration, records)
        state = view.look(package=of, target=where, limit=limit)
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
        plain(few_words(each.held)),
    )


def _named(build: Build) -> tuple[str, ...]:
    return str(build.id), build.commit.package, build.target, build.commit.short


def queue_as_json(state: QueueState) -> dict[str, Any]:
    """The queue in a documented form: docs/json.md."""
    return {
        "format_version": FORMAT_VERSION,
        "at": state.at.isoformat(),
        "daemon": daemon_as_json(state.daemon),
        "pauses": [_pause_as_json(pause) for pause in state.pauses],
        "cycles": [_cycle_as_json(cycle) for cycle in state.cycles],
        "running": [running_as_json(each) for each in state.running],
        "waiting": [_waiting_as_json(each) for each in state.waiting],
        "count": state.count,
    }


def daemon_as_json(daemon: DaemonState) -> dict[str, Any]:
    """Whether a daemon runs, in a documented form: docs/json.md."""
    lease = daemon.lease
    return {
        "runs": daemon.runs,
        "host": lease.host if lease else None,
        "pid": lease.pid if lease else None,
        "since": lease.since.isoformat() if lease else None,
        "heartbeat_at": lease.heartbeat_at.isoformat() if lease else None,
    }


def _pause_as_json(pause: Pause) -> dict[str, Any]:
    return {
        "scope": pause.scope.kind,
        "name": pause.scope.name or None,
        "actor": pause.actor,
        "note": pause.note,
        "at": pause.at.isoformat(),
    }


def _cycle_as_json(cycle: Cycle) -> dict[str, Any]:
    return {
        "target": cycle.target,
        "packages": list(cycle.packages),
        "way": list(cycle.way),
        "bootstrap": list(cycle.bootstrap),
        "unordered": list(cycle.unordered),
    }


def running_as_json(each: RunningBuild) -> dict[str, Any]:
    """A build that runs, in a documented form: docs/json.md."""
    build, work = each.build, each.work
    return {
        **_build_as_json(build),
        "attempt": build.attempt,
        "started_at": build.started_at.isoformat() if build.started_at else None,
        "stage": work.stage,
        "stage_since": work.since.isoformat() if work.since else None,
        "host": build.claim.host if build.claim else None,
        "pid": build.claim.pid if build.claim else None,
        "gone": work.gone,
        "cancelled_by": build.cancelled_by or None,
    }


def _waiting_as_json(each: WaitingBuild) -> dict[str, Any]:
    item = each.item
    return {
        **_build_as_json(each.build),
        "place": each.place,
        "priority": item.priority.name.lower(),
        "queued_at": item.queued_at.isoformat(),
        "not_before": item.not_before.isoformat() if item.not_before else None,
        "errors": each.build.errors,
        "why": few_words(each.held) or None,
    }


def _build_as_json(build: Build) -> dict[str, Any]:
    return {
        "build": build.id,
        "package": build.commit.package,
        "target": build.target,
        "commit_id": build.commit.id,
    }
