"""The web: tokens, users, sessions, what was done, orders, and indexes for what is looked for; and reminders."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_DIGEST = "length(digest) = 64 AND trim(digest, '0123456789abcdef') = ''"
_FINAL_ON_SQLITE = """
CREATE TRIGGER audit_{event} BEFORE {event} ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is only ever added to'); END
"""
_FINAL_ON_POSTGRESQL = (
    """
    CREATE FUNCTION audit_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'the audit log is only ever added to' USING ERRCODE = 'integrity_constraint_violation';
    END $$
    """,
    "CREATE TRIGGER audit_final BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_is_final()",
)

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
    """Make the tables and indexes."""
    _create_access_token()
    _create_access_user()
    _create_web_session()
    _create_audit()
    _create_idempotency_key()
    _create_build_order()
    _make_audit_final()
    _create_search_indexes()
    _create_vote_indexes()
    _know_reminders()


def _create_access_token() -> None:
    op.create_table(
        "access_token",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("permissions", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("used_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint(_DIGEST, name=op.f("ck_access_token_digest")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_access_token")),
        sqlite_with_rowid=False,
    )
    living = sa.text("revoked_at IS NULL")
    op.create_index(
        "uq_access_token_name", "access_token", ["name"], unique=True, sqlite_where=living, postgresql_where=living
    )


def _create_access_user() -> None:
    op.create_table(
        "access_user",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("password", sa.Text(), nullable=False),
        sa.Column("permissions", sa.JSON(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("password LIKE '$argon2id$%'", name=op.f("ck_access_user_password")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_access_user")),
        sqlite_with_rowid=False,
    )


def _create_web_session() -> None:
    op.create_table(
        "web_session",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("permissions", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(_DIGEST, name=op.f("ck_web_session_digest")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_web_session")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_web_session_expires_at"), "web_session", ["expires_at"])
    op.create_index(op.f("ix_web_session_user_created_at"), "web_session", ["user", "created_at"])


def _create_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("means", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.CheckConstraint(
            "means IN ('nobody', 'token', 'password', 'session', 'command')", name=op.f("ck_audit_means")
        ),
        sa.CheckConstraint("result IN ('done', 'refused', 'failed')", name=op.f("ck_audit_result")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit")),
    )
    for column in ("actor", "subject"):
        op.create_index(op.f(f"ix_audit_{column}_number"), "audit", [column, "number"])
    op.create_index(op.f("ix_audit_at"), "audit", ["at"])


def _create_idempotency_key() -> None:
    op.create_table(
        "idempotency_key",
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("body", sa.Text(), nullable=False),
        sa.CheckConstraint(_DIGEST, name=op.f("ck_idempotency_key_digest")),
        sa.PrimaryKeyConstraint("actor", "key", name=op.f("pk_idempotency_key")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_idempotency_key_at"), "idempotency_key", ["at"])


def _create_build_order() -> None:
    op.create_table(
        "build_order",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("package", sa.Text(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("targets", sa.JSON(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True)),
        sa.Column("builds", sa.JSON(), nullable=False),
        sa.Column("cause", sa.JSON()),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_build_order")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_build_order_settled_at"), "build_order", ["settled_at"])


def _make_audit_final() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for event in ("UPDATE", "DELETE"):
            op.execute(_FINAL_ON_SQLITE.format(event=event))
        return
    for statement in _FINAL_ON_POSTGRESQL:
        op.execute(statement)


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


def _create_vote_indexes() -> None:
    op.create_index(op.f("ix_vote_at_id"), "vote", ["at", "id"])
    op.create_index(op.f("ix_vote_job_at_id"), "vote", ["job", "at", "id"])


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
