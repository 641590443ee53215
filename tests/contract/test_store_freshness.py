"""A store that has told entries before tells the same ones as a store that was just opened, whoever wrote meanwhile."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from conveyor.model.artifact import SnapshotEntry
from conveyor.model.build import Outcome
from conveyor.store import SqlStore, entries, open_store
from tests.fakes.store import MemoryStore
from tests.fakes.store_samples import NOON, OTHER_TARGET, TARGET, artifact, commit, end, minute, succeed

PACKAGES = ("Zed", "glance", "keystone", "nova")
STEPS = 30


@pytest.fixture(params=["sqlite_url", "emptied_postgresql_url"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    """One that is asked again and again."""
    opened = open_store(url)
    yield opened
    opened.close()


@pytest.fixture
def other(url: str) -> Iterator[SqlStore]:
    """One that another process could have."""
    opened = open_store(url)
    yield opened
    opened.close()


def fresh(url: str, target: str = TARGET) -> tuple[SnapshotEntry, ...]:
    """What a store tells that was just opened."""
    opened = open_store(url)
    try:
        return opened.entries(target)
    finally:
        opened.close()


@pytest.mark.parametrize("seed", range(2))
def test_whatever_others_do(url: str, store: SqlStore, other: SqlStore, seed: int) -> None:
    chance, plain = random.Random(seed), MemoryStore(lambda: NOON)
    seen: set[SnapshotEntry] = set()
    for step in range(STEPS):
        package, target = chance.choice(PACKAGES), chance.choice([TARGET, TARGET, OTHER_TARGET])
        what, at = commit(str(step), package=package), minute(chance.randrange(step + 1))
        names = [f"{package}-{part}" for part in range(2)]
        files = [artifact(f"{name}_{step}_{target}.deb", name=name, version=f"{step}-1") for name in names]
        outcome = chance.choice([Outcome.SUCCEEDED, Outcome.SUCCEEDED, Outcome.FAILED, Outcome.ERRORED])
        for written in (other, plain):
            if outcome is Outcome.SUCCEEDED:
                succeed(written, what, at, *files, target=target, version=f"{step}-1")
            else:
                end(written, what, at, outcome, target=target)
        for asked in (TARGET, OTHER_TARGET):
            told = store.entries(asked)
            assert told == fresh(url, asked) == plain.entries(asked)
            assert store.failing(asked) == plain.failing(asked)
            seen.update(told)
    assert {entry.latest_succeeded for entry in seen} == {True, False}


def test_what_is_known_is_not_read_again(store: SqlStore, other: SqlStore) -> None:
    for package in PACKAGES:
        succeed(other, commit(package=package), minute(1), artifact(f"{package}.deb", name=package))
    before = store.entries(TARGET)
    succeed(other, commit("2"), minute(2), artifact("nova_2.deb", version="2-1"), version="2-1")
    now = store.entries(TARGET)

    assert [new is old for new, old in zip(now, before, strict=True)] == [True, True, True, False]


def test_a_failure_is_seen_without_reading_files(store: SqlStore, other: SqlStore) -> None:
    succeed(other, commit("1"), minute(1), artifact())
    (before,) = store.entries(TARGET)
    end(other, commit("2"), minute(2))
    statements = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        (failed,) = store.entries(TARGET)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert (before.latest_succeeded, failed.latest_succeeded) == (True, False)
    assert failed.artifacts == before.artifacts
    assert statements
    assert not any("build_artifact" in statement for statement in statements)


def test_a_restored_store_that_gives_numbers_again(tmp_path: Path) -> None:
    url, backup = f"sqlite:///{tmp_path}/store.sqlite", tmp_path / "backup"
    store = open_store(url)
    store.close()
    shutil.copy(tmp_path / "store.sqlite", backup)
    lost = succeed(store, commit("lost"), minute(1), artifact("lost.deb"))
    assert [one.upstream_sha for one in store.entries(TARGET)] == [lost.commit.upstream.sha]
    store.close()
    for path in tmp_path.glob("store.sqlite*"):
        path.unlink()
    shutil.copy(backup, tmp_path / "store.sqlite")
    other = open_store(url)
    made = succeed(other, commit("made"), minute(2), artifact("made.deb"))
    other.close()

    assert made.id == lost.id
    assert [one.artifacts[0].filename for one in store.entries(TARGET)] == ["made.deb"]
    store.close()


def test_more_builds_than_are_read_at_once(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "_BUILDS_AT_ONCE", 3)
    names = [f"p{number}" for number in range(7)]
    for name in names:
        succeed(store, commit(package=name), minute(1), artifact(f"{name}.deb", name=name))

    assert [(one.package, one.artifacts[0].filename) for one in store.entries(TARGET)] == [
        (name, f"{name}.deb") for name in names
    ]


def test_threads_ask_while_another_writes(url: str, store: SqlStore, other: SqlStore) -> None:
    problems: list[str] = []
    done = threading.Event()

    def ask() -> None:
        last = 0
        while not done.is_set():
            (told,) = store.entries(TARGET)
            number = int(told.version.partition("-")[0])
            if number < last or [one.filename for one in told.artifacts] != [f"{number}.deb"]:
                problems.append(f"{number} after {last}: {told}")
            last = number

    succeed(other, commit("0"), minute(0), artifact("0.deb", version="0-1"), version="0-1")
    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    for number in range(1, 20):
        succeed(
            other,
            commit(str(number)),
            minute(number),
            artifact(f"{number}.deb", version=f"{number}-1"),
            version=f"{number}-1",
        )
    done.set()
    for asker in askers:
        asker.join()
    assert problems == []
    assert store.entries(TARGET) == fresh(url)
