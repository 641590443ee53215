"""How long a client may take: one that sends or reads slowly is let go, whatever is asked for.

A request is parsed and an answer is sent without a thread, and of an answer 64 KiB are in memory. So a slow client
costs a connection, for as long as this allows.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

# In seconds: how long a request may take to come, whole; and how long a client may take to read 48 KiB, which is what
# lies between the marks at which asyncio stops and goes on with writing.
REQUEST_WITHIN = 60.0
READ_WITHIN = 60.0


class PatientProtocol(H11Protocol):
    """A connection whose client is waited for, but not for ever."""

    _request: asyncio.TimerHandle | None = None
    _reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._await_request()

    def data_received(self, data: bytes) -> None:
        """Go on waiting until the request is whole."""
        super().data_received(data)
        cycle = self.cycle
        if cycle is not None and not cycle.more_body and not cycle.response_complete:
            self._stop("_request")
        else:
            self._await_request()

    def pause_writing(self) -> None:
        """Begin to wait for the client to read."""
        super().pause_writing()
        self._stop("_reading")
        self._reading = self.loop.call_later(READ_WITHIN, self.transport.abort)

    def resume_writing(self) -> None:
        """It has read."""
        self._stop("_reading")
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that is not used; with what was not read, soon."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(READ_WITHIN, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop("_request")
        self._stop("_reading")
        super().connection_lost(exc)

    def _await_request(self) -> None:
        if self._request is None:
            self._request = self.loop.call_later(REQUEST_WITHIN, self.transport.abort)

    def _stop(self, name: str) -> None:
        timer: asyncio.TimerHandle | None = getattr(self, name)
        if timer is not None:
            timer.cancel()
            setattr(self, name, None)
