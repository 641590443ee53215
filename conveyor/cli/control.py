"""`conveyor cancel`, `retry`, `rebuild`, `prioritize`, `pause`, `resume` and `poll`: act on the queue."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from conveyor.cli.context import Context
from conveyor.cli.text import say
from conveyor.documents.acts import rebuilds_as_json
from conveyor.errors import ConveyorError, UserError
from conveyor.model.build import State
from conveyor.model.queue import Priority, Scope, ScopeKind
from conveyor.pipeline.controls import Cancelled, Ending, Rebuilt
from conveyor.pipeline.desk import Desk
from conveyor.pipeline.explaining.words import listed, named, paused

Actor = Annotated[str | None, typer.Option(help="Who does it; you on this machine, if not given.")]
OneTarget = Annotated[str | None, typer.Option(help="Only for this target.")]

_ENDINGS = {
    Ending.ENDED: "is cancelled",
    Ending.BY_DAEMON: "runs; the daemon ends it within seconds",
    Ending.INTERRUPTED: "ran; its process was told to stop",
    Ending.GONE: "ran, but its process is gone; the next 'conveyor build' or 'conveyor daemon' clears up",
}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (cancel, retry, rebuild, prioritize, pause, resume, poll):
        app.command()(command)


def cancel(
    context: typer.Context,
    builds: Annotated[list[int] | None, typer.Argument(metavar="BUILD...", help="Numbers of builds.", min=1)] = None,
    package: Annotated[str | None, typer.Option(help="All builds of this package that wait or run.")] = None,
    target: OneTarget = None,
    waiting: Annotated[bool, typer.Option("--waiting", help="Leave alone what runs.")] = False,
    actor: Actor = None,
) -> None:
    """Cancel builds that wait or run."""
    given: Context = context.obj
    if bool(builds) == bool(package):
        raise UserError("what is to be cancelled is not clear", hint="name builds, or a package: --package NAME")
    if builds and (target or waiting):
        raise UserError("--target and --waiting go with --package only", hint="name just the builds that you mean")
    who = given.operator(actor)
    with given.desk() as desk:
        numbers = desk.unfinished(package, target, waiting=waiting) if package else tuple(builds or ())
        if not numbers:
            say(given.output, f"nothing of {package} waits{'' if waiting else ' or runs'}")
        refused = [error for number in numbers if (error := _cancel(given, desk, number, who)) is not None]
    _raise(refused, "builds were not cancelled")


def _cancel(given: Context, desk: Desk, number: int, actor: str) -> ConveyorError | None:
    try:
        cancelled = desk.cancel(number, actor)
    except UserError as error:
        return error
    say(given.output, _cancelled(cancelled))
    return None


def _cancelled(cancelled: Cancelled) -> str:
    build = cancelled.build
    before = f" ({build.cancelled_by} cancelled it before)" if cancelled.again else ""
    if cancelled.ending is Ending.ELSEWHERE:
        host = build.claim.host if build.claim else "another machine"
        return f"{named(build)} runs on {host}, where no daemon is: run the same command there{before}"
    return f"{named(build)} {_ENDINGS[cancelled.ending]}{before}"


def _raise(errors: Sequence[ConveyorError], what: str) -> None:
    """End with what was refused, if anything was; what was not refused is done."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise UserError(f"{len(errors)} {what}", details=[error.summary for error in errors], hint=errors[0].hint)


def retry(
    context: typer.Context,
    build: Annotated[str, typer.Argument(metavar="BUILD|PACKAGE", help="A build's number, or a package.")],
    target: OneTarget = None,
    actor: Actor = None,
) -> None:
    """Try builds again that did not succeed: one, or a package's latest ones."""
    given: Context = context.obj
    who = given.operator(actor)
    with given.desk() as desk:
        for queued in desk.retry(build, target, who):
            say(given.output, f"{named(queued)} waits to be tried again, attempt {queued.attempt + 1}")
        _tell_daemon(given, desk)


def rebuild(
    context: typer.Context,
    builds: Annotated[list[str], typer.Argument(metavar="BUILD|PACKAGE...", help="Numbers of builds, or packages.")],
    target: OneTarget = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    actor: Actor = None,
) -> None:
    """Build good builds anew, with the build dependencies of now: some, or packages' newest ones."""
    given: Context = context.obj
    who = given.operator(actor)
    with given.desk() as desk:
        done: list[Rebuilt] = []
        refused: list[ConveyorError] = []
        for name in dict.fromkeys(builds):
            try:
                done += desk.rebuild(name, target, who)
            except UserError as error:
                refused.append(error)
        if as_json:
            typer.echo(json.dumps(rebuilds_as_json(done), indent=2))
        else:
            for each in done:
                say(given.output, _rebuilt(each))
        _tell_daemon(given, desk)
    _raise(refused, "were not built anew")


def _rebuilt(each: Rebuilt) -> str:
    if each.is_new:
        return f"{named(each.rebuild)} waits to be built anew, as build {each.good.id} was"
    return (
        f"{named(each.rebuild)} {'waits' if each.rebuild.state is State.QUEUED else 'runs'} already: it is build "
        f"{each.good.id} anew"
    )


def prioritize(
    context: typer.Context,
    builds: Annotated[list[int], typer.Argument(metavar="BUILD...", help="Numbers of builds that wait.", min=1)],
    urgent: Annotated[bool, typer.Option("--urgent", help="Before everything else; so without an option.")] = False,
    request: Annotated[bool, typer.Option("--request", help="As what a person asked for.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="As the newest commit of a branch.")] = False,
    backlog: Annotated[bool, typer.Option("--backlog", help="After newer commits.")] = False,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Last, as a rebuild.")] = False,
    actor: Actor = None,
) -> None:
    """Put builds that wait before or after others."""
    given: Context = context.obj
    wishes = {
        Priority.URGENT: urgent,
        Priority.REQUEST: request,
        Priority.FRESH: fresh,
        Priority.BACKLOG: backlog,
        Priority.REBUILD: rebuild,
    }
    chosen = [priority for priority, wanted in wishes.items() if wanted] or [Priority.URGENT]
    if len(chosen) > 1:
        names = [f"--{priority.name.lower()}" for priority in chosen]
        raise UserError(f"{listed(names)} exclude each other", hint="a build has one priority")
    who = given.operator(actor)
    with given.desk() as desk:
        for number in builds:
            waiting = desk.prioritize(number, chosen[0], who)
            say(given.output, f"{named(waiting)} has the priority {chosen[0].name.lower()} now")
        _tell_daemon(given, desk)


def pause(
    context: typer.Context,
    target: Annotated[str | None, typer.Option(help="Only builds for this target.")] = None,
    package: Annotated[str | None, typer.Option(help="Only builds of this package.")] = None,
    note: Annotated[str, typer.Option(help="Why, in words.")] = "",
    actor: Actor = None,
) -> None:
    """Start no builds any more, of everything, a target or a package; what runs goes on."""
    given: Context = context.obj
    scope = _scope(target, package)
    with given.desk() as desk:
        held, is_new = desk.pause(scope, note, given.operator(actor))
    words = paused(held, datetime.now(UTC))
    say(given.output, words if is_new else f"nothing changed: {words}")


def resume(
    context: typer.Context,
    target: Annotated[str | None, typer.Option(help="The pause of this target.")] = None,
    package: Annotated[str | None, typer.Option(help="The pause of this package.")] = None,
    actor: Actor = None,
) -> None:
    """Start builds again after a pause of the same things."""
    given: Context = context.obj
    scope = _scope(target, package)
    with given.desk() as desk:
        resumed, left = desk.resume(scope, given.operator(actor))
        say(given.output, f"{scope} is resumed" if resumed else f"{scope} was not paused")
        for each in left:
            say(given.output, f"still: {paused(each, datetime.now(UTC))}")
        _tell_daemon(given, desk)


def _scope(target: str | None, package: str | None) -> Scope:
    if target is not None and package is not None:
        raise UserError("--target and --package exclude each other", hint="pause one after the other")
    if target is not None:
        return Scope(kind=ScopeKind.TARGET, name=target)
    if package is not None:
        return Scope(kind=ScopeKind.PACKAGE, name=package)
    return Scope(kind=ScopeKind.ALL)


def poll(
    context: typer.Context,
    packages: Annotated[list[str] | None, typer.Argument(help="Packages of repos.yaml.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All packages.")] = False,
    actor: Actor = None,
) -> None:
    """Have the daemon look for new commits now."""
    given: Context = context.obj
    if bool(packages) == everything:
        raise UserError("what is to be polled is not clear", hint="name packages, or all of them: --all")
    with given.desk() as desk:
        chosen = desk.poll(None if everything else packages, given.operator(actor))
        say(given.output, f"to be polled now: {listed(chosen)}")
        _tell_daemon(given, desk)


def _tell_daemon(given: Context, desk: Desk) -> None:
    """Say so where nobody is there who does what was asked for."""
    if not desk.daemon().runs:
        say(given.errors, "conveyor: no daemon is running: nothing happens until one does (conveyor daemon)")
