"""Last stage: tells people and programs what happened. Never in the write path.

Notices are made of events exactly once: they and the number of the last event are one transaction. They are sent at
least once: who is killed between sending and remembering sends once more, under the same name.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple

from conveyor.errors import ChannelDown, ConveyorError, NoticeFailed, NoticeRefused
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.notice import Channel, Notice
from conveyor.pipeline.growingwait import growing_wait
from conveyor.pipeline.notices import Facts, NoticeMaker
from conveyor.ports import Events, Letters, Notifier, Outbox

EVENTS_AT_ONCE = 500
NOTICES_AT_ONCE = 1000
# A notice that was not sent is tried again after half a minute, then after four times as long each time, at most after
# a day: so ten tries take three and a half days.
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(days=1)
GROWTH = 4
MAX_TRIES = 10
# So that many which failed together do not come back together.
JITTER = (0.75, 1.25)
# Where one notice found nobody, the next looks again after this at the latest.
LONGEST_REST = timedelta(minutes=5)
# For how long notices begin to be sent to one destination in one go: a slow one has the next go's time too.
GO_SECONDS = 20.0
AT_ONCE = 8
KEPT = timedelta(days=30)
TIDY = timedelta(hours=6)


class Destination(NamedTuple):
    """What is up or down as a whole: the mail server, a webhook, a command.

    Attributes:
        channel: how.
        name: the webhook's or command's; empty for the mail server.
    """

    channel: Channel
    name: str


class Teller:
    """Makes notices of what happened, and sends what is due.

    Args:
        events: what happened.
        outbox: what is to be sent.
        maker: makes notices.
        letters: what mails say.
        facts: what is told.
        notifiers: what sends, by channel; notices over a channel that has none are refused.
        longest_hold: the longest time for which a mail is held back.
        random: chooses how much later something is tried again.
    """

    def __init__(
        self,
        *,
        events: Events,
        outbox: Outbox,
        maker: NoticeMaker,
        letters: Letters,
        facts: Facts,
        notifiers: Mapping[Channel, Notifier],
        longest_hold: timedelta,
        random: Random,
    ) -> None:
        self._events = events
        self._outbox = outbox
        self._maker = maker
        self._letters = letters
        self._facts = facts
        self._notifiers = notifiers
        self._longest = max(longest_hold, LONGEST_WAIT * JITTER[1])
        self._random = random
        self._resting: dict[Destination, datetime] = {}
        self._tidied_at: datetime | None = None

    def tell(self, now: datetime) -> int:
        """Make notices of what happened since the last time, and send what is due; returns how many were sent.

        What cannot be sent is tried again later, and keeps nothing else back.

        Raises:
            StoreUnusable: the store does not answer.
        """
        self._make(now)
        self._tidy(now)
        return self._send(now)

    def _make(self, now: datetime) -> None:
        while events := self._events.after(self._outbox.told(), limit=EVENTS_AT_ONCE):
            self._outbox.post(self._maker.of(events, now), events[-1].number, now)

    def _tidy(self, now: datetime) -> None:
        """After the clock was set back nothing waits for ever, and what was sent long ago is forgotten."""
        self._outbox.forget_waits(now + self._longest)
        if self._tidied_at is None or not timedelta() <= now - self._tidied_at < TIDY:
            self._outbox.forget(now - KEPT)
            self._tidied_at = now

    def _send(self, now: datetime) -> int:
        by_destination: dict[Destination, list[Notice]] = {}
        for notice in self._outbox.due(now, limit=NOTICES_AT_ONCE):
            by_destination.setdefault(_destination(notice), []).append(notice)
        ready = {where: notices for where, notices in by_destination.items() if not self._rests(where, now)}
        if not ready:
            return 0
        with ThreadPoolExecutor(min(AT_ONCE, len(ready)), thread_name_prefix="telling") as pool:
            jobs = [pool.submit(self._send_to, where, notices, now) for where, notices in ready.items()]
        return sum(job.result() for job in jobs)

    def _rests(self, where: Destination, now: datetime) -> bool:
        """Whether a destination that was down is left alone still; not after the clock was set back."""
        until = self._resting.get(where)
        return until is not None and now < until <= now + LONGEST_REST

    def _send_to(self, where: Destination, notices: Sequence[Notice], now: datetime) -> int:
        """Send to one destination, the oldest first, until it is down or the time is up; returns how many were sent."""
        end = time.monotonic() + GO_SECONDS
        sent = 0
        for together in _together(notices):
            if time.monotonic() > end:
                break
            try:
                self._send_one(where, self._joined(together))
            except ChannelDown as error:
                wait = self._wait(together[-1], error.wait)
                self._resting[where] = now + min(wait, LONGEST_REST)
                self._failed(together, error, now, wait)
                break
            except NoticeFailed as error:
                self._failed(together, error, now, self._wait(together[-1]))
            except NoticeRefused as error:
                self._give_up(together, error, now)
            else:
                self._outbox.sent([notice.id for notice in together], now)
                sent += len(together)
        return sent

    def _send_one(self, where: Destination, notice: Notice) -> None:
        notifier = self._notifiers.get(where.channel)
        if notifier is None:
            raise NoticeRefused(f"the settings have no {where.channel} any more")
        notifier.send(notice)

    def _joined(self, notices: Sequence[Notice]) -> Notice:
        """One notice that says all; it goes by the name of the last."""
        if len(notices) == 1:
            return notices[0]
        last = notices[-1]
        told = [
            {"at": each.created_at.isoformat(), "subject": each.subject, "body": each.body.split("\n")}
            for each in notices
        ]
        letter = self._letters.write("digest", self._facts.of_many(last.package, told))
        return replace(last, subject=letter.subject, body=letter.body)

    def _wait(self, notice: Notice, asked: float = 0) -> timedelta:
        """How long until a notice is tried again; longer where the other side asks for it."""
        backoff = growing_wait(FIRST_WAIT, notice.tries + 1, LONGEST_WAIT, factor=GROWTH)
        wanted = min(timedelta(seconds=asked), LONGEST_WAIT)
        jitter: float = self._random.uniform(*JITTER)
        return max(backoff * jitter, wanted)

    def _failed(self, notices: Sequence[Notice], error: ConveyorError, now: datetime, wait: timedelta) -> None:
        for notice in notices:
            if notice.tries + 1 >= MAX_TRIES:
                self._give_up([notice], error, now)
            else:
                self._outbox.failed(notice.id, error.summary, now, now + wait)

    def _give_up(self, notices: Sequence[Notice], error: ConveyorError, now: datetime) -> None:
        """Nobody is told; so that becomes an event, recorded first, lest a kill lets it go unsaid."""
        for notice in notices:
            if not self._says_that_others_were_not_told(notice):
                self._events.record([_not_told(notice, error)], now)
            self._outbox.failed(notice.id, error.summary, now, None)

    def _says_that_others_were_not_told(self, notice: Notice) -> bool:
        """Whether a notice is itself about one that was given up: else two that are down would tell each other."""
        events = self._events.after(notice.event - 1, limit=1)
        return any(event.kind is EventKind.NOTICE_FAILED for event in events)


def _destination(notice: Notice) -> Destination:
    return Destination(notice.channel, "" if notice.channel is Channel.MAIL else notice.recipient)


def _together(notices: Sequence[Notice]) -> Iterator[Sequence[Notice]]:
    """What is sent as one: mails to one person about one package, or about the site. Programs get each event alone."""
    groups: dict[object, list[Notice]] = {}
    for notice in notices:
        key = (notice.recipient, notice.package) if notice.channel is Channel.MAIL else notice.id
        groups.setdefault(key, []).append(notice)
    return (sorted(group, key=lambda notice: notice.id) for group in groups.values())


def _not_told(notice: Notice, error: ConveyorError) -> NewEvent:
    return NewEvent(
        kind=EventKind.NOTICE_FAILED,
        summary=f"{notice.recipient} was not told by {notice.channel}: {error.summary}",
        package=notice.package,
        detail={
            "channel": notice.channel,
            "recipient": notice.recipient,
            "notice": notice.id,
            "event": notice.event,
            "subject": notice.subject,
            "cause": error.summary,
            "hint": error.hint,
            "tries": notice.tries + 1,
        },
    )
