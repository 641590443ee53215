"""A store with 100,000 builds of 5,000 packages: nothing that is asked for often reads it from end to end.

No time is taken. SQLite says how many steps a call took, PostgreSQL how many rows its statements looked at: to look
at each build once is many more than are allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from sqlalchemy import URL, Connection, create_engine, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection

from conveyor.model.build import Outcome, State
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.notice import Channel, NewNotice
from conveyor.model.promotion import VotesWanted
from conveyor.model.queue import Change, NewBuild, Priority, Reason, ReasonKind
from conveyor.model.search import Query
from conveyor.model.watch import Head, Side
from conveyor.store import Books, open_books
from tests.fakes import postgresql
from tests.fakes.store_samples import CAUSE, NOON, artifact, claim, commit, entry, minute, sha1

BUILDS = 100_000
PACKAGES = 5_000
# Builds of one package that has far more commits than others: p0.
OF_ONE = 20_000
# Builds that wait, that run, and that errored: the last ones, in this order.
WAITING, RUNNING, ERRORED = 400, 16, 40
FIRST_WAITING = BUILDS - WAITING - RUNNING - ERRORED + 1
FIRST_RUNNING = FIRST_WAITING + WAITING
FIRST_ERRORED = FIRST_RUNNING + RUNNING
# Fewer than it takes to look at each build, many more than it takes to find some.
STEPS, ROWS = 80_000, 8_000
STEPS_AT_ONCE = 100
AT = "'2026-03-01 12:00:00.000000'"
REASON = Reason(kind=ReasonKind.NEW_COMMIT)

NUMBERS = f"WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {BUILDS})"
NAME = f"CASE WHEN n % {BUILDS // OF_ONE} = 0 THEN 'p0' ELSE 'p' || (n % {PACKAGES + 1}) END"
STATE = (
    f"CASE WHEN n < {FIRST_WAITING} OR n >= {FIRST_ERRORED} THEN 'finished'"
    f" WHEN n >= {FIRST_RUNNING} THEN 'running' ELSE 'queued' END"
)
OUTCOME = (
    f"CASE WHEN n >= {FIRST_ERRORED} THEN 'errored' WHEN n >= {FIRST_WAITING} THEN NULL"
    " WHEN n % 7 = 0 THEN 'failed' ELSE 'succeeded' END"
)
FILL = (
    f"""
    INSERT INTO upstream_commit {NUMBERS} SELECT n, {NAME}, substr({{hash}}, 1, 40), substr({{hash}}, 1, 40), '', true,
    {{at}}, 'Ada', 'Do it' FROM number
    """,
    f"""
    INSERT INTO build
    (id, commit_id, package, trunk, target, state, outcome, attempts, version, queued_at, failed_at, changed)
    {NUMBERS} SELECT n, n, {NAME}, true, 't' || (n % 3), {STATE}, {OUTCOME},
    CASE WHEN {STATE} = 'queued' THEN 0 ELSE 1 END, CASE WHEN {OUTCOME} = 'succeeded' THEN '1-' || n END, {{at}},
    CASE WHEN {OUTCOME} IN ('failed', 'errored') THEN {{at}} END, n FROM number
    """,
    f"""
    INSERT INTO attempt (build_id, number, token, host, pid, process_started, heartbeat_at, queued_at, started_at,
    finished_at, outcome, stages)
    {NUMBERS} SELECT n, 1, 'token' || n, 'builder', 1, 1, {{at}}, {{at}}, {{at}},
    CASE WHEN {OUTCOME} IS NOT NULL THEN {{at}} END, {OUTCOME}, '[]' FROM number WHERE {STATE} <> 'queued'
    """,
    """
    INSERT INTO entry SELECT id, package, target, 'u', '', 'c', '1-' || id, queued_at, queued_at, 0.5 FROM build
    WHERE outcome = 'succeeded'
    """,
    "INSERT INTO artifact SELECT substr(upstream_sha || upstream_sha, 1, 64), 1 FROM upstream_commit",
    """
    INSERT INTO build_artifact SELECT e.build_id, 0, 'f', substr(upstream_sha || upstream_sha, 1, 64), 'binary',
    e.package, e.version, 'all' FROM entry e JOIN upstream_commit c ON c.id = e.build_id WHERE e.build_id % 4 = 0
    """,
    """
    INSERT INTO trunk_package SELECT target, name, entry.version, 'all', build_id, 0
    FROM build_artifact JOIN entry USING (build_id)
    """,
    f"""
    INSERT INTO event {NUMBERS} SELECT n, {{at}}, CASE WHEN n % 10 = 0 THEN 'failed' ELSE 'queued' END, 'it', {NAME},
    't' || (n % 3), n, '{{{{}}}}' FROM number
    """,
    f"""
    INSERT INTO notice {NUMBERS} SELECT n, 'mail', 'm' || (n % 50), n, {NAME}, 's', 'b', {{at}}, {{at}}, 0, {{at}},
    NULL, '' FROM number WHERE n % 4 = 0
    """,
    """
    INSERT INTO vote (subject, target, job, success, url, notes, voter, at)
    SELECT upstream_sha || '_' || substr(packaging_sha, 1, 8), '', 'job' || (id % 7), true, '', '', 'ci', {at}
    FROM upstream_commit WHERE id % 10 = 0
    """,
    f"INSERT INTO counter VALUES ('events', {BUILDS}), ('outbox', {BUILDS})",
    f"UPDATE counter SET value = {BUILDS} WHERE name = 'queue'",
)


def _fill(url: str) -> None:
    open_books(url).store.close()
    engine = create_engine(url)
    sqlite = engine.dialect.name == "sqlite"
    digest = "printf('%040x', n * 2654435761)" if sqlite else "md5(n::text) || md5(n::text)"
    moment = AT if sqlite else f"CAST({AT} AS timestamptz)"
    with engine.begin() as connection:
        if not sqlite:
            connection.execute(text("SET LOCAL session_replication_role = replica"))  # looks up no reference
        for statement in FILL:
            connection.execute(text(statement.format(hash=digest, at=moment)))
        if not sqlite:
            for table in ("upstream_commit", "build", "attempt", "notice"):
                connection.exec_driver_sql(f"SELECT setval('{table}_id_seq', {BUILDS})")
    if not sqlite:  # which does it by itself, a little later
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
    engine.dispose()


class Watched:
    """Tells how much calls look at."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self._read = 0
        engine = books.store._database._engine
        self._most = STEPS if books.store._database.is_sqlite else ROWS
        if books.store._database.is_sqlite:
            event.listen(engine, "connect", self._count_steps)
            engine.dispose()  # those that are open were not seen
        else:
            event.listen(engine, "before_cursor_execute", self._explain)

    def looks_at_too_much(self, call: Callable[[Books], object]) -> str:
        """By how much; empty where it does not."""
        self._read = 0
        call(self.books)
        return f"{self._read} of {self._most}" if self._read > self._most else ""

    def _count_steps(self, connection: DBAPIConnection, _record: object) -> None:
        connection.set_progress_handler(self._count, STEPS_AT_ONCE)

    def _count(self) -> int:
        self._read += STEPS_AT_ONCE
        return 0

    def _explain(
        self,
        connection: Connection,
        _cursor: object,
        statement: str,
        parameters: Sequence[Any],
        _context: object,
        many: bool,
    ) -> None:
        """Run the statement once more before, as if it had not been run."""
        if statement.split(maxsplit=1)[0] in {"SELECT", "UPDATE", "DELETE", "WITH", "INSERT"}:
            cursor = connection.connection.cursor()
            cursor.execute("SAVEPOINT explained")
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters[0] if many else parameters)
            self._read += sum(_rows_read(found["Plan"]) for ((found,),) in cursor.fetchall())
            cursor.execute("ROLLBACK TO SAVEPOINT explained")


def _rows_read(node: Mapping[str, Any]) -> int:
    """How many rows a plan looks at, those that it leaves out included."""
    below = sum(_rows_read(part) for part in node.get("Plans", ()))
    if "Scan" not in node["Node Type"]:
        return below
    left_out = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return below + int(node["Actual Loops"] * (node["Actual Rows"] + left_out))


@pytest.fixture(scope="module")
def sqlite_of_size(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('size')}/store.sqlite"
    _fill(url)
    return url


@pytest.fixture(scope="module")
def postgresql_of_size(postgresql_server: URL) -> Iterator[str]:
    with postgresql.fresh_database(postgresql_server) as url:
        _fill(url)
        yield url


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def watched(request: pytest.FixtureRequest) -> Iterator[Watched]:
    books = open_books(request.getfixturevalue(f"{request.param}_of_size"))
    yield Watched(books)
    books.store.close()


def _finish(books: Books) -> None:
    build = books.store.build(FIRST_RUNNING)
    made = artifact("new_1_all.deb", name="new")
    books.store.set_log(build.id, f"token{build.id}", "logs/1")
    books.store.set_buildroot(build.id, f"token{build.id}", 64 * "a")
    books.store.finish(
        build.id,
        f"token{build.id}",
        outcome=Outcome.SUCCEEDED,
        at=minute(1),
        version="1-1",
        cause=None,
        stages=(),
        entry=entry(build, minute(1), made),
    )
    books.store.mark_published(build.id, 0.5)


def _new(*names: str) -> tuple[NewBuild, ...]:
    return tuple(
        NewBuild(commit=commit(name, package="p0"), target="t0", priority=Priority.FRESH, reason=REASON)
        for name in names
    )


def _apply(books: Books) -> None:
    head = Head(package="p0", side=Side.UPSTREAM, url="", ref="", sha=sha1("1"), at=NOON)
    told = NewEvent(kind=EventKind.NEW_COMMITS, summary="2 commits", package="p0")
    change = Change(
        builds=_new("1", "2"),
        superseded={FIRST_WAITING + 1: "why"},
        cancelled={FIRST_RUNNING + 1: "why"},
        heads=(head,),
        events=(told,),
    )
    books.queue.apply(change, NOON)
    books.queue.apply(change, NOON)


def _claim(books: Books) -> None:
    assert books.store.claim(FIRST_WAITING + 2, claim("a"))
    assert books.store.heartbeat(FIRST_WAITING + 2, "a", minute(1))
    books.queue.put_back(FIRST_WAITING + 2, "a", minute(2))
    assert books.store.claim(FIRST_WAITING + 2, claim("b"))
    books.store.release(FIRST_WAITING + 2, CAUSE, minute(3), token="b")


def _tell(books: Books) -> None:
    new = NewNotice(channel=Channel.MAIL, recipient="ada", event=7, package="p0", subject="s", body="b")
    books.outbox.post([new], BUILDS, NOON)
    (waiting,) = books.outbox.due(NOON)
    assert books.outbox.waiting() == (waiting,)
    books.outbox.failed(waiting.id, "busy", NOON, NOON)
    books.outbox.sent([waiting.id], NOON)


CALLS: dict[str, Callable[[Books], object]] = {
    "a build": lambda books: books.store.build(7),
    "the newest builds": lambda books: books.store.builds(),
    "the newest builds of a package": lambda books: books.store.builds(package="p7"),
    "the newest builds of a package with many": lambda books: books.store.builds(package="p0"),
    "the newest builds of a target": lambda books: books.store.builds(target="t1"),
    "the newest builds of a package on a target": lambda books: books.store.builds(package="p0", target="t1"),
    "the builds of a package that has none": lambda books: books.store.builds(package="unknown"),
    "the builds of a commit": lambda books: books.store.of_commit("00000000f"),
    "what runs": lambda books: books.store.running(),
    "what is not published": lambda books: books.store.unpublished(),
    "the newest snapshots": lambda books: books.store.published("t1", limit=20),
    "attempts": lambda books: books.store.attempts(7),
    "a reason": lambda books: books.store.reason(7),
    "an order": lambda books: books.store.queue(commit("ordered"), "t1", retry=True),
    "an order again": lambda books: books.store.queue(commit("ordered"), "t1", retry=True),
    "a claim": _claim,
    "an end": _finish,
    "a change": _apply,
    "what waits and runs": lambda books: books.queue.changes(0),
    "how many wait and since when": lambda books: books.queue.sizes(),
    "the newest builds of the trunk": lambda books: books.store.builds(trunk=True),
    "the newest builds of a package of the trunk": lambda books: books.store.builds(package="p0", trunk=True),
    "what changed": lambda books: books.queue.changes(BUILDS - 5),
    "what errored": lambda books: books.queue.errored(),
    "what is to be cancelled": lambda books: books.queue.cancelling(),
    "a retry by itself": lambda books: books.queue.again(FIRST_ERRORED, minute(5), NOON),
    "a retry by a person": lambda books: books.queue.retry(FIRST_ERRORED + 1, REASON, Priority.REQUEST, NOON),
    "giving up": lambda books: books.queue.give_up(FIRST_ERRORED + 2, NOON),
    "a cancellation": lambda books: books.queue.cancel(FIRST_WAITING + 3, "ada", NOON),
    "a cancellation of what runs": lambda books: books.queue.cancel(FIRST_RUNNING + 2, "ada", NOON),
    "a priority": lambda books: books.queue.prioritize(FIRST_WAITING + 4, Priority.URGENT, "ada", NOON),
    "the clock set back": lambda books: books.queue.forget_waits(minute(1)),
    "new events": lambda books: books.events.after(BUILDS - 5),
    "old events": lambda books: books.events.after(0, limit=50),
    "the newest events": lambda books: books.events.newest(),
    "the newest events of a package": lambda books: books.events.newest(package="p0"),
    "the newest events of a target": lambda books: books.events.newest(target="t1"),
    "the newest events of a build": lambda books: books.events.newest(build=7),
    "the newest events of a kind": lambda books: books.events.newest(kinds=[EventKind.FAILED]),
    "the newest events of kinds that are none": lambda books: books.events.newest(
        kinds=[EventKind.FLAKY, EventKind.CYCLE]
    ),
    "the newest events of a package and kinds": lambda books: books.events.newest(
        package="p7", kinds=[EventKind.FLAKY, EventKind.FAILED]
    ),
    "an event": lambda books: books.events.record([NewEvent(kind=EventKind.STARTED, summary="s")], NOON),
    "when somebody was told": lambda books: books.outbox.last_sent("m7", "p0"),
    "notices": _tell,
    "notices that were given up": lambda books: books.outbox.given_up(),
    "notices after the clock was set back": lambda books: books.outbox.forget_waits(minute(1)),
    "how many notices wait": lambda books: books.outbox.sizes(),
    "the next notice": lambda books: books.outbox.next_due("m7", "p0"),
    "which events are told": lambda books: books.outbox.told(),
    "the latest vote": lambda books: books.votes.newest(VotesWanted(target="t1", limit=1)),
    "the latest vote of a job": lambda books: books.votes.newest(VotesWanted(target="t1", job="job3", limit=1)),
    "the latest vote of a job that never voted": lambda books: books.votes.newest(VotesWanted(target="t1", job="x")),
    "the latest vote on what is there": lambda books: books.votes.newest(
        VotesWanted(target="t1", component="c", there=True, limit=1)
    ),
    "the latest promotions": lambda books: books.ledger.promotions("t1"),
    "the newest of all builds": lambda books: books.lookup.search(Query()),
    "an old page": lambda books: books.lookup.search(Query(before=5_000)),
    "a page of a package with many": lambda books: books.lookup.search(Query(packages=("p0",), before=5_000)),
    "a page of two packages": lambda books: books.lookup.search(Query(packages=("p7", "p8"))),
    "a page of a target": lambda books: books.lookup.search(Query(target="t1", before=5_000)),
    "builds of a commit, found": lambda books: books.lookup.search(Query(commit="00000000f")),
    "builds of a version": lambda books: books.lookup.search(Query(version="1-999")),
    "builds of a version that many have": lambda books: books.lookup.search(Query(version="1-")),
    "builds of a file": lambda books: books.lookup.search(Query(file="new_1")),
    "builds of a file that many have": lambda books: books.lookup.search(Query(file="f")),
    "builds of an outcome": lambda books: books.lookup.search(Query(outcome=Outcome.FAILED)),
    "builds of an outcome that none has": lambda books: books.lookup.search(Query(outcome=Outcome.CANCELLED)),
    "builds that run, found": lambda books: books.lookup.search(Query(state=State.RUNNING)),
    "builds since": lambda books: books.lookup.search(Query(since=minute(1))),
    "how packages stand that changed": lambda books: books.lookup.latest(range(90_000, 90_100)),
    "attempts of some": lambda books: books.lookup.attempts(range(90_000, 90_100)),
    "pauses": lambda books: books.queue.pauses(),
}


@pytest.mark.parametrize("call", CALLS)
def test_it_is_found_through_an_index(watched: Watched, call: str) -> None:
    assert not watched.looks_at_too_much(CALLS[call])


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT id FROM build WHERE ended = '1'",
        "SELECT id FROM build WHERE ended = '1' ORDER BY id DESC LIMIT 50",
        "UPDATE attempt SET log = '' WHERE host = 'nobody'",
        "SELECT number FROM event WHERE summary = 'nothing'",
        "SELECT id FROM upstream_commit WHERE author = 'Eve'",
    ],
)
def test_what_reads_a_table_from_end_to_end_is_noticed(watched: Watched, statement: str) -> None:
    def call(books: Books) -> None:
        with books.store._database.writing() as connection:
            done = connection.execute(text(statement))
            if done.returns_rows:
                done.all()

    assert watched.looks_at_too_much(call)


def test_the_store_of_these_tests_is_as_they_say(watched: Watched) -> None:
    books = watched.books
    with books.store._database.reading() as connection:
        assert connection.scalar(text("SELECT count(*) FROM build")) >= BUILDS
        assert connection.scalar(text("SELECT count(DISTINCT package) FROM build")) >= PACKAGES
        assert connection.scalar(text("SELECT count(*) FROM build WHERE package = 'p0'")) >= OF_ONE
