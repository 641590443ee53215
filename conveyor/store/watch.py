"""The port `Watch` on an SQL database. Each method is one transaction, durable when it returns."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update

from conveyor.model.watch import Head, Poke, Remote, Side, Tags
from conveyor.store import upsert
from conveyor.store.database import Database
from conveyor.store.tables import head, poke, remote
from conveyor.store.types import harmless

# All of a head but the tags, of which there may be hundreds.
_HEADS = select(*[column for column in head.c if column is not head.c.tags])
_HEADS_OF_ONE = _HEADS.where(head.c.package == bindparam("of"))
_REMOTES = select(remote)
_FEW_REMOTES = _REMOTES.where(remote.c.url.in_(bindparam("urls", expanding=True)))
_POLLED = (
    select(remote.c.url, remote.c.polled_at).where(remote.c.polled_at.is_not(None)).order_by(remote.c.polled_at.desc())
)
_POKES = select(poke).order_by(poke.c.at, poke.c.package)


class SqlWatch:
    """See `conveyor.ports.Watch`. Its threads and any number of processes may use one database at once.

    Args:
        database: at the schema's newest version.

    Every method raises StoreUnusable when the database fails, and those that write DiskFull when it has no room.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def heads(self, package: str | None = None) -> Mapping[tuple[str, Side], Head]:
        """See the port."""
        statement, wanted = (_HEADS, {}) if package is None else (_HEADS_OF_ONE, {"of": package})
        with self._database.reading() as connection:
            rows = connection.execute(statement, wanted).mappings().all()
        found = (Head(**{**row, "side": Side(row["side"])}) for row in rows)
        return {(one.package, one.side): one for one in found}

    def tags(self, packages: Collection[str]) -> Mapping[str, Tags]:
        """See the port. Packages are asked for one by one: of thousands, few follow tags."""
        statement = select(head.c.tags).where(head.c.package == bindparam("of"), head.c.side == Side.UPSTREAM)
        with self._database.reading() as connection:
            found = {package: connection.execute(statement, {"of": package}).scalar() for package in packages}
        return {package: _to_tags(stored) for package, stored in found.items() if stored is not None}

    def remotes(self, urls: Collection[str] | None = None) -> Mapping[str, Remote]:
        """See the port."""
        statement, wanted = (_REMOTES, {}) if urls is None else (_FEW_REMOTES, {"urls": sorted(urls)})
        with self._database.reading() as connection:
            return {row["url"]: Remote(**row) for row in connection.execute(statement, wanted).mappings()}

    def last_polled(self, urls: Collection[str]) -> datetime | None:
        """See the port. Of thousands that are asked in turn, one of the last is among these: few rows are read."""
        with self._database.reading() as connection:
            return next((at for url, at in connection.execute(_POLLED) if url in urls), None)

    def polled(self, remotes: Collection[Remote]) -> None:
        """See the port. Of two of one repository the last counts."""
        rows = {
            one.url: {
                "url": one.url,
                "polled_at": one.polled_at,
                "answered_at": one.answered_at,
                "failures": one.failures,
                "cause": one.cause,
                "next_at": one.next_at,
            }
            for one in remotes
        }
        with self._database.writing() as connection:
            upsert.put(connection, remote, _in_order(rows))

    def poke(self, packages: Sequence[str], actor: str, at: datetime) -> None:
        """See the port. A poke that waits already is replaced."""
        rows = {package: {"package": package, "actor": actor, "at": at} for package in packages}
        with self._database.writing() as connection:
            upsert.put(connection, poke, _in_order(rows))

    def pokes(self) -> tuple[Poke, ...]:
        """See the port."""
        with self._database.reading() as connection:
            rows = connection.execute(_POKES).mappings()
            return tuple(Poke(**row) for row in rows)

    def poked(self, pokes: Collection[Poke]) -> None:
        """See the port. A poke is newer when its moment or its actor is another one: clocks are set back."""
        answered = delete(poke).where(
            poke.c.package == bindparam("of_package"), poke.c.actor == bindparam("by"), poke.c.at == bindparam("then")
        )
        rows = [{"of_package": one.package, "by": one.actor, "then": one.at} for one in pokes]
        if rows:
            with self._database.writing() as connection:
                connection.execute(answered, sorted(rows, key=lambda row: str(row["of_package"])))

    def forget(self, packages: Collection[str], urls: Collection[str]) -> None:
        """See the port."""
        with self._database.writing() as connection:
            for column, gone in ((head.c.package, packages), (poke.c.package, packages), (remote.c.url, urls)):
                if gone:
                    rows = [{"gone": name} for name in sorted(gone)]
                    connection.execute(delete(column.table).where(column == bindparam("gone")), rows)


def set_heads(connection: Connection, heads: Sequence[Head]) -> None:
    """What is followed from now on; of two of one package and side the last counts. The caller's transaction."""
    rows: dict[tuple[str, Side], upsert.Row] = {
        (one.package, one.side): {
            "package": one.package,
            "side": one.side,
            "url": one.url,
            "ref": one.ref,
            "sha": one.sha,
            "packaging_sha": one.packaging_sha,
            "tags": [],
            "at": one.at,
        }
        for one in heads
    }
    upsert.put(connection, head, _in_order(rows), kept=["tags"])


def set_tags(connection: Connection, tags: Mapping[str, Tags]) -> None:
    """What the version tags of packages are from now on, by package. The caller's transaction."""
    of_one = update(head).where(head.c.package == bindparam("of"), head.c.side == Side.UPSTREAM)
    for package in sorted(tags):
        connection.execute(of_one.values(tags=_from_tags(tags[package])), {"of": package})


def _from_tags(tags: Tags) -> object:
    """Tags as they are stored; a list of those that are not followed, which the schema once did not know."""
    shas = {harmless(name): sha for name, sha in tags.shas.items()}
    return shas if tags.followed else [*shas.items()]


def _to_tags(stored: Mapping[str, str] | Sequence[tuple[str, str]]) -> Tags:
    return Tags(shas=dict(stored), followed=isinstance(stored, Mapping))


def _in_order(rows: Mapping[Any, upsert.Row]) -> list[upsert.Row]:
    """In one order for all who write, so that no two wait for each other's rows."""
    return [rows[key] for key in sorted(rows)]
