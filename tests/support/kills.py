"""Has a quick program kill itself at a transaction of the store that a test names: what a kill can be seen by.

A test writes what is to die, and where, to the file `die-at` in the folder that the programs run in; who meets it
removes the file first, so that what comes after is left alone. With a file `transactions` beside it, all are noted.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from conveyor.store.database import Database

ORDER = "die-at"
NOTES = "transactions"
BEFORE, AFTER = "before", "after"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Where a process dies.

    Attributes:
        role: what it is: "daemon" or "worker".
        transaction: the method of the store, such as "SqlStore.claim".
        when: before it is committed, or after.
    """

    role: str
    transaction: str
    when: str

    def __str__(self) -> str:
        return f"{self.role} {self.transaction} {self.when}"


def around(role: str, names: Sequence[str], *, every: bool) -> list[Point]:
    """Where to kill: before and after each transaction, or in turns.

    Args:
        role: what is killed.
        names: the transactions.
        every: whether all points are wanted.
    """
    both = [Point(role=role, transaction=name, when=when) for name in names for when in (BEFORE, AFTER)]
    return both if every else [both[2 * place + place % 2] for place in range(len(names))]


class Transactions:
    """What a folder's programs did to the store, and where one of them is to die.

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

    def die_at(self, point: Point) -> None:
        """Have the next that comes there die."""
        new = self._order.with_name(f"{ORDER}.new")
        new.write_text(str(point))
        new.rename(self._order)

    @property
    def met(self) -> bool:
        """Whether that has happened."""
        return not self._order.exists()


def obey(role: str) -> None:
    """Die where a test says so.

    Args:
        role: what this process is.
    """
    original = Database.writing

    def writing(self: Database) -> AbstractContextManager[Connection]:
        return watched(original(self), f"{role} {sys._getframe(1).f_code.co_qualname}")

    @contextmanager
    def watched(transaction: AbstractContextManager[Connection], name: str) -> Iterator[Connection]:
        with transaction as connection:
            yield connection
            _die_if_told(f"{name} {BEFORE}")
        _note(name)
        _die_if_told(f"{name} {AFTER}")

    setattr(Database, "writing", writing)  # noqa: B010


def _note(name: str) -> None:
    if os.path.exists(NOTES):  # noqa: PTH110 - as quick as can be
        descriptor = os.open(NOTES, os.O_WRONLY | os.O_APPEND)
        os.write(descriptor, f"{name}\n".encode())
        os.close(descriptor)


def _die_if_told(here: str) -> None:
    try:
        told = Path(ORDER).read_text()
    except FileNotFoundError:
        return
    if told == here:
        Path(ORDER).unlink()
        os.kill(os.getpid(), signal.SIGKILL)
