"""`conveyor mirror`, and what other commands do about mirrors: bring them up to date, say how they stand."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Annotated

import typer

from conveyor.cli.context import Context
from conveyor.cli.text import human_size, plain
from conveyor.errors import ConveyorError, Interrupted, UnknownName, UserError
from conveyor.model.mirror import Mirror
from conveyor.pipeline.keeping.mirror import Brought, Mirroring, MirrorStanding
from conveyor.wiring import Conveyor, Records, make_mirroring

MINUTE = "%Y-%m-%d %H:%M"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(mirror)


def mirror(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="A mirror of conveyor.toml; all if none is named.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be copied and removed.")] = False,
) -> None:
    """Bring mirrors up to date now, and look at everything that they should have."""
    given: Context = context.obj
    chosen = _chosen(given, name)
    errors: list[ConveyorError] = []
    with given.records() as records:
        mirroring = _of_records(given, records)
        for each in chosen:
            errors += _brought(given, mirroring, each, dry_run=dry_run)
    raise typer.Exit(max((error.exit_code for error in errors), default=0))


def catch_up(given: Context, conveyor: Conveyor) -> None:
    """After publishing: copy what mirrors lack. What goes wrong is told, and is no failure of what was published."""
    if not given.site.mirrors:
        return
    try:
        mirroring = _of_conveyor(given, conveyor)
        for name in mirroring.waiting():
            text = f"bringing mirror {name} up to date; Ctrl-C leaves it for the next time"
            given.errors.print(text, markup=False, soft_wrap=True)
        for brought in mirroring.catch_up():
            if brought.error is not None:
                _tell(given, brought.error)
    except Interrupted:
        raise
    except ConveyorError as error:
        _tell(given, error)


def follow(given: Context) -> None:
    """As `catch_up`, for commands that have done and told all else: Ctrl-C ends them well. A server does it itself."""
    sys.stdout.flush()
    if given.server is not None or not given.site.mirrors:
        return
    with suppress(KeyboardInterrupt, Interrupted), given.opened() as conveyor:
        catch_up(given, conveyor)


def standings(given: Context, records: Records) -> tuple[MirrorStanding, ...]:
    """How the site's mirrors stand."""
    return _of_records(given, records).standings() if given.site.mirrors else ()


def print_standings(given: Context, found: Sequence[MirrorStanding]) -> None:
    """A line for each mirror and target."""
    for standing in found:
        style = "yellow" if standing.behind or standing.state.failures else None
        given.output.print(plain(told(standing)), markup=False, soft_wrap=True, style=style)


def told(standing: MirrorStanding) -> str:
    """How a mirror stands, for people."""
    state = standing.state
    as_of = _local(state.synced_at)
    if state.synced_at is None:
        text = f"mirror {state.mirror}: {state.target} was never copied"
    elif standing.behind:
        text = f"mirror {state.mirror}: {state.target} is behind since {as_of}"
    else:
        text = f"mirror {state.mirror}: {state.target} is complete as of {as_of}"
    if state.failures:
        failures = "1 failure" if state.failures == 1 else f"{state.failures} failures"
        text += f", {failures}: {state.cause}; tried again after {_local(standing.next_try)}"
    return text


def _of_records(given: Context, records: Records) -> Mirroring:
    return make_mirroring(
        given.site,
        given.configuration,
        store=records.store,
        ledger=records.ledger,
        states=records.mirrors,
        tree=records.tree,
    )


def _of_conveyor(given: Context, conveyor: Conveyor) -> Mirroring:
    return make_mirroring(
        given.site,
        given.configuration,
        store=conveyor.parts.store,
        ledger=conveyor.ledger,
        states=conveyor.mirrors,
        tree=conveyor.tree,
    )


def _chosen(given: Context, name: str | None) -> tuple[Mirror, ...]:
    """The mirrors that are asked for.

    Raises:
        UserError: there are none at all.
        UnknownName: there is none of that name.
    """
    mirrors = given.site.mirrors
    if not mirrors:
        raise UserError("no mirror is configured", hint="describe one below [[mirrors]] in conveyor.toml")
    chosen = tuple(each for each in mirrors if name in {None, each.name})
    if not chosen:
        names = [each.name for each in mirrors]
        near = difflib.get_close_matches(str(name), names, n=1) or names
        raise UnknownName(f"there is no mirror called {name!r}", hint=f"did you mean {near[0]!r}?")
    return chosen


def _brought(given: Context, mirroring: Mirroring, chosen: Mirror, *, dry_run: bool) -> Iterator[ConveyorError]:
    """Bring one mirror up to date and tell it; gives what went wrong."""
    try:
        for brought in mirroring.bring(chosen, dry_run=dry_run):
            if brought.error is not None:
                _tell(given, brought.error)
                yield brought.error
            else:
                given.output.print(_line(brought, dry_run=dry_run), markup=False, soft_wrap=True)
    except Interrupted:
        raise
    except ConveyorError as error:
        _tell(given, error)
        yield error


def _line(brought: Brought, *, dry_run: bool) -> str:
    copied = brought.copied
    if copied is None:
        raise AssertionError("what did not fail was copied")
    would = "would be " if dry_run else ""
    size = human_size(copied.size)
    return (
        f"mirror {brought.mirror}: {brought.target}: {copied.files} files of {size} {would}copied, "
        f"{copied.removed} snapshots, artifacts and pointers {would}removed"
    )


def _tell(given: Context, error: ConveyorError) -> None:
    given.errors.print(f"conveyor: {plain(error.summary)}", markup=False, soft_wrap=True)
    for line in error.details:
        given.errors.print(f"  {plain(line)}", markup=False, soft_wrap=True)
    if error.hint:
        given.errors.print(f"  next: {plain(error.hint)}", markup=False, soft_wrap=True)


def _local(moment: datetime | None) -> str:
    return moment.astimezone().strftime(MINUTE) if moment else "-"
