"""`conveyor serve`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from conveyor.cli.context import Context
from conveyor.cli.progress import SilentProgress
from conveyor.cli.text import say
from conveyor.wiring import Conveyor, open_conveyor

if TYPE_CHECKING:
    from conveyor.config import Repos, Settings
    from conveyor.store import Books


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(serve)


def serve(
    context: typer.Context,
    listen: Annotated[
        str | None, typer.Option(help="host:port to listen on.", show_default="[web] in conveyor.toml")
    ] = None,
) -> None:
    """Serve the status page, the API and the published repositories, until SIGTERM or Ctrl-C."""
    # Here, because FastAPI takes longer to import than `--help` takes.
    from conveyor.config.daemon import listening_address  # noqa: PLC0415
    from conveyor.web.serve import serve as answer  # noqa: PLC0415
    from conveyor.web.site import Sites  # noqa: PLC0415

    given: Context = context.obj
    try:
        address = listening_address(listen) if listen else given.site.web.listen
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    sites = Sites(lambda: _load(given), _open)
    say(given.errors, f"serving http://{address}/")
    answer(sites, address)


def _load(given: Context) -> tuple[Settings, Repos]:
    """The configuration as it is now."""
    fresh = replace(given)
    return fresh.site, fresh.configuration


def _open(settings: Settings, repos: Repos, books: Books | None) -> Conveyor:
    return open_conveyor(settings, repos, SilentProgress(), books=books)
