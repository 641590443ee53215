"""Opens the store, and with it all that is kept in its database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from conveyor.store.access import SqlSessions, SqlTokens, SqlUsers
from conveyor.store.audit import SqlAuditLog
from conveyor.store.database import Database
from conveyor.store.events import SqlEvents
from conveyor.store.idempotency import SqlIdempotencyKeys
from conveyor.store.leases import SqlLeases
from conveyor.store.ledger import SqlLedger
from conveyor.store.lookup import SqlLookup
from conveyor.store.mirrors import SqlMirrorStates
from conveyor.store.orders import SqlOrderBook
from conveyor.store.outbox import SqlOutbox
from conveyor.store.queue import SqlQueue
from conveyor.store.schema import bring_up_to_date
from conveyor.store.sql import SqlStore
from conveyor.store.tally import SqlTally
from conveyor.store.transfer import SqlTransfer
from conveyor.store.votes import SqlVotes
from conveyor.store.watch import SqlWatch

PATIENCE = 30.0


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What is kept in one database. Closing the store closes all.

    Attributes:
        store: builds, and what came of them.
        lookup: finds builds.
        tally: counts builds.
        ledger: what moved pointers.
        votes: what tests say.
        mirrors: how mirrors stand.
        queue: what waits for a worker.
        watch: what polls know.
        orders: what is ordered from afar.
        events: what happened.
        leases: who may act alone.
        outbox: what is to be told.
        tokens: what programs act with on the web.
        users: people whose passwords are kept here.
        sessions: people that have signed in.
        audit: what was done on the web, and to who may do it.
        idempotency: requests that are carried out once.
        transfer: all of it, as a file.
    """

    store: SqlStore
    lookup: SqlLookup
    tally: SqlTally
    ledger: SqlLedger
    votes: SqlVotes
    mirrors: SqlMirrorStates
    queue: SqlQueue
    watch: SqlWatch
    orders: SqlOrderBook
    events: SqlEvents
    leases: SqlLeases
    outbox: SqlOutbox
    tokens: SqlTokens
    users: SqlUsers
    sessions: SqlSessions
    audit: SqlAuditLog
    idempotency: SqlIdempotencyKeys
    transfer: SqlTransfer


def open_books(url: str, *, now: Callable[[], datetime] = _utc_now, patience: float = PATIENCE) -> Books:
    """Open the store, after making or migrating it where needed, and what else is in its database.

    Args:
        url: `sqlite:///<path of a file>` (four slashes for an absolute path), or
            `postgresql://<user>@<host>/<database>`.
        now: the time at which builds are queued and published.
        patience: seconds to wait for another process's lock before giving up.

    Raises:
        StoreUnusable: it cannot be reached, read or written, is damaged, locked, or made by a newer Conveyor.
        DiskFull: there is no room for it.
    """
    database = Database(url, patience=patience)
    try:
        bring_up_to_date(url, database, patience=patience)
    except BaseException:
        database.close()
        raise
    return Books(
        store=SqlStore(database, now),
        lookup=SqlLookup(database),
        tally=SqlTally(database),
        ledger=SqlLedger(database),
        votes=SqlVotes(database),
        mirrors=SqlMirrorStates(database),
        queue=SqlQueue(database),
        watch=SqlWatch(database),
        orders=SqlOrderBook(database),
        events=SqlEvents(database),
        leases=SqlLeases(database),
        outbox=SqlOutbox(database),
        tokens=SqlTokens(database),
        users=SqlUsers(database),
        sessions=SqlSessions(database),
        audit=SqlAuditLog(database),
        idempotency=SqlIdempotencyKeys(database),
        transfer=SqlTransfer(database),
    )


def open_store(url: str, *, now: Callable[[], datetime] = _utc_now, patience: float = PATIENCE) -> SqlStore:
    """Open the store alone; see `open_books`."""
    return open_books(url, now=now, patience=patience).store
