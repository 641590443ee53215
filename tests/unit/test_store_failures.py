"""What a user reads when the store cannot be used."""

from __future__ import annotations

import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from conveyor.errors import StoreUnusable
from conveyor.store import open_store
from conveyor.store.types import harmless, utc
from tests.fakes.store_samples import TARGET, commit


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


def test_a_file_that_is_no_database(file: Path) -> None:
    file.write_text("It was a dark and stormy night. " * 100)

    with pytest.raises(StoreUnusable, match=rf"{file} is damaged or no store[\s\S]*backup"):
        open_store(url_of(file))


def test_a_damaged_database(file: Path) -> None:
    store = open_store(url_of(file))
    for number in range(40):
        store.queue(commit(str(number)), TARGET, retry=False)
    store.close()
    content = bytearray(file.read_bytes())
    content[8192:] = b"\xa5" * len(content[8192:])
    file.write_bytes(content)

    with pytest.raises(StoreUnusable, match="damaged"):
        open_store(url_of(file)).builds()


def test_a_folder_that_cannot_be_made(file: Path) -> None:
    file.touch()

    with pytest.raises(StoreUnusable, match=f"folder {file}/below cannot be made"):
        open_store(url_of(file / "below" / "store.sqlite"))


def test_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="cannot be used"):
        open_store(url_of(tmp_path))


def test_a_lock_that_is_not_let_go(file: Path) -> None:
    store = open_store(url_of(file), patience=0.2)
    queued = store.queue(commit(), TARGET, retry=False)
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    began = time.monotonic()

    with pytest.raises(StoreUnusable, match=r"locked by another process[\s\S]*try again"):
        store.queue(commit("2"), TARGET, retry=False)
    assert time.monotonic() - began >= 0.2
    assert store.builds() == (queued,)
    holder.execute("ROLLBACK")
    assert store.queue(commit("2"), TARGET, retry=False).commit == commit("2")
    holder.close()
    store.close()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("store.sqlite", "URL is none"),
        ("postgresql://host:port/name", "URL is none"),
        ("sqlite://", "cannot be sqlite:"),
        ("sqlite:///:memory:", "cannot be sqlite:"),
        ("sqlite:///file:x?uri=true", "cannot be sqlite:"),
        ("mysql://me:secret@host/name", r"cannot be mysql://me:\*\*\*@host/name"),
        ("sqlite+unknown:///store.sqlite", "driver"),
    ],
)
def test_a_url_that_cannot_be_used(url: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(StoreUnusable, match=says):
        open_store(url)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer_and_a_password_that_stays_secret() -> None:
    pytest.importorskip("psycopg")

    with pytest.raises(StoreUnusable) as raised:
        open_store("postgresql://me:secret@127.0.0.1:1/conveyor")
    assert "postgresql://me:***@127.0.0.1:1/conveyor cannot be used" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_text_is_made_storable_and_nothing_else_is_touched() -> None:
    assert harmless("a\x00b\ud800c\udfffd") == "a\ufffdb\ufffdc\ufffdd"
    assert harmless("tab\t line\n \x1b[31m \U0001f600 é") == "tab\t line\n \x1b[31m \U0001f600 é"


def test_a_moment_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="2026-03-01T12:00:00 has no time zone"):
        utc(datetime(2026, 3, 1, 12, tzinfo=UTC).replace(tzinfo=None))
