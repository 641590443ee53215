"""/repos/: what package managers read."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from conveyor.config.moment import moment_of
from conveyor.errors import UnknownName, UserError
from conveyor.model.promotion import CURRENT
from conveyor.repository.names import shard
from conveyor.web.access.guard import Reader
from conveyor.web.files import answer_file
from conveyor.web.site import Here, Site
from conveyor.web.tree.places import ASK, caching, find, listed, media_type
from conveyor.wiring import make_travel

router = APIRouter(include_in_schema=False)

METHODS = ["GET", "HEAD"]
ROOT = "/repos/"
AT = "at"
_MOVED, _FOUND = 301, 302
_AT_LEAST = 3  # <target>/at/<time>


@router.api_route("/repos", methods=METHODS)
def beginning(_reader: Reader) -> Response:
    """The tree without a slash at its end."""
    return RedirectResponse(ROOT, _MOVED)


@router.api_route("/repos/{path:path}", methods=METHODS)
def published(request: Request, path: str, site: Here, _reader: Reader, pointer: str = CURRENT) -> Response:
    """A file, a folder's listing, or a redirect to the snapshot of a time: `<target>/at/<time>[/<path>]`."""
    try:
        real = find(site.settings.data_dir / "repos", path)
    except UnknownName:
        parts = path.split("/")
        if len(parts) >= _AT_LEAST and parts[1] == AT and parts[0] in site.repos.targets:
            return _at(site, parts[0], parts[2], "/".join(parts[3:]), pointer)
        raise
    if real.is_file():
        public = site.settings.web.open
        return answer_file(
            request, real, media_type=media_type(path.rpartition("/")[2]), cache=caching(path, public=public)
        )
    if path and not path.endswith("/"):
        return RedirectResponse(f"{ROOT}{quote(path)}/", _MOVED)
    entries, whole = listed(real)
    page = _environment().get_template("listing.html").render(path=path, entries=entries, whole=whole)
    return HTMLResponse(page, headers={"cache-control": ASK})


def _at(site: Site, target: str, time: str, rest: str, pointer: str) -> Response:
    """A redirect to where a pointer was at a time: to the snapshot's own URL, which never changes.

    Raises:
        UnknownName: it was nowhere then, or retention has removed the snapshot.
        UserError: this is no time.
    """
    conveyor = site.conveyor
    moment = moment_of(time, datetime.now(UTC)).at
    travel = make_travel(site.settings, store=conveyor.store, ledger=conveyor.ledger, tree=conveyor.tree)
    then = travel.at(target, moment, pointer)
    if then.snapshot.collected_at is not None:
        near = [f"{each.commit} ({word})" for each, word in ((then.older, "older"), (then.newer, "newer")) if each]
        raise UnknownName(
            f"the snapshot that {pointer} of {target} pointed at then was removed",
            cause=f"retention collected {then.snapshot.commit} {then.snapshot.collected_at:%Y-%m-%d %H:%M %Z}",
            hint=f"nearest that are there: {', '.join(near) or 'none'}",
        )
    if any(part.startswith(".") for part in rest.split("/")):
        raise UserError("this is no path of a snapshot")
    location = f"{ROOT}{quote(target)}/{shard(then.snapshot.commit)}/{quote(rest)}"
    return RedirectResponse(location, _FOUND, headers={"cache-control": ASK})


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
    made.filters["quoted"] = quote
    return made
