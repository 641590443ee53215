"""Opens the store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from conveyor.store.database import Database
from conveyor.store.schema import bring_up_to_date
from conveyor.store.sql import SqlStore

PATIENCE = 30.0


def _utc_now() -> datetime:
    return datetime.now(UTC)


def open_store(url: str, *, now: Callable[[], datetime] = _utc_now, patience: float = PATIENCE) -> SqlStore:
    """Open the store, after making or migrating it where needed.

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
    return SqlStore(database, now)
