"""What a front page shows, kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest
from fastapi import FastAPI
from sqlalchemy import event as sqlalchemy_event

from conveyor.documents.builds import build_as_json
from conveyor.documents.text import compact
from conveyor.model.build import Outcome, State
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.promotion import Move, MoveKind, Step
from conveyor.store import Books
from conveyor.web.overview import Look, Overview
from conveyor.web.site import Site
from tests.fakes.store_samples import CAUSE, NOON, STAGES, claim, commit, end, entry, minute, start, succeed
from tests.support.web import serving

TARGETS = ("debian-12-amd64", "fedora-42-x86_64")
DEBIAN, FEDORA = TARGETS
PACKAGE = (
    "{upstream: https://git.example.org/it, packaging: https://git.example.org/p,"
    " targets: [debian-12-amd64, fedora-42-x86_64]}"
)
REPOS = f"""
targets:
  debian-12-amd64: {{format: deb, suite: bookworm}}
  fedora-42-x86_64:
    {{format: rpm, release: "42", dist: fc42, naming: fedora, repositories: [{{name: os, url: /os, key: none}}]}}
packages:
  nova: {PACKAGE}
  glance: {PACKAGE}
"""


@dataclass
class World:
    """A site, and the overview of it."""

    site: Site
    overview: Overview

    @property
    def books(self) -> Books:
        return self.site.conveyor.books

    def look(self) -> Look:
        return self.overview.look(self.site)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with serving(tmp_path, repos=REPOS) as client:
        state = cast(FastAPI, client.app).state
        yield World(state.sites.current(), state.overview)


def statements_of(books: Books, call: Callable[[], object]) -> int:
    """How many questions a call asks the store."""
    asked: list[str] = []

    def count(_connection: object, _cursor: object, statement: str, *_others: object) -> None:
        asked.append(statement)

    engine = books.store._database._engine
    sqlalchemy_event.listen(engine, "before_cursor_execute", count)
    call()
    sqlalchemy_event.remove(engine, "before_cursor_execute", count)
    return sum(not statement.startswith("BEGIN") for statement in asked)


def test_nothing_is_there_at_first(world: World) -> None:
    look = world.look()

    assert (look.cells, look.waiting, look.flaky) == ({}, {}, frozenset())
    assert look.counts == {DEBIAN: {}, FEDORA: {}}
    assert next((each.target, each.pointer, each.commit) for each in look.standings) == (DEBIAN, "current", None)
    assert (look.queue.running, look.queue.waiting) == ((), 0)


def test_each_cell_has_its_newest_build_and_the_last_that_says_something(world: World) -> None:
    store = world.books.store
    good = succeed(store, commit("1"), minute(1), target=DEBIAN)
    bad = end(store, commit("1"), minute(2), target=FEDORA)
    end(store, commit("gone", package="removed"), minute(2), target=FEDORA)
    runs = start(store, commit("2"), "runs", target=DEBIAN, at=minute(3))
    waits = store.queue(commit("g", package="glance"), DEBIAN, retry=False)

    look = world.look()
    assert {place: (cell.newest.id, cell.shown.id) for place, cell in look.cells.items()} == {
        ("nova", DEBIAN): (runs.id, good.id),
        ("nova", FEDORA): (bad.id, bad.id),
        ("glance", DEBIAN): (waits.id, waits.id),
    }
    assert look.cells["nova", FEDORA].shown.cause == CAUSE
    assert look.counts == {DEBIAN: {"succeeded": 1, "queued": 1}, FEDORA: {"failed": 1}}
    assert look.waiting == {DEBIAN: 1}
    assert [each.build.id for each in look.queue.running] == [runs.id]


def test_the_document_of_a_cell_is_that_of_its_newest_build(world: World) -> None:
    store = world.books.store
    changes: list[Callable[[], object]] = [
        lambda: store.queue(commit("1"), DEBIAN, retry=False),
        lambda: end(store, commit("1"), minute(2), target=DEBIAN),
        lambda: store.queue(commit("1"), DEBIAN, retry=True),
    ]
    for change in changes:
        change()
        cell = world.look().cells["nova", DEBIAN]
        assert cell.document == compact(build_as_json(store.builds(package="nova")[0]))
        assert world.look().cells["nova", DEBIAN].document is cell.document


def _queue(books: Books) -> None:
    books.store.queue(commit("2"), DEBIAN, retry=False)


def _fail(books: Books) -> None:
    end(books.store, commit("2"), minute(2), target=DEBIAN)


def _retry(books: Books) -> None:
    books.store.queue(commit("bad"), FEDORA, retry=True)


def _publish(books: Books) -> None:
    told = NewEvent(kind=EventKind.PUBLISHED, summary="published", package="nova", target=DEBIAN, build=1)
    books.store.mark_published(1, 0.5, events=[told])


@pytest.mark.parametrize("change", [_queue, _fail, _retry, _publish])
def test_it_is_kept_current_as_if_it_had_been_read_anew(world: World, change: Callable[[Books], None]) -> None:
    succeed(world.books.store, commit("1"), minute(1), target=DEBIAN)
    end(world.books.store, commit("bad"), minute(1), target=FEDORA)
    before = world.look()
    change(world.books)

    conveyor = world.site.conveyor
    anew = Overview(conveyor.lookup, conveyor.queue, conveyor.events, conveyor.ledger).look(world.site)
    after = world.look()
    assert after.cells == anew.cells
    assert (after.counts, after.waiting) == (anew.counts, anew.waiting)
    assert before.cells != after.cells


def test_to_ask_again_costs_what_changed_and_not_what_is_there(world: World) -> None:
    for number in range(30):
        end(world.books.store, commit(f"{number}", package=f"p{number}"), minute(1), target=DEBIAN)
    first = statements_of(world.books, world.overview.refresh)
    assert first < 10
    assert statements_of(world.books, world.overview.refresh) <= 3
    _fail(world.books)
    assert statements_of(world.books, world.overview.refresh) < 8


def test_a_store_that_was_put_back_is_read_anew(world: World) -> None:
    succeed(world.books.store, commit("1"), minute(1), target=DEBIAN)
    world.look()
    with world.books.store._database.writing() as connection:
        connection.exec_driver_sql("UPDATE counter SET value = 2 WHERE name = 'queue'")
        connection.exec_driver_sql("UPDATE build SET changed = 2, outcome = 'failed'")

    assert world.look().cells["nova", DEBIAN].shown.outcome is Outcome.FAILED


def test_flaky_builds_are_marked(world: World) -> None:
    _claim(world.books, "a")
    cause = replace(CAUSE, stage=None)
    world.books.store.finish(
        1, "a", outcome=Outcome.FAILED, at=NOON, version=None, cause=cause, stages=STAGES, entry=None
    )
    _claim(world.books, "b")
    assert world.look().flaky == frozenset()
    _finish_well(world.books, "b")

    assert world.look().flaky == {1}
    assert world.look().cells["nova", DEBIAN].newest.state is State.FINISHED


def _claim(books: Books, token: str) -> None:
    build = books.store.queue(commit("1"), DEBIAN, retry=True)
    books.store.claim(build.id, claim(token))
    books.store.set_buildroot(build.id, token, 64 * "a")


def _finish_well(books: Books, token: str) -> None:
    build = books.store.build(1)
    books.store.finish(
        1,
        token,
        outcome=Outcome.SUCCEEDED,
        at=NOON,
        version="1-1",
        cause=None,
        stages=STAGES,
        entry=entry(build, NOON),
    )


def test_pointers_are_looked_at_anew_when_one_moved_and_after_a_while(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Sequence[str]] = []

    class Standings:
        def of(self, targets: Sequence[str]) -> tuple[()]:
            asked.append(targets)
            return ()

    now = [0.0]
    conveyor = world.site.conveyor
    monkeypatch.setitem(vars(world.site.desk), "standings", Standings())
    overview = Overview(conveyor.lookup, conveyor.queue, conveyor.events, conveyor.ledger, lambda: now[0])
    overview.look(world.site)
    overview.look(world.site)
    assert asked == [TARGETS]
    step = Step(target=DEBIAN, pointer="tested", before=None, after=commit("1").id)
    move = Move(kind=MoveKind.PROMOTED, actor="ada", at=NOON, steps=(step,))
    conveyor.ledger.complete(conveyor.ledger.begin(move), NOON)
    overview.look(world.site)
    assert len(asked) == 2
    now[0] = 10.0
    overview.look(world.site)
    assert len(asked) == 3
