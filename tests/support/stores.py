"""Stores in which nothing has happened."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from conveyor.store import open_store


def put_new_store(path: Path) -> None:
    """Write an SQLite store as its migrations make it. They take longer than most of what tests do in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_new_store())


@cache
def _new_store() -> bytes:
    with tempfile.TemporaryDirectory(prefix="conveyor-store-") as folder:
        path = Path(folder) / "store.sqlite"
        open_store(f"sqlite:///{path}").close()
        return path.read_bytes()
