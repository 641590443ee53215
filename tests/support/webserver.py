"""A static web server on a folder: nginx with the configuration of docs/operating.md, or Python's own without it."""

from __future__ import annotations

import functools
import http.server
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs/operating.md"
PATIENCE = 60.0
_SERVER = re.compile(r"^```nginx\n(.*?)^```", re.DOTALL | re.MULTILINE)
_REQUEST = re.compile(r'"GET (\S+) [^"]*" (\d{3})')
MAIN = """\
user root;
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{server}
}}
"""


@dataclass(slots=True)
class WebServer:
    """A server that runs.

    Attributes:
        name: what it is.
        url: where the folder is served, without a slash at the end.
        log: its log of requests.
        turn: held while a request is answered, where they are answered one by one.
    """

    name: str
    url: str
    log: Path
    turn: threading.Lock = field(default_factory=threading.Lock)
    _lines: list[str] = field(default_factory=list)

    @property
    def requests(self) -> list[tuple[str, int]]:
        """Path and status of each request so far."""
        text = self.log.read_text() if self.log.exists() else "\n".join(self._lines)
        return [(path, int(status)) for path, status in _REQUEST.findall(text)]

    def note(self, line: str) -> None:
        """Remember a request."""
        self._lines.append(line)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@contextmanager
def serving(root: Path, folder: Path, port: int) -> Iterator[WebServer]:
    """Serve a folder on a port of 127.0.0.1.

    Args:
        root: what is served.
        folder: an empty folder for what the server writes.
        port: the port.
    """
    start = _nginx if shutil.which("nginx") else _python
    with start(root, folder, port) as server:
        yield server


@contextmanager
def serving_with(root: Path, port: int, after: Callable[[], None]) -> Iterator[WebServer]:
    """Serve a folder on a port of 127.0.0.1 by Python's own server, where something happens after each request.

    Args:
        root: what is served.
        port: the port.
        after: what happens, one at a time, before the next request is looked at.
    """
    with _python(root, root, port, after) as server:
        yield server


@contextmanager
def _nginx(root: Path, folder: Path, port: int) -> Iterator[WebServer]:
    found = _SERVER.search(DOCUMENT.read_text())
    assert found is not None
    server = found.group(1).replace("listen 80;", f"listen 127.0.0.1:{port};")
    server = server.replace("root /var/lib/conveyor/repos;", f"root {root};")
    assert str(root) in server
    configuration = folder / "nginx.conf"
    configuration.write_text(MAIN.format(folder=folder, server=server))
    process = subprocess.Popen(["nginx", "-p", folder, "-e", folder / "error.log", "-c", configuration])
    try:
        wait_for(port, process)
        version = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr
        url = f"http://127.0.0.1:{port}"
        yield WebServer(name=version.strip().rpartition(" ")[2], url=url, log=folder / "access.log")
    finally:
        process.terminate()
        process.wait(PATIENCE)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server answers on a port of 127.0.0.1."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert process.poll() is None, "the server did not start"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.02)
        else:
            return


class _Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, server: WebServer, after: Callable[[], None], *arguments: object, **named: object) -> None:
        self._served_by = server
        self._after = after
        super().__init__(*arguments, **named)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        with self._served_by.turn:
            super().do_GET()
            self._after()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        self._served_by.note(format % args)


@contextmanager
def _python(root: Path, folder: Path, port: int, after: Callable[[], None] = lambda: None) -> Iterator[WebServer]:
    server = WebServer(name="Python's http.server", url=f"http://127.0.0.1:{port}", log=folder / "none.log")
    handler = functools.partial(_Handler, server, after, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield server
        running.shutdown()
        thread.join()
