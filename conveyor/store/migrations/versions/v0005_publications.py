"""The newest publication of a package, found by an index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the index."""
    name, published = "ix_entry_target_package_published_at_build_id", sa.text("published_at IS NOT NULL")
    columns = ["target", "package", "published_at", "build_id"]
    op.create_index(op.f(name), "entry", columns, sqlite_where=published, postgresql_where=published)
