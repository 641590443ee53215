"""Has a quick program kill itself, or its connection to the store, at a transaction that a test names.

A test writes what is to happen, and where, to the file `fault-at` in the folder that the programs run in; who meets it
removes the file first, so that what comes after is left alone. With a file `transactions` beside it, all are noted.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, text

from conveyor.store.database import Database

ORDER = "fault-at"
TAKEN = "fault-taken"
NOTES = "transactions"
PROCESS_ID = text("SELECT pg_backend_pid()")
DATA = text("SHOW data_directory")


class Fault(StrEnum):
    """What happens; the last two to PostgreSQL only."""

    KILL = "kill"  # the process is killed
    CONNECTION = "connection"  # the server's process for its connection is ended
    SERVER = "server"  # all processes of the server are killed


class When(StrEnum):
    """When it happens."""

    BEFORE = "before"  # the transaction is committed
    UNHEARD = "unheard"  # it was committed, and that was not heard any more
    AFTER = "after"  # it was committed


# In the order in which they take turns where not all are tried.
WHENS = {
    Fault.KILL: (When.BEFORE, When.AFTER),
    Fault.CONNECTION: (When.BEFORE, When.UNHEARD, When.AFTER),
    Fault.SERVER: (When.UNHEARD, When.AFTER, When.BEFORE),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Where something happens.

    Attributes:
        role: to whom: "daemon" or "worker".
        transaction: the method of the store, such as "SqlStore.claim".
        when: at which moment of it.
        fault: what.
    """

    role: str
    transaction: str
    when: When
    fault: Fault = Fault.KILL

    def __str__(self) -> str:
        return f"{self.role} {self.transaction} {self.when} {self.fault}"


def around(role: str, names: Sequence[str], fault: Fault = Fault.KILL, *, every: bool) -> list[Point]:
    """Where to have something happen: around each transaction at all moments, or at one of them in turns.

    Args:
        role: to whom.
        names: the transactions.
        fault: what.
        every: whether all points are wanted.
    """
    whens = WHENS[fault]
    moments = [whens if every else (whens[place % len(whens)],) for place in range(len(names))]
    return [
        Point(role=role, transaction=name, when=when, fault=fault)
        for name, chosen in zip(names, moments, strict=True)
        for when in chosen
    ]


class Transactions:
    """What a folder's programs did to the store, and where something is to happen.

    Args:
        folder: the folder that they run in.
    """

    def __init__(self, folder: Path) -> None:
        self._order = folder / ORDER
        self._notes = folder / NOTES

    def note(self) -> None:
        """Have all transactions noted from now on."""
        self._notes.touch()

    @property
    def noted(self) -> list[tuple[str, str]]:
        """Each by who did it, and its name, in order."""
        return [(role, name) for role, name in map(str.split, self._notes.read_text().splitlines())]

    def of(self, role: str) -> list[str]:
        """The names of those that processes of a role have made, each once, in the order in which they first came."""
        return [name for who, name in dict.fromkeys(self.noted) if who == role]

    def order(self, point: Point) -> None:
        """Have it happen to the next that comes there."""
        new = self._order.with_name(f"{ORDER}.new")
        new.write_text(str(point))
        new.rename(self._order)

    @property
    def met(self) -> bool:
        """Whether that has happened."""
        return not self._order.exists() and not self._order.with_name(TAKEN).exists()


def obey(role: str) -> None:
    """Have happen what a test says, where it says so.

    Args:
        role: what this process is.
    """
    original = Database.writing

    def writing(self: Database) -> AbstractContextManager[Connection]:
        return watched(self, f"{role} {_caller()}")

    @contextmanager
    def watched(database: Database, name: str) -> Iterator[Connection]:
        with original(database) as connection:
            yield connection
            when, strike = _ordered(name, connection)
            if when is When.BEFORE:
                strike()
            elif when is When.UNHEARD:
                connection.connection.commit()
                strike()
                connection.execute(PROCESS_ID)  # raises what is raised where the answer to a commit is lost
        _note(name)
        if when is When.AFTER:
            strike()

    setattr(Database, "writing", writing)  # noqa: B010


def _caller() -> str:
    """The method of the store that asks for the transaction, whatever it asks through."""
    frame = sys._getframe(2)
    while frame.f_code.co_name.startswith("_") and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code.co_qualname


def _note(name: str) -> None:
    if os.path.exists(NOTES):  # noqa: PTH110 - as quick as can be
        descriptor = os.open(NOTES, os.O_WRONLY | os.O_APPEND)
        os.write(descriptor, f"{name}\n".encode())
        os.close(descriptor)


def _ordered(name: str, connection: Connection) -> tuple[When | None, Callable[[], None]]:
    """When something is to happen in this transaction, and what."""
    with suppress(FileNotFoundError):
        told, _, fault = Path(ORDER).read_text().rpartition(" ")
        place, _, when = told.rpartition(" ")
        if place == name:
            Path(ORDER).rename(TAKEN)  # nobody else does it
            return When(when), _strike(Fault(fault), connection)
    return None, lambda: None


def _strike(fault: Fault, connection: Connection) -> Callable[[], None]:
    """Does what is to happen, to this connection where it is about connections."""
    if fault is Fault.KILL:
        return _die
    from tests.fakes.postgresql import end_connection, kill_server  # noqa: PLC0415 - it takes long to load

    if fault is Fault.CONNECTION:
        work: Callable[[], None] = partial(
            end_connection, connection.engine.url, connection.execute(PROCESS_ID).scalar_one()
        )
    else:
        work = partial(kill_server, Path(connection.execute(DATA).scalar_one()))

    def strike() -> None:
        work()
        Path(TAKEN).unlink()

    return strike


def _die() -> None:
    Path(TAKEN).unlink()
    os.kill(os.getpid(), signal.SIGKILL)
