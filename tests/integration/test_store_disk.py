"""A store on a disk that is full, or that nothing can be written to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from conveyor.command import run
from conveyor.errors import DiskFull, StoreUnusable
from conveyor.store import SqlStore, open_store
from tests.fakes.store_samples import TARGET, commit

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk"),
]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    run(["mount", "-t", "tmpfs", "-o", "size=1m", "conveyor-test", str(folder)], timeout=10)
    try:
        yield folder
    finally:
        run(["umount", str(folder)], timeout=10)


def fill(disk: Path) -> Path:
    """A file that takes all the room there is."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            return path


def queue_many(store: SqlStore) -> None:
    for number in range(100):
        store.queue(commit(f"many {number}"), TARGET, retry=False)


def test_a_full_disk_stops_the_store_and_room_lets_it_go_on(disk: Path) -> None:
    store = open_store(f"sqlite:///{disk}/store.sqlite")
    first = store.queue(commit("1"), TARGET, retry=False)
    filler = fill(disk)

    with pytest.raises(DiskFull, match=r"has no room[\s\S]*make room"):
        queue_many(store)
    held = store.builds(limit=1000)
    assert first in held

    filler.unlink()
    again = store.queue(commit("2"), TARGET, retry=False)
    assert store.builds(limit=1000) == (again, *held)
    store.close()


def test_a_store_cannot_be_made_on_a_full_disk(disk: Path) -> None:
    fill(disk)

    with pytest.raises((DiskFull, StoreUnusable), match="store"):
        open_store(f"sqlite:///{disk}/store.sqlite")


def test_a_disk_that_is_read_only(disk: Path) -> None:
    open_store(f"sqlite:///{disk}/store.sqlite").close()
    run(["mount", "-o", "remount,ro", str(disk)], timeout=10)

    with pytest.raises(StoreUnusable, match="may read and write it"):
        open_store(f"sqlite:///{disk}/store.sqlite").queue(commit(), TARGET, retry=False)
