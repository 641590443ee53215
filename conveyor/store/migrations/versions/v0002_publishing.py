"""Publishing: pointers with a ledger, votes, provenance, retention and mirrors."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

# Only ever added to: a row's hash covers the row before, so a change would be seen; here it is refused.
_FINAL_ON_SQLITE = """
CREATE TRIGGER ledger_{event} BEFORE {event} ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is only ever added to'); END
"""
_FINAL_ON_POSTGRESQL = (
    """
    CREATE FUNCTION ledger_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'the ledger is only ever added to' USING ERRCODE = 'integrity_constraint_violation';
    END $$
    """,
    "CREATE TRIGGER ledger_final BEFORE UPDATE OR DELETE ON ledger FOR EACH ROW EXECUTE FUNCTION ledger_is_final()",
)


def upgrade() -> None:
    """Make the tables, each after those that it refers to."""
    _create_buildroot()
    _create_mirror_state()
    _create_pointer_move()
    _create_vote()
    _create_ledger()
    _create_pointer_step()
    _create_collected_snapshot()
    _create_provenance()
    _create_indexes()
    _make_ledger_final()


def _create_buildroot() -> None:
    op.create_table(
        "buildroot",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("packages", sa.JSON(), nullable=False),
        sa.CheckConstraint(
            "length(sha256) = 64 AND trim(sha256, '0123456789abcdef') = ''", name=op.f("ck_buildroot_sha256")
        ),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_buildroot")),
        sqlite_with_rowid=False,
    )


def _create_mirror_state() -> None:
    op.create_table(
        "mirror_state",
        sa.Column("mirror", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("synced_at", sa.DateTime(timezone=True)),
        sa.Column("failed_at", sa.DateTime(timezone=True)),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.CheckConstraint("failures >= 0", name=op.f("ck_mirror_state_failures")),
        sa.PrimaryKeyConstraint("mirror", "target", name=op.f("pk_mirror_state")),
    )


def _create_pointer_move() -> None:
    op.create_table(
        "pointer_move",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("keep", sa.Boolean(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint(
            "kind IN ('published', 'promoted', 'rolled back', 'found')", name=op.f("ck_pointer_move_kind")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pointer_move")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_pointer_move_pending",
        "pointer_move",
        ["id"],
        sqlite_where=sa.text("done_at IS NULL"),
        postgresql_where=sa.text("done_at IS NULL"),
    )


def _create_vote() -> None:
    op.create_table(
        "vote",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("success", sa.Boolean()),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("voter", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vote")),
    )
    op.create_index(op.f("ix_vote_subject_id"), "vote", ["subject", "id"])


def _create_ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("move_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("keep", sa.Boolean(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("pointer", sa.Text(), nullable=False),
        sa.Column("before", sa.Text()),
        sa.Column("after", sa.Text(), nullable=False),
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.CheckConstraint("length(hash) = 64 AND trim(hash, '0123456789abcdef') = ''", name=op.f("ck_ledger_hash")),
        sa.CheckConstraint(
            "length(previous) = 64 AND trim(previous, '0123456789abcdef') = ''", name=op.f("ck_ledger_previous")
        ),
        sa.CheckConstraint("number > 0", name=op.f("ck_ledger_number")),
        sa.ForeignKeyConstraint(["move_id"], ["pointer_move.id"], name=op.f("fk_ledger_move_id")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_ledger")),
        sa.UniqueConstraint("hash", name=op.f("uq_ledger_hash")),
        sa.UniqueConstraint("previous", name=op.f("uq_ledger_previous")),
    )
    op.create_index(op.f("ix_ledger_target_pointer_number"), "ledger", ["target", "pointer", "number"])


def _create_pointer_step() -> None:
    op.create_table(
        "pointer_step",
        sa.Column("move_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("pointer", sa.Text(), nullable=False),
        sa.Column("before", sa.Text()),
        sa.Column("after", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["move_id"], ["pointer_move.id"], name=op.f("fk_pointer_step_move_id")),
        sa.PrimaryKeyConstraint("move_id", "position", name=op.f("pk_pointer_step")),
        sa.UniqueConstraint("move_id", "target", "pointer", name=op.f("uq_pointer_step_move_id_target_pointer")),
        sqlite_with_rowid=False,
    )


def _create_collected_snapshot() -> None:
    op.create_table(
        "collected_snapshot",
        sa.Column("build_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("collected_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["build_id"], ["entry.build_id"], name=op.f("fk_collected_snapshot_build_id")),
        sa.PrimaryKeyConstraint("build_id", name=op.f("pk_collected_snapshot")),
    )


def _create_provenance() -> None:
    op.create_table(
        "provenance",
        sa.Column("build_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("builder", sa.Text(), nullable=False),
        sa.Column("conveyor_version", sa.Text(), nullable=False),
        sa.Column("buildroot_sha256", sa.Text()),
        sa.Column("upstream_branch", sa.Text(), nullable=False),
        sa.Column("packaging_branch", sa.Text(), nullable=False),
        sa.Column("packaging_commit", sa.Text(), nullable=False),
        sa.Column("packaged_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("builder IN ('overlay', 'mock', 'pbuilder')", name=op.f("ck_provenance_builder")),
        sa.ForeignKeyConstraint(["build_id"], ["entry.build_id"], name=op.f("fk_provenance_build_id")),
        sa.ForeignKeyConstraint(
            ["buildroot_sha256"], ["buildroot.sha256"], name=op.f("fk_provenance_buildroot_sha256")
        ),
        sa.PrimaryKeyConstraint("build_id", name=op.f("pk_provenance")),
    )


def _create_indexes() -> None:
    op.create_index(op.f("ix_upstream_commit_upstream_sha"), "upstream_commit", ["upstream_sha"])
    op.create_index("ix_build_artifact_sha256", "build_artifact", ["sha256"])
    op.create_index(op.f("ix_entry_target_published_at_build_id"), "entry", ["target", "published_at", "build_id"])


def _make_ledger_final() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for event in ("UPDATE", "DELETE"):
            op.execute(_FINAL_ON_SQLITE.format(event=event))
    else:
        for statement in _FINAL_ON_POSTGRESQL:
            op.execute(statement)
