"""A PostgreSQL server for tests: the one that CONVEYOR_TEST_POSTGRESQL names, or a throw-away cluster."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, make_url, text

from conveyor.command import process_started, run
from conveyor.errors import CommandFailed

VARIABLE = "CONVEYOR_TEST_POSTGRESQL"
SUPERUSER = "postgres"
END_ONE = text("SELECT pg_terminate_backend(:number, 5000)")
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

    def start_if_killed(self) -> None:
        """Start it again where a test has killed it."""
        leader = int((self._folder / "data/postmaster.pid").read_text().split()[0])
        if process_started(leader) is None:
            self.start()

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
            with suppress(CommandFailed):  # a test has killed it
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


def end_connection(url: URL, number: int) -> None:
    """End the server's process of this number, and wait for its end."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(END_ONE, {"number": number}).all()
    engine.dispose()


def kill_server(data: Path) -> None:
    """Kill all processes of a server, as the kernel does for want of memory, and wait for their end.

    Args:
        data: its data directory.
    """
    leader = int((data / "postmaster.pid").read_text().split()[0])
    os.kill(leader, signal.SIGSTOP)  # it would start others
    doomed = [leader, *_children(leader)]
    for pid in doomed:
        os.kill(pid, signal.SIGKILL)
    # The next one takes a zombie for alive.
    while any(Path(f"/proc/{pid}").exists() for pid in doomed):
        time.sleep(0.005)


def _children(parent: int) -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent:
                yield int(folder.name)


def end_connections(url: str) -> None:
    """What a restart of the server does to everybody."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(END_ALL).all()
    engine.dispose()
