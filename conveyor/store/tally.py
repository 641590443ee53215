"""The port `Tally` on an SQL database. Each method is one transaction."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import func, select

from conveyor.model.build import Outcome
from conveyor.model.tally import Ended, Totals
from conveyor.store.database import Database
from conveyor.store.tables import build, entry


class SqlTally:
    """See `conveyor.ports.Tally`.

    Args:
        database: at the schema's newest version.

    Every method raises StoreUnusable when the database fails.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def ended(self, target: str, *, since: datetime, until: datetime, package: str | None = None) -> Ended:
        """See the port."""
        succeeded = (
            select(func.count())
            .select_from(entry)
            .where(entry.c.target == target, entry.c.succeeded_at >= since, entry.c.succeeded_at < until)
        )
        failed = (
            select(func.count())
            .select_from(build)
            .where(build.c.target == target, build.c.trunk, build.c.outcome == Outcome.FAILED)
            .where(build.c.failed_at >= since, build.c.failed_at < until)
        )
        if package is not None:
            succeeded, failed = succeeded.where(entry.c.package == package), failed.where(build.c.package == package)
        with self._database.reading() as connection:
            return Ended(
                succeeded=connection.execute(succeeded).scalar_one(), failed=connection.execute(failed).scalar_one()
            )

    def totals(self) -> Mapping[str, Totals]:
        """See the port."""
        counted = select(build.c.target, build.c.outcome, func.count()).where(build.c.trunk)
        found: dict[str, Counter[str | None]] = defaultdict(Counter)
        with self._database.reading() as connection:
            for target, outcome, number in connection.execute(counted.group_by(build.c.target, build.c.outcome)):
                found[target][outcome] = number
        return {target: _totals(outcomes) for target, outcomes in sorted(found.items())}


def _totals(outcomes: Counter[str | None]) -> Totals:
    return Totals(
        all=outcomes.total(),
        succeeded=outcomes[Outcome.SUCCEEDED],
        failed=outcomes[Outcome.FAILED],
        errored=outcomes[Outcome.ERRORED],
    )
