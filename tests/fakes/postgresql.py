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
END_ALL = text(
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE pid <> pg_backend_pid() AND datname = current_database() AND backend_type = 'client backend'"
)


@contextmanager
def server() -> Iterator[URL]:
    """The URL of a database whose user may create others; the test is skipped where there is no server."""
    pytest.importorskip("psycopg")
    given = os.environ.get(VARIABLE)
    if given:
        yield make_url(given)
        return
    with cluster() as made:
        yield made.url


class Cluster:
    """A server on a socket of its own. PostgreSQL refuses to run as root.

    Attributes:
        url: of a database whose user may create others.
    """

    def __init__(self, folder: Path, programs: Path) -> None:
        self.url = URL.create("postgresql", username=SUPERUSER, database="postgres", query={"host": str(folder)})
        self._folder = folder
        as_user: list[str] = []
        if os.geteuid() == 0:
            user = pwd.getpwnam(SUPERUSER)
            os.chown(folder, user.pw_uid, user.pw_gid)
            as_user = ["runuser", "-u", SUPERUSER, "--"]
        self._control = [*as_user, str(programs / "pg_ctl"), "-D", str(folder / "data"), "-w"]
        options = ["-D", str(folder / "data"), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]
        run([*as_user, str(programs / "initdb"), *options], timeout=120, cwd=folder)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-c listen_addresses= -c unix_socket_directories={self._folder} -c fsync=off"
        run([*self._control, "-l", str(self._folder / "log"), "-o", options, "start"], timeout=60, cwd=self._folder)

    def stop(self) -> None:
        """Stop it as a kill would."""
        run([*self._control, "-m", "immediate", "stop"], timeout=60, cwd=self._folder)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A server that a test may stop; the test is skipped where PostgreSQL is not installed."""
    pytest.importorskip("psycopg")
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        pytest.skip(f"no PostgreSQL: {VARIABLE} is not set, and Debian's postgresql is not installed")
    folder = Path(tempfile.mkdtemp(prefix="conveyor-postgresql-"))
    try:
        made = Cluster(folder, programs[-1].parent)
        made.start()
        try:
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(folder)


@contextmanager
def fresh_database(of_server: URL) -> Iterator[str]:
    """The URL of an empty database."""
    name = f"conveyor_test_{secrets.token_hex(8)}"
    engine = create_engine(of_server, isolation_level="AUTOCOMMIT", pool_pre_ping=True)
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        yield of_server.set(database=name).render_as_string(hide_password=False)
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        engine.dispose()


def end_connections(url: str) -> None:
    """What a restart of the server does to everybody."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(END_ALL).all()
    engine.dispose()
