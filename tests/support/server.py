"""`conveyor serve` as a process, for browsers and other clients."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
PATIENCE = 60


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextmanager
def served(folder: Path, environ: Mapping[str, str] | None = None) -> Iterator[str]:
    """Serve the site in a folder, whose data is below it; gives its URL."""
    listen = f"127.0.0.1:{free_port()}"
    argv = [sys.executable, "-m", "conveyor.cli.main", "--data-dir", str(folder / "data"), "serve", "--listen", listen]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CONVEYOR_", "COVERAGE_"))}
    log = folder / "serve.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            argv,
            cwd=folder,
            env={**kept, "PYTHONPATH": str(ROOT), **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait(f"http://{listen}/healthz", process, log)
        yield f"http://{listen}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(url).raise_for_status()
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(log.read_text())
