"""`conveyor rollback`: a pointer goes back to where it was."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from conveyor.cli import mirror
from conveyor.cli.context import Context
from conveyor.cli.text import plain
from conveyor.documents.ledger import entries_as_json
from conveyor.model.promotion import LedgerEntry, follows_builds
from conveyor.pipeline.pointing.rollback import Wish


def register(parent: typer.Typer) -> None:
    """Add the command."""
    parent.command()(rollback)


def rollback(
    context: typer.Context,
    pointer: Annotated[str, typer.Argument(help="The pointer, such as tested.")],
    target: Annotated[list[str] | None, typer.Option(help="The target whose last move is meant; repeatable.")] = None,
    to: Annotated[
        str | None,
        typer.Option(metavar="COMMIT|NUMBER", help="Where to: a commit, or where it was after this ledger entry."),
    ] = None,
    note: Annotated[str, typer.Option(help="Words for the ledger.")] = "",
    actor: Annotated[str | None, typer.Option(help="Who does it; you, if not given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the ledger's entries as JSON.")] = False,
) -> None:
    """Move a pointer back to where it was before its last move, on all targets of that move."""
    given: Context = context.obj
    targets = tuple(dict.fromkeys(target or ()))
    wish = Wish(pointer=pointer, targets=targets, to=to, actor=given.actor(actor), note=note)
    with given.desk() as desk:
        moved, problems = desk.rollback(wish)
        for problem in problems:
            given.errors.print(f"conveyor: {plain(problem.summary)}", markup=False, soft_wrap=True)
        if as_json:
            typer.echo(json.dumps(entries_as_json(moved), indent=2))
        else:
            _print(given, pointer, moved)
        mirror.follow(given)


def _print(given: Context, pointer: str, moved: tuple[LedgerEntry, ...]) -> None:
    if not moved:
        given.output.print(f"{pointer} is there already, nothing was moved", markup=False, soft_wrap=True)
        return
    for entry in moved:
        step = entry.step
        told = f"{step.pointer} of {step.target}: {step.before or '-'} -> {step.after}"
        given.output.print(f"moved {told} (ledger {entry.number})", markup=False, soft_wrap=True)
    if follows_builds(pointer):
        given.output.print(f"the next good build moves {pointer} again", soft_wrap=True)
