"""Makes notices of events: who is told, and what.

docs/telling.md says it for people. What stands in a notice is the same document for mails, webhooks and commands.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from conveyor.errors import Fault, UnknownName
from conveyor.model.addresses import mailbox
from conveyor.model.build import AttemptRecord, Build, Cause
from conveyor.model.channels import FOR_MAINTAINERS, CommandHook, MailSettings, Webhook
from conveyor.model.event import Event, EventKind
from conveyor.model.notice import Channel, NewNotice
from conveyor.model.text import plain, plain_value, shortened
from conveyor.ports import Letters, Outbox, Store

# What happened longer ago is no news: nobody is told, when telling begins on a store that has been used for months.
OLD = timedelta(days=7)
# A notice stays small whatever a log holds: the Standard Webhooks specification recommends less than 20 kB.
MAX_LINES = 30
MAX_LINE = 300
MAX_TEXT = 500
MAX_DETAIL = 8_000
WHOSE = {
    Fault.PACKAGE: "the package's fault",
    Fault.USER: "a mistake in the configuration",
    Fault.OURS: "Conveyor's or its machine's fault",
    Fault.NETWORK: "the network's fault",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What notices say of where they come from.

    Attributes:
        name: what clients see the repositories named.
        base_url: where the published tree is served from.
        host: the machine's name.
        data: the data directory.
    """

    name: str
    base_url: str
    host: str
    data: Path

    def facts(self) -> dict[str, object]:
        """What notices say of it."""
        return {"name": self.name, "base_url": self.base_url, "host": self.host}


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Who is told of what.

    Attributes:
        mail: how mails are sent; None where none are.
        webhooks: URLs that are told of events.
        commands: commands that are told of events.
        maintainers: who is told of a package, by its name.
    """

    mail: MailSettings | None = None
    webhooks: tuple[Webhook, ...] = ()
    commands: tuple[CommandHook, ...] = ()
    maintainers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Facts:
    """What is told of an event.

    Args:
        store: the builds.
        site: where it happened.
        snapshot_url: where a commit's snapshot for a target is served; empty where there is none.
    """

    def __init__(self, store: Store, site: Site, snapshot_url: Callable[[str, str], str]) -> None:
        self._store = store
        self._site = site
        self._snapshot_url = snapshot_url

    def of(self, event: Event) -> dict[str, object]:
        """What is told of an event: see docs/telling.md. All text is plain, one line each."""
        build = self._build(event)
        attempt = self._attempt(event, build)
        cause = attempt.cause if attempt else None
        return {
            "event": _event_facts(event),
            "build": _build_facts(build, attempt) if build else None,
            "cause": _cause_facts(cause) if cause else None,
            "links": self._links(build, attempt),
            "site": self._site.facts(),
        }

    def of_many(self, package: str, notices: Sequence[Mapping[str, object]]) -> dict[str, object]:
        """What is told where several things are told at once."""
        return {"package": package, "notices": notices, "site": self._site.facts()}

    def _build(self, event: Event) -> Build | None:
        if event.build is None:
            return None
        try:
            return self._store.build(event.build)
        except UnknownName:
            return None

    def _attempt(self, event: Event, build: Build | None) -> AttemptRecord | None:
        """The attempt that an event is about; the build may have been tried again since."""
        attempts = self._store.attempts(build.id) if build else ()
        number = event.detail.get("attempt")
        meant = [each for each in attempts if each.number == number]
        return next(iter(meant or attempts[-1:]), None)

    def _links(self, build: Build | None, attempt: AttemptRecord | None) -> dict[str, object]:
        log = str(self._site.data / attempt.log) if attempt and attempt.log else None
        return {
            "why": f"conveyor why {build.id}" if build else None,
            "show_log": f"conveyor log {build.id}" if build else None,
            "log": log,
            "snapshot": self._snapshot(build) if build and build.published else None,
        }

    def _snapshot(self, build: Build) -> str | None:
        try:
            return self._snapshot_url(build.target, build.commit.id) or None
        except UnknownName:  # what cannot be linked can be told all the same
            return None


class NoticeMaker:
    """Makes notices of events.

    Args:
        outbox: when people were last told.
        letters: what mails say.
        facts: what is told of an event.
        audience: who is told.
    """

    def __init__(self, outbox: Outbox, letters: Letters, facts: Facts, audience: Audience) -> None:
        self._outbox = outbox
        self._letters = letters
        self._facts = facts
        self._audience = audience

    def of(self, events: Sequence[Event], now: datetime) -> list[NewNotice]:
        """The notices of events, in order."""
        planned: dict[tuple[str, str], datetime] = {}
        return [notice for event in events for notice in self._of(event, now, planned)]

    def _of(self, event: Event, now: datetime, planned: dict[tuple[str, str], datetime]) -> Iterator[NewNotice]:
        people, programs = dict(self._people(event)), list(self._programs(event))
        if now - event.at > OLD or not (people or programs):
            return
        facts = self._facts.of(event)
        if people:
            letter = self._letters.write(event.kind, facts)
            for recipient, package in people.items():
                yield NewNotice(
                    channel=Channel.MAIL,
                    recipient=recipient,
                    event=event.number,
                    package=package,
                    subject=letter.subject,
                    body=letter.body,
                    due_at=self._due(recipient, package, now, planned),
                )
        for channel, recipient in programs:
            yield NewNotice(
                channel=channel,
                recipient=recipient,
                event=event.number,
                package=event.package,
                subject=shortened(plain(event.summary), MAX_LINE),
                body=message(event, facts),
            )

    def _people(self, event: Event) -> Iterator[tuple[str, str]]:
        """Who is mailed, by address, and the package that the mail counts for; of operators and reminders none."""
        mail = self._audience.mail
        if mail is None:
            return
        if event.kind in mail.operator_events:
            for operator in mail.operators:
                if not _is_about(event, Channel.MAIL, _address(operator)):
                    yield _address(operator), ""
        if event.kind in FOR_MAINTAINERS:
            # What several packages are reminded of at once is one mail.
            package = "" if event.kind is EventKind.STILL_FAILING else event.package
            for maintainer in self._audience.maintainers.get(event.package, ()):
                yield _address(maintainer), package

    def _programs(self, event: Event) -> Iterator[tuple[Channel, str]]:
        hooks: tuple[tuple[Channel, Sequence[Webhook | CommandHook]], ...] = (
            (Channel.WEBHOOK, self._audience.webhooks),
            (Channel.COMMAND, self._audience.commands),
        )
        for channel, several in hooks:
            for hook in several:
                if event.kind in hook.events and not _is_about(event, channel, hook.name):
                    yield channel, hook.name

    def _due(
        self, recipient: str, package: str, now: datetime, planned: dict[tuple[str, str], datetime]
    ) -> datetime | None:
        """When a mail is to be sent: with what waits already; else when the last one is old enough, but not at once."""
        key = (recipient, package)
        if key not in planned:
            planned[key] = self._outbox.next_due(recipient, package) or self._next(recipient, package, now)
        return planned[key]

    def _next(self, recipient: str, package: str, now: datetime) -> datetime:
        mail = self._audience.mail
        if mail is None:
            raise AssertionError("nobody is mailed without a mail server")
        soon = now + timedelta(seconds=mail.gather)
        last = self._outbox.last_sent(recipient, package)
        interval = timedelta(seconds=mail.interval if package else mail.operator_interval)
        return soon if last is None else max(soon, last + interval)


def message(event: Event, facts: Mapping[str, object]) -> str:
    """The JSON that programs get, as the Standard Webhooks specification recommends its form."""
    document = {"type": event.kind, "timestamp": event.at.isoformat(), "data": facts}
    return json.dumps(document, separators=(",", ":"), allow_nan=False)


def _is_about(event: Event, channel: Channel, recipient: str) -> bool:
    """Whether an event says that this recipient could not be told: nobody is told that of himself."""
    about = (event.detail.get("channel"), event.detail.get("recipient"))
    return event.kind is EventKind.NOTICE_FAILED and about == (channel, recipient)


def _address(person: str) -> str:
    """The address alone; the whole text where there is none: the mail server's side refuses it, and that is told."""
    try:
        return mailbox(person)
    except ValueError:
        return plain(person)


def _event_facts(event: Event) -> dict[str, object]:
    detail = plain_value(event.detail)
    return {
        "number": event.number,
        "kind": str(event.kind),
        "at": event.at.isoformat(),
        "summary": shortened(plain(event.summary), MAX_TEXT),
        "package": plain(event.package),
        "target": plain(event.target),
        "detail": detail if len(json.dumps(detail)) <= MAX_DETAIL else {},
    }


def _build_facts(build: Build, attempt: AttemptRecord | None) -> dict[str, object]:
    upstream = build.commit.upstream
    return {
        "id": build.id,
        "attempt": attempt.number if attempt else build.attempt,
        "commit_id": build.commit.id,
        "upstream_sha": upstream.sha,
        "packaging_sha": build.commit.packaging_sha,
        "short": build.commit.short,
        "subject": shortened(plain(upstream.subject), MAX_LINE),
        "author": shortened(plain(upstream.author), MAX_LINE),
        "committed_at": upstream.committed_at.isoformat(),
        "version": plain(build.version) if build.version else None,
    }


def _cause_facts(cause: Cause) -> dict[str, object]:
    return {
        "fault": str(cause.fault),
        "whose": WHOSE[cause.fault],
        "stage": str(cause.stage) if cause.stage else None,
        "kind": plain(cause.kind),
        "summary": shortened(plain(cause.summary), MAX_TEXT),
        "hint": shortened(plain(cause.hint), MAX_TEXT),
        "details": [shortened(plain(line), MAX_LINE) for line in cause.details[-MAX_LINES:]],
    }
