"""The schema: what it forbids, and how databases come to it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.exc import IntegrityError

from conveyor.command import run
from conveyor.errors import StoreUnusable
from conveyor.model.build import Outcome
from conveyor.store import open_store
from conveyor.store.database import Database
from conveyor.store.schema import HEAD, MIGRATIONS, VERSION_TABLE, upgrade
from conveyor.store.tables import metadata
from tests.fakes.store_samples import NOON, artifact, commit, end, minute, sha1, start, succeed

REBUILD = """
import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade():
    with op.batch_alter_table("build") as build:
        build.add_column(sa.Column("weight", sa.Integer(), nullable=False, server_default="5"))
        build.alter_column("attempts", server_default="0")
"""
BROKEN = (
    REBUILD
    + """
    op.get_bind().exec_driver_sql("INSERT INTO no_such_table VALUES (1)")
"""
)
# One pointer of it has moved once.
MOVED = [
    """
    INSERT INTO pointer_move (id, kind, actor, note, evidence, keep, began_at)
    VALUES (1, 'promoted', 'ada', '', '{}', false, '2026-03-01 12:00:00')
    """,
    "INSERT INTO pointer_step VALUES (1, 0, 'debian-13-amd64', 'tested', NULL, 'x')",
    f"""
    INSERT INTO ledger VALUES (1, 1, 'promoted', 'ada', '', '{{}}', false, '2026-03-01 12:00:00', 'debian-13-amd64',
    'tested', NULL, 'x', '{64 * "0"}', '{64 * "a"}')
    """,
]
# Somebody was told of one event.
TOLD = [
    "INSERT INTO event VALUES (1, '2026-03-01 12:00:00', 'failed', 'it failed', 'nova', '', 2, '{}')",
    """
    INSERT INTO notice VALUES (1, 'mail', 'ada@example.org', 1, 'nova', 'nova failed', '', '2026-03-01 12:00:00',
    '2026-03-01 12:00:00', 0, NULL, NULL, '')
    """,
]
# A token and a user have done something.
DONE = [
    f"""
    INSERT INTO access_token
    VALUES ('{64 * "a"}', 'ci', '["vote"]', '2026-03-01 12:00:00', 'ada', NULL, NULL, NULL)
    """,
    """
    INSERT INTO access_user
    VALUES ('ada', '$argon2id$v=19$x', '["admin"]', false, '2026-03-01 12:00:00', '2026-03-01 12:00:00')
    """,
    "INSERT INTO audit VALUES (1, '2026-03-01 12:00:00', 'ci', 'token', '', 'POST /votes', '', 'done', '{}')",
    f"INSERT INTO idempotency_key VALUES ('ci', 'k', '{64 * 'a'}', '2026-03-01 12:00:00', NULL, '')",
]
# Statements against the store of `used`.
FORBIDDEN = [
    """
    INSERT INTO build (commit_id, package, trunk, target, state, attempts, queued_at)
    SELECT commit_id, package, trunk, target, 'queued', 0, queued_at FROM build WHERE id = 1
    """,
    "UPDATE build SET package = 'other' WHERE id = 2",
    "UPDATE build SET state = 'building' WHERE id = 3",
    "UPDATE build SET outcome = 'failed' WHERE id = 3",
    "UPDATE build SET outcome = NULL WHERE id = 2",
    "UPDATE build SET outcome = 'good' WHERE id = 2",
    "UPDATE build SET attempts = 0 WHERE id = 2",
    "UPDATE attempt SET outcome = 'failed' WHERE build_id = 3",
    "UPDATE attempt SET cause_kind = NULL WHERE build_id = 2",
    "UPDATE attempt SET cause_fault = 'fate' WHERE build_id = 2",
    """
    INSERT INTO attempt
    (build_id, number, token, host, pid, process_started, heartbeat_at, queued_at, started_at, stages)
    SELECT build_id, 2, 'new', host, pid, process_started, heartbeat_at, queued_at, started_at, stages
    FROM attempt WHERE build_id = 3
    """,
    "UPDATE entry SET publish_seconds = 1.0",
    "UPDATE entry SET target = 'other'",
    "UPDATE upstream_commit SET upstream_sha = 'HEAD'",
    f"UPDATE upstream_commit SET upstream_sha = '{sha1('x')[:-1]}X' WHERE id = 1",
    "INSERT INTO artifact (sha256, size) VALUES ('abc', 1)",
    "UPDATE build_artifact SET kind = 'virus'",
    "INSERT INTO trunk_package SELECT target, name, version, architecture, build_id, position FROM trunk_package",
    "DELETE FROM build WHERE id = 1",
    "UPDATE ledger SET actor = 'nobody'",
    "DELETE FROM ledger",
    """
    INSERT INTO ledger
    SELECT number + 1, move_id, kind, actor, note, evidence, keep, at, target, pointer, before, after,
    previous, previous
    FROM ledger
    """,
    "UPDATE build SET reason = 'whim'",
    "UPDATE build SET errors = -1",
    "UPDATE build SET state = 'finished', outcome = 'failed', attempts = 0 WHERE id = 3",
    "UPDATE event SET kind = 'other'",
    "INSERT INTO event SELECT number, at, kind, summary, package, target, build_id, detail FROM event",
    "UPDATE notice SET channel = 'pigeon'",
    "UPDATE notice SET event = 2",
    "UPDATE notice SET sent_at = due_at, given_up_at = due_at",
    """
    INSERT INTO notice (channel, recipient, event, package, subject, body, created_at, due_at, tries, cause)
    SELECT channel, recipient, event, package, subject, body, created_at, due_at, tries, cause FROM notice
    """,
    "DELETE FROM event",
    "UPDATE audit SET actor = 'nobody'",
    "DELETE FROM audit",
    "INSERT INTO audit SELECT number + 1, at, actor, 'magic', address, action, subject, result, detail FROM audit",
    "INSERT INTO audit SELECT number + 1, at, actor, means, address, action, subject, 'lost', detail FROM audit",
    "INSERT INTO audit SELECT number, at, actor, means, address, action, subject, result, detail FROM audit",
    "UPDATE access_token SET digest = 'cvy_secret'",
    f"""
    INSERT INTO access_token SELECT '{64 * "b"}', name, permissions, created_at, created_by, NULL, NULL, NULL
    FROM access_token
    """,
    "UPDATE access_user SET password = 'secret'",
    "UPDATE idempotency_key SET digest = 'x'",
    f"INSERT INTO idempotency_key VALUES ('ci', 'k', '{64 * 'b'}', '2026-03-01 12:00:00', NULL, '')",
    "UPDATE pointer_move SET kind = 'lost'",
    "INSERT INTO pointer_step SELECT move_id, 1, target, pointer, before, after FROM pointer_step",
]


@pytest.fixture
def used(database_url: str) -> Iterator[Connection]:
    """A connection to a store with three builds: one succeeded, one failed, one running."""
    store = open_store(database_url)
    succeed(store, commit("good"), NOON, artifact())
    end(store, commit("bad"), minute(1))
    start(store, commit("now"), "t")
    store.close()
    engine = create_engine(database_url)
    with engine.begin() as connection:
        for statement in (*MOVED, *TOLD, *DONE):
            connection.execute(text(statement))
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.execute(text("PRAGMA foreign_keys = ON"))
            connection.commit()
        yield connection
    engine.dispose()


def test_migrations_lead_to_the_tables_that_the_code_knows(used: Connection) -> None:
    context = MigrationContext.configure(used, opts={"version_table": VERSION_TABLE})

    assert compare_metadata(context, metadata) == []


def test_migrations_lead_to_the_constraints_that_the_code_knows(empty_sqlite_url: str, tmp_path: Path) -> None:
    """On SQLite alone, which keeps the text of constraints as it was written."""
    open_store(empty_sqlite_url).close()
    made_url = f"sqlite:///{tmp_path}/made.sqlite"
    engine = create_engine(made_url)
    metadata.create_all(engine)
    engine.dispose()

    assert _checks(empty_sqlite_url) == _checks(made_url)
    assert "ck_build_outcome_when_finished" in _checks(made_url)["build"]


def _checks(url: str) -> dict[str, dict[str, str]]:
    engine = create_engine(url)
    inspector = inspect(engine)
    checks = {
        table: {str(check["name"]): check["sqltext"] for check in inspector.get_check_constraints(table)}
        for table in metadata.tables
    }
    engine.dispose()
    return checks


def test_the_newest_revision_is_the_one_that_opening_looks_for() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))

    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_opening_a_current_store_does_without_alembic(empty_sqlite_url: str) -> None:
    open_store(empty_sqlite_url).close()
    code = f"import sys; from conveyor.store import open_store; open_store({empty_sqlite_url!r}).close(); "
    folder = Path(__file__).parents[2]

    assert run([sys.executable, "-c", code + "print('alembic' in sys.modules)"], timeout=60, cwd=folder).output == (
        "False\n"
    )


def test_a_store_of_a_newer_conveyor_is_left_alone(used: Connection, database_url: str) -> None:
    used.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    used.commit()

    with pytest.raises(StoreUnusable, match=r"version 9999.*none above 0005[\s\S]*newer Conveyor"):
        open_store(database_url)
    assert used.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")) == "9999"


def test_a_database_of_another_program_is_left_alone(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE build (id INTEGER)"))

    with pytest.raises(StoreUnusable, match="not Conveyor's: found build"):
        open_store(database_url)
    assert inspect(engine).get_table_names() == ["build"]
    engine.dispose()


def test_a_store_with_builds_in_it_survives_each_migration(used: Connection, database_url: str, tmp_path: Path) -> None:
    before = _rows(used)
    _migrate(database_url, _with_revision(tmp_path, REBUILD))

    after = _rows(used)
    assert {row.pop("weight") for row in after["build"]} == {5}
    assert after == before
    with pytest.raises(IntegrityError):
        used.execute(text("DELETE FROM build"))


def test_a_migration_that_fails_changes_nothing(used: Connection, database_url: str, tmp_path: Path) -> None:
    before = _rows(used)
    with pytest.raises(Exception, match="no_such_table"):
        _migrate(database_url, _with_revision(tmp_path, BROKEN))

    assert _rows(used) == before
    assert used.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")) == HEAD


def _with_revision(folder: Path, code: str) -> Path:
    scripts = folder / "migrations"
    shutil.copytree(MIGRATIONS, scripts)
    (scripts / "versions" / "v0005_later.py").write_text(code)
    return scripts


def _migrate(url: str, scripts: Path) -> None:
    database = Database(url, patience=5, foreign_keys=False)
    try:
        with database.writing() as connection:
            upgrade(connection, scripts)
    finally:
        database.close()


def _rows(connection: Connection) -> dict[str, list[dict[str, object]]]:
    """All that is in the store, by table."""
    rows = {
        table: sorted((dict(row) for row in connection.execute(text(f"SELECT * FROM {table}")).mappings()), key=repr)
        for table in metadata.tables
    }
    connection.rollback()
    return rows


def test_what_must_never_be_is_refused_by_the_database(used: Connection) -> None:
    assert [statement for statement in FORBIDDEN if _accepts(used, statement)] == []
    assert _accepts(used, "UPDATE build SET version = '2-1' WHERE id = 2")
    assert _accepts(used, "UPDATE build SET state = 'finished', outcome = 'superseded', attempts = 0 WHERE id = 3")


def _accepts(connection: Connection, statement: str) -> bool:
    try:
        return connection.execute(text(statement)).rowcount > 0
    except IntegrityError:
        return False
    finally:
        connection.rollback()


def test_the_builds_of_these_tests_are_as_they_say(used: Connection) -> None:
    outcomes = used.execute(text("SELECT outcome FROM build ORDER BY id")).scalars().all()

    assert outcomes == [Outcome.SUCCEEDED, Outcome.FAILED, None]
    assert used.scalar(text("SELECT count(*) FROM trunk_package")) == 1
    assert used.scalar(text("SELECT count(*) FROM entry")) == 1
