"""The log of an attempt, to look at: a fragment for the build's page, and a page of its own."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from conveyor.errors import UnknownName
from conveyor.web.live.attempts import Logged, NamedLog
from conveyor.web.live.reading import Logs
from conveyor.web.live.routes import Reading

router = APIRouter(include_in_schema=False)

# Shown without JavaScript; the rest is in the whole log.
LAST_LINES = 500
MARKS = {"error": "looks like an error", "cause": "cause", "stage": "stage", "note": "note"}
_TYPES = {"log.css": "text/css; charset=utf-8", "log.js": "text/javascript; charset=utf-8"}
_FOR_EVER = "public, max-age=31536000, immutable"
_DIGITS = 12


def fragment(named: Logged, logs: Logs) -> Markup:
    """What a page shows of a log: its last lines, which the script makes the whole log of; or that it is gone."""
    try:
        with logs.open(named.path, named.causes) as log:
            total = log.lines()
            start = log.start(max(1, total - LAST_LINES + 1)) or 0
            window = log.window(start)
    except UnknownName as error:
        return _rendered("log_gone.html", error=error)
    return _rendered(
        "log.html", named=named, window=window, total=total, running=named.attempt.outcome is None, marks=MARKS
    )


@router.get("/builds/{number}/attempts/{attempt}/log/view")
def view(named: NamedLog, live: Reading) -> Response:
    """A page with the log alone."""
    page = _environment().get_template("log_page.html").render(named=named, log=fragment(named, live.logs))
    return HTMLResponse(page, headers={"cache-control": "no-cache"})


def asset(name: str) -> str:
    """Where a script or style is served: an address that changes with its content."""
    return f"/live/{hashlib.sha256(_content(name)).hexdigest()[:_DIGITS]}/{name}"


@router.get("/live/{digest}/{name}")
def static(digest: str, name: str) -> Response:
    """A script or style. One of another version of Conveyor is not there any more."""
    if name not in _TYPES or asset(name) != f"/live/{digest}/{name}":
        raise UnknownName(f"there is no file {name!r} of this version", hint="load the page anew")
    return Response(_content(name), media_type=_TYPES[name], headers={"cache-control": _FOR_EVER})


def _rendered(template: str, **context: object) -> Markup:
    text = _environment().get_template(template).render(context)
    return Markup(text)  # noqa: S704 - the template escapes what is in it


@cache
def _content(name: str) -> bytes:
    return (files(__package__) / "static" / name).read_bytes()


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader(__package__, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals["log_asset"] = asset
    return made
