"""The port `Outbox` in memory. It passes the same contract suite as the real one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from conveyor.model.notice import Channel, NewNotice, Notice
from conveyor.store.types import harmless, utc


class MemoryOutbox:
    """See `conveyor.ports.Outbox`.

    Attributes:
        posted: all notices, by number.
    """

    def __init__(self) -> None:
        self.posted: dict[int, Notice] = {}
        self._told = 0
        self._made = 0

    def told(self) -> int:
        return self._told

    def post(self, notices: Sequence[NewNotice], up_to: int, at: datetime) -> None:
        if up_to < self._told:
            return
        self._told = up_to
        known = set(map(_key, self.posted.values()))
        for new in notices:
            if _key(new) in known:
                continue
            known.add(_key(new))
            self._made += 1
            self.posted[self._made] = Notice(
                channel=new.channel,
                recipient=harmless(new.recipient),
                event=new.event,
                package=harmless(new.package),
                subject=harmless(new.subject),
                body=harmless(new.body),
                id=self._made,
                created_at=utc(at),
                due_at=utc(new.due_at or at),
                tries=0,
                sent_at=None,
                given_up_at=None,
                cause="",
            )

    def due(self, at: datetime, *, limit: int = 50) -> tuple[Notice, ...]:
        return tuple(notice for notice in self.waiting() if notice.due_at <= at)[:limit]

    def sent(self, ids: Collection[int], at: datetime) -> None:
        for notice in self.waiting():
            if notice.id in ids:
                self.posted[notice.id] = replace(notice, sent_at=utc(at))

    def failed(self, notice_id: int, cause: str, at: datetime, again_at: datetime | None) -> None:
        for notice in self.waiting():
            if notice.id == notice_id:
                failed = replace(notice, tries=notice.tries + 1, cause=harmless(cause))
                ended = replace(failed, given_up_at=utc(at))
                self.posted[notice_id] = ended if again_at is None else replace(failed, due_at=utc(again_at))

    def last_sent(self, recipient: str, package: str) -> datetime | None:
        moments = [
            notice.sent_at or notice.due_at
            for notice in self.posted.values()
            if (notice.recipient, notice.package, notice.given_up_at) == (recipient, package, None)
        ]
        return max(moments, default=None)

    def next_due(self, recipient: str, package: str) -> datetime | None:
        waiting = (each for each in self.waiting() if (each.recipient, each.package) == (recipient, package))
        return min((each.due_at for each in waiting), default=None)

    def waiting(self) -> tuple[Notice, ...]:
        waiting = (notice for notice in self.posted.values() if notice.sent_at is None and notice.given_up_at is None)
        return tuple(sorted(waiting, key=lambda notice: (notice.due_at, notice.id)))

    def sizes(self) -> Mapping[Channel, int]:
        return Counter(notice.channel for notice in self.waiting())

    def given_up(self, *, limit: int = 50) -> tuple[Notice, ...]:
        found = [(each.given_up_at, each.id, each) for each in self.posted.values() if each.given_up_at is not None]
        return tuple(each for _, _, each in sorted(found, key=lambda found: found[:2], reverse=True)[:limit])

    def forget_waits(self, latest: datetime) -> None:
        for notice in self.waiting():
            self.posted[notice.id] = replace(notice, due_at=min(notice.due_at, utc(latest)))

    def forget(self, before: datetime) -> None:
        for notice in list(self.posted.values()):
            ended = notice.sent_at or notice.given_up_at
            if ended is not None and ended < before:
                del self.posted[notice.id]


def _key(of: NewNotice) -> tuple[object, ...]:
    return of.event, of.channel, of.recipient
