"""A PostgreSQL server that goes away between the calls of a store, and within them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import Mock

import pytest
from sqlalchemy import create_engine, event, text

from conveyor.errors import StoreUnusable
from conveyor.model.build import Outcome, State
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.lease import Lease
from conveyor.model.notice import Channel, NewNotice
from conveyor.model.queue import Change, NewBuild, Priority, Reason, ReasonKind
from conveyor.store import Books, open_books
from conveyor.store.tables import metadata
from tests.fakes import postgresql
from tests.fakes.postgresql import end_connections
from tests.fakes.store_samples import CAUSE, NOON, TARGET, artifact, claim, commit, entry, minute, provenance

NEW = NewBuild(commit=commit("new"), target=TARGET, priority=Priority.FRESH, reason=Reason(kind=ReasonKind.NEW_COMMIT))
HAPPENED = NewEvent(kind=EventKind.FAILED, summary="it failed")
LEASE = Lease(name="daemon", token="t", host="hub", pid=1, process_started=1, since=NOON, heartbeat_at=NOON)


@pytest.fixture
def books(emptied_postgresql_url: str) -> Iterator[Books]:
    """A store with a build that waits (1) and one that runs (2), and an event."""
    opened = open_books(emptied_postgresql_url)
    opened.store.queue(commit("waits"), TARGET, retry=False)
    opened.store.claim(opened.store.queue(commit("runs"), TARGET, retry=False).id, claim("runs"))
    opened.events.record([HAPPENED], NOON)
    yield opened
    opened.store.close()


def everything(url: str) -> dict[str, list[str]]:
    """All that is in the store, by table."""
    engine = create_engine(url)
    with engine.connect() as connection:
        found = {
            table: sorted(map(repr, connection.execute(text(f"SELECT * FROM {table}")).all()))
            for table in metadata.tables
        }
    engine.dispose()
    return found


@contextmanager
def lost_before(books: Books, url: str, statement: int) -> Iterator[list[int]]:
    """Connections are lost before the statement of this number, from 0, COMMIT included. Yields how many there were."""
    seen = [0]

    def count(*_arguments: object) -> None:
        if seen[0] == statement:
            end_connections(url)
        seen[0] += 1

    engine = books.store._database._engine
    for name in ("before_cursor_execute", "commit"):
        event.listen(engine, name, count)
    try:
        yield seen
    finally:
        for name in ("before_cursor_execute", "commit"):
            event.remove(engine, name, count)


def _finish(books: Books) -> None:
    build = books.store.build(2)
    books.store.finish(
        2,
        "runs",
        outcome=Outcome.SUCCEEDED,
        at=minute(1),
        version="1-1",
        cause=None,
        stages=(),
        entry=entry(build, minute(1), artifact()),
        provenance=provenance("dpkg"),
    )


WRITES: dict[str, Callable[[Books], object]] = {
    "queue": lambda books: books.store.queue(commit("another"), TARGET, retry=True),
    "claim": lambda books: books.store.claim(1, claim("new")),
    "finish": _finish,
    "release": lambda books: books.store.release(2, CAUSE, NOON),
    "put back": lambda books: books.queue.put_back(2, "runs", NOON),
    "apply": lambda books: books.queue.apply(Change(builds=(NEW,), superseded={1: "why"}, events=(HAPPENED,)), NOON),
    "cancel": lambda books: books.queue.cancel(1, "ada", NOON),
    "record": lambda books: books.events.record([HAPPENED, HAPPENED], NOON),
    "poke": lambda books: books.watch.poke(["nova", "glance"], "ada", NOON),
    "take": lambda books: books.leases.take(LEASE, lost_after=60),
    "post": lambda books: books.outbox.post(
        [NewNotice(channel=Channel.MAIL, recipient="ada", event=1, package="", subject="s", body="b")], 1, NOON
    ),
}


@pytest.mark.parametrize("write", WRITES)
def test_within_a_call_it_is_told_once_and_nothing_is_half_done(
    books: Books, emptied_postgresql_url: str, write: str
) -> None:
    before = everything(emptied_postgresql_url)
    statement = 0
    while _is_lost(books, emptied_postgresql_url, WRITES[write], statement):
        assert everything(emptied_postgresql_url) == before
        statement += 1

    assert statement > 1
    assert everything(emptied_postgresql_url) != before


def _is_lost(books: Books, url: str, write: Callable[[Books], object], statement: int) -> bool:
    """Whether the call fails when its connection is lost before the statement of this number: not after its last."""
    with lost_before(books, url, statement) as seen:
        try:
            write(books)
        except StoreUnusable:
            return True
    assert seen[0] <= statement
    return False


@pytest.mark.parametrize(
    "read",
    [lambda books: books.store.builds(), lambda books: books.queue.changes(0), lambda books: books.events.after(0)],
    ids=["builds", "changes", "events"],
)
def test_within_a_question_it_is_told_once(
    books: Books, emptied_postgresql_url: str, read: Callable[[Books], object]
) -> None:
    known = read(books)
    with lost_before(books, emptied_postgresql_url, 0), pytest.raises(StoreUnusable):
        read(books)

    assert read(books) == known


def test_between_calls_nobody_hears_of_it(books: Books, emptied_postgresql_url: str) -> None:
    for number in range(3):
        end_connections(emptied_postgresql_url)
        books.store.queue(commit(str(number)), TARGET, retry=False)
        end_connections(emptied_postgresql_url)
        assert len(books.store.builds()) == 3 + number


def test_nor_does_it_matter_what_is_said_of_the_loss(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver may find an answer and not yet that it was the last one, and cannot be tidied up then."""
    dialect = books.store._database._engine.dialect
    complaint = dialect.loaded_dbapi.ProgrammingError("can't change 'autocommit' now")
    with monkeypatch.context() as patch:
        patch.setattr(dialect, "do_ping", Mock(side_effect=complaint))
        books.store.queue(commit("another"), TARGET, retry=False)
    assert len(books.store.builds()) == 3


def test_threads_that_lose_their_connections_again_and_again_lose_nothing_else(
    books: Books, emptied_postgresql_url: str
) -> None:
    told: list[int] = []
    failures: list[StoreUnusable] = []
    done = threading.Event()

    def work(worker: int) -> None:
        for number in range(40):
            change = Change(builds=(NEW, new_build(f"{worker}/{number}")), events=(HAPPENED,))
            try:
                told.extend(books.queue.apply(change, NOON))
            except StoreUnusable as error:
                failures.append(error)

    def cut() -> None:
        while not done.wait(0.05):
            end_connections(emptied_postgresql_url)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    cutter = threading.Thread(target=cut)
    for thread in (*threads, cutter):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    cutter.join()

    made = {build.id for build in books.store.builds(limit=1000)}
    assert set(told) <= made
    assert len(told) == len(set(told))
    # A change that was stored and could not be told counts as failed: applied again, it changes nothing.
    assert len(made) - len(told) - 2 <= len(failures)
    events = books.events.after(0, limit=1000)
    assert [one.number for one in events] == list(range(1, len(events) + 1))


def new_build(name: str) -> NewBuild:
    return NewBuild(commit=commit(name), target=TARGET, priority=Priority.FRESH, reason=NEW.reason)


def test_a_server_that_is_down_is_told_each_time_until_it_is_back() -> None:
    with postgresql.cluster() as cluster, postgresql.fresh_database(cluster.url) as url:
        books = open_books(url, patience=5)
        waiting = books.store.queue(commit("1"), TARGET, retry=False)
        cluster.stop()
        for _ in range(2):
            with pytest.raises(StoreUnusable, match=r"cannot be used[\s\S]*server runs"):
                books.store.claim(waiting.id, claim("t"))
        cluster.start()

        claimed = books.store.claim(waiting.id, claim("t"))
        assert claimed is not None
        assert claimed.state is State.RUNNING
        assert claimed.attempt == 1
        books.store.close()
