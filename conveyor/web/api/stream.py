"""Events as they happen: server-sent events. One task reads the store, for however many listen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, cast

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from conveyor.documents.events import event_as_json
from conveyor.errors import ConveyorError, NotPossible
from conveyor.model.event import Event, EventKind
from conveyor.ports import Events
from conveyor.web.access.guard import Reader
from conveyor.web.api.parts import LAST, OfPackage, OfTarget
from conveyor.web.discretion import Discretion
from conveyor.web.site import known_site

router = APIRouter(tags=["events"])

LOOK_EVERY = 0.5
READ_AT_ONCE = 500
# Proxies close what says nothing for a minute.
KEEP_ALIVE = 15.0
# Who does not read is let go, and comes again with the number of the last event that it has.
UNREAD = 2_000
LISTENERS = 500


@dataclass(frozen=True, kw_only=True)
class Told:
    """An event, as all who listen are told of it."""

    event: Event

    @cached_property
    def text(self) -> str:
        """What is sent. It is written once, for however many listen."""
        event = self.event
        return f"id: {event.number}\nevent: {event.kind}\ndata: {json.dumps(event_as_json(event))}\n\n"


# What somebody listens at: None ends it.
_Heard = asyncio.Queue[Told | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Somebody who listens.

    Attributes:
        heard: what was told since it began.
        after: the number of the last event that it has.
    """

    heard: _Heard
    after: int


class Hub:
    """Tells listeners of events. All of it is used in the server's event loop, but for `stop`.

    Args:
        events: what happened; the events of the site as it is now.
    """

    def __init__(self, events: Callable[[], Events]) -> None:
        self._events = events
        self._listeners: set[_Heard] = set()
        self._watching: asyncio.Task[None] | None = None
        self._last = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = False

    async def join(self, after: int | None) -> Listener:
        """Begin to listen: to what happened after an event, or from now on.

        Raises:
            NotPossible: too many listen.
        """
        if len(self._listeners) >= LISTENERS:
            raise NotPossible(f"{LISTENERS} listen already", hint="ask /api/v1/events instead")
        heard: _Heard = asyncio.Queue(UNREAD)
        self._listeners.add(heard)
        await self._watch()
        return Listener(heard=heard, after=self._last if after is None else after)

    async def listen(self, listener: Listener) -> AsyncIterator[list[Told]]:
        """What is to be told, all that there is at once; nothing for a while without. Ends when it is stopped."""
        heard, last = listener.heard, listener.after
        try:
            async for some in self._before(last):
                last = some[-1].event.number
                yield some
            while not self._stopped and heard in self._listeners:
                try:
                    told = [await asyncio.wait_for(heard.get(), KEEP_ALIVE)]
                except TimeoutError:
                    yield []
                    continue
                while not heard.empty():
                    told.append(heard.get_nowait())
                if new := [each for each in told if each is not None and each.event.number > last]:
                    yield new
                if None in told:
                    return
        finally:
            self._listeners.discard(heard)
            self._rest()

    def stop(self) -> None:
        """Let all listeners go, from any thread: the server stops."""
        self._stopped = True
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._let_go)

    async def _before(self, last: int) -> AsyncIterator[list[Told]]:
        """What had happened by the time that it began to listen."""
        while not self._stopped:
            found = await run_in_threadpool(self._events().after, last, limit=READ_AT_ONCE)
            if found:
                yield [Told(event=event) for event in found]
            if len(found) < READ_AT_ONCE:
                return
            last = found[-1].number

    async def _watch(self) -> None:
        if self._watching is None:
            self._loop = asyncio.get_running_loop()
            newest = await run_in_threadpool(self._events().newest, limit=1)
            if self._watching is None:
                self._last = newest[0].number if newest else 0
                self._watching = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        while True:
            with suppress(ConveyorError):  # the next look may succeed
                found = await run_in_threadpool(self._events().after, self._last, limit=READ_AT_ONCE)
                for event in found:
                    self._last, told = event.number, Told(event=event)
                    for heard in tuple(self._listeners):
                        self._put(heard, told)
                if len(found) == READ_AT_ONCE:
                    continue
            await asyncio.sleep(LOOK_EVERY)

    def _put(self, heard: _Heard, told: Told) -> None:
        try:
            heard.put_nowait(told)
        except asyncio.QueueFull:
            self._listeners.discard(heard)

    def _rest(self) -> None:
        """Look no more when nobody listens."""
        if not self._listeners and self._watching is not None:
            self._watching.cancel()
            self._watching = None

    def _let_go(self) -> None:
        for heard in tuple(self._listeners):
            self._listeners.discard(heard)
            with suppress(asyncio.QueueFull):
                heard.put_nowait(None)
        self._rest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which events somebody wants to hear of."""

    package: str | None
    target: str | None
    build: int | None
    kinds: Collection[EventKind]

    def fits(self, event: Event) -> bool:
        """Whether it is one of them."""
        return (
            self.package in {None, event.package}
            and self.target in {None, event.target}
            and self.build in {None, event.build}
            and (not self.kinds or event.kind in self.kinds)
        )


@router.get(
    "/events/stream",
    response_class=StreamingResponse,
    summary="Events as they happen",
    responses={200: {"content": {"text/event-stream": {}}, "description": "Server-sent events, without an end."}},
)
async def stream(
    request: Request,
    _reader: Reader,
    package: OfPackage = None,
    target: OfTarget = None,
    build: Annotated[int | None, Query(ge=1, le=LAST, description="Only about this build.")] = None,
    kind: Annotated[list[EventKind] | None, Query(max_length=50, description="Only of these kinds.")] = None,
    after: Annotated[
        int | None, Query(ge=0, le=LAST, description="Begin after this event; from now on where it is left out.")
    ] = None,
    last_event_id: Annotated[
        str | None, Header(max_length=20, description="What browsers send when they come again: begin after it.")
    ] = None,
) -> StreamingResponse:
    """Server-sent events. Each has the number of the event as its id, its kind as its type, and the event as data."""
    wanted = Filter(package=package, target=target, build=build, kinds=frozenset(kind or ()))
    seen = int(last_event_id) if last_event_id and last_event_id.isascii() and last_event_id.isdigit() else after
    hub = cast(Hub, request.app.state.hub)
    body = _lines(hub.listen(await hub.join(seen)), wanted, known_site(request).discretion)
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(body, media_type="text/event-stream", headers=headers)


async def _lines(heard: AsyncIterator[list[Told]], wanted: Filter, discretion: Discretion) -> AsyncIterator[str]:
    yield "retry: 2000\n\n"
    async for some in heard:
        if not some:
            yield ": nothing new\n\n"
        elif fitting := [each.text for each in some if wanted.fits(each.event)]:
            yield discretion.told("".join(fitting))
