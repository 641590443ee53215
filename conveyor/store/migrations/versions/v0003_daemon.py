"""The daemon: why builds wait and in which order, what polls know, events, notices, leases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_ENDED_UNTRIED = "outcome IN ('superseded', 'cancelled')"


def upgrade() -> None:
    """Change the tables of builds and attempts, then make new ones, each after those that it refers to."""
    _change_build()
    _change_entry_index()
    op.add_column("attempt", sa.Column("buildroot_sha256", sa.Text()))
    op.add_column("provenance", sa.Column("bootstrap", sa.Boolean(), server_default=sa.false(), nullable=False))
    _create_counter()
    _create_head()
    _create_remote()
    _create_poke()
    _create_pause()
    _create_relations()
    _create_event()
    _create_notice()
    _create_lease()


def _change_build() -> None:
    with op.batch_alter_table("build", copy_from=_build_before()) as build:
        for column in _new_columns():
            build.add_column(column)
        build.drop_constraint(op.f("ck_build_attempts"), type_="check")
        build.create_check_constraint(
            op.f("ck_build_attempts"), f"attempts >= 0 AND (state = 'queued' OR attempts > 0 OR {_ENDED_UNTRIED})"
        )
        build.create_check_constraint(
            op.f("ck_build_reason"),
            "reason IN ('requested', 'new-package', 'new-commit', 'new-tag', 'new-packaging', 'dependency', 'retry',"
            " 'bootstrap')",
        )
        build.create_check_constraint(op.f("ck_build_counts"), "errors >= 0 AND cascade >= 0")
    op.create_index(op.f("ix_build_changed"), "build", ["changed"])
    op.create_index(op.f("ix_build_package_id"), "build", ["package", "id"])
    for name, condition in (
        ("ix_build_unfinished", "state != 'finished'"),
        ("ix_build_errored", "outcome = 'errored' AND NOT given_up"),
    ):
        op.create_index(name, "build", ["id"], sqlite_where=sa.text(condition), postgresql_where=sa.text(condition))
    # Nobody was there to try them again; that there is a daemon now is no reason to.
    op.execute("UPDATE build SET given_up = true WHERE outcome = 'errored'")


def _new_columns() -> tuple[sa.Column[object], ...]:
    return (
        sa.Column("priority", sa.Integer(), server_default="10", nullable=False),
        sa.Column("reason", sa.Text(), server_default="requested", nullable=False),
        sa.Column("reason_detail", sa.Text(), server_default="", nullable=False),
        sa.Column("reason_build_id", sa.Integer()),
        sa.Column("cascade", sa.Integer(), server_default="0", nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True)),
        sa.Column("errors", sa.Integer(), server_default="0", nullable=False),
        sa.Column("given_up", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("ended", sa.Text(), server_default="", nullable=False),
        sa.Column("cancelled_by", sa.Text(), server_default="", nullable=False),
        sa.Column("changed", sa.BigInteger(), server_default="0", nullable=False),
    )


def _build_before() -> sa.Table:
    """The table as it was: SQLite rebuilds it, and its constraints cannot all be read from the database."""
    return sa.Table(
        "build",
        sa.MetaData(),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("commit_id", sa.Integer(), nullable=False),
        sa.Column("package", sa.Text(), nullable=False),
        sa.Column("trunk", sa.Boolean(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text()),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("(state = 'finished') = (outcome IS NOT NULL)", name=op.f("ck_build_outcome_when_finished")),
        sa.CheckConstraint("attempts >= 0 AND (state = 'queued' OR attempts > 0)", name=op.f("ck_build_attempts")),
        sa.CheckConstraint(
            "outcome IN ('succeeded', 'failed', 'errored', 'cancelled', 'superseded')", name=op.f("ck_build_outcome")
        ),
        sa.CheckConstraint("state IN ('queued', 'running', 'finished')", name=op.f("ck_build_state")),
        sa.ForeignKeyConstraint(
            ["commit_id", "package", "trunk"],
            ["upstream_commit.id", "upstream_commit.package", "upstream_commit.trunk"],
            name=op.f("fk_build_commit_id_package_trunk"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_build")),
        sa.UniqueConstraint("commit_id", "target", name=op.f("uq_build_commit_id_target")),
        sa.UniqueConstraint("package", "target", "id", name=op.f("uq_build_package_target_id")),
        sa.Index(
            "ix_build_failures",
            "target",
            "package",
            "trunk",
            "failed_at",
            sqlite_where=sa.text("failed_at IS NOT NULL"),
            postgresql_where=sa.text("failed_at IS NOT NULL"),
        ),
        sa.Index("ix_build_target_id", "target", "id"),
        sqlite_autoincrement=True,
    )


def _change_entry_index() -> None:
    """SQLite looked through all published entries for those that are not."""
    name, published = op.f("ix_entry_target_published_at_build_id"), sa.text("published_at IS NOT NULL")
    op.drop_index(name, "entry")
    columns = ["target", "published_at", "build_id"]
    op.create_index(name, "entry", columns, sqlite_where=published, postgresql_where=published)


def _create_counter() -> None:
    op.create_table(
        "counter",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counter")),
        sqlite_with_rowid=False,
    )
    # Builds that are there are not those of change 1, but were before it: 0 is for who has seen nothing.
    op.execute("INSERT INTO counter (name, value) VALUES ('queue', 1)")


def _create_head() -> None:
    op.create_table(
        "head",
        sa.Column("package", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("sha", sa.Text()),
        sa.Column("packaging_sha", sa.Text(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("side IN ('upstream', 'packaging')", name=op.f("ck_head_side")),
        sa.PrimaryKeyConstraint("package", "side", name=op.f("pk_head")),
        sqlite_with_rowid=False,
    )


def _create_remote() -> None:
    op.create_table(
        "remote",
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("polled_at", sa.DateTime(timezone=True)),
        sa.Column("answered_at", sa.DateTime(timezone=True)),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("failures >= 0", name=op.f("ck_remote_failures")),
        sa.PrimaryKeyConstraint("url", name=op.f("pk_remote")),
        sqlite_with_rowid=False,
    )


def _create_poke() -> None:
    op.create_table(
        "poke",
        sa.Column("package", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("package", name=op.f("pk_poke")),
        sqlite_with_rowid=False,
    )


def _create_pause() -> None:
    op.create_table(
        "pause",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("scope IN ('all', 'target', 'package')", name=op.f("ck_pause_scope")),
        sa.PrimaryKeyConstraint("scope", "name", name=op.f("pk_pause")),
        sqlite_with_rowid=False,
    )


def _create_relations() -> None:
    op.create_table(
        "relations",
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("package", sa.Text(), nullable=False),
        sa.Column("requires", sa.JSON(), nullable=False),
        sa.Column("provides", sa.JSON(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("target", "package", name=op.f("pk_relations")),
        sqlite_with_rowid=False,
    )


def _create_event() -> None:
    op.create_table(
        "event",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("package", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("build_id", sa.Integer()),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('first-seen', 'new-commits', 'new-packaging', 'force-pushed', 'branch-gone', 'branch-back',"
            " 'tag-moved', 'tag-gone', 'unreachable', 'reachable', 'queued', 'superseded', 'started', 'succeeded',"
            " 'published', 'failed', 'failed-again', 'works-again', 'errored', 'gave-up', 'cancelled', 'flaky',"
            " 'cycle', 'cascade-stopped', 'paused', 'resumed', 'prioritized', 'pointer-moved', 'configuration-loaded',"
            " 'configuration-broken', 'package-removed', 'daemon-started', 'daemon-stopped', 'disk-low', 'disk-fine',"
            " 'clock-jumped', 'stale', 'stale-no-more', 'notice-failed')",
            name=op.f("ck_event_kind"),
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_event")),
    )
    for column in ("package", "target", "build_id", "kind"):
        op.create_index(op.f(f"ix_event_{column}_number"), "event", [column, "number"])


def _create_notice() -> None:
    op.create_table(
        "notice",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("event", sa.Integer(), nullable=False),
        sa.Column("package", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
        sa.Column("given_up_at", sa.DateTime(timezone=True)),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.CheckConstraint("channel IN ('mail', 'webhook', 'command')", name=op.f("ck_notice_channel")),
        sa.CheckConstraint("tries >= 0 AND (sent_at IS NULL OR given_up_at IS NULL)", name=op.f("ck_notice_end")),
        sa.ForeignKeyConstraint(["event"], ["event.number"], name=op.f("fk_notice_event")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice")),
        sa.UniqueConstraint("event", "channel", "recipient", name=op.f("uq_notice_event_channel_recipient")),
    )
    op.create_index(op.f("ix_notice_recipient_package_created_at"), "notice", ["recipient", "package", "created_at"])
    for name, columns, condition in (
        ("ix_notice_waiting", ["due_at", "id"], "sent_at IS NULL AND given_up_at IS NULL"),
        ("ix_notice_given_up", ["given_up_at", "id"], "given_up_at IS NOT NULL"),
    ):
        op.create_index(name, "notice", columns, sqlite_where=sa.text(condition), postgresql_where=sa.text(condition))


def _create_lease() -> None:
    op.create_table(
        "lease",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("process_started", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
        sa.UniqueConstraint("token", name=op.f("uq_lease_token")),
        sqlite_with_rowid=False,
    )
