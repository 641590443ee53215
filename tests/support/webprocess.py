"""`conveyor serve` as a process, with a site of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from conveyor.store import Books, open_books
from tests.support.web import REPOS

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
PROGRAM = "conveyor.cli.main"


@dataclass(slots=True)
class WebProcess:
    """A server that runs.

    Attributes:
        process: its process.
        port: where it listens on 127.0.0.1.
        data: its data directory.
        books: its store, opened by the test.
    """

    process: subprocess.Popen[bytes]
    port: int
    data: Path
    books: Books

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def memory(self) -> int:
        """Bytes of memory that it holds now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"^VmRSS:\s+(\d+)", status, re.MULTILINE)[1]) * 1024  # type: ignore[index]

    def cpu(self) -> float:
        """Seconds of processor time that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def connections(self) -> int:
        """How many sockets it has open."""
        found = 0
        for file in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                found += str(file.readlink()).startswith("socket:")
        return found

    def connect(self) -> socket.socket:
        """A bare connection to it."""
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)


@contextmanager
def web_process(
    folder: Path, *, repos: str = REPOS, settings: str = "", port: int = 0, program: str = PROGRAM
) -> Iterator[WebProcess]:
    """Serve a site whose files are made in the folder."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    (folder / "repos.yaml").write_text(repos)
    (folder / "conveyor.toml").write_text(f'data_dir = "{data}"\n{settings}')
    with running(folder, port or free_port(), program=program) as made:
        yield made


@contextmanager
def running(
    folder: Path, port: int, environment: Mapping[str, str] | None = None, program: str = PROGRAM
) -> Iterator[WebProcess]:
    """Serve the site in a folder, whose data is below it, on a port of 127.0.0.1."""
    own = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "CONVEYOR_DATA_DIR": str(folder / "data")}
    with subprocess.Popen(
        [sys.executable, "-m", program, "serve", "--listen", f"127.0.0.1:{port}"],
        cwd=folder,
        env={**own, **(environment or {})},
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            _wait_for(f"http://127.0.0.1:{port}/readyz", process)
            books = open_books(f"sqlite:///{folder}/data/conveyor.db")
            try:
                yield WebProcess(process, port, folder / "data", books)
            finally:
                books.store.close()
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            finally:
                process.kill()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if httpx.get(url).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        assert process.poll() is None, "the server ended"
        assert time.monotonic() < deadline, "the server does not answer"
        time.sleep(0.1)
