"""Serves the application until it is stopped."""

from __future__ import annotations

import gc
import socket
from contextlib import suppress
from types import FrameType
from typing import cast

import uvicorn
from fastapi import FastAPI

from conveyor.errors import UserError
from conveyor.web.api.stream import Hub
from conveyor.web.app import make_app
from conveyor.web.patience import PatientProtocol
from conveyor.web.site import Sites

# How long a client may keep a connection open without asking for anything, and how long answers may take to end when
# the server stops, in seconds.
KEEP_ALIVE = 30
STOP_WITHIN = 5
# Those beyond are told to come back: each has buffers.
MOST_CONNECTIONS = 4000


def serve(sites: Sites, listen: str) -> None:
    """Answer requests until SIGTERM or Ctrl-C.

    Args:
        sites: what it answers from; closed at the end.
        listen: `host:port`; the host of IPv6 in brackets.

    Raises:
        UserError: it cannot listen there.
    """
    listening = listening_socket(listen)
    app = make_app(sites)
    # What is there from the beginning stays. To look through it for garbage would hold up every request for long.
    gc.collect()
    gc.freeze()
    options = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        server_header=False,
        http=PatientProtocol,
        ws="none",
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=STOP_WITHIN,
    )
    try:
        # It has answered what it had begun, and raises the signal once more.
        with suppress(KeyboardInterrupt):
            _Server(options, app).run(sockets=[listening])
    finally:
        listening.close()
        sites.close()


class _Server(uvicorn.Server):
    """Ends streams when it is asked to stop: it would wait for them."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        cast(Hub, self._app.state.hub).stop()
        super().handle_exit(sig, frame)


def listening_socket(listen: str) -> socket.socket:
    """A socket that listens on `host:port`. What its connections send does not wait for receipts.

    Raises:
        UserError: it cannot listen there.
    """
    host, _, port = listen.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    try:
        listening = socket.create_server((host.strip("[]"), int(port)), family=family, backlog=128)
    except OSError as error:
        raise UserError(
            f"the page cannot be served on {listen}",
            cause=error.strerror or str(error),
            hint="name another address: --listen, or 'listen' in [web] in conveyor.toml",
        ) from error
    # Connections have it from here; asyncio gives it to sockets alone that were made with the protocol's number. An
    # answer is sent in two parts, and the second would wait for the first one's receipt: 40 ms.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
