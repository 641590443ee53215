"""The schema. docs/store.md tells it in words; migrations/ brings databases to it.

What must always hold is a constraint here, so that it holds whatever process writes. Columns of type HarmlessText
may hold upstream's text. All moments are UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    false,
    text,
)

from conveyor.errors import Fault
from conveyor.model.access import Means, Result
from conveyor.model.artifact import ArtifactKind
from conveyor.model.build import Outcome, State
from conveyor.model.event import EventKind
from conveyor.model.notice import Channel
from conveyor.model.promotion import MoveKind
from conveyor.model.queue import ReasonKind, ScopeKind
from conveyor.model.target import BuilderKind
from conveyor.model.watch import Side
from conveyor.store.types import HarmlessText, UtcDateTime

SHA1_DIGITS = 40
SHA256_DIGITS = 64

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def _one_of(column: str, values: type[StrEnum], name: str) -> CheckConstraint:
    """The column holds a value of the enum."""
    words = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({words})", name=name)


def _hex(column: str, digits: int) -> CheckConstraint:
    """The column holds so many lower-case hex digits; no regular expression works in both databases."""
    return CheckConstraint(f"length({column}) = {digits} AND trim({column}, '0123456789abcdef') = ''", name=column)


def _together(columns: Iterable[str], name: str) -> CheckConstraint:
    """Either all of the columns are set, or none."""
    first, *others = (f"({column} IS NULL)" for column in columns)
    return CheckConstraint(" AND ".join(f"{first} = {other}" for other in others), name=name)


# What is built: an upstream commit with the packaging it is built with. Never changed, never deleted.
upstream_commit = Table(
    "upstream_commit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("package", HarmlessText, nullable=False),  # the package's name in repos.yaml
    Column("upstream_sha", HarmlessText, nullable=False),
    Column("packaging_sha", HarmlessText, nullable=False),
    Column("extended", HarmlessText, nullable=False),  # the extended hash; empty for none
    Column("trunk", Boolean, nullable=False),  # whether it is part of the followed branch
    Column("committed_at", UtcDateTime, nullable=False),  # the upstream committer's date
    Column("author", HarmlessText, nullable=False),
    Column("subject", HarmlessText, nullable=False),  # first line of the message
    # A working copy without changes has the shas of its trunk commit, and is still another thing to build.
    UniqueConstraint(
        "package", "upstream_sha", "packaging_sha", "extended", "trunk", name="uq_upstream_commit_identity"
    ),
    UniqueConstraint("id", "package", "trunk"),  # what build's copies refer to
    Index(None, "upstream_sha"),  # a commit by the beginning of its id
    _hex("upstream_sha", SHA1_DIGITS),
    _hex("packaging_sha", SHA1_DIGITS),
)

# One commit for one target. A row changes its state; nothing deletes it.
build = Table(
    "build",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("commit_id", Integer, nullable=False),
    Column("package", HarmlessText, nullable=False),  # the commit's, copied for the indexes
    Column("trunk", Boolean, nullable=False),  # the commit's, copied for the indexes
    Column("target", HarmlessText, nullable=False),  # the target's name in repos.yaml
    Column("state", HarmlessText, nullable=False),
    Column("outcome", HarmlessText),  # of the last attempt; set exactly when finished
    Column("attempts", Integer, nullable=False),  # number of the last attempt; 0 before the first
    Column("version", HarmlessText),  # EVR string, once known
    Column("queued_at", UtcDateTime, nullable=False),  # when it was last put into the queue
    Column("failed_at", UtcDateTime),  # when an attempt last finished as failed or errored; a retry keeps it
    Column("priority", Integer, nullable=False, server_default="10"),  # the lower goes first: model/queue.py, Priority
    Column("reason", HarmlessText, nullable=False, server_default="requested"),  # why it is there
    Column("reason_detail", HarmlessText, nullable=False, server_default=""),
    Column("reason_build_id", Integer),  # the build that led to it
    Column("cascade", Integer, nullable=False, server_default="0"),  # how many builds led to one another before it
    Column("not_before", UtcDateTime),  # what a queued build waits for
    Column("errors", Integer, nullable=False, server_default="0"),  # attempts that errored since it was asked for
    Column("given_up", Boolean, nullable=False, server_default=false()),  # errored too often to be tried by itself
    Column("ended", HarmlessText, nullable=False, server_default=""),  # why it ended outside of an attempt
    Column("cancelled_by", HarmlessText, nullable=False, server_default=""),  # who wants or wanted it cancelled
    Column("changed", BigInteger, nullable=False, server_default="0"),  # number of its last change in the queue
    ForeignKeyConstraint(
        ["commit_id", "package", "trunk"], ["upstream_commit.id", "upstream_commit.package", "upstream_commit.trunk"]
    ),
    UniqueConstraint("commit_id", "target"),  # one build per commit and target
    UniqueConstraint("package", "target", "id"),  # what entry refers to; a package's builds for a target, newest first
    Index(None, "target", "id"),  # a target's builds, newest first
    Index(None, "package", "id"),  # a package's builds of all targets, newest first
    _one_of("state", State, "state"),
    _one_of("outcome", Outcome, "outcome"),
    CheckConstraint("(state = 'finished') = (outcome IS NOT NULL)", name="outcome_when_finished"),
    # What waited in vain was never tried.
    CheckConstraint(
        "attempts >= 0 AND (state = 'queued' OR attempts > 0 OR outcome IN ('superseded', 'cancelled'))",
        name="attempts",
    ),
    _one_of("reason", ReasonKind, "reason"),
    CheckConstraint("errors >= 0 AND cascade >= 0", name="counts"),
    Index(None, "changed"),  # what changed in the queue since somebody looked
    Index(None, "outcome", "id"),  # builds that ended so, newest first
    Index(None, "queued_at"),  # builds of a time
    # By the beginning of a version; PostgreSQL's own order would not do.
    Index(None, "version", postgresql_ops={"version": "text_pattern_ops"}),
    sqlite_autoincrement=True,  # people know builds by number, so no number is used twice
)
# Whether a package failed after its newest good build.
Index(
    "ix_build_failures",
    build.c.target,
    build.c.package,
    build.c.trunk,
    build.c.failed_at,
    sqlite_where=text("failed_at IS NOT NULL"),
    postgresql_where=text("failed_at IS NOT NULL"),
)

# Builds that wait or run. A statement that uses it, or the one below, has the same words.
UNFINISHED = text("state != 'finished'")
Index("ix_build_unfinished", build.c.id, sqlite_where=UNFINISHED, postgresql_where=UNFINISHED)
# Builds to try again.
TO_TRY_AGAIN = text("outcome = 'errored' AND NOT given_up")
Index("ix_build_errored", build.c.id, sqlite_where=TO_TRY_AGAIN, postgresql_where=TO_TRY_AGAIN)

# Builds of the trunk that say something of their packages. A statement that uses it has the same words.
JUDGED = text("trunk AND outcome IN ('succeeded', 'failed', 'errored')")
Index("ix_build_judged", build.c.package, build.c.target, build.c.id, sqlite_where=JUDGED, postgresql_where=JUDGED)

# One try at a build, from its claim on. A retry is a new row.
attempt = Table(
    "attempt",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("build_id", Integer, ForeignKey("build.id"), nullable=False),
    Column("number", Integer, nullable=False),  # from 1, within its build
    Column("token", HarmlessText, nullable=False, unique=True),  # who holds the claim: only it may finish the attempt
    Column("host", HarmlessText, nullable=False),  # the machine that works on it
    Column("pid", BigInteger, nullable=False),  # the process there
    Column("process_started", BigInteger, nullable=False),  # when that process began, in clock ticks since boot
    Column("heartbeat_at", UtcDateTime, nullable=False),  # when the claim was last heard of
    Column("queued_at", UtcDateTime, nullable=False),  # since when the build had waited for this attempt
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("outcome", HarmlessText),  # set exactly when finished
    Column("cause_fault", HarmlessText),  # whose fault; all cause_ columns are null where there is no cause
    Column("cause_stage", HarmlessText),  # where; null also outside of any stage
    Column("cause_kind", HarmlessText),  # the error's name
    Column("cause_summary", HarmlessText),  # one line for people
    Column("cause_hint", HarmlessText),  # what to do; may be empty
    Column("cause_details", JSON(none_as_null=True)),  # list of the log's lines that matter
    Column("stages", JSON, nullable=False),  # list of [stage, seconds] of the stages that ended, in order
    Column("log", HarmlessText),  # path relative to the data directory
    Column("buildroot_sha256", HarmlessText),  # of what was installed in its root, in the way of `buildroot`
    UniqueConstraint("build_id", "number"),
    _one_of("outcome", Outcome, "outcome"),
    _one_of("cause_fault", Fault, "cause_fault"),
    _together(["finished_at", "outcome"], "outcome_when_finished"),
    _together(["cause_fault", "cause_kind", "cause_summary", "cause_hint", "cause_details"], "cause"),
    CheckConstraint("number > 0", name="number"),
)
# One live claim per build.
Index(
    "uq_attempt_live",
    attempt.c.build_id,
    unique=True,
    sqlite_where=text("finished_at IS NULL"),
    postgresql_where=text("finished_at IS NULL"),
)

# What a successful build of a trunk commit brings into snapshots. Only `published` columns ever change.
entry = Table(
    "entry",
    metadata,
    Column("build_id", Integer, primary_key=True, autoincrement=False),
    Column("package", HarmlessText, nullable=False),  # the build's, copied for the indexes
    Column("target", HarmlessText, nullable=False),  # the build's, copied for the indexes
    Column("upstream_url", HarmlessText, nullable=False),
    Column("packaging_url", HarmlessText, nullable=False),  # empty for a folder
    Column("component", HarmlessText, nullable=False),
    Column("version", HarmlessText, nullable=False),  # EVR string of the source package
    Column("succeeded_at", UtcDateTime, nullable=False),
    Column("published_at", UtcDateTime),  # null until its snapshot is published
    Column("publish_seconds", Float),  # how long that took
    ForeignKeyConstraint(["build_id", "package", "target"], ["build.id", "build.package", "build.target"]),
    Index(None, "target", "package", "succeeded_at", "build_id"),  # a package's newest
    _together(["published_at", "publish_seconds"], "published"),
)
Index(
    "ix_entry_unpublished",
    entry.c.succeeded_at,
    entry.c.build_id,
    sqlite_where=text("published_at IS NULL"),
    postgresql_where=text("published_at IS NULL"),
)

# A file's content, known by its sha256, whichever builds made it and whatever they called it.
artifact = Table(
    "artifact",
    metadata,
    Column("sha256", HarmlessText, primary_key=True),
    Column("size", BigInteger, nullable=False),  # bytes
    _hex("sha256", SHA256_DIGITS),
    CheckConstraint("size >= 0", name="size"),
    sqlite_with_rowid=False,
)

# The files of a successful build.
build_artifact = Table(
    "build_artifact",
    metadata,
    Column("build_id", Integer, ForeignKey("build.id"), nullable=False),
    Column("position", Integer, nullable=False),  # from 0, in the build's own order
    Column("filename", HarmlessText, nullable=False),
    Column("sha256", HarmlessText, ForeignKey("artifact.sha256"), nullable=False),
    Column("kind", HarmlessText, nullable=False),  # what it is to a repository
    Column("name", HarmlessText, nullable=False),  # the package's name in the format
    Column("version", HarmlessText, nullable=False),  # EVR string; empty for files that are no packages
    Column("architecture", HarmlessText, nullable=False),  # in the format's words; empty for files that are no packages
    PrimaryKeyConstraint("build_id", "position"),
    _one_of("kind", ArtifactKind, "kind"),
    sqlite_with_rowid=False,
)

# The binary packages of a target's trunk by what clients know them by. Its key forbids other content under a known
# name, version and architecture; the same content may come from several builds, and the first one's row stays.
trunk_package = Table(
    "trunk_package",
    metadata,
    Column("target", HarmlessText, nullable=False),
    Column("name", HarmlessText, nullable=False),
    Column("version", HarmlessText, nullable=False),  # EVR string
    Column("architecture", HarmlessText, nullable=False),
    Column("build_id", Integer, nullable=False),  # the build that made it first
    Column("position", Integer, nullable=False),  # which of that build's files it is
    PrimaryKeyConstraint("target", "name", "version", "architecture"),
    ForeignKeyConstraint(["build_id", "position"], ["build_artifact.build_id", "build_artifact.position"]),
    sqlite_with_rowid=False,
)

# What was installed in a build's root, known by its hash: most builds share it with the one before.
buildroot = Table(
    "buildroot",
    metadata,
    Column("sha256", HarmlessText, primary_key=True),  # of the list's JSON
    Column("packages", JSON, nullable=False),  # list of [name, version, architecture], sorted
    _hex("sha256", SHA256_DIGITS),
    sqlite_with_rowid=False,
)

# How an entry was made: what its provenance says, and what only DLRN's commit.yaml wants to know.
provenance = Table(
    "provenance",
    metadata,
    Column("build_id", Integer, ForeignKey("entry.build_id"), primary_key=True, autoincrement=False),
    Column("builder", HarmlessText, nullable=False),  # overlay, mock or pbuilder
    Column("conveyor_version", HarmlessText, nullable=False),
    Column("buildroot_sha256", HarmlessText, ForeignKey("buildroot.sha256")),  # null where the builder did not tell
    Column("upstream_branch", HarmlessText, nullable=False),
    Column("packaging_branch", HarmlessText, nullable=False),  # empty for a folder
    Column("packaging_commit", HarmlessText, nullable=False),  # 40 hex digits; empty for a folder
    Column("packaged_at", UtcDateTime),  # the packaging commit's date; null for a folder
    # built without packages of its circle that were not there yet
    Column("bootstrap", Boolean, nullable=False, server_default=false()),
    _one_of("builder", BuilderKind, "builder"),
)

# Snapshots that retention removed. Their builds and entries stay.
collected_snapshot = Table(
    "collected_snapshot",
    metadata,
    Column("build_id", Integer, ForeignKey("entry.build_id"), primary_key=True, autoincrement=False),
    Column("collected_at", UtcDateTime, nullable=False),
)
# Who made a file, by the beginning of its name.
Index(
    "ix_build_artifact_filename",
    build_artifact.c.filename,
    build_artifact.c.build_id,
    postgresql_ops={"filename": "text_pattern_ops"},
)
# Which entries have a content, for whoever wants to remove it.
Index("ix_build_artifact_sha256", build_artifact.c.sha256)
# The snapshots of a target, and of a package on it, by when they were published. Of those only, so that nothing else is
# read through them.
for _columns in ((entry.c.target,), (entry.c.target, entry.c.package)):
    Index(
        None,
        *_columns,
        entry.c.published_at,
        entry.c.build_id,
        sqlite_where=text("published_at IS NOT NULL"),
        postgresql_where=text("published_at IS NOT NULL"),
    )

# Pointers that move together. A row that is not done was interrupted, and is carried out at the next start.
pointer_move = Table(
    "pointer_move",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", HarmlessText, nullable=False),
    Column("actor", HarmlessText, nullable=False),
    Column("note", HarmlessText, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("keep", Boolean, nullable=False),  # whether retention keeps the snapshots for ever
    Column("began_at", UtcDateTime, nullable=False),
    Column("done_at", UtcDateTime),  # null until the ledger has it
    _one_of("kind", MoveKind, "kind"),
    sqlite_autoincrement=True,
)
Index(
    "ix_pointer_move_pending",
    pointer_move.c.id,
    sqlite_where=text("done_at IS NULL"),
    postgresql_where=text("done_at IS NULL"),
)
pointer_step = Table(
    "pointer_step",
    metadata,
    Column("move_id", Integer, ForeignKey("pointer_move.id"), nullable=False),
    Column("position", Integer, nullable=False),  # from 0
    Column("target", HarmlessText, nullable=False),
    Column("pointer", HarmlessText, nullable=False),
    Column("before", HarmlessText),  # id of a commit; null where there was no such pointer
    Column("after", HarmlessText, nullable=False),  # id of a commit
    PrimaryKeyConstraint("move_id", "position"),
    UniqueConstraint("move_id", "target", "pointer"),
    sqlite_with_rowid=False,
)

# What pointers did, one row a step. Only ever added to; a row's hash covers the row before. See docs/store.md.
ledger = Table(
    "ledger",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),  # from 1, without gaps
    Column("move_id", Integer, ForeignKey("pointer_move.id"), nullable=False),
    Column("kind", HarmlessText, nullable=False),
    Column("actor", HarmlessText, nullable=False),
    Column("note", HarmlessText, nullable=False),
    Column("evidence", HarmlessText, nullable=False),  # JSON as it was hashed
    Column("keep", Boolean, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("target", HarmlessText, nullable=False),
    Column("pointer", HarmlessText, nullable=False),
    Column("before", HarmlessText),
    Column("after", HarmlessText, nullable=False),
    Column("previous", HarmlessText, nullable=False, unique=True),  # one follower for each row
    Column("hash", HarmlessText, nullable=False, unique=True),
    Index(None, "target", "pointer", "number"),
    _hex("previous", SHA256_DIGITS),
    _hex("hash", SHA256_DIGITS),
    CheckConstraint("number > 0", name="number"),
)

# What tests say of published commits. A later vote of the same job counts; earlier ones stay.
vote = Table(
    "vote",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("subject", HarmlessText, nullable=False),  # id of a commit, or md5 of an aggregated repository file
    Column("target", HarmlessText, nullable=False),  # empty for all
    Column("job", HarmlessText, nullable=False),
    Column("success", Boolean),  # null while it runs
    Column("url", HarmlessText, nullable=False),
    Column("notes", HarmlessText, nullable=False),
    Column("voter", HarmlessText, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index(None, "subject", "id"),
    Index(None, "at", "id"),  # the latest
    Index(None, "job", "at", "id"),  # the latest of a job
)

# How each mirror stands with each target's tree.
mirror_state = Table(
    "mirror_state",
    metadata,
    Column("mirror", HarmlessText, nullable=False),  # its name in the settings
    Column("target", HarmlessText, nullable=False),
    Column("synced_at", UtcDateTime),  # when it last had everything
    Column("failed_at", UtcDateTime),  # when a try last failed; null after a good one
    Column("failures", Integer, nullable=False),  # in a row
    Column("cause", HarmlessText, nullable=False),  # of the last failure; empty after a good try
    PrimaryKeyConstraint("mirror", "target"),
    CheckConstraint("failures >= 0", name="failures"),
)

# Numbers that rise by one with each change, in the order in which changes become visible.
counter = Table(
    "counter",
    metadata,
    Column("name", HarmlessText, primary_key=True),  # "queue": what `build.changed` counts
    Column("value", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# What was last seen of a package's repositories, and is in the queue.
head = Table(
    "head",
    metadata,
    Column("package", HarmlessText, nullable=False),
    Column("side", HarmlessText, nullable=False),
    Column("url", HarmlessText, nullable=False),  # empty for a packaging folder
    Column("ref", HarmlessText, nullable=False),  # the followed branch; empty for a packaging folder
    Column("sha", HarmlessText),  # null where the branch is gone
    Column("packaging_sha", HarmlessText, nullable=False),  # of packaging: what commits are built with
    # Version tags of the upstream: sha by name where they are followed; else a list of [name, sha].
    Column("tags", JSON, nullable=False),
    Column("at", UtcDateTime, nullable=False),  # when it was last seen to change
    PrimaryKeyConstraint("package", "side"),
    _one_of("side", Side, "side"),
    sqlite_with_rowid=False,
)

# How polling each repository goes.
remote = Table(
    "remote",
    metadata,
    Column("url", HarmlessText, primary_key=True),
    Column("polled_at", UtcDateTime),
    Column("answered_at", UtcDateTime),
    Column("failures", Integer, nullable=False),  # in a row
    Column("cause", HarmlessText, nullable=False),  # of the last failure; empty after an answer
    Column("next_at", UtcDateTime, nullable=False),
    CheckConstraint("failures >= 0", name="failures"),
    sqlite_with_rowid=False,
)

# Packages that somebody wants polled now.
poke = Table(
    "poke",
    metadata,
    Column("package", HarmlessText, primary_key=True),
    Column("actor", HarmlessText, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    sqlite_with_rowid=False,
)

# Builds of commits that were ordered from afar, and what became of these orders.
build_order = Table(
    "build_order",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("package", HarmlessText, nullable=False),
    Column("revision", HarmlessText, nullable=False),  # empty for the newest commit
    Column("targets", JSON, nullable=False),  # list of names; empty for the package's own
    Column("actor", HarmlessText, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("settled_at", UtcDateTime, index=True),  # null while it waits for the daemon
    Column("builds", JSON, nullable=False),  # list of numbers
    Column("cause", JSON(none_as_null=True)),  # why it was refused, an object; null where it was not
    # No number is given twice: somebody may ask for one that is forgotten.
    sqlite_autoincrement=True,
)

# Parts of the queue that no build is taken from.
pause = Table(
    "pause",
    metadata,
    Column("scope", HarmlessText, nullable=False),
    Column("name", HarmlessText, nullable=False),  # empty for everything
    Column("actor", HarmlessText, nullable=False),
    Column("note", HarmlessText, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("scope", "name"),
    _one_of("scope", ScopeKind, "scope"),
    sqlite_with_rowid=False,
)

# What the packaging of each package declares.
relations = Table(
    "relations",
    metadata,
    Column("target", HarmlessText, nullable=False),
    Column("package", HarmlessText, nullable=False),
    Column("requires", JSON, nullable=False),  # list of names
    Column("provides", JSON, nullable=False),  # list of names
    Column("fingerprint", HarmlessText, nullable=False),
    PrimaryKeyConstraint("target", "package"),
    sqlite_with_rowid=False,
)

# What happened. Only ever added to.
event = Table(
    "event",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),  # from 1, without gaps
    Column("at", UtcDateTime, nullable=False),
    Column("kind", HarmlessText, nullable=False),
    Column("summary", HarmlessText, nullable=False),
    Column("package", HarmlessText, nullable=False),  # empty where it is about none
    Column("target", HarmlessText, nullable=False),  # empty where it is about none
    Column("build_id", Integer),  # null where it is about none
    Column("detail", JSON, nullable=False),  # an object
    Index(None, "package", "number"),
    Index(None, "target", "number"),
    Index(None, "build_id", "number"),
    Index(None, "kind", "number"),
    _one_of("kind", EventKind, "kind"),
)

# Who is told of what. `outbox` in counter says up to which event notices are here.
notice = Table(
    "notice",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("channel", HarmlessText, nullable=False),
    Column("recipient", HarmlessText, nullable=False),
    Column("event", Integer, ForeignKey("event.number"), nullable=False),
    Column("package", HarmlessText, nullable=False),
    Column("subject", HarmlessText, nullable=False),
    Column("body", HarmlessText, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("sent_at", UtcDateTime),
    Column("given_up_at", UtcDateTime),
    Column("cause", HarmlessText, nullable=False),  # of the last failure
    UniqueConstraint("event", "channel", "recipient"),  # nobody is told twice of one thing
    Index(None, "recipient", "package", "created_at"),
    _one_of("channel", Channel, "channel"),
    CheckConstraint("tries >= 0 AND (sent_at IS NULL OR given_up_at IS NULL)", name="end"),
)
Index(
    "ix_notice_waiting",
    notice.c.due_at,
    notice.c.id,
    sqlite_where=text("sent_at IS NULL AND given_up_at IS NULL"),
    postgresql_where=text("sent_at IS NULL AND given_up_at IS NULL"),
)

Index(
    "ix_notice_given_up",
    notice.c.given_up_at,
    notice.c.id,
    sqlite_where=text("given_up_at IS NOT NULL"),
    postgresql_where=text("given_up_at IS NOT NULL"),
)

# Who may act alone.
lease = Table(
    "lease",
    metadata,
    Column("name", HarmlessText, primary_key=True),
    Column("token", HarmlessText, nullable=False, unique=True),
    Column("host", HarmlessText, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("process_started", BigInteger, nullable=False),  # in clock ticks since boot
    Column("since", UtcDateTime, nullable=False),
    Column("heartbeat_at", UtcDateTime, nullable=False),
    sqlite_with_rowid=False,
)

# Secrets that programs act with.
access_token = Table(
    "access_token",
    metadata,
    Column("digest", HarmlessText, primary_key=True),  # sha256 of the secret
    Column("name", HarmlessText, nullable=False),
    Column("permissions", JSON, nullable=False),  # list of words
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", HarmlessText, nullable=False),
    Column("expires_at", UtcDateTime),  # null for never
    Column("used_at", UtcDateTime),  # give or take a minute
    Column("revoked_at", UtcDateTime),
    _hex("digest", SHA256_DIGITS),
    sqlite_with_rowid=False,
)
Index(
    "uq_access_token_name",
    access_token.c.name,
    unique=True,
    sqlite_where=text("revoked_at IS NULL"),
    postgresql_where=text("revoked_at IS NULL"),
)

# People whose passwords are kept here.
access_user = Table(
    "access_user",
    metadata,
    Column("name", HarmlessText, primary_key=True),
    Column("password", HarmlessText, nullable=False),  # what Argon2 made of it
    Column("permissions", JSON, nullable=False),  # list of words
    Column("disabled", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),  # sessions from before have ended
    CheckConstraint("password LIKE '$argon2id$%'", name="password"),
    sqlite_with_rowid=False,
)

# People that have signed in.
web_session = Table(
    "web_session",
    metadata,
    Column("digest", HarmlessText, primary_key=True),  # sha256 of the cookie's secret
    Column("user", HarmlessText, nullable=False),
    Column("issuer", HarmlessText, nullable=False),  # who vouches for the user; empty for a local one
    Column("permissions", JSON, nullable=False),  # list of words, as the issuer said; of a local user its own count
    Column("created_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Index(None, "user", "created_at"),
    _hex("digest", SHA256_DIGITS),
    sqlite_with_rowid=False,
)

# What was done, and by whom. Only ever added to.
audit = Table(
    "audit",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),  # from 1, without gaps
    Column("at", UtcDateTime, nullable=False),
    Column("actor", HarmlessText, nullable=False),
    Column("means", HarmlessText, nullable=False),
    Column("address", HarmlessText, nullable=False),  # empty where there is none
    Column("action", HarmlessText, nullable=False),
    Column("subject", HarmlessText, nullable=False),
    Column("result", HarmlessText, nullable=False),
    Column("detail", JSON, nullable=False),  # an object
    Index(None, "actor", "number"),
    Index(None, "subject", "number"),
    Index(None, "at"),
    _one_of("means", Means, "means"),
    _one_of("result", Result, "result"),
)

# Requests that are carried out once, however often they are sent.
idempotency_key = Table(
    "idempotency_key",
    metadata,
    Column("actor", HarmlessText, nullable=False),
    Column("key", HarmlessText, nullable=False),
    Column("digest", HarmlessText, nullable=False),  # sha256 of the request
    Column("at", UtcDateTime, nullable=False, index=True),
    Column("status", Integer),  # null until it is answered
    Column("body", HarmlessText, nullable=False),
    PrimaryKeyConstraint("actor", "key"),
    _hex("digest", SHA256_DIGITS),
    sqlite_with_rowid=False,
)
