"""Telling people and programs. Never in the write path: what fails here delays a notice and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from conveyor.model.notice import Channel, Letter, NewNotice, Notice


class Outbox(Protocol):
    """Notices that are to be sent. Each method is one transaction."""

    def told(self) -> int:
        """Number of the last event whose notices are recorded; 0 for none."""

    def post(self, notices: Sequence[NewNotice], up_to: int, at: datetime) -> None:
        """Record notices, and with them that events up to this number are told.

        With a lower number than that of the last time nothing is recorded: others have told these events. Nobody is
        told twice of one event over one channel.
        """

    def due(self, at: datetime, *, limit: int = 50) -> tuple[Notice, ...]:
        """Notices to send now, the oldest first."""

    def sent(self, ids: Collection[int], at: datetime) -> None:
        """These were sent."""

    def failed(self, notice_id: int, cause: str, at: datetime, again_at: datetime | None) -> None:
        """One was not sent: it is tried again then, or given up for None."""

    def last_sent(self, recipient: str, package: str) -> datetime | None:
        """When somebody was last told of a package, or will be; None for never."""

    def next_due(self, recipient: str, package: str) -> datetime | None:
        """When the first of those is due that wait for somebody and are about a package; None for none."""

    def waiting(self) -> tuple[Notice, ...]:
        """All that are neither sent nor given up, the oldest first."""

    def sizes(self) -> Mapping[Channel, int]:
        """How many wait, by channel; nothing for a channel over which none does."""

    def given_up(self, *, limit: int = 50) -> tuple[Notice, ...]:
        """Those that were given up, the newest first."""

    def forget_waits(self, latest: datetime) -> None:
        """Let none wait for a later moment than this: after the clock was set back."""

    def forget(self, before: datetime) -> None:
        """Forget those that were sent or given up before a moment."""


class Notifier(Protocol):
    """Sends notices over one channel."""

    def send(self, notice: Notice) -> None:
        """Send one.

        Raises:
            NoticeRefused: it will never be taken: the address is none, or the settings have no such recipient.
            NoticeFailed: it was not sent; later it may be.
            ChannelDown: it was not sent, and what goes the same way would not be either.
        """


class Letters(Protocol):
    """Writes what mails say."""

    def write(self, name: str, facts: Mapping[str, object]) -> Letter:
        """A letter after a template.

        A template of the site's that is broken is left out: the one that Conveyor brings is taken, and the letter says
        so.

        Args:
            name: the template's name, such as "failed"; where there is none, that of any event.
            facts: what the template can name. All text in it is plain, one line each.
        """
