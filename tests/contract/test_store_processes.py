"""A store that many processes use at once, and that any of them may leave by kill -9."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
from sqlalchemy import event

from conveyor.errors import ContentChanged
from conveyor.model.artifact import Artifact
from conveyor.model.build import Build, Outcome, State
from conveyor.store import SqlStore, open_store
from tests.fakes.processes import ended, spawn, wait_for
from tests.fakes.store_samples import NOON, STAGES, TARGET, artifact, claim, commit, entry, start

FILES = (artifact("a_1_all.deb", name="a"), artifact("b_1_all.deb", name="b"))


def finish(store: SqlStore, build: Build, *artifacts: Artifact) -> Build:
    return store.finish(
        build.id,
        str(build.id),
        outcome=Outcome.SUCCEEDED,
        at=NOON,
        version="1-1",
        cause=None,
        stages=STAGES,
        entry=entry(build, NOON, *artifacts),
    )


def own_files(build: Build) -> tuple[Artifact, ...]:
    """Two files that no other build has."""
    names = [f"{build.commit.package}-{part}" for part in ("a", "b")]
    return tuple(artifact(f"{name}.deb", name=name) for name in names)


def test_processes_that_open_a_fresh_store_at_once_all_get_it(database_url: str, tmp_path: Path) -> None:
    go = tmp_path / "go"

    def work() -> None:
        wait_for(go)
        store = open_store(database_url)
        store.queue(commit(), TARGET, retry=True)
        store.close()

    pids = [spawn(work) for _ in range(6)]
    go.touch()
    assert [ended(pid) for pid in pids] == [0] * 6
    store = open_store(database_url)
    assert len(store.builds()) == 1
    store.close()


def test_each_build_is_claimed_once_however_many_try(database_url: str, tmp_path: Path) -> None:
    store = open_store(database_url)
    builds = [store.queue(commit(str(number)), TARGET, retry=False) for number in range(50)]
    store.close()
    go = tmp_path / "go"

    def work(worker: int) -> None:
        mine = open_store(database_url)
        wait_for(go)
        won = [build.id for build in builds if mine.claim(build.id, claim(f"{worker}/{build.id}"))]
        (tmp_path / f"won-{worker}").write_text("\n".join(map(str, won)))

    pids = [spawn(lambda worker=worker: work(worker)) for worker in range(8)]  # type: ignore[misc]
    go.touch()
    assert [ended(pid) for pid in pids] == [0] * 8
    won = [line for worker in range(8) for line in (tmp_path / f"won-{worker}").read_text().split()]
    assert sorted(map(int, won)) == [build.id for build in builds]
    store = open_store(database_url)
    assert {build.id for build in store.running()} == {build.id for build in builds}
    assert {build.attempt for build in store.running()} == {1}
    store.close()


def test_a_failed_build_is_put_back_once_however_many_retry(database_url: str, tmp_path: Path) -> None:
    store = open_store(database_url)
    go = tmp_path / "go"

    def work(worker: int) -> None:
        mine = open_store(database_url)
        wait_for(go)
        for number in range(20):
            queued = mine.queue(commit(str(number)), TARGET, retry=True)
            token = f"{worker}/{number}"
            if mine.claim(queued.id, claim(token)):
                mine.finish(
                    queued.id,
                    token,
                    outcome=Outcome.CANCELLED,
                    at=NOON,
                    version=None,
                    cause=None,
                    stages=(),
                    entry=None,
                )

    pids = [spawn(lambda worker=worker: work(worker)) for worker in range(4)]  # type: ignore[misc]
    go.touch()
    assert [ended(pid) for pid in pids] == [0] * 4
    builds = store.builds()
    assert len(builds) == 20
    assert all(1 <= build.attempt <= 4 for build in builds)
    store.close()


def test_of_two_contents_under_one_name_one_wins_however_close(database_url: str, tmp_path: Path) -> None:
    store = open_store(database_url)
    builds = [start(store, commit(str(number)), str(number + 1)) for number in range(4)]
    store.close()
    go = tmp_path / "go"

    def work(build: Build) -> None:
        mine = open_store(database_url)
        wait_for(go)
        try:
            finish(mine, build, artifact(content=str(build.id)), *FILES)
        except ContentChanged:
            (tmp_path / f"refused-{build.id}").touch()

    pids = [spawn(lambda build=build: work(build)) for build in builds]  # type: ignore[misc]
    go.touch()
    assert [ended(pid) for pid in pids] == [0] * 4
    refused = {build.id for build in builds if (tmp_path / f"refused-{build.id}").exists()}
    assert len(refused) == 3
    store = open_store(database_url)
    assert {build.id for build in store.running()} == refused
    assert len(store.unpublished()) == 1
    store.close()


def test_kill_9_before_any_statement_of_finish_leaves_the_state_before(database_url: str) -> None:
    store = open_store(database_url)
    statements = 0
    exit_code = -signal.SIGKILL
    while exit_code == -signal.SIGKILL:
        build = start(store, commit(package=f"p{statements:02}"), str(statements + 1))

        def work(build: Build = build, survived: int = statements) -> None:
            mine = open_store(database_url)
            _kill_after(mine, survived)
            finish(mine, build, *own_files(build))

        exit_code = ended(spawn(work))
        if exit_code == -signal.SIGKILL:
            assert store.build(build.id) == build
            assert store.entries(TARGET) == ()
        statements += 1

    assert exit_code == 0
    assert statements > 10
    assert store.build(build.id).state is State.FINISHED
    assert [one.artifacts for one in store.entries(TARGET)] == [own_files(build)]
    store.close()


def _kill_after(store: SqlStore, statements: int) -> None:
    """Kill this process before the statement that follows so many; COMMIT counts."""
    left = [None] * statements

    def count(*_arguments: object) -> None:
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left.pop()

    event.listen(store._database._engine, "before_cursor_execute", count)
    event.listen(store._database._engine, "commit", count)


@pytest.mark.parametrize("seed", range(4))
def test_kill_9_at_any_moment_leaves_each_build_before_or_after(database_url: str, tmp_path: Path, seed: int) -> None:
    store = open_store(database_url)
    builds = [start(store, commit(package=f"p{number:03}"), str(number + 1)) for number in range(60)]
    ready = tmp_path / "ready"

    def work() -> None:
        mine = open_store(database_url)
        ready.touch()
        for build in builds:
            finish(mine, build, *own_files(build))
            (tmp_path / f"told-{build.id}").touch()

    pid = spawn(work)
    wait_for(ready)
    time.sleep(random.Random(seed).uniform(0.005, 0.1))
    os.kill(pid, signal.SIGKILL)
    ended(pid)
    time.sleep(0.1)  # a server may still be busy with what the process had sent

    known = {one.package: one.artifacts for one in store.entries(TARGET)}
    for build in builds:
        now = store.build(build.id)
        if now.state is State.RUNNING:
            assert now == build
            assert build.commit.package not in known
            assert not (tmp_path / f"told-{build.id}").exists()
        else:
            assert now.outcome is Outcome.SUCCEEDED
            assert known[build.commit.package] == own_files(build)
    for build in store.running():
        assert finish(store, build, *own_files(build)).outcome is Outcome.SUCCEEDED
    store.close()
