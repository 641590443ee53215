"""The first schema: what each table and column means is said in conveyor/store/tables.py."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables, each after those that it refers to."""
    _create_upstream_commit()
    _create_build()
    _create_attempt()
    _create_entry()
    _create_artifact()
    _create_build_artifact()
    _create_trunk_package()


def _create_upstream_commit() -> None:
    op.create_table(
        "upstream_commit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("package", sa.Text(), nullable=False),
        sa.Column("upstream_sha", sa.Text(), nullable=False),
        sa.Column("packaging_sha", sa.Text(), nullable=False),
        sa.Column("extended", sa.Text(), nullable=False),
        sa.Column("trunk", sa.Boolean(), nullable=False),
        sa.Column("committed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "length(packaging_sha) = 40 AND trim(packaging_sha, '0123456789abcdef') = ''",
            name=op.f("ck_upstream_commit_packaging_sha"),
        ),
        sa.CheckConstraint(
            "length(upstream_sha) = 40 AND trim(upstream_sha, '0123456789abcdef') = ''",
            name=op.f("ck_upstream_commit_upstream_sha"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upstream_commit")),
        sa.UniqueConstraint("id", "package", "trunk", name=op.f("uq_upstream_commit_id_package_trunk")),
        sa.UniqueConstraint(
            "package", "upstream_sha", "packaging_sha", "extended", "trunk", name="uq_upstream_commit_identity"
        ),
    )


def _create_build() -> None:
    op.create_table(
        "build",
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
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_build_failures",
        "build",
        ["target", "package", "trunk", "failed_at"],
        sqlite_where=sa.text("failed_at IS NOT NULL"),
        postgresql_where=sa.text("failed_at IS NOT NULL"),
    )
    op.create_index(op.f("ix_build_target_id"), "build", ["target", "id"])


def _create_attempt() -> None:
    op.create_table(
        "attempt",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("build_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("process_started", sa.BigInteger(), nullable=False),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column("outcome", sa.Text()),
        sa.Column("cause_fault", sa.Text()),
        sa.Column("cause_stage", sa.Text()),
        sa.Column("cause_kind", sa.Text()),
        sa.Column("cause_summary", sa.Text()),
        sa.Column("cause_hint", sa.Text()),
        sa.Column("cause_details", sa.JSON(none_as_null=True)),
        sa.Column("stages", sa.JSON(), nullable=False),
        sa.Column("log", sa.Text()),
        sa.CheckConstraint(
            "cause_fault IN ('package', 'user', 'ours', 'network')", name=op.f("ck_attempt_cause_fault")
        ),
        sa.CheckConstraint(
            "outcome IN ('succeeded', 'failed', 'errored', 'cancelled', 'superseded')", name=op.f("ck_attempt_outcome")
        ),
        sa.CheckConstraint(
            "(cause_fault IS NULL) = (cause_kind IS NULL) AND (cause_fault IS NULL) = (cause_summary IS NULL)"
            " AND (cause_fault IS NULL) = (cause_hint IS NULL) AND (cause_fault IS NULL) = (cause_details IS NULL)",
            name=op.f("ck_attempt_cause"),
        ),
        sa.CheckConstraint("(finished_at IS NULL) = (outcome IS NULL)", name=op.f("ck_attempt_outcome_when_finished")),
        sa.CheckConstraint("number > 0", name=op.f("ck_attempt_number")),
        sa.ForeignKeyConstraint(["build_id"], ["build.id"], name=op.f("fk_attempt_build_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
        sa.UniqueConstraint("build_id", "number", name=op.f("uq_attempt_build_id_number")),
        sa.UniqueConstraint("token", name=op.f("uq_attempt_token")),
    )
    op.create_index(
        "uq_attempt_live",
        "attempt",
        ["build_id"],
        unique=True,
        sqlite_where=sa.text("finished_at IS NULL"),
        postgresql_where=sa.text("finished_at IS NULL"),
    )


def _create_entry() -> None:
    op.create_table(
        "entry",
        sa.Column("build_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("package", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("upstream_url", sa.Text(), nullable=False),
        sa.Column("packaging_url", sa.Text(), nullable=False),
        sa.Column("component", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("succeeded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True)),
        sa.Column("publish_seconds", sa.Float()),
        sa.CheckConstraint("(published_at IS NULL) = (publish_seconds IS NULL)", name=op.f("ck_entry_published")),
        sa.ForeignKeyConstraint(
            ["build_id", "package", "target"],
            ["build.id", "build.package", "build.target"],
            name=op.f("fk_entry_build_id_package_target"),
        ),
        sa.PrimaryKeyConstraint("build_id", name=op.f("pk_entry")),
    )
    op.create_index(
        op.f("ix_entry_target_package_succeeded_at_build_id"),
        "entry",
        ["target", "package", "succeeded_at", "build_id"],
    )
    op.create_index(
        "ix_entry_unpublished",
        "entry",
        ["succeeded_at", "build_id"],
        sqlite_where=sa.text("published_at IS NULL"),
        postgresql_where=sa.text("published_at IS NULL"),
    )


def _create_artifact() -> None:
    op.create_table(
        "artifact",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "length(sha256) = 64 AND trim(sha256, '0123456789abcdef') = ''", name=op.f("ck_artifact_sha256")
        ),
        sa.CheckConstraint("size >= 0", name=op.f("ck_artifact_size")),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_artifact")),
        sqlite_with_rowid=False,
    )


def _create_build_artifact() -> None:
    op.create_table(
        "build_artifact",
        sa.Column("build_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("architecture", sa.Text(), nullable=False),
        sa.CheckConstraint("kind IN ('binary', 'source', 'support')", name=op.f("ck_build_artifact_kind")),
        sa.ForeignKeyConstraint(["build_id"], ["build.id"], name=op.f("fk_build_artifact_build_id")),
        sa.ForeignKeyConstraint(["sha256"], ["artifact.sha256"], name=op.f("fk_build_artifact_sha256")),
        sa.PrimaryKeyConstraint("build_id", "position", name=op.f("pk_build_artifact")),
        sqlite_with_rowid=False,
    )


def _create_trunk_package() -> None:
    op.create_table(
        "trunk_package",
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("architecture", sa.Text(), nullable=False),
        sa.Column("build_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["build_id", "position"],
            ["build_artifact.build_id", "build_artifact.position"],
            name=op.f("fk_trunk_package_build_id_position"),
        ),
        sa.PrimaryKeyConstraint("target", "name", "version", "architecture", name=op.f("pk_trunk_package")),
        sqlite_with_rowid=False,
    )
