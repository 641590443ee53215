"""`conveyor daemon`."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from conveyor.cli.context import Context
from conveyor.cli.progress import SilentProgress
from conveyor.command import Process
from conveyor.errors import UserError
from conveyor.wiring import Conveyor, gain_root, open_conveyor

if TYPE_CHECKING:
    from conveyor.config import Repos, Settings
    from conveyor.store import Books

WORKER = ("-m", "conveyor.worker")
PAGE = ("-m", "conveyor.cli.main")
# It dies with the daemon, and has no capability: it needs none, and strangers talk to it.
POWERLESS = ("setpriv", "--pdeathsig", "KILL", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--")
# What systemd tells the daemon is meant for nobody else.
OWN = frozenset({"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID"})
# Where Python finds Conveyor, if that is not where it is installed.
KEPT = ("PYTHONPATH",)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(daemon)


def daemon(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Poll once, build all that waits, and end.")] = False,
    no_poll: Annotated[bool, typer.Option("--no-poll", help="Only build what others put into the queue.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end of another daemon, and stand in.")] = False,
    serve: Annotated[bool, typer.Option("--serve", help="Serve the status page and the API, too.")] = False,
) -> None:
    """Poll upstreams and build what is new, until SIGTERM or Ctrl-C."""
    # Here, because APScheduler and structlog take longer to import than `--help` takes.
    from conveyor.daemon.log import set_up  # noqa: PLC0415
    from conveyor.daemon.service import Means, Options, run  # noqa: PLC0415
    from conveyor.daemon.systemd import Systemd  # noqa: PLC0415

    given: Context = context.obj
    if serve and once:
        raise UserError("--serve and --once exclude each other", hint="serve the page by itself: conveyor serve")
    gain_root(given.site)
    means = Means(
        load=lambda: _load(given),
        open=_open,
        start=_start,
        start_page=lambda: _start_page(given),
        log=set_up(level=given.site.daemon.log_level),
        systemd=Systemd(given.environ),
    )
    raise typer.Exit(run(Options(once=once, poll=not no_poll, wait=wait, serve=serve), means))


def _load(given: Context) -> tuple[Settings, Repos]:
    """The configuration as it is now."""
    fresh = replace(given)
    return fresh.site, fresh.configuration


def _open(settings: Settings, repos: Repos, books: Books | None) -> Conveyor:
    return open_conveyor(settings, repos, SilentProgress(), books=books)


def _start() -> Process:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return Process([sys.executable, *WORKER], env=kept)


def _start_page(given: Context) -> Process:
    named = {"--repos": given.repos, "--settings": given.settings, "--data-dir": given.data_dir}
    options = [word for name, path in named.items() if path is not None for word in (name, str(path.absolute()))]
    kept = {name: value for name, value in given.environ.items() if name not in OWN}
    return Process([*POWERLESS, sys.executable, *PAGE, *options, "serve"], env=kept)
