"""A receiver of webhooks on 127.0.0.1."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was posted."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Receiver:
    """A server that takes what is posted.

    Attributes:
        url: where.
        requests: what was posted.
        code: what it answers.
        headers: what it says with that.
        body: likewise.
    """

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    code: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@contextmanager
def receiver(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver that runs in a thread."""
    state = Receiver()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(state)) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        state.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}/hook?key=secret-part"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


def _handler(state: Receiver) -> Callable[..., http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            state.requests.append(Request(path=self.path, headers=dict(self.headers.items()), body=body))
            self.send_response(state.code)
            for name, value in {"content-length": str(len(state.body)), **state.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(state.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    return Handler
