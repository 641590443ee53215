"""The port `Tally` in memory. It passes the same contract suite as the real one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from conveyor.model.build import Build, Outcome
from conveyor.model.tally import Ended, Totals
from tests.fakes.store import MemoryStore


class MemoryTally:
    """See `conveyor.ports.Tally`."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def ended(self, target: str, *, since: datetime, until: datetime, package: str | None = None) -> Ended:
        within = [
            build
            for build in self._of(target)
            if build.finished_at and since <= build.finished_at < until and package in {None, build.commit.package}
        ]
        outcomes = Counter(build.outcome for build in within)
        return Ended(succeeded=outcomes[Outcome.SUCCEEDED], failed=outcomes[Outcome.FAILED])

    def totals(self) -> Mapping[str, Totals]:
        targets = sorted({record.build.target for record in self._store.records.values() if record.build.commit.trunk})
        return {target: self._totals(target) for target in targets}

    def _totals(self, target: str) -> Totals:
        outcomes = Counter(build.outcome for build in self._of(target))
        return Totals(
            all=outcomes.total(),
            succeeded=outcomes[Outcome.SUCCEEDED],
            failed=outcomes[Outcome.FAILED],
            errored=outcomes[Outcome.ERRORED],
        )

    def _of(self, target: str) -> list[Build]:
        builds = [record.build for record in self._store.records.values()]
        return [build for build in builds if build.target == target and build.commit.trunk]
