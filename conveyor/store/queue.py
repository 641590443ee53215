"""The port `Queue` on an SQL database. Each method is one transaction, durable when it returns."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    TextClause,
    Update,
    and_,
    case,
    delete,
    func,
    literal,
    select,
    true,
    update,
)

from conveyor.errors import NotPossible
from conveyor.model.build import Build, Outcome, State
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.queue import (
    Change,
    Pause,
    Priority,
    QueueChanges,
    QueueItem,
    QueueSize,
    Reason,
    ReasonKind,
    Relations,
    Scope,
    ScopeKind,
)
from conveyor.store import builds, changes, counters, events, rows, upsert
from conveyor.store.builds import AFRESH, Ending
from conveyor.store.database import Database
from conveyor.store.tables import TO_TRY_AGAIN, UNFINISHED, build
from conveyor.store.tables import pause as paused
from conveyor.store.tables import relations as declared
from conveyor.store.types import HarmlessText, harmless_json

_ITEM = (
    build.c.id,
    build.c.package,
    build.c.target,
    build.c.state,
    build.c.priority,
    build.c.queued_at,
    build.c.not_before,
)
# More builds than there can be.
ALL = 2**62
_PAUSES = select(paused).order_by(paused.c.at, paused.c.scope, paused.c.name)
_WAITS = build.c.state == State.QUEUED
_RUNS = build.c.state == State.RUNNING
_ENDED_BADLY = and_(build.c.state == State.FINISHED, build.c.outcome != Outcome.SUCCEEDED)


class SqlQueue:
    """See `conveyor.ports.Queue`. Its threads and any number of processes may use one database at once.

    Args:
        database: at the schema's newest version.

    Every method raises StoreUnusable when the database fails, and those that write DiskFull when it has no room.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def apply(self, change: Change, at: datetime) -> tuple[int, ...]:
        """See the port."""
        with self._database.writing() as connection:
            return changes.apply(connection, change, at)

    def changes(self, since: int) -> QueueChanges:
        """See the port."""
        # In the order of the index that is to be used: else SQLite reads all builds, for they are in the other order.
        changed = select(*_ITEM).where(build.c.changed > since).order_by(build.c.changed)
        with self._database.reading() as connection:
            number = counters.value(connection, counters.QUEUE)
            is_whole = not 0 < since <= number
            statement = select(*_ITEM).where(UNFINISHED) if is_whole else changed
            items = [_to_item(*row) for row in connection.execute(statement.where(build.c.trunk))]
        in_order = tuple(sorted(items, key=lambda item: item.build))
        return QueueChanges(number=number, items=in_order, is_whole=is_whole)

    def retry(self, build_id: int, reason: Reason, priority: Priority, at: datetime) -> Build:
        """See the port."""
        values = {"state": State.QUEUED, "outcome": None, "queued_at": at, **AFRESH}
        with self._database.writing() as connection:
            number = counters.advance(connection, counters.QUEUE)
            waits = _of(build_id, _ENDED_BADLY).values(changed=number, **values, **rows.from_reason(priority, reason))
            if not connection.execute(waits).rowcount:
                raise _not_possible(
                    connection, build_id, "is not tried again", "only one that ended without success is"
                )
            return builds.get(connection, build_id)

    def again(self, build_id: int, not_before: datetime, at: datetime) -> Build | None:
        """See the port."""
        values = {"state": State.QUEUED, "outcome": None, "queued_at": at, "not_before": not_before}
        with self._database.writing() as connection:
            number = counters.advance(connection, counters.QUEUE)
            waits = _of(build_id, TO_TRY_AGAIN).values(reason=ReasonKind.RETRY, changed=number, **values)
            return builds.get(connection, build_id) if connection.execute(waits).rowcount else None

    def put_back(self, build_id: int, token: str, at: datetime) -> None:
        """See the port."""
        ending = Ending(outcome=Outcome.CANCELLED, at=at, cause=None, stages=())
        with self._database.writing() as connection:
            if not builds.release(connection, build_id, token, ending):
                raise builds.lost(build_id)

    def errored(self) -> tuple[Build, ...]:
        """See the port. Oldest is the one that was made first."""
        wanted = select(build.c.id).where(TO_TRY_AGAIN, build.c.trunk)
        with self._database.reading() as connection:
            return tuple(sorted(builds.chosen(connection, wanted), key=lambda build: build.id))

    def give_up(self, build_id: int, at: datetime) -> None:
        """See the port."""
        with self._database.writing() as connection:
            if connection.execute(_of(build_id, TO_TRY_AGAIN).values(given_up=true())).rowcount:
                given_up = builds.get(connection, build_id)
                summary = f"{events.name(given_up)} errored {given_up.errors} times, and is not tried again by itself"
                told = events.about(given_up, EventKind.GAVE_UP, summary, {"errors": given_up.errors})
                events.append(connection, [told], at)

    def cancel(self, build_id: int, actor: str, at: datetime) -> Build:
        """See the port. Who wanted it first is remembered."""
        with self._database.writing() as connection:
            number = counters.advance(connection, counters.QUEUE)
            ends = _of(build_id, _WAITS).values(
                state=State.FINISHED,
                outcome=Outcome.CANCELLED,
                ended=f"{actor} cancelled it while it waited",
                cancelled_by=actor,
                not_before=None,
                changed=number,
            )
            first = case((build.c.cancelled_by == "", literal(actor, HarmlessText())), else_=build.c.cancelled_by)
            marks = _of(build_id, _RUNS).values(cancelled_by=first, changed=number)
            if connection.execute(ends).rowcount:
                cancelled = builds.get(connection, build_id)
                events.append(connection, [events.cancelled(cancelled)], at)
            elif not connection.execute(marks).rowcount:
                raise _not_possible(connection, build_id, "cannot be cancelled", "only one that waits or runs can")
            return builds.get(connection, build_id)

    def cancelling(self) -> tuple[Build, ...]:
        """See the port. The one that was claimed first comes first."""
        with self._database.reading() as connection:
            running = builds.chosen(connection, builds.running_ids())
        return tuple(build for build in running if build.cancelled_by)

    def prioritize(self, build_id: int, priority: Priority, actor: str, at: datetime) -> Build:
        """See the port."""
        with self._database.writing() as connection:
            number = counters.advance(connection, counters.QUEUE)
            changed = _of(build_id, _WAITS).values(priority=int(priority), changed=number)
            if not connection.execute(changed).rowcount:
                raise _not_possible(connection, build_id, "gets no other priority", "only one that waits does")
            waiting = builds.get(connection, build_id)
            word = priority.name.lower()
            summary = f"{actor} gave {events.name(waiting)} the priority {word}"
            told = events.about(waiting, EventKind.PRIORITIZED, summary, {"actor": actor, "priority": word})
            events.append(connection, [told], at)
            return waiting

    def forget_waits(self, latest: datetime) -> None:
        """See the port."""
        late = update(build).where(UNFINISHED, build.c.not_before > latest)
        with self._database.writing() as connection:
            number = counters.advance(connection, counters.QUEUE)
            connection.execute(late.values(not_before=latest, changed=number))

    def pause(self, pause: Pause) -> bool:
        """See the port."""
        with self._database.writing() as connection:
            counters.advance(connection, counters.QUEUE)
            if not upsert.add_if_missing(connection, paused, _from_pause(pause)):
                return False
            note = f": {pause.note}" if pause.note else ""
            summary = f"{pause.actor} paused {pause.scope}{note}"
            told = _about(pause.scope, EventKind.PAUSED, summary, {"actor": pause.actor, "note": pause.note})
            events.append(connection, [told], pause.at)
            return True

    def resume(self, scope: Scope, actor: str, at: datetime) -> bool:
        """See the port."""
        resumed = delete(paused).where(paused.c.scope == scope.kind, paused.c.name == scope.name)
        with self._database.writing() as connection:
            counters.advance(connection, counters.QUEUE)
            if not connection.execute(resumed).rowcount:
                return False
            told = _about(scope, EventKind.RESUMED, f"{actor} resumed {scope}", {"actor": actor})
            events.append(connection, [told], at)
            return True

    def pauses(self) -> tuple[Pause, ...]:
        """See the port."""
        with self._database.reading() as connection:
            found = connection.execute(_PAUSES).mappings()
            return tuple(
                Pause(
                    scope=Scope(kind=ScopeKind(row["scope"]), name=row["name"]),
                    actor=row["actor"],
                    note=row["note"],
                    at=row["at"],
                )
                for row in found
            )

    def sizes(self) -> tuple[QueueSize, ...]:
        """See the port."""
        # As they are: by an index of targets SQLite would walk through all builds that there ever were.
        unfinished = select(build.c.target, build.c.state, build.c.queued_at).where(UNFINISHED, build.c.trunk)
        found = unfinished.order_by(build.c.id).limit(ALL).subquery()
        groups = (found.c.target, found.c.state)
        statement = select(*groups, func.count(), func.min(found.c.queued_at, type_=build.c.queued_at.type))
        with self._database.reading() as connection:
            return tuple(
                QueueSize(target=target, state=State(state), builds=count, oldest=since)
                for target, state, count, since in connection.execute(statement.group_by(*groups).order_by(*groups))
            )

    def relations(self, target: str) -> Mapping[str, Relations]:
        """See the port."""
        columns = declared.c
        with self._database.reading() as connection:
            found = connection.execute(select(declared).where(columns.target == target)).mappings()
            return {
                row["package"]: Relations(
                    requires=tuple(row["requires"]), provides=tuple(row["provides"]), fingerprint=row["fingerprint"]
                )
                for row in found
            }

    def set_relations(self, target: str, package: str, relations: Relations) -> None:
        """See the port."""
        row = {
            "target": target,
            "package": package,
            "requires": harmless_json(relations.requires),
            "provides": harmless_json(relations.provides),
            "fingerprint": relations.fingerprint,
        }
        with self._database.writing() as connection:
            upsert.put(connection, declared, [row])


def _of(build_id: int, condition: ColumnElement[bool] | TextClause) -> Update:
    """The build of this number, if it is so."""
    return update(build).where(build.c.id == build_id, condition)


def _not_possible(connection: Connection, build_id: int, what: str, which: str) -> NotPossible:
    """The error for a build whose state does not let it.

    Raises:
        UnknownName: there is no such build.
    """
    there = builds.get(connection, build_id)
    return NotPossible(f"build {build_id} {what}: it {_stands(there)}", hint=which)


def _stands(build: Build) -> str:
    """How a build stands, after "it"."""
    if build.outcome is None:
        return f"is {build.state}"
    return f"{'was' if build.outcome in {Outcome.CANCELLED, Outcome.SUPERSEDED} else 'has'} {build.outcome}"


def _about(scope: Scope, kind: EventKind, summary: str, detail: Mapping[str, object]) -> NewEvent:
    return NewEvent(
        kind=kind,
        summary=summary,
        package=scope.name if scope.kind is ScopeKind.PACKAGE else "",
        target=scope.name if scope.kind is ScopeKind.TARGET else "",
        detail=detail,
    )


def _from_pause(pause: Pause) -> dict[str, object]:
    return {
        "scope": pause.scope.kind,
        "name": pause.scope.name,
        "actor": pause.actor,
        "note": pause.note,
        "at": pause.at,
    }


def _to_item(
    number: int,
    package: str,
    target: str,
    state: str,
    priority: int,
    queued_at: datetime,
    not_before: datetime | None,
) -> QueueItem:
    return QueueItem(
        build=number,
        package=package,
        target=target,
        state=State(state),
        priority=Priority(priority),
        queued_at=queued_at,
        not_before=not_before,
    )
