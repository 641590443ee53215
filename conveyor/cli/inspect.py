"""`conveyor render`, `conveyor log` and `conveyor shell`: look without building."""

from __future__ import annotations

import errno
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from conveyor.cli.context import Context
from conveyor.cli.text import plain, say
from conveyor.errors import UnknownName, UserError
from conveyor.model.build import Build, State
from conveyor.model.package import Package
from conveyor.model.packaging import PackagingFile
from conveyor.model.target import Target
from conveyor.pipeline.poll import Wanted
from conveyor.pipeline.render import render as render_packaging
from conveyor.pipeline.render import write
from conveyor.ports import Store
from conveyor.wiring import Conveyor, gain_root

FOLLOW_SECONDS = 0.3
# Without job control: dash, in a process namespace of its own, cannot give the terminal back and ends with an error.
SHELL = ("/bin/sh", "-i", "+m")
READ_BYTES = 65536


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (render, log, shell):
        app.command()(command)


def render(
    context: typer.Context,
    package: Annotated[str, typer.Argument(help="A package of repos.yaml.")],
    target: Annotated[list[str] | None, typer.Option(help="Only for this target; repeatable.")] = None,
    commit: Annotated[str | None, typer.Option(help="A branch, tag or sha instead of the newest commit.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the files below this folder.")] = None,
    bootstrap: Annotated[bool, typer.Option("--bootstrap", help="As the first in its circle.")] = False,
) -> None:
    """Show the packaging as it would be built."""
    given: Context = context.obj
    chosen = given.configuration.package(package)
    targets = given.chosen(chosen, target or ())
    with given.opened() as conveyor:
        for one in targets:
            files = _rendered(conveyor, chosen, one, commit, bootstrap=bootstrap)
            if output is None:
                _print_files(given, one, files)
            else:
                folder = output / one.name if len(targets) > 1 else output
                _write(files, folder)
                given.output.print(f"{len(files)} files for {one.name} in {folder}", soft_wrap=True)


def _rendered(
    conveyor: Conveyor, package: Package, target: Target, revision: str | None, *, bootstrap: bool
) -> tuple[PackagingFile, ...]:
    commit = conveyor.poll.find(package, Wanted(revision=revision))
    return render_packaging(conveyor.parts, package, target, commit, bootstrap=bootstrap).files


def _write(files: tuple[PackagingFile, ...], folder: Path) -> None:
    try:
        write(files, folder)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise UserError(
            f"the packaging cannot be written to {folder}",
            cause=error.strerror or "",
            hint="name another folder with --output",
        ) from error


def _print_files(given: Context, target: Target, files: Sequence[PackagingFile]) -> None:
    for file in files:
        given.output.print(f"==> {target.name}: {file.path} <==", style="bold", soft_wrap=True)
        for line in file.content.decode("utf-8", "replace").splitlines():
            given.output.print(plain(line), markup=False, soft_wrap=True)


def log(
    context: typer.Context,
    build: Annotated[str, typer.Argument(help="A build's number, or a package for its latest build.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on while the build runs.")] = False,
) -> None:
    """Print a build's log."""
    given: Context = context.obj
    if given.server is not None:
        # Here, because httpx takes longer to import than `--help` takes.
        from conveyor.client.logs import read_log  # noqa: PLC0415

        for piece in read_log(given.server, given.token, build, follow=follow):
            _print_piece(piece)
        return
    with given.records() as records:
        chosen = _find(given, records.store, build)
        _tell_copy(given, records.store, build, chosen)
        if chosen.log is None:
            raise UnknownName(f"build {chosen.id} has no log yet", hint="it has not been started")
        path = given.site.data_dir / chosen.log
        if not path.exists():
            raise UnknownName(
                f"the log of build {chosen.id} is gone",
                cause="retention removed it together with the build's snapshot" if chosen.published else "",
                hint="what is known of the build: conveyor status",
            )
        for chunk in _chunks(records.store, chosen, path, follow=follow):
            _print_piece(chunk)


def _print_piece(piece: str) -> None:
    for line in piece.splitlines(keepends=True):
        sys.stdout.write(plain(line.rstrip("\r\n")) + "\n" if line.endswith("\n") else plain(line))
    sys.stdout.flush()


def shell(
    context: typer.Context,
    build: Annotated[str, typer.Argument(help="The number of a build that was made with --keep-root.")],
) -> None:
    """Open a shell in the root of a build that was kept."""
    given: Context = context.obj
    gain_root(given.site)
    with given.opened() as conveyor:
        chosen = _find(given, conveyor.parts.store, build)
        raise typer.Exit(conveyor.orders.shell(chosen, conveyor.repos.target(chosen.target), SHELL))


def _find(given: Context, store: Store, named: str) -> Build:
    if named.isascii() and named.isdigit():
        return store.build(int(named))
    package = given.configuration.package(named)
    builds = store.builds(package=package.name, trunk=True, limit=1) or store.builds(package=package.name, limit=1)
    if not builds:
        raise UnknownName(f"{package.name} has not been built yet", hint=f"conveyor build {package.name}")
    return builds[0]


def _tell_copy(given: Context, store: Store, named: str, chosen: Build) -> None:
    """Say so where the build that is shown is not what the package's last command built."""
    copies = store.builds(package=chosen.commit.package, trunk=False, limit=1) if named == chosen.commit.package else ()
    if copies and copies[0].id > chosen.id:
        note = f"build {chosen.id} is the trunk's latest; build {copies[0].id} is newer, and not part of the trunk"
        say(given.errors, f"conveyor: {note}: conveyor log {copies[0].id}")


def _chunks(store: Store, build: Build, path: Path, *, follow: bool) -> Iterator[str]:
    """The log's text; while it is followed, until the attempt has ended."""
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        while True:
            running = follow and _runs(store, build)
            while chunk := file.readline(READ_BYTES):
                yield chunk
            if not running:
                return
            time.sleep(FOLLOW_SECONDS)


def _runs(store: Store, build: Build) -> bool:
    now = store.build(build.id)
    return now.state is State.RUNNING and now.attempt == build.attempt
