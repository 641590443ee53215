"""The port `Lookup` on an SQL database. Each method is one transaction.

A search has filters that an index serves in the order of builds' numbers, and some whose index has another order. Of
these the few builds that fit are looked up first. Where they are many, builds are read in the order of their numbers
until enough fit: a database that was left the choice would sort the many.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import ColumnElement, Connection, Select, TextClause, and_, bindparam, exists, false, func, select, true

from conveyor.model.build import AttemptRecord, Build, State
from conveyor.model.search import Latest, Page, Query
from conveyor.store import rows
from conveyor.store.builds import builds_of, newest
from conveyor.store.database import Database
from conveyor.store.snapshots import COMMIT_ID
from conveyor.store.tables import JUDGED, UNFINISHED, attempt, build, build_artifact, upstream_commit
from conveyor.store.types import harmless

FEW = 1_000
# A statement cannot have any number of parameters.
_AT_ONCE = 1_000
# Sorts above everything that text can hold.
_LAST = "\U0010ffff"
_Fits = ColumnElement[bool] | TextClause


class SqlLookup:
    """See `conveyor.ports.Lookup`. Its threads and any number of processes may use one database at once.

    Args:
        database: at the schema's newest version.

    Every method raises StoreUnusable when the database fails.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def search(self, query: Query) -> Page:
        """See the port."""
        if _is_plain(query):
            return self._plain(query)
        query, wanted = _harmless(query), query.limit + 1
        statement = select(build.c.id).where(*_ordered(query)).order_by(build.c.id.desc()).limit(wanted)
        with self._database.reading() as connection:
            for index, scan in _unordered(connection, query):
                few = connection.scalars(index.limit(FEW + 1)).all()
                statement = statement.where(scan if len(few) > FEW else build.c.id.in_(few))
            numbers = connection.scalars(statement).all()
            found = _builds(connection, numbers[: query.limit])
        newest_first = tuple(found[number] for number in numbers[: query.limit])
        return Page(builds=newest_first, before=numbers[query.limit - 1] if len(numbers) == wanted else None)

    def _plain(self, query: Query) -> Page:
        """What pages of packages and targets ask for, in one statement that is made once."""
        package = query.packages[0] if query.packages else None
        with self._database.reading() as connection:
            found = newest(connection, package, query.target, query.trunk, query.limit + 1, query.before)
        shown = found[: query.limit]
        return Page(builds=shown, before=shown[-1].id if len(found) > query.limit else None)

    def latest(self, of: Collection[int] | None = None) -> tuple[Latest, ...]:
        """See the port. By package and target."""
        with self._database.reading() as connection:
            pairs = sorted({pair for places in _places(of) for pair in _newest(connection, places)})
            found = _builds(connection, sorted({number for pair in pairs for number in pair if number}))
        latest = [Latest(newest=found[newest], judged=found[judged] if judged else None) for newest, judged in pairs]
        return tuple(sorted(latest, key=lambda each: (each.newest.commit.package, each.newest.target)))

    def copies(self, package: str | None, *, among: int) -> tuple[Build, ...]:
        """See the port."""
        statement, of = (_COPIES, {}) if package is None else (_COPIES_OF_ONE, {"package": package})
        with self._database.reading() as connection:
            numbers = connection.scalars(statement, {**of, "among": among}).all()
            found = _builds(connection, numbers)
        return tuple(found[number] for number in numbers)

    def attempts(self, builds: Collection[int]) -> Mapping[int, tuple[AttemptRecord, ...]]:
        """See the port."""
        found: dict[int, list[AttemptRecord]] = defaultdict(list)
        with self._database.reading() as connection:
            for some in _chunks(sorted(builds)):
                for row in connection.execute(rows.select_attempts().where(attempt.c.build_id.in_(some))):
                    number, record = rows.to_attempt(row)
                    found[number].append(record)
        return {number: tuple(each) for number, each in found.items()}


def _is_plain(query: Query) -> bool:
    """Whether nothing is asked but of which package and target, of the trunk or not, and before which build."""
    plain = Query(
        packages=query.packages, target=query.target, trunk=query.trunk, before=query.before, limit=query.limit
    )
    return query == plain and (query.packages is None or len(query.packages) == 1)


def _harmless(query: Query) -> Query:
    """What databases can be asked for: the columns' types do it for columns only."""
    return replace(
        query,
        commit=harmless(query.commit or ""),
        version=harmless(query.version or ""),
        file=harmless(query.file or ""),
    )


def _ordered(query: Query) -> Iterator[_Fits]:
    """What an index in the order of numbers serves, or nothing needs one for."""
    columns = build.c
    if query.trunk is not None:
        yield columns.trunk == query.trunk
    if query.before is not None:
        yield columns.id < query.before
    for column, value in ((columns.target, query.target), (columns.outcome, query.outcome)):
        if value is not None:
            yield column == value
    if query.state is not None:
        yield columns.state == query.state
        if query.state is not State.FINISHED:
            yield UNFINISHED
    if query.packages is not None and len(query.packages) <= 1:
        yield columns.package == query.packages[0] if query.packages else false()


def _unordered(connection: Connection, query: Query) -> Iterator[tuple[Select[int], _Fits]]:
    """Numbers of what fits, through an index that has another order; and what says whether a build fits without it."""
    columns, of_commit, files = build.c, upstream_commit.c, build_artifact.c
    # PostgreSQL knows how many fit, and chooses well.
    guesses = connection.dialect.name == "sqlite"
    if query.packages is not None and len(query.packages) > 1:
        among = columns.package.in_(query.packages)
        yield select(columns.id).where(among), (columns.package + "").in_(query.packages) if guesses else among
    if query.commit:
        begins = func.substr(COMMIT_ID, 1, len(query.commit)) == query.commit
        one = exists().where(of_commit.id == columns.commit_id, begins).correlate(build)
        yield builds_of(query.commit, trunk=query.trunk).where(begins), one
    if query.version:
        found = _begins(connection, columns.version, query.version)
        yield select(columns.id).where(found), _is_begun(columns.version, query.version) if guesses else found
    if query.file:
        found = _begins(connection, files.filename, query.file)
        named = _is_begun(files.filename, query.file) if guesses else found
        made = exists().where(files.build_id == columns.id, named).correlate(build)
        yield select(files.build_id).where(found).distinct(), made
    moments = and_(true(), *_between(query, columns.queued_at))
    if query.since is not None or query.until is not None:
        queued_at = func.coalesce(columns.queued_at, columns.queued_at)
        yield select(columns.id).where(moments), and_(true(), *_between(query, queued_at)) if guesses else moments


def _between(query: Query, moment: ColumnElement[object]) -> Iterator[_Fits]:
    if query.since is not None:
        yield moment >= query.since
    if query.until is not None:
        yield moment < query.until


def _begins(connection: Connection, column: ColumnElement[str], prefix: str) -> _Fits:
    """That text begins so, in words that the index knows: PostgreSQL's compares bytes, as SQLite's does anyway."""
    if connection.dialect.name == "sqlite":
        return and_(column >= prefix, column < prefix + _LAST)
    return and_(column.op("~>=~", is_comparison=True)(prefix), column.op("~<~", is_comparison=True)(prefix + _LAST))


def _is_begun(column: ColumnElement[str], prefix: str) -> _Fits:
    """The same in words that no index knows."""
    return func.substr(column, 1, len(prefix)) == prefix


def _places(of: Collection[int] | None) -> Iterator[Select[str, str]]:
    """Packages with their targets."""
    every = select(build.c.package, build.c.target).distinct()
    if of is None:
        yield every
    else:
        yield from (every.where(build.c.id.in_(some)) for some in _chunks(sorted(of)))


def _newest(connection: Connection, places: Select[str, str]) -> Iterator[tuple[int, int | None]]:
    """The numbers of the newest build of the trunk and of the newest judged one, of each place that has one."""
    place, one = places.subquery(), build.alias()
    here = (one.c.package == place.c.package, one.c.target == place.c.target)
    last = select(one.c.id).where(*here).order_by(one.c.id.desc()).limit(1).correlate(place)
    newest, judged = last.where(one.c.trunk).scalar_subquery(), last.where(JUDGED).scalar_subquery()
    for newest_number, judged_number in connection.execute(select(newest, judged).select_from(place)):
        if newest_number is not None:
            yield newest_number, judged_number


def _builds(connection: Connection, numbers: Sequence[int]) -> Mapping[int, Build]:
    found = (
        rows.to_build(row) for some in _chunks(numbers) for row in connection.execute(_BUILDS, {"numbers": some}).all()
    )
    return {each.id: each for each in found}


def _copies(*of: ColumnElement[bool]) -> Select[int]:
    """Numbers of those of the last builds that are no part of the trunk."""
    last = select(build.c.id, build.c.trunk).where(*of).order_by(build.c.id.desc()).limit(bindparam("among")).subquery()
    return select(last.c.id).where(~last.c.trunk).order_by(last.c.id.desc())


def _chunks(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    return (numbers[start : start + _AT_ONCE] for start in range(0, len(numbers), _AT_ONCE))


# Made once: to put them together takes longer than to run them.
_COPIES = _copies()
_COPIES_OF_ONE = _copies(build.c.package == bindparam("package"))
_BUILDS = rows.select_builds().where(build.c.id.in_(bindparam("numbers", expanding=True)))
