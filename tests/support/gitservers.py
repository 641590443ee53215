"""Git servers that tests talk to: real ones over HTTP, git's own protocol and ssh, and some that misbehave."""

from __future__ import annotations

import http.server
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 60.0
HEADERS = ("CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_GIT_PROTOCOL", "HTTP_CONTENT_ENCODING")
ADVERTISEMENT = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n\r\n"
    b"001e# service=git-upload-pack\n0000"
)
# Takes the place of ssh: runs on this machine what is to be run on the other one.
SSH = """\
#!/bin/sh
while [ "$1" = -o ] || [ "$1" = -p ]; do shift 2; done
shift
exec sh -c "$*"
"""


class GitHttpServer(http.server.ThreadingHTTPServer):
    """Smart HTTP by `git http-backend`.

    Args:
        root: a folder with bare repositories.

    Attributes:
        url: where that folder is, with a slash at the end.
        asked: the paths that were asked for, with their queries.
    """

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), _Backend)
        self.url = f"http://127.0.0.1:{self.server_port}/"


class _Backend(http.server.BaseHTTPRequestHandler):
    server: GitHttpServer

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        self.server.asked.append(self.path)
        path, _, query = self.path.partition("?")
        given = {name: self.headers.get(name.removeprefix("HTTP_").replace("_", "-")) for name in HEADERS}
        variables = {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REMOTE_ADDR": "127.0.0.1",
            **{name: value for name, value in given.items() if value is not None},
        }
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        argv = ["git", "http-backend"]
        done = subprocess.run(argv, env=variables, input=body, capture_output=True, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def git_over_http(root: Path) -> Iterator[GitHttpServer]:
    """Serve the repositories of a folder over HTTP."""
    with GitHttpServer(root) as server, _running(server.serve_forever, server.shutdown):
        yield server


@contextmanager
def git_daemon(root: Path) -> Iterator[str]:
    """Serve the repositories of a folder by git's own protocol; gives the URL of the folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ("--listen=127.0.0.1", f"--port={port}", "--export-all", "--reuseaddr", f"--base-path={root}")
    # Not through `git`, which would be left waiting when it is ended alone.
    daemon = Path(subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip())
    variables = {"PATH": os.environ["PATH"], "GIT_CONFIG_COUNT": "1"}
    variables |= {"GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    process = subprocess.Popen([daemon / "git-daemon", *options, str(root)], env=variables)
    try:
        _wait_for(port)
        yield f"git://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(PATIENCE)


def ssh_program(folder: Path) -> Path:
    """A folder for PATH with an `ssh` that runs its command on this machine."""
    folder.mkdir()
    program = folder / "ssh"
    program.write_text(SSH)
    program.chmod(0o755)
    for needed in ("git", "sh", "prlimit", "git-upload-pack"):
        (folder / needed).symlink_to(str(shutil.which(needed)))
    return folder


@contextmanager
def misbehaving(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does something to each connection after the first bytes; gives its address, "127.0.0.1:<port>"."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=_one, args=(connection, answer), daemon=True).start()

        def end() -> None:
            ended.set()
            socket.create_connection(listener.getsockname()).close()

        with _running(serve, end):
            yield f"127.0.0.1:{listener.getsockname()[1]}"


def _one(connection: socket.socket, answer: Callable[[socket.socket], None]) -> None:
    with connection:
        try:
            if connection.recv(65536):
                answer(connection)
        except OSError:
            return


def hang(connection: socket.socket) -> None:
    """Say nothing, until the other side has gone."""
    while connection.recv(65536):
        continue


def trickle(connection: socket.socket) -> None:
    """Begin as a git server does, and go on for ever, a byte at a time."""
    connection.sendall(ADVERTISEMENT)
    while True:
        connection.sendall(b"0")
        time.sleep(0.05)


def garbage(connection: socket.socket) -> None:
    """Answer at length what no git server would."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 70000\r\n\r\n")
    connection.sendall(b"\x1b]0;x\x07" * 10_000)


def telling(refs: Sequence[bytes]) -> Callable[[socket.socket], None]:
    """Tell of refs, each "<sha> <name>", and of nothing else."""

    def answer(connection: socket.socket) -> None:
        first, *others = refs
        lines = [_packet(first + b"\0agent=x\n"), *(_packet(line + b"\n") for line in others), b"0000"]
        connection.sendall(ADVERTISEMENT + b"".join(lines))

    return answer


def endless(connection: socket.socket) -> None:
    """Tell of branches for ever, as quickly as one listens."""
    connection.sendall(ADVERTISEMENT + _packet(b"%s refs/heads/a\0agent=x\n" % (b"1" * 40)))
    number = 0
    while True:
        lines = (_packet(b"%s refs/heads/b%09d\n" % (b"1" * 40, number + offset)) for offset in range(1000))
        connection.sendall(b"".join(lines))
        number += 1000


def _packet(content: bytes) -> bytes:
    """A line as gitprotocol-common(5) has it."""
    return b"%04x%s" % (len(content) + 4, content)


def status(code: int) -> Callable[[socket.socket], None]:
    """Answer with a status of HTTP."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % code)

    return answer


def refused_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@contextmanager
def _running(work: Callable[[], None], end: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        end()
        thread.join()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.02)
        else:
            return
