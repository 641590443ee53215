"""`conveyor why`: why anything is as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated

import typer

from conveyor.cli.context import Context
from conveyor.cli.text import plain, say
from conveyor.documents import FORMAT_VERSION
from conveyor.documents.why import why_as_json
from conveyor.model.why import Why

INDENT = "  "


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(why)


def why(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="COMMIT|PACKAGE|TARGET|POINTER|BUILD",
            help="The beginning of a commit's sha, a package, a target, a pointer (of one target: TARGET/POINTER), or "
            "a build's number; where a name is ambiguous, with its kind before it: package:NAME.",
        ),
    ],
    package: Annotated[str | None, typer.Option(help="The package whose commit is meant.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Say why something is as it is: why it waits, failed, was rebuilt, is not there, or does not move."""
    given: Context = context.obj
    with given.desk() as desk:
        answer = desk.why(name, package)
    if as_json:
        typer.echo(json.dumps({"format_version": FORMAT_VERSION, "why": why_as_json(answer)}, indent=2))
        return
    for line in told(answer):
        say(given.output, line)


def told(answer: Why, depth: int = 0) -> Iterator[str]:
    """An answer for people, line by line; what it rests on is indented."""
    margin = INDENT * depth
    about = f" ({plain(answer.about)})" if answer.about else ""
    yield f"{margin}{answer.subject} {plain(answer.name)}{about}: {answer.state}"
    yield f"{margin}{INDENT}{plain(answer.summary)}"
    yield from (f"{margin}{INDENT}{INDENT}| {plain(line)}" for line in answer.log)
    yield from (f"{margin}{INDENT}{plain(line)}" for line in answer.lines)
    if answer.hint:
        yield f"{margin}{INDENT}next: {plain(answer.hint)}"
    for each in answer.because:
        yield from told(each, depth + 1)
