"""Numbers that rise with each change, and are seen in the order of the changes. The caller brings the transaction.

Who advances a counter is alone with it until the end of its transaction: the next one gets its number after this one's
changes can be seen. So a reader that knows a number has missed nothing below it. A transaction advances the queue's
counter before it changes anything else, and the events' after the queue's: so no two wait for each other.
"""

from __future__ import annotations

from sqlalchemy import Connection, select, text

from conveyor.store.tables import counter

QUEUE = "queue"
EVENTS = "events"
OUTBOX = "outbox"
AUDIT = "audit"

_ADVANCE = text(
    "INSERT INTO counter (name, value) VALUES (:name, :by)"
    " ON CONFLICT (name) DO UPDATE SET value = counter.value + :by RETURNING value"
)
_RAISE = text(
    "INSERT INTO counter (name, value) VALUES (:name, :value)"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE counter.value <= excluded.value"
)


def advance(connection: Connection, name: str, by: int = 1) -> int:
    """The counter's value after it was raised."""
    return int(connection.execute(_ADVANCE, {"name": name, "by": by}).scalar_one())


def raise_to(connection: Connection, name: str, value: int) -> bool:
    """Raise the counter to a value; False where it is higher already."""
    return connection.execute(_RAISE, {"name": name, "value": value}).rowcount == 1


def value(connection: Connection, name: str) -> int:
    """The counter's value; 0 before the first change."""
    return connection.scalar(select(counter.c.value).where(counter.c.name == name)) or 0
