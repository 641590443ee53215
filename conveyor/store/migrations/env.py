"""Run by Alembic: migrates on the connection, and in the transaction, that the configuration brings."""

from alembic import context

from conveyor.store.schema import VERSION_TABLE
from conveyor.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,  # SQLite changes a column by rebuilding its table
)
with context.begin_transaction():
    context.run_migrations()
