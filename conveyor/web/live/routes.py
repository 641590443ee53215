"""Logs over HTTP: whole, in parts, searched, and followed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from conveyor.errors import ConveyorError, Fault, UserError
from conveyor.web.files import answer_file
from conveyor.web.live.attempts import Logged, NamedLog
from conveyor.web.live.following import Tails
from conveyor.web.live.reading import MOST_LINES, Logs
from conveyor.web.live.searching import MOST_MATCHES, MOST_QUERY, Search, Searches

router = APIRouter(tags=["logs"])

BASE = "/api/v1/builds/{number}/attempts/{attempt}/log"
MOST_FOLLOWERS = 1000
# Of SQLite and JavaScript both; no log is as large.
MOST_OFFSET = 2**53 - 1
WINDOW = 500
# Nobody between keeps an event stream back, or keeps it at all.
STREAM_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


class TooManyFollow(ConveyorError):
    """More clients follow logs than the server takes."""

    fault = Fault.NETWORK


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What reads logs, for all requests.

    Attributes:
        logs: opens them.
        tails: those that are followed.
        searches: searches that run.
    """

    logs: Logs
    tails: Tails
    searches: Searches


def make_live() -> Live:
    """What reads logs."""
    logs = Logs()
    return Live(logs=logs, tails=Tails(logs), searches=Searches())


async def _live(request: Request) -> Live:
    return cast(Live, request.app.state.live)


Reading = Annotated[Live, Depends(_live)]
Offset = Annotated[int, Query(ge=0, le=MOST_OFFSET)]
LineNumber = Annotated[int, Query(ge=1, le=MOST_OFFSET)]


@router.api_route(
    "/builds/{number}/attempts/{attempt}/log", methods=["GET", "HEAD"], include_in_schema=False, response_model=None
)
@router.head(BASE, include_in_schema=False, response_model=None)
@router.get(BASE, response_class=Response)
def whole(request: Request, named: NamedLog, live: Reading, download: bool = False) -> Response:
    """The whole log, as it is on the disk. Parts of it by `Range`. Hostile text: it is what upstream's code wrote."""
    with live.logs.open(named.path):  # 404 where it is gone
        name = f"{named.build.commit.package}-{named.build.target}-{named.build.id}-{named.attempt.number}.log"
        # It may still get lines: it is asked for anew each time.
        return answer_file(
            request,
            named.path,
            media_type="text/plain; charset=utf-8",
            cache="no-cache",
            disposition=f'{"attachment" if download else "inline"}; filename="{name}"',
        )


@router.get(f"{BASE}/lines")
def lines(
    named: NamedLog,
    live: Reading,
    line: LineNumber | None = None,
    offset: Offset | None = None,
    last: Annotated[int | None, Query(ge=1, le=MOST_LINES)] = None,
    count: Annotated[int, Query(ge=1, le=MOST_LINES)] = WINDOW,
) -> dict[str, Any]:
    """Some lines, from one on (`line`), from the one with a byte on (`offset`), or the last ones (`last`)."""
    if sum(given is not None for given in (line, offset, last)) > 1:
        raise UserError("'line', 'offset' and 'last' exclude each other", hint="name one of them")
    with live.logs.open(named.path, named.causes) as log:
        total = log.lines()
        if last is not None:
            line, count = max(1, total - last + 1), last
        start = log.line_start(offset) if offset is not None else log.start(line or 1)
        window = log.window(log.size if start is None else start, lines=count)
        return {
            "lines": [each.as_json() for each in window.lines],
            "next": window.next,
            "open": window.open,
            "total": total,
            "size": log.size,
            "outcome": named.attempt.outcome,
        }


@router.get(f"{BASE}/search")
async def search(
    named: NamedLog,
    live: Reading,
    query: Annotated[str, Query(max_length=MOST_QUERY)] = "",
    regex: bool = False,
    case: bool = False,
    errors: bool = False,
    after: Offset = 0,
    most: Annotated[int, Query(ge=1, le=MOST_MATCHES)] = MOST_MATCHES,
) -> dict[str, Any]:
    """Lines that have a text in them, match a regular expression (`regex`), or look like errors (`errors`).

    It takes some seconds at most: `complete` tells whether it came to the end, `searched` how far it came.
    """
    if not query and not errors:
        raise UserError("there is nothing to look for", hint="'query', or 'errors=true'")
    asked = Search(query=query, regex=regex, case=case, errors=errors, after=after, most=most)
    return await live.searches.search(named.path, asked)


@router.get(f"{BASE}/events", response_class=StreamingResponse)
async def follow(
    named: NamedLog,
    live: Reading,
    offset: Offset = 0,
    last_event_id: Annotated[str, Header(max_length=100)] = "",
) -> StreamingResponse:
    """The log as server-sent events, from a byte on, while it is written. `Last-Event-ID` resumes it."""
    if live.tails.clients >= MOST_FOLLOWERS:
        raise TooManyFollow("too many follow logs at the moment", hint="try it again in some minutes")
    with live.logs.open(named.path):  # 404 where it is gone
        begin = int(last_event_id) if last_event_id.isascii() and last_event_id.isdigit() else offset
        return StreamingResponse(
            _events(live, named, begin), media_type="text/event-stream; charset=utf-8", headers=STREAM_HEADERS
        )


async def _events(live: Live, named: Logged, offset: int) -> AsyncIterator[bytes]:
    async for sent in live.tails.follow(named.path, offset, lambda quiet: named.ended(quiet=quiet)):
        yield sent
