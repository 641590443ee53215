"""The status page and the API: indexes for what they look for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the indexes."""
    _create_search_indexes()


def _create_search_indexes() -> None:
    judged = sa.text("trunk AND outcome IN ('succeeded', 'failed', 'errored')")
    op.create_index(
        "ix_build_judged", "build", ["package", "target", "id"], sqlite_where=judged, postgresql_where=judged
    )
    op.create_index(op.f("ix_build_outcome_id"), "build", ["outcome", "id"])
    op.create_index(op.f("ix_build_queued_at"), "build", ["queued_at"])
    op.create_index(op.f("ix_build_version"), "build", ["version"], postgresql_ops={"version": "text_pattern_ops"})
    op.create_index(
        "ix_build_artifact_filename",
        "build_artifact",
        ["filename", "build_id"],
        postgresql_ops={"filename": "text_pattern_ops"},
    )
