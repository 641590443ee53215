"""The shape of the settings that say who is told of what; conveyor/config/telling.py makes model values of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from conveyor.config import urls
from conveyor.config.mistakes import show
from conveyor.config.schema import Entry
from conveyor.config.values import Argument, Duration, MailAddress, WholePath, matching, one_of
from conveyor.model.channels import COMMAND_LIMIT, GATHER, MAIL_INTERVAL, OPERATOR_INTERVAL, Security
from conveyor.model.event import EventKind

# Connections to these stay on the machine.
LOOPBACK = ("localhost", "127.0.0.1", "::1")
EVENTS_EXAMPLE = '["failed", "works-again"]'


def receiver(text: str) -> str:
    """A URL that events are posted to. The mistake does not repeat it: it may hold a secret.

    Raises:
        ValueError: it is none.
    """
    right = "would be right: https://chat.example.org/hooks/conveyor"
    if not text.startswith(("https://", "http://")):
        raise ValueError(f"is no https or http URL; {right}")
    return urls.web_url(text, right)


def program(argv: list[str]) -> list[str]:
    """A command line whose program is named by its whole path.

    Raises:
        ValueError: it is not.
    """
    if not argv[0].startswith("/"):
        raise ValueError(f"{show(argv[0])} is no absolute path; would be right: /usr/local/bin/tell")
    return argv


HookName = Annotated[str, matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", "name", "chat")]
Kind = Annotated[str, one_of(EventKind, "kind of event")]
Host = Annotated[
    str, matching(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*", "host", "mail.example.org")
]


class MailEntry(Entry):
    """How mails are sent, and to whom."""

    host: Host | None = Field(None, examples=["mail.example.org"])
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(None, examples=["587"])
    security: Annotated[str, one_of(Security, "security of a connection")] | None = Field(None, examples=["starttls"])
    user: Annotated[str, matching(r"[\x21-\x7e]+", "user name", "conveyor")] | None = Field(None, examples=["conveyor"])
    password_file: WholePath | None = Field(None, examples=["/etc/conveyor/mail-password"])
    sender: MailAddress | None = Field(None, examples=["Conveyor <conveyor@example.org>"])
    operators: list[MailAddress] = Field([], examples=['["Name <name@example.org>"]'])
    operator_events: list[Kind] | None = Field(None, examples=['["gave-up", "disk-low"]'])
    interval: Duration = Field(MAIL_INTERVAL, examples=["1d"])
    operator_interval: Duration = Field(OPERATOR_INTERVAL, examples=["15m"])
    gather: Duration = Field(GATHER, examples=["2m"])
    templates: WholePath | None = Field(None, examples=["/etc/conveyor/templates"])

    @model_validator(mode="after")
    def _belongs_together(self) -> MailEntry:
        if self.host is None:
            if self.model_fields_set:
                raise ValueError("needs a 'host', the mail server; would be right: mail.example.org")
            return self
        if self.sender is None:
            raise ValueError("needs a 'sender', the address in From; would be right: Conveyor <conveyor@example.org>")
        if (self.user is None) != (self.password_file is None):
            raise ValueError("'user' and 'password_file' need each other")
        if self.user is not None and self.security == Security.NONE and self.host not in LOOPBACK:
            raise ValueError("a password would go over the net in the clear; would be right: security = 'starttls'")
        return self


class WebhookEntry(Entry):
    """A URL that is told of events."""

    name: HookName = Field(examples=["chat"])
    url: Annotated[str, AfterValidator(receiver)] = Field(examples=["https://chat.example.org/hooks/conveyor"])
    secret_file: WholePath = Field(examples=["/etc/conveyor/chat-secret"])
    events: list[Kind] | None = Field(None, examples=[EVENTS_EXAMPLE], min_length=1)


class CommandEntry(Entry):
    """A command that is told of events."""

    name: HookName = Field(examples=["chat"])
    argv: Annotated[list[Argument], Field(min_length=1), AfterValidator(program)] = Field(
        examples=['["/usr/local/bin/tell", "--quiet"]']
    )
    events: list[Kind] | None = Field(None, examples=[EVENTS_EXAMPLE], min_length=1)
    # Until it ends, nothing else begins to be sent.
    time_limit: Annotated[Duration, Field(le=600)] = Field(COMMAND_LIMIT, examples=["1m"])
