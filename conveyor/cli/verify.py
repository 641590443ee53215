"""`conveyor verify`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from conveyor.cli.context import Context
from conveyor.cli.table import print_table
from conveyor.cli.text import plain
from conveyor.documents import FORMAT_VERSION
from conveyor.documents.builds import build_as_json, error_as_json
from conveyor.errors import ConveyorError, UnknownName, UserError
from conveyor.model.build import Build
from conveyor.model.package import Package
from conveyor.model.target import Target
from conveyor.pipeline.looking.find_snapshot import find_snapshot
from conveyor.pipeline.verifying.compare import Comparison, Likeness, Part
from conveyor.pipeline.verifying.verify import Check, Verdict, Verification, check_verifiable
from conveyor.wiring import Conveyor, gain_root, make_verifier, require_programs, require_room

EXIT_CODES = {Verdict.REPRODUCIBLE: 0, Verdict.DIFFERS: 1, Verdict.DAMAGED: 1, Verdict.NOT_REBUILT: 3}
MARKS = {True: "good", False: "BAD", None: "-"}
SHOWN_PACKAGES = 20


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(verify)


def verify(
    context: typer.Context,
    build: Annotated[str, typer.Argument(help="A build's number; with --target a commit or a pointer, too.")],
    target: Annotated[str | None, typer.Option(help="The target of the commit.")] = None,
    diffoscope: Annotated[bool, typer.Option("--diffoscope", help="Have diffoscope tell what differs.")] = False,
    as_json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check a published build's files, build it again aside, and compare."""
    given: Context = context.obj
    gain_root(given.site)
    with given.opened(given.progress(silent=as_json_)) as conveyor:
        chosen = _find(given, conveyor, build, target)
        check_verifiable(chosen)
        package, its_target = _configured(given, chosen)
        require_programs(conveyor, [its_target])
        require_room(conveyor.settings)
        done = make_verifier(conveyor, look_closer=diffoscope).verify(chosen, package, its_target)
    if as_json_:
        typer.echo(json.dumps(as_json(done), indent=2))
    else:
        print_verification(given, done)
    raise typer.Exit(EXIT_CODES[done.verdict])


def _find(given: Context, conveyor: Conveyor, named: str, target: str | None) -> Build:
    store = conveyor.parts.store
    if target is not None:
        known = given.configuration.target(target).name
        return store.build(find_snapshot(store, conveyor.parts.repository, known, named).build)
    if named.isascii() and named.isdigit():
        return store.build(int(named))
    raise UserError(f"{named!r} is no build's number", hint=f"name its target: conveyor verify {named} --target ...")


def _configured(given: Context, build: Build) -> tuple[Package, Target]:
    """The package and the target, which the build's rebuild needs."""
    try:
        return given.configuration.package(build.commit.package), given.configuration.target(build.target)
    except UnknownName as error:
        raise ConveyorError(
            f"build {build.id} cannot be rebuilt", cause=error.summary, hint="put it back into repos.yaml"
        ) from error


def print_verification(given: Context, done: Verification) -> None:
    """What was found, the verdict last."""
    for line in lines_of(done):
        given.output.print(plain(line), markup=False, soft_wrap=True)
    if done.files:
        print_table(given.output, (), [(_word(file), plain(file.filename)) for file in done.files])
    for file in done.files:
        for line in _differences(file):
            given.output.print(plain(line), markup=False, soft_wrap=True)
    given.output.print(f"verdict: {done.verdict}", markup=False, soft_wrap=True)


def lines_of(done: Verification) -> Iterator[str]:
    """What was found, but for the files."""
    build = done.build
    yield f"build {build.id}: {build.commit.package} {build.version} for {build.target}, commit {build.commit.id}"
    for check in done.checks:
        yield f"{check.subject}: {MARKS[check.good]}: {check.detail}"
    for note in done.notes:
        yield f"note: {note}"
    if done.replaced is not None:
        yield from _root(done)
    if done.error is not None:
        yield f"not rebuilt: {done.error.summary}"
        yield from (f"  {line}" for line in done.error.details)


def _root(done: Verification) -> Iterator[str]:
    replaced = done.replaced or ()
    if not replaced:
        yield "root: it holds the packages that were recorded, in the same versions"
        return
    yield f"root: {len(replaced)} packages are not those that were recorded"
    for one in replaced[:SHOWN_PACKAGES]:
        yield f"  {one.name}: {one.recorded or 'nothing'} then, {one.used or 'nothing'} now"
    if len(replaced) > SHOWN_PACKAGES:
        yield f"  and {len(replaced) - SHOWN_PACKAGES} more"


def _word(file: Comparison) -> str:
    told = {Likeness.RECORD: "not compared", Likeness.SKIPPED: "not compared"}
    return told.get(file.likeness, file.likeness.value)


def _differences(file: Comparison) -> Iterator[str]:
    if file.likeness is not Likeness.DIFFERS:
        return
    where = "" if file.offset is None else f", from byte {file.offset} on"
    yield f"{file.filename} differs{where}"
    for one in file.differences:
        part = "" if one.part is Part.MEMBER else "field "
        yield f"  {part}{one.name}"
        yield f"    published: {'nothing' if one.recorded is None else one.recorded}"
        yield f"    rebuilt:   {'nothing' if one.rebuilt is None else one.rebuilt}"
    if file.left_out:
        yield f"  and {file.left_out} more"
    yield from (f"  {line}" for line in file.details.splitlines())


def as_json(done: Verification) -> dict[str, Any]:
    """A verification in a documented form: docs/json.md."""
    replaced = done.replaced
    return {
        "format_version": FORMAT_VERSION,
        "verdict": done.verdict,
        "build": build_as_json(done.build),
        "checks": [_check_as_json(check) for check in done.checks],
        "notes": list(done.notes),
        "replaced": None
        if replaced is None
        else [{"name": one.name, "recorded": one.recorded, "used": one.used} for one in replaced],
        "files": [_file_as_json(file) for file in done.files],
        "error": error_as_json(done.error),
    }


def _check_as_json(check: Check) -> dict[str, Any]:
    return {"subject": check.subject, "good": check.good, "detail": check.detail}


def _file_as_json(file: Comparison) -> dict[str, Any]:
    return {
        "filename": file.filename,
        "likeness": file.likeness,
        "offset": file.offset,
        "differences": [
            {"part": one.part, "name": one.name, "recorded": one.recorded, "rebuilt": one.rebuilt}
            for one in file.differences
        ],
        "left_out": file.left_out,
        "details": file.details,
    }
