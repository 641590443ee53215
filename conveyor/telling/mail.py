"""Notices as mails, by SMTP."""

from __future__ import annotations

import platform
import re
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from threading import Timer

from conveyor.errors import ChannelDown, NoticeFailed, NoticeRefused
from conveyor.model.addresses import mailbox, mailbox_name
from conveyor.model.channels import MailSettings, Security
from conveyor.model.notice import Notice
from conveyor.model.text import plain, shortened

# For each step of the protocol, and for all of them.
STEP_SECONDS = 20.0
WHOLE_SECONDS = 60.0
SAID_CHARACTERS = 300
# Replies of RFC 5321, 4.2.3.
READY = 220
SERVICE_CLOSES = 421
_PERMANENT = range(500, 600)
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class MailNotifier:
    """The port Notifier, by SMTP: a mail to one person.

    Args:
        settings: the mail server, and who sends.
        now: the time.
        step: seconds that the server may take for an answer.
        whole: seconds that a mail may take.
    """

    def __init__(
        self,
        settings: MailSettings,
        *,
        now: Callable[[], datetime] = _utc_now,
        step: float = STEP_SECONDS,
        whole: float = WHOLE_SECONDS,
    ) -> None:
        self._settings = settings
        self._now = now
        self._step = step
        self._whole = whole

    def send(self, notice: Notice) -> None:
        """Send one.

        Raises:
            NoticeRefused: the address is none, or the server does not take it or the mail.
            NoticeFailed: the server will not take it now.
            ChannelDown: the server cannot be reached, or takes no mail of ours.
        """
        message = self._message(notice)
        with self._session() as session:
            try:
                session.send_message(message)
            except smtplib.SMTPRecipientsRefused as error:
                code, said = next(iter(error.recipients.values()))
                raise self._not_taken(f"{notice.recipient} is refused", code, said) from error
            except smtplib.SMTPDataError as error:
                what = f"the mail to {notice.recipient} is refused"
                raise self._not_taken(what, error.smtp_code, error.smtp_error) from error

    def check(self) -> None:
        """Connect to the server and log in, and send nothing.

        Raises:
            ChannelDown: that is not possible.
        """
        with self._session() as session:
            session.noop()

    def _message(self, notice: Notice) -> EmailMessage:
        recipient = _address(notice.recipient)
        sender = mailbox(self._settings.sender)
        message = EmailMessage(policy=SMTP)
        message["From"] = Address(plain(mailbox_name(self._settings.sender)), addr_spec=sender)
        message["To"] = Address(addr_spec=recipient)
        message["Subject"] = plain(notice.subject).strip()
        message["Date"] = self._now()
        message["Message-ID"] = f"<{notice.key}@{sender.rpartition('@')[2]}>"
        # RFC 3834: so that nobody's holiday answers.
        message["Auto-Submitted"] = "auto-generated"
        message["X-Conveyor-Event"] = str(notice.event)
        if notice.package:
            message["X-Conveyor-Package"] = plain(notice.package)
        body = "\n".join(plain(line) for line in notice.body.split("\n"))
        message.set_content(body + "\n", cte="quoted-printable")
        return message

    @contextmanager
    def _session(self) -> Iterator[smtplib.SMTP]:
        """A connection to the server, logged in."""
        session = self._made()
        timer = Timer(self._whole, _cut, (session,))
        timer.start()
        try:
            self._begin(session)
            yield session
            # What was taken is sent, whatever becomes of the farewell.
            with suppress(smtplib.SMTPException, OSError):
                session.quit()
        except smtplib.SMTPResponseException as error:
            raise self._down(f"{error.smtp_code} {_said(error.smtp_error)}") from error
        except (smtplib.SMTPException, OSError, UnicodeError) as error:
            raise self._down(_reason(error)) from error
        finally:
            timer.cancel()
            session.close()

    def _made(self) -> smtplib.SMTP:
        # smtplib would ask the name service for it, which may take long.
        node = platform.node()
        own = node if _HOST.fullmatch(node) else "localhost"
        if self._settings.security is Security.TLS:
            return smtplib.SMTP_SSL(local_hostname=own, timeout=self._step, context=ssl.create_default_context())
        return smtplib.SMTP(local_hostname=own, timeout=self._step)

    def _begin(self, session: smtplib.SMTP) -> None:
        settings = self._settings
        # The name that the certificate must have; smtplib takes it from its constructor alone, which would connect
        # before anything could limit the time.
        session._host = settings.host  # type: ignore[attr-defined]  # noqa: SLF001
        code, said = session.connect(settings.host, settings.port)
        if code != READY:
            raise smtplib.SMTPConnectError(code, said)
        session.ehlo_or_helo_if_needed()
        if settings.security is Security.STARTTLS:
            session.starttls(context=ssl.create_default_context())
            session.ehlo()
        if settings.user is not None and settings.password_file is not None:
            session.login(settings.user, self._password(settings.password_file))

    def _password(self, path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
        except (OSError, UnicodeError) as error:
            raise self._down(f"the password cannot be read from {path}: {_reason(error)}") from error

    def _not_taken(self, what: str, code: int, said: bytes | str) -> NoticeFailed | NoticeRefused:
        """The error for a mail that the server does not take."""
        cause = f"{code} {_said(said)}"
        if code in _PERMANENT:
            return NoticeRefused(what, cause=cause, hint="correct the address, or look into the mail server's log")
        return self._down(cause) if code == SERVICE_CLOSES else NoticeFailed(what, cause=cause)

    def _down(self, cause: str) -> ChannelDown:
        server = f"{self._settings.host}:{self._settings.port}"
        return ChannelDown(
            f"the mail server {server} takes no mail",
            cause=cause,
            hint="see to the server, or correct [mail] in conveyor.toml; 'conveyor doctor' tries it",
        )


def _address(recipient: str) -> str:
    """A recipient, who is an address and nothing else.

    Raises:
        NoticeRefused: it is none.
    """
    hint = "correct it in repos.yaml, or in [mail] in conveyor.toml"
    try:
        address = mailbox(recipient)
    except ValueError as error:
        raise NoticeRefused(str(error), hint=hint) from error
    if address != recipient:
        raise NoticeRefused(f"{recipient[:80]!r} is no mail address alone", hint=hint)
    return address


def _cut(session: smtplib.SMTP) -> None:
    """End a session that takes too long: what waits for the server gets an error."""
    if session.sock is not None:
        with suppress(OSError):
            session.sock.shutdown(socket.SHUT_RDWR)


def _said(answer: bytes | str) -> str:
    """What a server said, for people. Hostile text."""
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
    return shortened(plain(" ".join(text.split())), SAID_CHARACTERS)


def _reason(error: Exception) -> str:
    return _said(getattr(error, "strerror", None) or str(error) or type(error).__name__)
