"""The port `Lookup` in memory, on the builds of a `MemoryStore`. It passes the same contract suite as the real one."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from conveyor.model.build import AttemptRecord, Build, Outcome
from conveyor.model.search import Latest, Page, Query
from tests.fakes.store import MemoryStore, Record

JUDGED = {Outcome.SUCCEEDED, Outcome.FAILED, Outcome.ERRORED}


class MemoryLookup:
    """See `conveyor.ports.Lookup`.

    Args:
        store: has the builds.
    """

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def search(self, query: Query) -> Page:
        newest_first = sorted(self._store.records.items(), reverse=True)
        found = [record.build for _, record in newest_first if _fits(query, record)]
        more = len(found) > query.limit
        page = tuple(found[: query.limit])
        return Page(builds=page, before=page[-1].id if more else None)

    def latest(self, of: Collection[int] | None = None) -> tuple[Latest, ...]:
        builds = [record.build for _, record in sorted(self._store.records.items())]
        places = {_place(build) for build in builds if of is None or build.id in of}
        newest = {_place(build): build for build in builds if build.commit.trunk and _place(build) in places}
        judged = {_place(build): build for build in builds if build.commit.trunk and build.outcome in JUDGED}
        return tuple(Latest(newest=newest[place], judged=judged.get(place)) for place in sorted(newest))

    def copies(self, package: str | None, *, among: int) -> tuple[Build, ...]:
        newest_first = [record.build for _, record in sorted(self._store.records.items(), reverse=True)]
        of = [build for build in newest_first if package in {None, build.commit.package}]
        return tuple(build for build in of[:among] if not build.commit.trunk)

    def attempts(self, builds: Collection[int]) -> Mapping[int, tuple[AttemptRecord, ...]]:
        found = {number: self._store.attempts(number) for number in builds}
        return {number: attempts for number, attempts in found.items() if attempts}


def _place(build: Build) -> tuple[str, str]:
    return build.commit.package, build.target


def _fits(query: Query, record: Record) -> bool:
    build = record.build
    files = record.entry.artifacts if record.entry else ()
    return all(
        (
            query.packages is None or build.commit.package in query.packages,
            query.target in {None, build.target},
            build.commit.id.startswith(query.commit or ""),
            (build.version or "").startswith(query.version or ""),
            not query.file or any(each.filename.startswith(query.file) for each in files),
            query.state in {None, build.state},
            query.outcome in {None, build.outcome},
            query.since is None or build.queued_at >= query.since,
            query.until is None or build.queued_at < query.until,
            query.trunk in {None, build.commit.trunk},
            query.before is None or build.id < query.before,
        )
    )
