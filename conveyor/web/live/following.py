"""Logs that are followed while they are written: one reader for each, for however many look.

Nobody is sent anything that it did not come to fetch: each client goes through the log at its own pace, in pieces that
end at the same places for all, so that a piece is read and made ready once. A slow client costs its connection.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool

from conveyor.errors import ConveyorError, UnknownName
from conveyor.web.live.reading import Identity, Logs, Window

# A piece of a log ends with the last line that ends before a multiple of this.
PIECE = 32 * 1024
PIECES_KEPT = 16
# In seconds: how often a log is looked at; when a line without an end is shown as it is; how often it is asked whether
# the build has ended; how long nothing may have been written before a build that is not published counts as ended; how
# often a client is sent something, so that neither it nor what is between takes the connection for broken.
LOOK_EVERY = 0.25
PARTIAL_AFTER = 1.0
ASK_EVERY = 2.0
LONG_QUIET = 30.0
KEEP_ALIVE = 15.0
COMMENT = b": still here\n\n"

# What became of the attempt; empty while it runs. It is told whether nothing has been written for long.
Ended = Callable[[bool], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """A part of a log, ready to be sent.

    Attributes:
        sent: the event.
        next: offset of the line after it.
    """

    sent: bytes
    next: int


def event(kind: str, data: Mapping[str, Any], number: int | None = None) -> bytes:
    """An event as the HTML standard has it in "server-sent events"."""
    told = "" if number is None else f"id: {number}\n"
    return f"{told}event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


class Tail:
    """A log that somebody follows.

    Args:
        path: the log.
        logs: opens it.
        ended: tells what became of the attempt.
        now: seconds of a clock that never goes back.
    """

    def __init__(self, path: Path, logs: Logs, ended: Ended, now: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._logs = logs
        self._ended = ended
        self._now = now
        self._pieces: OrderedDict[int, asyncio.Future[_Piece | None]] = OrderedDict()
        self._changed = asyncio.Event()
        self._identity: Identity | None = None
        self._size = self._read_to = 0
        self._grew_at = now()
        self._asked_at = self._grew_at - ASK_EVERY
        self._partial: _Piece | None = None
        self._over = ""
        self._gone = False
        self.clients = 0

    async def watch(self) -> None:
        """Look at the log until nobody is left who follows it."""
        while True:
            self.look()
            await self._show_partial()
            await self._ask()
            await asyncio.sleep(LOOK_EVERY)

    async def events(self, offset: int) -> AsyncIterator[bytes]:
        """What a client that has the log up to an offset is sent, until the build has ended or the log is gone."""
        identity, partial = self._identity, None
        while True:
            changed = self._changed
            if self._gone:
                yield event("gone", {})
                return
            if self._identity != identity or offset > self._size:
                identity, offset = self._identity, 0
                yield event("replaced", {}, 0)
            piece = await self._piece(offset)
            if piece is not None:
                offset = piece.next
                yield piece.sent
            elif self._partial is not None and self._partial is not partial and self._partial.next == offset:
                partial = self._partial
                yield partial.sent
            elif self._over:
                yield event("end", {"outcome": self._over})
                return
            else:
                try:
                    await asyncio.wait_for(changed.wait(), KEEP_ALIVE)
                except TimeoutError:
                    yield COMMENT

    def look(self) -> None:
        """See whether the log has changed."""
        try:
            status = os.stat(self._path, follow_symlinks=False)  # noqa: PTH116 - one call for all
        except OSError:
            self._gone = True
            self._wake()
            return
        identity = Identity(device=status.st_dev, inode=status.st_ino)
        continued = identity == self._identity and status.st_size >= max(self._size, self._read_to)
        if continued and status.st_size == self._size:
            return
        # Where it was seen for the first time, it may have been quiet for long.
        quiet = max(0.0, time.time() - status.st_mtime) if self._identity is None else 0.0
        if not continued:
            self._pieces.clear()
            self._read_to = 0
        self._identity, self._size, self._partial = identity, status.st_size, None
        self._grew_at = self._now() - quiet
        self._wake()

    async def _show_partial(self) -> None:
        """Make a last line without its end ready, where it has been waiting for one."""
        if self._partial is not None or self._quiet() < PARTIAL_AFTER:
            return
        window = await run_in_threadpool(self._read_partial)
        if window is not None:
            self._partial = _Piece(sent=event("partial", _told(window)), next=window.next)
            self._wake()

    async def _ask(self) -> None:
        """Ask whether the build has ended, where nothing is written."""
        if self._over or self._now() - self._asked_at < ASK_EVERY or self._quiet() < ASK_EVERY:
            return
        self._asked_at = self._now()
        self._over = await run_in_threadpool(self._outcome, quiet=self._quiet() > LONG_QUIET)
        if self._over:
            self._wake()

    def _outcome(self, *, quiet: bool) -> str:
        try:
            return self._ended(quiet)
        except UnknownName:
            return "gone"
        except ConveyorError:  # the store cannot be asked now
            return ""

    def _quiet(self) -> float:
        return self._now() - self._grew_at

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _piece(self, offset: int) -> _Piece | None:
        """The lines after an offset; None where none has come to its end yet."""
        if offset >= self._size:
            return None
        made = self._pieces.get(offset)
        if made is None:
            made = asyncio.ensure_future(run_in_threadpool(self._read, offset))
            self._pieces[offset] = made
            if len(self._pieces) > PIECES_KEPT:
                self._pieces.popitem(last=False)
        # One client that goes away takes nothing from the others.
        piece = await asyncio.shield(made)
        if piece is None and self._pieces.get(offset) is made:
            del self._pieces[offset]
        if piece is not None and piece.next > self._size:
            # It was written to since it was looked at. Who is beyond its end would be sent it again and again.
            self._read_to = max(self._read_to, piece.next)
            self.look()
        return piece

    def _read(self, offset: int) -> _Piece | None:
        try:
            with self._logs.open(self._path) as log:
                start = log.line_start(offset)
                window = log.window(start, size=PIECE - start % PIECE)
        except UnknownName:
            return None
        lines = window.lines[:-1] if window.open else window.lines
        if not lines:
            return None
        whole = Window(lines=lines, start=start, next=window.next)
        return _Piece(sent=event("lines", _told(whole), whole.next), next=whole.next)

    def _read_partial(self) -> Window | None:
        try:
            with self._logs.open(self._path) as log:
                window = log.window(log.line_start(log.size), lines=1)
        except UnknownName:
            return None
        return window if window.open else None


def _told(window: Window) -> dict[str, Any]:
    return {"start": window.start, "next": window.next, "lines": [line.as_json() for line in window.lines]}


class Tails:
    """The logs that are followed now.

    Args:
        logs: opens them.
    """

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self._tails: dict[Path, tuple[Tail, asyncio.Task[None]]] = {}

    @property
    def clients(self) -> int:
        """How many clients follow something."""
        return sum(tail.clients for tail, _ in self._tails.values())

    async def follow(self, path: Path, offset: int, ended: Ended) -> AsyncIterator[bytes]:
        """What a client that has a log up to an offset is sent.

        Args:
            path: the log.
            offset: what the client has of it, in bytes.
            ended: tells what became of the attempt; of the first who follows it counts.
        """
        tail = self._tail(path, ended)
        tail.clients += 1
        try:
            async for sent in tail.events(offset):
                yield sent
        finally:
            tail.clients -= 1
            if tail.clients == 0:
                _, watch = self._tails.pop(path)
                watch.cancel()

    def _tail(self, path: Path, ended: Ended) -> Tail:
        if path not in self._tails:
            tail = Tail(path, self._logs, ended)
            tail.look()
            self._tails[path] = (tail, asyncio.create_task(tail.watch()))
        return self._tails[path][0]
