"""Stores of earlier versions, with data in them, brought to the newest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Inspector, create_engine, inspect, text

from conveyor.model import chain
from conveyor.model.access import AuditQuery
from conveyor.model.build import Outcome, State
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.promotion import Move, MoveKind, Step
from conveyor.model.queue import REQUESTED, Change, NewBuild, Priority, Reason, ReasonKind
from conveyor.store import Books, open_books, open_store
from conveyor.store.database import Database
from conveyor.store.schema import upgrade
from conveyor.store.tables import metadata
from tests.fakes import access_samples
from tests.fakes.store_samples import CAUSE, NOON, TARGET, artifact, claim, commit, minute, sha1

EARLIER = ["0001", "0002", "0003"]
# State, outcome, attempts of the build, and the outcome of its last attempt; the build's number is its place from 1.
BUILDS = [
    ("queued", None, 0, None),
    ("queued", None, 2, "errored"),
    ("running", None, 1, None),
    ("finished", "succeeded", 1, "succeeded"),
    ("finished", "failed", 1, "failed"),
    ("finished", "errored", 3, "errored"),
    ("finished", "cancelled", 1, "cancelled"),
    ("finished", "superseded", 1, "superseded"),
    ("finished", "succeeded", 2, "succeeded"),
]
QUEUED, AGAIN, RUNNING, PUBLISHED, FAILED, ERRORED, CANCELLED, SUPERSEDED, UNPUBLISHED = range(1, 10)
AT = "2026-03-01 12:00:00.000000"
STEP = Step(target=TARGET, pointer="tested", before=None, after=commit("4").id)
MOVE = Move(kind=MoveKind.PROMOTED, actor="ada", evidence={"age": 3}, at=NOON, steps=(STEP,))


@pytest.fixture(params=EARLIER)
def earlier(request: pytest.FixtureRequest, database_url: str) -> str:
    """The URL of a store that an earlier version made and used."""
    database = Database(database_url, patience=5, foreign_keys=False)
    with database.writing() as connection:
        upgrade(connection, revision=request.param)
        _use_first(connection)
        if request.param >= "0002":
            _use_second(connection)
        if request.param >= "0003":
            _use_third(connection)
    database.close()
    return database_url


@pytest.fixture
def books(earlier: str) -> Iterator[Books]:
    """The same after it was opened by this version."""
    opened = open_books(earlier)
    yield opened
    opened.store.close()


def _use_first(connection: Connection) -> None:
    """Builds in every state, as the first version wrote them."""
    for number, (state, outcome, attempts, last) in enumerate(BUILDS, start=1):
        values = {"id": number, "state": state, "outcome": outcome, "attempts": attempts, "target": TARGET, "at": AT}
        values |= {"sha": sha1(str(number)), "packaging": sha1("packaging")}
        failed = "NULL" if last not in {"failed", "errored"} or state == "queued" else ":at"
        for statement in (
            """
            INSERT INTO upstream_commit
            (id, package, upstream_sha, packaging_sha, extended, trunk, committed_at, author, subject)
            VALUES (:id, 'nova', :sha, :packaging, '', true, :at, 'Ada', 'Do it')
            """,
            f"""
            INSERT INTO build
            (id, commit_id, package, trunk, target, state, outcome, attempts, version, queued_at, failed_at)
            VALUES (:id, :id, 'nova', true, :target, :state, :outcome, :attempts, '1-1', :at, {failed})
            """,
        ):
            _run(connection, statement, values)
        for attempt in range(1, attempts + 1):
            ended = None if state == "running" else last if attempt == attempts else "errored"
            _run(
                connection,
                """
                INSERT INTO attempt (build_id, number, token, host, pid, process_started, heartbeat_at, queued_at,
                started_at, finished_at, outcome, stages, log, cause_fault, cause_kind, cause_summary, cause_hint,
                cause_details)
                VALUES (:id, :attempt, :token, 'builder', 4711, 12345, :at, :at, :at, :finished, :ended,
                '[["build", 3.5]]', 'logs/1', 'ours', 'DiskFull', 'no room', '', '["line"]')
                """,
                {
                    **values,
                    "attempt": attempt,
                    "token": f"{number}/{attempt}",
                    "ended": ended,
                    "finished": ended and AT,
                },
            )
        if outcome == "succeeded":
            _succeed(connection, number, values)
    _number_on(connection, upstream_commit=len(BUILDS), build=len(BUILDS), attempt=99)


def _number_on(connection: Connection, **last: int) -> None:
    """PostgreSQL does not notice numbers that are given."""
    for table, number in last.items() if connection.dialect.name != "sqlite" else ():
        connection.execute(text(f"SELECT setval('{table}_id_seq', {number})"))


def _succeed(connection: Connection, number: int, values: dict[str, object]) -> None:
    made = artifact(f"nova_{number}_all.deb", version=f"{number}-1")
    published = (AT, 0.5) if number == PUBLISHED else (None, None)
    values = {**values, "sha256": made.sha256, "filename": made.filename, "version": made.version}
    values |= {"published": published[0], "seconds": published[1]}
    for statement in (
        """
        INSERT INTO entry (build_id, package, target, upstream_url, packaging_url, component, version, succeeded_at,
        published_at, publish_seconds)
        VALUES (:id, 'nova', :target, 'https://git/nova', '', 'compute', :version, :at, :published, :seconds)
        """,
        "INSERT INTO artifact VALUES (:sha256, 8589934592)",
        "INSERT INTO build_artifact VALUES (:id, 0, :filename, :sha256, 'binary', 'nova', :version, 'all')",
        "INSERT INTO trunk_package VALUES (:target, 'nova', :version, 'all', :id, 0)",
    ):
        _run(connection, statement, values)


def _use_second(connection: Connection) -> None:
    """What came with the second version: pointers with a ledger, and the rest."""
    (entry,) = chain.follow(None, 1, MOVE, NOON)
    values: dict[str, object] = {
        "at": AT,
        "target": TARGET,
        "after": STEP.after,
        "sha256": 64 * "a",
        "sha": sha1("packaging"),
    }
    values |= {"hash": entry.hash, "previous": entry.previous, "number": PUBLISHED}
    for statement in (
        r"""
        INSERT INTO pointer_move VALUES (1, 'promoted', 'ada', '', '{"age"\:3}', false, :at, :at),
        (2, 'promoted', 'ada', 'interrupted', '{}', false, :at, NULL)
        """,
        "INSERT INTO pointer_step VALUES (1, 0, :target, 'tested', NULL, :after), (2, 0, :target, 'x', NULL, 'y')",
        r"""
        INSERT INTO ledger VALUES (1, 1, 'promoted', 'ada', '', '{"age"\:3}', false, :at, :target, 'tested', NULL,
        :after, :previous, :hash)
        """,
        "INSERT INTO vote VALUES (1, :after, '', 'tempest', true, 'https://ci/1', '', 'ci', :at)",
        """INSERT INTO buildroot VALUES (:sha256, '[["dpkg", "1.21", "amd64"]]')""",
        """
        INSERT INTO provenance (build_id, builder, conveyor_version, buildroot_sha256, upstream_branch,
        packaging_branch, packaging_commit, packaged_at)
        VALUES (:number, 'overlay', '0.1.0', :sha256, 'master', '', :sha, :at)
        """,
        "INSERT INTO collected_snapshot VALUES (:number, :at)",
        "INSERT INTO mirror_state VALUES ('backup', :target, :at, NULL, 0, '')",
    ):
        _run(connection, statement, values)
    _number_on(connection, pointer_move=2, vote=1)


def _use_third(connection: Connection) -> None:
    """What came with the third version: events, and what polls and daemons know."""
    values: dict[str, object] = {"at": AT, "sha": sha1("packaging"), "target": TARGET}
    for statement in (
        "UPDATE build SET given_up = true WHERE outcome = 'errored'",
        "INSERT INTO event VALUES (1, :at, 'failed', 'it failed', 'nova', :target, 5, '{}')",
        "INSERT INTO counter VALUES ('events', 1)",
        "INSERT INTO head VALUES ('nova', 'upstream', 'u', 'master', :sha, '', '{}', :at)",
        "INSERT INTO lease VALUES ('daemon', 't', 'hub', 1, 2, :at, :at)",
        """
        INSERT INTO notice VALUES (1, 'mail', 'ada@example.org', 1, 'nova', 'nova failed', '', :at, :at, 0, NULL, NULL,
        '')
        """,
    ):
        _run(connection, statement, values)
    _number_on(connection, notice=1)


def _run(connection: Connection, statement: str, values: Mapping[str, object]) -> None:
    """Moments are text to SQLite; PostgreSQL is told what they are."""
    if connection.dialect.name != "sqlite":
        for name in ("at", "finished", "published"):
            statement = statement.replace(f":{name},", f"CAST(:{name} AS timestamptz),")
            statement = statement.replace(f":{name})", f"CAST(:{name} AS timestamptz))")
    used = {name: value for name, value in values.items() if f":{name}" in statement}
    connection.execute(text(statement), used)


def test_builds_are_what_they_were(books: Books) -> None:
    builds = sorted(books.store.builds(), key=lambda build: build.id)

    assert [(build.state.value, build.outcome and build.outcome.value, build.attempt) for build in builds] == [
        (state, outcome, attempts) for state, outcome, attempts, _ in BUILDS
    ]
    assert {(build.errors, build.not_before, build.ended, build.cancelled_by) for build in builds} == {
        (0, None, "", "")
    }
    assert {build.queued_at for build in builds} == {NOON}
    assert [books.store.reason(build.id) for build in builds] == [(Priority.REQUEST, REQUESTED)] * len(BUILDS)
    assert [len(books.store.attempts(build.id)) for build in builds] == [attempts for _, _, attempts, _ in BUILDS]
    assert [attempt.buildroot for attempt in books.store.attempts(ERRORED)] == [None] * 3
    assert books.store.build(FAILED).cause is not None
    assert [build.id for build in books.store.running()] == [RUNNING]
    assert [build.id for build in books.store.unpublished()] == [UNPUBLISHED]
    assert [entry.version for entry in books.store.entries(TARGET)] == [f"{UNPUBLISHED}-1"]
    assert books.store.failing(TARGET) == ()


def test_what_errored_before_is_not_tried_again_by_itself(books: Books) -> None:
    assert books.queue.errored() == ()
    assert books.queue.again(ERRORED, NOON, NOON) is None

    asked = books.store.queue(commit(str(ERRORED)), TARGET, retry=True)
    assert (asked.id, asked.state) == (ERRORED, State.QUEUED)


def test_the_queue_has_what_waited_and_ran(books: Books) -> None:
    changes = books.queue.changes(0)

    assert [item.build for item in changes.items] == [QUEUED, AGAIN, RUNNING]
    books.store.claim(QUEUED, claim("t"))
    assert [item.build for item in books.queue.changes(changes.number).items] == [QUEUED]


def test_work_goes_on(books: Books) -> None:
    events = books.events.after(0)
    books.store.release(RUNNING, CAUSE, minute(1), token=f"{RUNNING}/1")
    new = NewBuild(
        commit=commit("new"), target=TARGET, priority=Priority.FRESH, reason=Reason(kind=ReasonKind.NEW_COMMIT)
    )
    (made,) = books.queue.apply(Change(builds=(new, *_known())), NOON)

    assert made > len(BUILDS)
    assert books.store.build(RUNNING).errors == 1
    assert books.store.build(SUPERSEDED).outcome is Outcome.SUPERSEDED
    assert books.events.after(0) == events
    assert books.outbox.told() == 0


def _known() -> tuple[NewBuild, ...]:
    reason = Reason(kind=ReasonKind.NEW_COMMIT)
    return tuple(
        NewBuild(commit=commit(str(number)), target=TARGET, priority=Priority.FRESH, reason=reason)
        for number in range(1, len(BUILDS) + 1)
    )


def test_pointers_and_the_ledger_are_what_they_were(earlier: str) -> None:
    books = open_books(earlier)
    entries = books.ledger.entries()
    if entries:
        assert [entry.step for entry in entries] == [STEP]
        assert [number for number, _ in books.ledger.pending()] == [2]
        assert [vote.job for vote in books.votes.of(STEP.after)] == ["tempest"]
        told = books.store.provenance(PUBLISHED)
        assert told is not None
        assert told.buildroot is not None
        assert [one.collected_at for one in books.store.published(TARGET)] == [NOON]
        assert books.mirrors.of("backup", TARGET).synced_at == NOON
    assert books.ledger.broken() is None
    books.ledger.complete(books.ledger.begin(MOVE), NOON)
    assert [entry.number for entry in books.ledger.entries()] == list(range(len(entries) + 1, 0, -1))
    assert books.ledger.broken() is None
    books.store.close()


def test_the_ledger_is_as_final_as_before(books: Books, earlier: str) -> None:
    books.ledger.complete(books.ledger.begin(MOVE), NOON)
    engine = create_engine(earlier)
    with engine.connect() as connection, pytest.raises(Exception, match="only ever added to"):
        connection.execute(text("DELETE FROM ledger"))
    engine.dispose()


def test_what_the_daemon_knew_is_what_it_was(earlier: str) -> None:
    books = open_books(earlier)
    told = books.events.after(0)
    if told:
        assert [event.summary for event in told] == ["it failed"]
        assert [notice.recipient for notice in books.outbox.waiting()] == ["ada@example.org"]
        holder = books.leases.holder("daemon")
        assert holder is not None
        assert holder.since == NOON
    (event,) = books.events.record([NewEvent(kind=EventKind.FAILED, summary="again")], NOON)
    assert event.number == len(told) + 1
    books.store.close()


def test_nobody_may_do_anything_before_somebody_says_so(books: Books) -> None:
    assert (books.tokens.all(), books.users.all(), books.audit.newest(AuditQuery())) == ((), (), ())
    books.tokens.add(access_samples.token("ci"))
    assert books.audit.record(access_samples.deed()).number == 1


def test_the_audit_log_is_final(books: Books, earlier: str) -> None:
    books.audit.record(access_samples.deed())
    engine = create_engine(earlier)
    with engine.connect() as connection, pytest.raises(Exception, match="only ever added to"):
        connection.execute(text("DELETE FROM audit"))
    engine.dispose()


def test_it_has_the_schema_of_a_store_that_was_made_now(earlier: str, fresh_url: str) -> None:
    open_store(earlier).close()
    open_store(fresh_url).close()

    assert _described(earlier) == _described(fresh_url)


@pytest.fixture
def fresh_url(database_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The URL of another empty database of the same kind."""
    if database_url.startswith("sqlite"):
        return f"sqlite:///{tmp_path}/fresh.sqlite"
    return str(request.getfixturevalue("shared_postgresql_url"))


def _described(url: str) -> dict[str, object]:
    engine = create_engine(url)
    inspector = inspect(engine)
    with engine.connect() as connection:
        autoincrement = "SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%' ORDER BY name"
        numbered = connection.scalars(text(autoincrement)).all() if engine.dialect.name == "sqlite" else []
    described = {table: _table(inspector, table) for table in metadata.tables}
    engine.dispose()
    return {**described, "numbers that are used once": list(numbered)}


def _table(inspector: Inspector, table: str) -> list[object]:
    columns = [
        (column["name"], str(column["type"]), column["nullable"], column["default"])
        for column in inspector.get_columns(table)
    ]
    named: list[Sequence[Mapping[str, Any]]] = [
        inspector.get_foreign_keys(table),
        inspector.get_unique_constraints(table),
        inspector.get_check_constraints(table),
    ]
    indexes: list[Mapping[str, Any]] = [
        {**index, "dialect_options": _words(index)} for index in inspector.get_indexes(table)
    ]
    return [
        columns,
        inspector.get_pk_constraint(table),
        *(sorted((dict(each) for each in some), key=lambda each: str(each["name"])) for some in (*named, indexes)),
    ]


def _words(index: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(option) for name, option in index.get("dialect_options", {}).items()}


def test_events_of_the_third_version_stay_and_there_can_be_reminders(database_url: str) -> None:
    database = Database(database_url, patience=5, foreign_keys=False)
    with database.writing() as connection:
        upgrade(connection, revision="0003")
        for statement in (
            "INSERT INTO event VALUES (1, :at, 'failed', 'it failed', 'nova', 'debian-13-amd64', NULL, '{}')",
            "INSERT INTO counter VALUES ('events', 1)",
            """
            INSERT INTO notice (id, channel, recipient, event, package, subject, body, created_at, due_at, tries, cause)
            VALUES (1, 'mail', 'ada@example.org', 1, 'nova', 'nova failed', '', :at, :at, 0, '')
            """,
        ):
            _run(connection, statement, {"at": AT})
    database.close()
    books = open_books(database_url)
    told = [NewEvent(kind=kind, summary="still so") for kind in (EventKind.STILL_FAILING, EventKind.POINTER_HELD_BACK)]
    books.events.record(told, NOON)
    assert [(event.number, event.kind, event.summary) for event in books.events.after(0)] == [
        (1, EventKind.FAILED, "it failed"),
        (2, EventKind.STILL_FAILING, "still so"),
        (3, EventKind.POINTER_HELD_BACK, "still so"),
    ]
    assert [notice.event for notice in books.outbox.waiting()] == [1]
    books.store.close()
