"""The port `Queue` in memory, on the builds of a `MemoryStore`. It passes the same contract suite as the real one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from conveyor.errors import NotPossible
from conveyor.model.build import Build, Outcome, State
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.queue import (
    Change,
    NewBuild,
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
from conveyor.store.events import about, cancelled, name
from conveyor.store.types import harmless, utc
from tests.fakes.store import MemoryStore, Record
from tests.fakes.watch import MemoryWatch


class MemoryQueue:
    """See `conveyor.ports.Queue`.

    Args:
        store: has the builds, and the events.
        watch: has the heads.
    """

    def __init__(self, store: MemoryStore, watch: MemoryWatch | None = None) -> None:
        self._store = store
        self._watch = watch or MemoryWatch()
        self._events = store.events
        self._pauses: dict[Scope, Pause] = {}
        self._relations: dict[str, dict[str, Relations]] = {}

    def apply(self, change: Change, at: datetime) -> tuple[int, ...]:
        made = tuple(self._make(new, at) for new in change.builds if not self._store.known(new.commit, new.target))
        for build_id, why in {**change.superseded, **change.cancelled}.items():
            record = self._in_state(build_id, State.QUEUED)
            if record is not None:
                ended = {"outcome": Outcome.SUPERSEDED, "ended": harmless(why), "not_before": None}
                self._store.change(record, state=State.FINISHED, **ended)
        for build_id, why in change.cancelled.items():
            record = self._in_state(build_id, State.RUNNING)
            if record is not None and not record.build.cancelled_by:
                self._store.change(record, cancelled_by=harmless(why))
        self._watch.set_heads(change.heads)
        self._watch.set_tags(change.tags)
        self._events.record(change.events, at)
        return made

    def _make(self, new: NewBuild, at: datetime) -> int:
        record = self._store.add(new.commit, new.target, at)
        record.priority, record.reason = new.priority, _harmless(new.reason)
        if new.superseded:
            why = harmless(new.superseded)
            self._store.change(record, state=State.FINISHED, outcome=Outcome.SUPERSEDED, ended=why)
        return record.build.id

    def changes(self, since: int) -> QueueChanges:
        is_whole = not 0 < since <= self._store.changes
        items = tuple(
            _item(record)
            for record in self._store.records.values()
            if record.build.commit.trunk
            and (record.build.state is not State.FINISHED if is_whole else record.changed > since)
        )
        return QueueChanges(number=self._store.changes, items=items, is_whole=is_whole)

    def retry(self, build_id: int, reason: Reason, priority: Priority, at: datetime) -> Build:
        build = self._store.build(build_id)
        if build.outcome in {None, Outcome.SUCCEEDED}:
            raise NotPossible(f"build {build_id} is not tried again: it is {build.outcome or build.state}")
        values = {"state": State.QUEUED, "outcome": None, "queued_at": utc(at)}
        return self._store.afresh(self._store.records[build_id], priority, _harmless(reason), **values)

    def again(self, build_id: int, not_before: datetime, at: datetime) -> Build | None:
        record = self._to_try_again(build_id)
        if record is None:
            return None
        record.reason = replace(record.reason, kind=ReasonKind.RETRY)
        values = {"outcome": None, "queued_at": utc(at), "not_before": utc(not_before)}
        return self._store.change(record, state=State.QUEUED, **values)

    def put_back(self, build_id: int, token: str, at: datetime) -> None:
        self._store.put_back(self._store.held(build_id, token), at)

    def errored(self) -> tuple[Build, ...]:
        numbers = (number for number in sorted(self._store.records) if self._to_try_again(number))
        builds = (self._store.build(number) for number in numbers)
        return tuple(build for build in builds if build.commit.trunk)

    def give_up(self, build_id: int, at: datetime) -> None:
        record = self._to_try_again(build_id)
        if record is not None:
            record.given_up = True
            errors = record.build.errors
            summary = f"{name(record.build)} errored {errors} times, and is not tried again by itself"
            self._events.record([about(record.build, EventKind.GAVE_UP, summary, {"errors": errors})], at)

    def cancel(self, build_id: int, actor: str, at: datetime) -> Build:
        build = self._store.build(build_id)
        record, actor = self._store.records[build_id], harmless(actor)
        if build.state is State.FINISHED:
            raise NotPossible(f"build {build_id} cannot be cancelled: it is {build.outcome}")
        if build.state is State.RUNNING:
            return self._store.change(record, cancelled_by=build.cancelled_by or actor)
        why = f"{actor} cancelled it while it waited"
        values = {"outcome": Outcome.CANCELLED, "ended": why, "cancelled_by": actor, "not_before": None}
        ended = self._store.change(record, state=State.FINISHED, **values)
        self._events.record([cancelled(ended)], at)
        return ended

    def cancelling(self) -> tuple[Build, ...]:
        return tuple(build for build in self._store.running() if build.cancelled_by)

    def prioritize(self, build_id: int, priority: Priority, actor: str, at: datetime) -> Build:
        build = self._store.build(build_id)
        if build.state is not State.QUEUED:
            raise NotPossible(f"build {build_id} gets no other priority: it is {build.outcome or build.state}")
        record = self._store.records[build_id]
        record.priority = priority
        word = priority.name.lower()
        summary = f"{actor} gave {name(build)} the priority {word}"
        detail = {"actor": actor, "priority": word}
        self._events.record([about(build, EventKind.PRIORITIZED, summary, detail)], at)
        return self._store.change(record)

    def forget_waits(self, latest: datetime) -> None:
        for record in self._store.records.values():
            if record.build.not_before is not None and record.build.not_before > latest:
                self._store.change(record, not_before=utc(latest))

    def pause(self, pause: Pause) -> bool:
        self._store.changes += 1
        if pause.scope in self._pauses:
            return False
        clean = replace(pause, actor=harmless(pause.actor), note=harmless(pause.note), at=utc(pause.at))
        self._pauses[pause.scope] = clean
        note = f": {pause.note}" if pause.note else ""
        detail = {"actor": pause.actor, "note": pause.note}
        self._tell(pause.scope, EventKind.PAUSED, f"{pause.actor} paused {pause.scope}{note}", detail, pause.at)
        return True

    def resume(self, scope: Scope, actor: str, at: datetime) -> bool:
        self._store.changes += 1
        if self._pauses.pop(scope, None) is None:
            return False
        self._tell(scope, EventKind.RESUMED, f"{actor} resumed {scope}", {"actor": actor}, at)
        return True

    def pauses(self) -> tuple[Pause, ...]:
        return tuple(sorted(self._pauses.values(), key=lambda pause: (pause.at, pause.scope.kind, pause.scope.name)))

    def sizes(self) -> tuple[QueueSize, ...]:
        unfinished: dict[tuple[str, State], list[datetime]] = {}
        for record in self._store.records.values():
            build = record.build
            if build.commit.trunk and build.state is not State.FINISHED:
                unfinished.setdefault((build.target, build.state), []).append(build.queued_at)
        return tuple(
            QueueSize(target=target, state=state, builds=len(moments), oldest=min(moments))
            for (target, state), moments in sorted(unfinished.items())
        )

    def relations(self, target: str) -> Mapping[str, Relations]:
        return dict(self._relations.get(target, {}))

    def set_relations(self, target: str, package: str, relations: Relations) -> None:
        clean = replace(
            relations,
            requires=tuple(harmless(each) for each in relations.requires),
            provides=tuple(harmless(each) for each in relations.provides),
        )
        self._relations.setdefault(target, {})[package] = clean

    def _tell(self, scope: Scope, kind: EventKind, summary: str, detail: Mapping[str, object], at: datetime) -> None:
        package = scope.name if scope.kind is ScopeKind.PACKAGE else ""
        target = scope.name if scope.kind is ScopeKind.TARGET else ""
        new = NewEvent(kind=kind, summary=summary, package=package, target=target, detail=detail)
        self._events.record([new], at)

    def _in_state(self, build_id: int, state: State) -> Record | None:
        record = self._store.records.get(build_id)
        return record if record is not None and record.build.state is state else None

    def _to_try_again(self, build_id: int) -> Record | None:
        record = self._store.records.get(build_id)
        if record is None or record.build.outcome is not Outcome.ERRORED or record.given_up:
            return None
        return record


def _item(record: Record) -> QueueItem:
    build = record.build
    return QueueItem(
        build=build.id,
        package=build.commit.package,
        target=build.target,
        state=build.state,
        priority=record.priority,
        queued_at=build.queued_at,
        not_before=build.not_before,
    )


def _harmless(reason: Reason) -> Reason:
    return replace(reason, detail=harmless(reason.detail))
