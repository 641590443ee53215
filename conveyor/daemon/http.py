"""The daemon's small HTTP server: /metrics for Prometheus, /healthz and /readyz for whoever looks after processes.

It tells nothing that is secret, takes nothing, and has no log-in: let it listen where only they can reach it.
"""

from __future__ import annotations

import errno
import json
import socket
import socketserver
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from threading import BoundedSemaphore, Thread, Timer
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from conveyor.errors import UserError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

# What a client may take for its request and our answer together, and how many may be at it at once.
CLIENT_SECONDS = 20.0
CLIENTS = 16
SHUTDOWN_SECONDS = 0.2
OK, METHOD_NOT_ALLOWED = "200 OK", "405 Method Not Allowed"
NOT_FOUND, UNAVAILABLE = "404 Not Found", "503 Service Unavailable"


def make_app(metrics: WSGIApplication, reasons: Callable[[], Sequence[str]]) -> WSGIApplication:
    """What answers requests.

    Args:
        metrics: answers for /metrics.
        reasons: why the daemon is not ready; nothing where it is.
    """

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        if method not in {"GET", "HEAD"}:
            return _json(start_response, METHOD_NOT_ALLOWED, {"error": "only GET and HEAD are answered"})
        body = answer({**environ, "REQUEST_METHOD": "GET"}, start_response)
        return body if method == "GET" else []

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/metrics":
                return metrics(environ, start_response)
            case "/healthz":
                return _json(start_response, OK, {"alive": True})
            case "/readyz":
                found = list(reasons())
                return _json(start_response, UNAVAILABLE if found else OK, {"ready": not found, "reasons": found})
            case _:
                return _json(start_response, NOT_FOUND, {"error": "there are /metrics, /healthz and /readyz"})

    return app


class HttpServer:
    """Serves an application on an address, until it is stopped.

    Args:
        address: `host:port`; the host of IPv6 in brackets.
        app: what answers.
        clients: how many may be answered at once.
        seconds: what each may take.

    Raises:
        UserError: it cannot listen there.
    """

    def __init__(
        self, address: str, app: WSGIApplication, *, clients: int = CLIENTS, seconds: float = CLIENT_SECONDS
    ) -> None:
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        try:
            self._server = _server(host, int(port), clients, seconds)
        except OSError as error:
            busy = error.errno == errno.EADDRINUSE
            raise UserError(
                f"the daemon cannot listen on {address}",
                cause="another process does" if busy else error.strerror or "",
                hint="name another address, 'listen' in [daemon] in conveyor.toml",
            ) from error
        self._server.set_app(app)
        self._thread = Thread(target=self._server.serve_forever, args=(SHUTDOWN_SECONDS,), name="http", daemon=True)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Answer from now on, on a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()


def _server(host: str, port: int, clients: int, seconds: float) -> _Server:
    kind = _Server6 if ":" in host else _Server
    return kind((host, port), clients, seconds)


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """A thread for each client, of whom only so many are let in, each for so long."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 32

    def __init__(self, address: tuple[str, int], clients: int, seconds: float) -> None:
        self._places = BoundedSemaphore(clients)
        self.seconds = seconds
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind, without the name service, which HTTPServer would ask for a name that nobody needs."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as socketserver has it
        """Let a client in, or send it away where there are too many."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Answer a client, and cut it off when it takes too long."""
        timer = Timer(self.seconds, _cut, (request,))
        timer.daemon = True
        timer.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            timer.cancel()
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Clients that went away are nobody's concern."""


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    """Answers one request, and says nothing of it: who scrapes does so every few seconds."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401
        """Nothing is logged."""

    def address_string(self) -> str:
        """The client's address, without the name service."""
        return str(self.client_address[0])


def _cut(request: socket.socket) -> None:
    with suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


def _json(start_response: StartResponse, status: str, document: object) -> list[bytes]:
    body = json.dumps(document).encode() + b"\n"
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
