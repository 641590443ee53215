"""Ways to tell people and programs, from the site's settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from conveyor.model.event import EventKind

# What somebody wants to hear of unless the settings name something else.
FOR_OPERATORS = (
    EventKind.GAVE_UP,
    EventKind.STALE,
    EventKind.STALE_NO_MORE,
    EventKind.DISK_LOW,
    EventKind.DISK_FINE,
    EventKind.CONFIGURATION_BROKEN,
    EventKind.NOTICE_FAILED,
    EventKind.POINTER_HELD_BACK,
)
FOR_MAINTAINERS = (EventKind.FAILED, EventKind.WORKS_AGAIN, EventKind.STILL_FAILING)
FOR_PROGRAMS = (*FOR_MAINTAINERS, *FOR_OPERATORS)

MAIL_INTERVAL = 24 * 3600
OPERATOR_INTERVAL = 15 * 60
GATHER = 2 * 60
COMMAND_LIMIT = 60


class Security(StrEnum):
    """How the connection to a mail server is protected."""

    NONE = "none"
    STARTTLS = "starttls"  # begun in the clear, then TLS, or no mail
    TLS = "tls"  # TLS from the first byte


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    """How mails are sent, and to whom.

    Attributes:
        host: the mail server.
        port: its port.
        security: how the connection is protected.
        sender: the address in From, as "Name <address>" or an address.
        user: who logs in; None for nobody.
        password_file: file of the user's password, absolute; None without a user.
        operators: who is told of what concerns the whole site.
        operator_events: what they are told of.
        interval: seconds between two mails to one person about one package.
        operator_interval: seconds between two mails to one operator.
        gather: seconds that a mail waits for more of its kind.
        templates: folder of the site's own templates, absolute; None for those that Conveyor brings.
    """

    host: str
    port: int
    security: Security
    sender: str
    user: str | None = None
    password_file: Path | None = None
    operators: tuple[str, ...] = ()
    operator_events: tuple[EventKind, ...] = FOR_OPERATORS
    interval: int = MAIL_INTERVAL
    operator_interval: int = OPERATOR_INTERVAL
    gather: int = GATHER
    templates: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A URL that is told of events.

    Attributes:
        name: its name.
        url: where events are posted. It may hold a secret, so it is printed nowhere.
        secret_file: file of the secrets that sign, one a line, absolute.
        events: what it is told of.
    """

    name: str
    url: str = field(repr=False)
    secret_file: Path
    events: tuple[EventKind, ...] = FOR_PROGRAMS


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandHook:
    """A command that is told of events.

    Attributes:
        name: its name.
        argv: the program, absolute, and its arguments.
        events: what it is told of.
        time_limit: seconds that it may take.
    """

    name: str
    argv: tuple[str, ...]
    events: tuple[EventKind, ...] = FOR_PROGRAMS
    time_limit: int = COMMAND_LIMIT
