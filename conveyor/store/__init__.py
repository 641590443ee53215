"""What happened, durably: SQLAlchemy tables, Alembic migrations. See docs/store.md."""

from conveyor.store.ledger import SqlLedger
from conveyor.store.opening import Books, open_books, open_store
from conveyor.store.sql import SqlStore
from conveyor.store.votes import SqlVotes

__all__ = ["Books", "SqlLedger", "SqlStore", "SqlVotes", "open_books", "open_store"]
