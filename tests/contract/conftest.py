"""Databases that the contract suites run on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, text

from conveyor.store import open_store
from conveyor.store.tables import metadata
from tests.fakes import postgresql
from tests.support.stores import put_new_store

FULL = " UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name})" for name in metadata.tables)
COUNT_ANEW = "SELECT setval(seqrelid::regclass, 1, false) FROM pg_sequence"


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[URL]:
    with postgresql.server() as url:
        yield url


@pytest.fixture
def empty_sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state/store.sqlite"


@pytest.fixture
def sqlite_url(tmp_path: Path, empty_sqlite_url: str) -> str:
    """The URL of a store in which nothing has happened."""
    put_new_store(tmp_path / "state/store.sqlite")
    return empty_sqlite_url


@pytest.fixture
def empty_postgresql_url(postgresql_server: URL) -> Iterator[str]:
    with postgresql.fresh_database(postgresql_server) as url:
        yield url


@pytest.fixture(scope="session")
def shared_postgresql_url(postgresql_server: URL) -> Iterator[str]:
    """A store that tests share: making a database for each takes longer than all that they do in it."""
    with postgresql.fresh_database(postgresql_server) as url:
        open_store(url).close()
        yield url


@pytest.fixture
def emptied_postgresql_url(shared_postgresql_url: str) -> str:
    """The URL of a store in which nothing has happened."""
    engine = create_engine(shared_postgresql_url)
    with engine.begin() as connection:
        # Those with something in them: each table, its indexes too, is made anew on the disk.
        if full := connection.scalars(text(FULL)).all():
            connection.execute(text(f"TRUNCATE {', '.join(full)} CASCADE"))
        connection.execute(text(COUNT_ANEW))
    engine.dispose()
    return shared_postgresql_url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database, of each kind."""
    return str(request.getfixturevalue(f"empty_{request.param}_url"))
