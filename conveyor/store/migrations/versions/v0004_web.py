"""Reminders: events that tell of what stays as it is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_KINDS_BEFORE = (
    "'first-seen', 'new-commits', 'new-packaging', 'force-pushed', 'branch-gone', 'branch-back', 'tag-moved',"
    " 'tag-gone', 'unreachable', 'reachable', 'queued', 'superseded', 'started', 'succeeded', 'published', 'failed',"
    " 'failed-again', 'works-again', 'errored', 'gave-up', 'cancelled', 'flaky', 'cycle', 'cascade-stopped', 'paused',"
    " 'resumed', 'prioritized', 'pointer-moved', 'configuration-loaded', 'configuration-broken', 'package-removed',"
    " 'daemon-started', 'daemon-stopped', 'disk-low', 'disk-fine', 'clock-jumped', 'stale', 'stale-no-more',"
    " 'notice-failed'"
)
_NEW_KINDS = "'still-failing', 'pointer-held-back'"


def upgrade() -> None:
    """Let events be of the kinds that remind."""
    _know_reminders()


def _know_reminders() -> None:
    with op.batch_alter_table("event", copy_from=_event_before()) as event:
        event.drop_constraint(op.f("ck_event_kind"), type_="check")
        event.create_check_constraint(op.f("ck_event_kind"), f"kind IN ({_KINDS_BEFORE}, {_NEW_KINDS})")


def _event_before() -> sa.Table:
    """The table as it was: SQLite rebuilds it."""
    return sa.Table(
        "event",
        sa.MetaData(),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("package", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("build_id", sa.Integer()),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.CheckConstraint(f"kind IN ({_KINDS_BEFORE})", name=op.f("ck_event_kind")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_event")),
        *(
            sa.Index(op.f(f"ix_event_{column}_number"), column, "number")
            for column in ("package", "target", "build_id", "kind")
        ),
    )
