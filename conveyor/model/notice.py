"""What is told to whom."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256


class Channel(StrEnum):
    """How somebody is told."""

    MAIL = "mail"
    WEBHOOK = "webhook"
    COMMAND = "command"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNotice:
    """Something to tell.

    Attributes:
        channel: how.
        recipient: a mail address, or the name of a webhook or command in the settings.
        event: number of the event that it is about.
        package: the package that it is about; empty for none.
        subject: one line.
        body: the text, or the JSON that a program gets.
        due_at: when it is to be sent, with zone; None for at once.
    """

    channel: Channel
    recipient: str
    event: int
    package: str
    subject: str
    body: str
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice(NewNotice):
    """A notice that is recorded, until it is sent or given up.

    Attributes:
        id: its number.
        created_at: when it was recorded, with zone.
        due_at: when it is to be sent, or tried again, with zone.
        tries: how often that failed.
        sent_at: when it was sent, with zone; None if it was not.
        given_up_at: when it was given up, with zone; None if it was not.
        cause: why the last try failed; empty where none did.
    """

    id: int
    created_at: datetime
    due_at: datetime
    tries: int
    sent_at: datetime | None
    given_up_at: datetime | None
    cause: str

    @property
    def key(self) -> str:
        """What tells it from all others, whatever store it is in: the same each time that it is sent."""
        made_at = self.created_at.astimezone(UTC).isoformat()
        return sha256(f"{self.channel} {self.recipient} {self.event} {made_at}".encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What a mail says.

    Attributes:
        subject: one line.
        body: the text.
    """

    subject: str
    body: str
