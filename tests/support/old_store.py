"""A store as the version before the daemon left it."""

from __future__ import annotations

import platform
from collections.abc import Sequence

from sqlalchemy import Connection, text

from conveyor.model.commit import Commit
from conveyor.store.database import Database
from conveyor.store.schema import upgrade
from tests.support.site import DEB

BEFORE_THE_DAEMON = "0002"
AT = "2026-03-01 12:00:00.000000"
# State, outcome, attempts: one that waits, one whose process was killed, one that errored, one that was cancelled.
BUILDS = (
    ("queued", None, 0),
    ("running", None, 1),
    ("finished", "errored", 1),
    ("finished", "cancelled", 1),
)
CAUSE = {
    "fault": "network",
    "kind": "MirrorUnreachable",
    "summary": "the mirror does not answer",
    "hint": "",
    "details": "[]",
}


def make_old_store(url: str, commits: Sequence[Commit]) -> None:
    """Make it, with a build of each commit in the states above, in their order."""
    database = Database(url, patience=5, foreign_keys=False)
    with database.writing() as connection:
        upgrade(connection, revision=BEFORE_THE_DAEMON)
        for number, (commit, (state, outcome, attempts)) in enumerate(zip(commits, BUILDS, strict=True), start=1):
            _insert(connection, number, commit, state, outcome, attempts)
    database.close()


def _insert(
    connection: Connection, number: int, commit: Commit, state: str, outcome: str | None, attempts: int
) -> None:
    values = {
        "id": number,
        "package": commit.package,
        "sha": commit.upstream.sha,
        "packaging": commit.packaging_sha,
        "target": DEB,
        "state": state,
        "outcome": outcome,
        "attempts": attempts,
        "at": AT,
        "failed": AT if outcome == "errored" else None,
        "finished": AT if outcome else None,
        "host": platform.node(),
        **(CAUSE if outcome else dict.fromkeys(CAUSE)),
    }
    statements = [
        """
        INSERT INTO upstream_commit
        (id, package, upstream_sha, packaging_sha, extended, trunk, committed_at, author, subject)
        VALUES (:id, :package, :sha, :packaging, '', true, :at, 'Ada', 'Do it')
        """,
        """
        INSERT INTO build
        (id, commit_id, package, trunk, target, state, outcome, attempts, queued_at, failed_at)
        VALUES (:id, :id, :package, true, :target, :state, :outcome, :attempts, :at, :failed)
        """,
    ]
    if attempts:
        statements.append(
            """
            INSERT INTO attempt
            (build_id, number, token, host, pid, process_started, heartbeat_at, queued_at, started_at, finished_at,
            outcome, stages, log, cause_fault, cause_kind, cause_summary, cause_hint, cause_details)
            VALUES (:id, 1, :sha, :host, 4194303, 1, :at, :at, :at, :finished, :outcome, '[]', NULL,
            :fault, :kind, :summary, :hint, :details)
            """
        )
    for statement in statements:
        connection.execute(text(statement), {key: value for key, value in values.items() if f":{key}" in statement})
