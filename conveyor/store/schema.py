"""Brings a database to the schema that this Conveyor knows, whoever else starts at the same time."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, Table, Text, inspect, select, text

from conveyor.errors import StoreUnusable
from conveyor.store.database import Database
from conveyor.store.tables import metadata

HEAD = "0005"
MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "store_version"
# Any number that nothing else on the server uses for pg_advisory_xact_lock.
_UPGRADE_LOCK = 0x436F6E7665796F72

_version = Table(VERSION_TABLE, MetaData(), Column("version_num", Text))


def bring_up_to_date(url: str, database: Database, *, patience: float, scripts: Path = MIGRATIONS) -> None:
    """Create the tables, or migrate them; one short query where nothing is to be done.

    Args:
        url: the database's URL, for a connection of the migrations' own.
        database: the database.
        patience: seconds to wait for another process's lock.
        scripts: the folder of the migrations.

    Raises:
        StoreUnusable: the database was made by a newer Conveyor, or holds something else.
    """
    with database.reading() as connection:
        if _is_current(connection):
            return
    migrator = Database(url, patience=patience, foreign_keys=False)
    try:
        with migrator.writing() as connection:
            if not migrator.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
            upgrade(connection, scripts)
    finally:
        migrator.close()


def _is_current(connection: Connection) -> bool:
    has_version = inspect(connection).has_table(VERSION_TABLE)
    return has_version and connection.scalar(select(_version)) == HEAD


def upgrade(connection: Connection, scripts: Path = MIGRATIONS, revision: str = "head") -> None:
    """Migrate within the connection's transaction.

    Args:
        connection: in a transaction that writes.
        scripts: the folder of the migrations.
        revision: where to.

    Raises:
        StoreUnusable: the database was made by a newer Conveyor, or holds something else.
    """
    # A store is upgraded once in a long while, and Alembic takes longer to import than everything else here.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    _refuse_foreign(connection, known)
    command.upgrade(config, revision)
    if connection.dialect.name == "sqlite" and connection.execute(text("PRAGMA foreign_key_check")).first():
        raise StoreUnusable(
            "the store's references are broken", hint="it is left as it was; restore it from a backup: docs/store.md"
        )


def _refuse_foreign(connection: Connection, known: set[str]) -> None:
    """Leave alone what a newer Conveyor or another program made."""
    inspector = inspect(connection)
    if inspector.has_table(VERSION_TABLE):
        version = connection.scalar(select(_version))
        if version is not None and version not in known:
            raise StoreUnusable(
                f"the store has version {version}, and this Conveyor knows none above {HEAD}",
                cause="a newer Conveyor has used it",
                hint="run that newer Conveyor, or restore the store's backup from before: docs/store.md",
            )
        return
    tables = set(inspector.get_table_names())
    # An SQLite file is the store's alone; a PostgreSQL database may be shared.
    others = tables if connection.dialect.name == "sqlite" else tables & set(metadata.tables)
    if others:
        raise StoreUnusable(
            "the database holds tables that are not Conveyor's",
            cause=f"found {', '.join(sorted(others)[:5])}",
            hint="give the store a database of its own",
        )
