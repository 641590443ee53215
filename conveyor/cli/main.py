"""The command line: `conveyor`."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from pathlib import Path
from types import FrameType, TracebackType
from typing import Annotated

import typer
from rich.console import Console

from conveyor import __version__
from conveyor.cli import (
    audit,
    build,
    buildroot,
    collect,
    control,
    daemon,
    doctor,
    events,
    inspect,
    key,
    ledger,
    mirror,
    notices,
    promote,
    queue,
    rollback,
    serve,
    snapshot,
    status,
    token,
    transfer,
    user,
    verify,
    why,
)
from conveyor.cli.context import Context
from conveyor.cli.text import plain
from conveyor.errors import ConveyorError
from conveyor.wiring import disk_error

EXIT_INTERRUPTED = 130
EXIT_DEFECT = 3

app = typer.Typer(
    help="Turns every upstream commit into an RPM and a deb, each in a repository of its own.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
build.register(app)
daemon.register(app)
serve.register(app)
status.register(app)
why.register(app)
inspect.register(app)
queue.register(app)
control.register(app)
events.register(app)
promote.register(app)
verify.register(app)
buildroot.register(app)
doctor.register(app)
collect.register(app)
rollback.register(app)
ledger.register(app)
key.register(app)
snapshot.register(app)
mirror.register(app)
transfer.register(app)
notices.register(app)
token.register(app)
user.register(app)
audit.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"conveyor {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    repos: Annotated[Path | None, typer.Option(help="repos.yaml to use.", show_default="./repos.yaml")] = None,
    settings: Annotated[Path | None, typer.Option(help="Settings to use.", show_default="conveyor.toml")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of all that Conveyor keeps.")] = None,
    server: Annotated[
        str | None, typer.Option(metavar="URL", help="Ask a Conveyor server instead of this machine's store.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token for the server.", show_default="CONVEYOR_TOKEN")
    ] = None,
    version: Annotated[  # noqa: ARG001 - the callback acts
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of every command."""
    given = Context(
        repos=repos,
        settings=settings,
        data_dir=data_dir,
        environ=dict(os.environ),
        server=server,
        token_file=token_file,
    )
    given.check_server(context.invoked_subcommand or "")
    context.obj = given


def main() -> None:
    """Entry point: runs a command and turns every error into a message and an exit code."""
    atexit.register(gc.freeze)  # the kernel takes all at once, without looking for garbage
    signal.signal(signal.SIGTERM, _terminate)
    sys.excepthook = _defect
    errors = Console(stderr=True, highlight=False)
    try:
        app(prog_name="conveyor")
    except SystemExit as ended:
        # Typer has told of mistakes in the command line itself, but says nothing of Ctrl-C.
        if ended.code == EXIT_INTERRUPTED:
            errors.print("conveyor: interrupted")
        raise
    except ConveyorError as error:
        print_error(errors, error)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        failure = disk_error(error)
        if failure is None:
            raise
        print_error(errors, failure)
        sys.exit(failure.exit_code)


def print_error(console: Console, error: ConveyorError) -> None:
    """An error as somebody in a hurry reads it: what, why, what next."""
    console.print(f"conveyor: {plain(error.summary)}", markup=False, soft_wrap=True)
    for line in error.details:
        console.print(f"  {plain(line)}", markup=False, soft_wrap=True)
    if error.hint:
        console.print(f"  next: {plain(error.hint)}", markup=False, soft_wrap=True)


def _defect(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What escapes `main` is our fault: Python's own exit code would blame the package."""
    sys.__excepthook__(kind, error, trace)
    sys.stderr.write("conveyor: this is a defect of Conveyor; please report it with the lines above\n")
    sys.exit(EXIT_DEFECT)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    """A request to stop ends as Ctrl-C does."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
