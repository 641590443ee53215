"""A queue that many processes use at once, and that any of them may leave by kill -9."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from sqlalchemy import event

from conveyor.model.build import Outcome, State
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.queue import Change, NewBuild, Priority, Reason, ReasonKind
from conveyor.model.watch import Head, Side
from conveyor.store import Books, open_books
from tests.fakes.processes import ended, spawn, wait_for
from tests.fakes.store_samples import CAUSE, NOON, OTHER_TARGET, TARGET, claim, commit, sha1

FRESH = Reason(kind=ReasonKind.NEW_COMMIT)


def fresh(name: str, *, package: str = "nova", target: str = TARGET, superseded: str = "") -> NewBuild:
    what = commit(name, package=package)
    return NewBuild(commit=what, target=target, priority=Priority.FRESH, reason=FRESH, superseded=superseded)


def test_of_processes_that_apply_one_change_one_makes_its_builds(database_url: str, tmp_path: Path) -> None:
    go = tmp_path / "go"
    change = Change(builds=tuple(fresh(str(number)) for number in range(30)))

    def work(worker: int) -> None:
        mine = open_books(database_url)
        wait_for(go)
        (tmp_path / f"made-{worker}").write_text(" ".join(map(str, mine.queue.apply(change, NOON))))

    open_books(database_url).store.close()
    pids = [spawn(lambda worker=worker: work(worker)) for worker in range(4)]  # type: ignore[misc]
    go.touch()
    assert [ended(pid) for pid in pids] == [0] * 4
    made = [number for worker in range(4) for number in (tmp_path / f"made-{worker}").read_text().split()]
    assert len(made) == len(set(made)) == 30
    books = open_books(database_url)
    assert len(books.queue.changes(0).items) == 30
    books.store.close()


def test_who_follows_the_changes_misses_none_while_others_write(database_url: str, tmp_path: Path) -> None:
    """Numbers are given and seen in one order: a change that is seen late must not have a lower number."""
    books = open_books(database_url)
    workers, rounds = 4, 15
    go = tmp_path / "go"

    def work(worker: int) -> None:
        mine = open_books(database_url)
        wait_for(go)
        for number in range(rounds):
            name, package = f"{worker}/{number}", f"p{worker}"
            (build_id,) = mine.queue.apply(Change(builds=(fresh(name, package=package),)), NOON)
            assert mine.store.claim(build_id, claim(name))
            mine.store.finish(
                build_id, name, outcome=Outcome.FAILED, at=NOON, version=None, cause=CAUSE, stages=(), entry=None
            )

    pids = [spawn(lambda worker=worker: work(worker)) for worker in range(workers)]  # type: ignore[misc]
    go.touch()
    states: dict[int, State] = {}
    seen = 0
    deadline = time.monotonic() + 60
    while list(states.values()).count(State.FINISHED) < workers * rounds:
        assert time.monotonic() < deadline, f"only {states} was seen"
        changes = books.queue.changes(seen)
        assert changes.number >= seen
        seen = changes.number
        states.update((item.build, item.state) for item in changes.items)
        time.sleep(0.001)
    assert [ended(pid) for pid in pids] == [0] * workers
    assert {build.id: build.state for build in books.store.builds(limit=1000)} == states
    books.store.close()


def test_processes_that_change_all_kinds_of_things_wait_for_each_other_and_never_for_good(
    database_url: str, tmp_path: Path
) -> None:
    books = open_books(database_url)
    made = books.queue.apply(Change(builds=tuple(fresh(str(number)) for number in range(10))), NOON)
    go = tmp_path / "go"

    def work(worker: int) -> None:
        mine = open_books(database_url)
        wait_for(go)
        for turn in range(8):
            for number in made if worker % 2 else reversed(made):
                token = f"{worker}/{turn}/{number}"
                if mine.store.claim(number, claim(token)):
                    mine.queue.put_back(number, token, NOON)
            reasons = dict.fromkeys(made if turn % 2 else made[::-1], "why")
            told = NewEvent(kind=EventKind.NEW_COMMITS, summary=str(worker))
            heads = tuple(
                Head(package=name, side=Side.UPSTREAM, url="", ref="", sha=sha1(name), at=NOON) for name in "abc"
            )
            mine.queue.apply(Change(cancelled=reasons, heads=heads[:: 1 if worker % 2 else -1], events=(told,)), NOON)
            mine.watch.poke(["nova", "glance"] if worker % 2 else ["glance", "nova"], "ada", NOON)
            for number in range(10):
                mine.store.queue(commit(str(number)), TARGET, retry=True)

    pids = [spawn(lambda worker=worker: work(worker)) for worker in range(4)]  # type: ignore[misc]
    go.touch()
    assert [ended(pid) for pid in pids] == [0] * 4
    builds = books.store.builds()
    assert len(builds) == 10
    assert not books.store.running()
    books.store.close()


def test_kill_9_before_any_statement_of_apply_leaves_all_or_nothing(database_url: str) -> None:
    books = open_books(database_url)
    (old, running) = books.queue.apply(Change(builds=(fresh("old"), fresh("running"))), NOON)
    books.store.claim(running, claim("t"))
    before = _all(books)
    change = Change(
        builds=(fresh("1"), fresh("1", target=OTHER_TARGET), fresh("2", superseded="why")),
        superseded={old: "why"},
        cancelled={running: "why"},
        heads=(Head(package="nova", side=Side.UPSTREAM, url="", ref="", sha=sha1("2"), at=NOON),),
        events=(NewEvent(kind=EventKind.NEW_COMMITS, summary="2 commits"),),
    )
    statements, exit_code = 0, -signal.SIGKILL
    while exit_code == -signal.SIGKILL:

        def work(survived: int = statements) -> None:
            mine = open_books(database_url)
            _kill_after(mine, survived)
            mine.queue.apply(change, NOON)

        exit_code = ended(spawn(work))
        if exit_code == -signal.SIGKILL:
            assert _all(books) == before
        statements += 1

    assert exit_code == 0
    assert statements > 10
    made = books.store.builds(limit=3)
    assert [build.outcome for build in made] == [Outcome.SUPERSEDED, None, None]
    assert books.store.build(old).outcome is Outcome.SUPERSEDED
    assert [build.id for build in books.queue.cancelling()] == [running]
    assert (len(books.watch.heads()), len(books.events.after(0))) == (1, 1)
    books.store.close()


def _all(books: Books) -> tuple[object, ...]:
    return books.store.builds(), books.queue.changes(0), books.watch.heads(), books.events.after(0)


def _kill_after(books: Books, statements: int) -> None:
    """Kill this process before the statement that follows so many; COMMIT counts."""
    left = [None] * statements

    def count(*_arguments: object) -> None:
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left.pop()

    event.listen(books.store._database._engine, "before_cursor_execute", count)
    event.listen(books.store._database._engine, "commit", count)
