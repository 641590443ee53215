"""What happened, durably: SQLAlchemy tables, Alembic migrations. See docs/store.md."""

from conveyor.store.opening import open_store
from conveyor.store.sql import SqlStore

__all__ = ["SqlStore", "open_store"]
