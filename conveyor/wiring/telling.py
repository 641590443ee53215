"""Puts together what tells people and programs, and looks whether it can."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING, Protocol

from conveyor.errors import ChannelDown
from conveyor.model.addresses import mailbox
from conveyor.model.channels import CommandHook, MailSettings, Webhook
from conveyor.model.health import Finding
from conveyor.model.notice import Channel
from conveyor.pipeline.notices import Audience, Facts, NoticeMaker, Site
from conveyor.pipeline.telling import Teller
from conveyor.ports import Events, Notifier, Outbox, Store
from conveyor.repository.names import shard
from conveyor.repository.tree import PublishedTree

if TYPE_CHECKING:
    from conveyor.config import Repos, Settings

# For how long `conveyor doctor` complains of a notice that was given up.
FRESH = timedelta(days=1)
MANY = 5
_OTHERS = 0o077


class Recorded(Protocol):
    """What was recorded and published: a Conveyor, or Records."""

    @property
    def store(self) -> Store:
        """What was built."""

    @property
    def events(self) -> Events:
        """What happened."""

    @property
    def outbox(self) -> Outbox:
        """What is to be told."""

    @property
    def tree(self) -> PublishedTree:
        """The published tree."""


def make_teller(settings: Settings, repos: Repos, recorded: Recorded) -> Teller:
    """What tells people and programs what happened. Made anew when settings or packages change."""
    from conveyor.telling.letters import TemplateLetters  # noqa: PLC0415

    mail = settings.mail
    letters = TemplateLetters(mail.templates if mail else None)
    site = Site(
        name=settings.repository_name,
        base_url=settings.base_url,
        host=platform.node(),
        data=settings.data_dir,
    )
    facts = Facts(recorded.store, site, lambda target, commit: recorded.tree.url(target, shard(commit)))
    audience = Audience(
        mail=mail,
        webhooks=settings.webhooks,
        commands=settings.commands,
        maintainers={name: package.maintainers for name, package in repos.packages.items()},
    )
    return Teller(
        events=recorded.events,
        outbox=recorded.outbox,
        maker=NoticeMaker(recorded.outbox, letters, facts, audience),
        letters=letters,
        facts=facts,
        notifiers=_notifiers(settings),
        longest_hold=timedelta(seconds=max(mail.interval, mail.operator_interval) if mail else 0),
        random=SystemRandom(),
    )


def _notifiers(settings: Settings) -> dict[Channel, Notifier]:
    # httpx takes longer to import than most commands take.
    from conveyor.telling.command import CommandNotifier  # noqa: PLC0415
    from conveyor.telling.mail import MailNotifier  # noqa: PLC0415
    from conveyor.telling.webhook import WebhookNotifier  # noqa: PLC0415

    notifiers: dict[Channel, Notifier] = {
        Channel.WEBHOOK: WebhookNotifier(settings.webhooks),
        Channel.COMMAND: CommandNotifier(settings.commands),
    }
    if settings.mail is not None:
        notifiers[Channel.MAIL] = MailNotifier(settings.mail)
    return notifiers


def findings(settings: Settings, repos: Repos, outbox: Outbox) -> Iterator[Finding]:
    """What `conveyor doctor` tells of telling, where anybody is to be told."""
    if settings.mail is not None:
        yield _mail_server(settings.mail)
        yield from _templates(settings.mail)
        yield from _addresses(repos)
    for webhook in settings.webhooks:
        yield _webhook(webhook)
    for command in settings.commands:
        yield _command(command)
    yield from _given_up(outbox)


def _mail_server(mail: MailSettings) -> Finding:
    from conveyor.telling.mail import MailNotifier  # noqa: PLC0415

    try:
        MailNotifier(mail).check()
    except ChannelDown as error:
        return Finding(subject="mail", good=False, detail=error.summary, remedy=error.hint)
    open_file = mail.password_file is not None and _is_open(mail.password_file)
    return Finding(
        subject="mail",
        good=not open_file,
        detail=f"{mail.password_file} can be read by others" if open_file else f"{mail.host}:{mail.port} answers",
        remedy=f"chmod 600 {mail.password_file}" if open_file else "",
    )


def _templates(mail: MailSettings) -> Iterator[Finding]:
    from conveyor.telling.letters import TemplateLetters  # noqa: PLC0415
    from conveyor.telling.samples import samples  # noqa: PLC0415

    if mail.templates is None:
        return
    if not mail.templates.is_dir():
        remedy = "make it, or take 'templates' out of [mail] in conveyor.toml"
        yield Finding(subject="mail templates", good=False, detail=f"{mail.templates} is no folder", remedy=remedy)
        return
    problems = TemplateLetters(mail.templates).problems(samples())
    yield Finding(
        subject="mail templates",
        good=not problems,
        detail="; ".join(problems) or str(mail.templates),
        remedy=f"correct them in {mail.templates}; docs/telling.md says what they can name" if problems else "",
    )


def _addresses(repos: Repos) -> Iterator[Finding]:
    """Maintainers whose address no mail server takes."""
    bad = sorted({each for package in repos.packages.values() for each in package.maintainers if not _is_address(each)})
    if bad:
        more = f" and {len(bad) - MANY} more" if len(bad) > MANY else ""
        yield Finding(
            subject="maintainers",
            good=False,
            detail=f"no mail address: {', '.join(bad[:MANY])}{more}",
            remedy="correct 'maintainers' in repos.yaml",
        )


def _is_address(text: str) -> bool:
    try:
        mailbox(text)
    except ValueError:
        return False
    return True


def _webhook(webhook: Webhook) -> Finding:
    from conveyor.telling.webhook import read_secrets  # noqa: PLC0415

    subject = f"webhook {webhook.name}"
    try:
        secrets = read_secrets(webhook)
    except ChannelDown as error:
        return Finding(subject=subject, good=False, detail=error.summary, remedy=error.hint)
    if _is_open(webhook.secret_file):
        detail = f"{webhook.secret_file} can be read by others"
        return Finding(subject=subject, good=False, detail=detail, remedy=f"chmod 600 {webhook.secret_file}")
    signed = "signed" if len(secrets) == 1 else f"signed with {len(secrets)} secrets"
    clear = "" if webhook.url.startswith("https:") else ", in the clear"
    return Finding(subject=subject, good=True, detail=f"{signed}{clear}, {len(webhook.events)} kinds of events")


def _command(command: CommandHook) -> Finding:
    program = command.argv[0]
    good = Path(program).is_file() and os.access(program, os.X_OK)
    return Finding(
        subject=f"command {command.name}",
        good=good,
        detail=program if good else f"{program} is no program",
        remedy="" if good else "correct 'argv' below [[commands]] in conveyor.toml",
    )


def _given_up(outbox: Outbox) -> Iterator[Finding]:
    recent = [each for each in outbox.given_up() if (each.given_up_at or each.created_at) > datetime.now(UTC) - FRESH]
    if recent:
        yield Finding(
            subject="notices",
            good=False,
            detail=f"{len(recent)} given up within a day, the last for {recent[0].recipient}: {recent[0].cause}",
            remedy="conveyor notices",
        )


def _is_open(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & _OTHERS)
    except OSError:
        return False
