"""A PostgreSQL server for tests: the one that CONVEYOR_TEST_POSTGRESQL names, or a throw-away cluster."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, make_url, text

from conveyor.command import run

VARIABLE = "CONVEYOR_TEST_POSTGRESQL"
SUPERUSER = "postgres"


@contextmanager
def server() -> Iterator[URL]:
    """The URL of a database whose user may create others; the test is skipped where there is no server."""
    pytest.importorskip("psycopg")
    given = os.environ.get(VARIABLE)
    if given:
        yield make_url(given)
        return
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        pytest.skip(f"no PostgreSQL: {VARIABLE} is not set, and Debian's postgresql is not installed")
    with _cluster(programs[-1].parent) as url:
        yield url


@contextmanager
def _cluster(programs: Path) -> Iterator[URL]:
    """A cluster on a socket of its own. PostgreSQL refuses to run as root."""
    folder = Path(tempfile.mkdtemp(prefix="conveyor-postgresql-"))
    as_user: list[str] = []
    if os.geteuid() == 0:
        user = pwd.getpwnam(SUPERUSER)
        os.chown(folder, user.pw_uid, user.pw_gid)
        as_user = ["runuser", "-u", SUPERUSER, "--"]
    control = [*as_user, str(programs / "pg_ctl"), "-D", str(folder / "data"), "-w"]
    initdb_options = ["-D", str(folder / "data"), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]
    server_options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
    try:
        run([*as_user, str(programs / "initdb"), *initdb_options], timeout=120, cwd=folder)
        run([*control, "-l", str(folder / "log"), "-o", server_options, "start"], timeout=60, cwd=folder)
        try:
            yield URL.create("postgresql", username=SUPERUSER, database="postgres", query={"host": str(folder)})
        finally:
            run([*control, "-m", "immediate", "stop"], timeout=60, cwd=folder)
    finally:
        shutil.rmtree(folder)


@contextmanager
def fresh_database(of_server: URL) -> Iterator[str]:
    """The URL of an empty database."""
    name = f"conveyor_test_{secrets.token_hex(8)}"
    engine = create_engine(of_server, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        yield of_server.set(database=name).render_as_string(hide_password=False)
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        engine.dispose()
