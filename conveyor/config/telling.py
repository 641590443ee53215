"""Who is told of what: from the settings' entries to the model's values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from conveyor.config.telling_schema import LOOPBACK, CommandEntry, MailEntry, WebhookEntry
from conveyor.model.channels import (
    FOR_OPERATORS,
    FOR_PROGRAMS,
    CommandHook,
    MailSettings,
    Security,
    Webhook,
)
from conveyor.model.event import EventKind

# RFC 5321, RFC 6409 and RFC 8314.
PORTS = {Security.NONE: 25, Security.STARTTLS: 587, Security.TLS: 465}


def read_mail(entry: MailEntry) -> MailSettings | None:
    """How mails are sent; None where there is no mail server."""
    if entry.host is None or entry.sender is None:
        return None
    security = _security(entry.host, entry.security)
    return MailSettings(
        host=entry.host,
        port=entry.port or PORTS[security],
        security=security,
        sender=entry.sender,
        user=entry.user,
        password_file=Path(entry.password_file) if entry.password_file else None,
        operators=tuple(entry.operators),
        operator_events=_kinds(entry.operator_events, FOR_OPERATORS),
        interval=entry.interval,
        operator_interval=entry.operator_interval,
        gather=entry.gather,
        templates=Path(entry.templates) if entry.templates else None,
    )


def read_webhook(entry: WebhookEntry) -> Webhook:
    """A URL that is told of events."""
    return Webhook(
        name=entry.name,
        url=entry.url,
        secret_file=Path(entry.secret_file),
        events=_kinds(entry.events, FOR_PROGRAMS),
    )


def read_command(entry: CommandEntry) -> CommandHook:
    """A command that is told of events."""
    return CommandHook(
        name=entry.name,
        argv=tuple(entry.argv),
        events=_kinds(entry.events, FOR_PROGRAMS),
        time_limit=entry.time_limit,
    )


def _security(host: str, said: str | None) -> Security:
    """What was said; else TLS, which this machine's own mail server has no certificate for."""
    if said is not None:
        return Security(said)
    return Security.NONE if host in LOOPBACK else Security.STARTTLS


def _kinds(said: Sequence[str] | None, otherwise: tuple[EventKind, ...]) -> tuple[EventKind, ...]:
    return otherwise if said is None else tuple(EventKind(kind) for kind in said)
