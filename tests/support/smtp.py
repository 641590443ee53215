"""Mail servers on 127.0.0.1: aiosmtpd, and scripts that misbehave."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass
class MailServer:
    """A mail server, and what it does with mails. aiosmtpd looks through its attributes, which slots would break.

    Attributes:
        port: where it listens.
        mails: what it took, with the recipient of each.
        recipients: what it answers to a recipient rather than to take it.
        data: what it answers to a mail rather than to take it; empty to take it.
        sender: what it answers to the sender; empty to take it.
        password: what it wants to hear; empty for no login.
        logins: who logged in.
    """

    port: int = 0
    mails: list[tuple[str, EmailMessage]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    recipients: dict[str, str] = field(default_factory=dict)
    data: str = ""
    sender: str = ""
    password: str = ""
    logins: list[str] = field(default_factory=list)

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del server, session, options
        envelope.mail_from = address
        return self.sender or "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del server, session, options
        if address in self.recipients:
            return self.recipients[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        del server, session
        if self.data:
            return self.data
        content = envelope.content
        assert isinstance(content, bytes)
        self.raw.append(content)
        message = message_from_bytes(content.replace(b"\r\n", b"\n"), policy=policy.default)
        self.mails += [(recipient, message) for recipient in envelope.rcpt_tos]
        return "250 OK"

    def authenticated(self, *given: object) -> AuthResult:
        """Whether a login is right; aiosmtpd calls it with what it knows."""
        said = given[-1]
        assert isinstance(said, LoginPassword)
        self.logins.append(said.login.decode())
        return AuthResult(success=said.password.decode() == self.password, handled=False)


@contextmanager
def mail_server(
    *, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None, password: str = ""
) -> Iterator[MailServer]:
    """A mail server that runs in a thread.

    Args:
        starttls: what STARTTLS needs; then nothing goes without it.
        tls: for TLS from the first byte.
        password: what it wants to hear before it takes mail.
    """
    behaviour = MailServer(password=password)
    loop = asyncio.new_event_loop()

    def session() -> SMTP:
        with warnings.catch_warnings():
            # aiosmtpd does not see that a connection is TLS from the first byte.
            warnings.filterwarnings("ignore", "Requiring AUTH while not requiring TLS")
            return SMTP(
                behaviour,
                hostname="mail.test",
                tls_context=starttls,
                require_starttls=starttls is not None,
                auth_required=bool(password),
                auth_require_tls=starttls is not None,
                authenticator=behaviour.authenticated,
                loop=loop,
            )

    server = loop.run_until_complete(loop.create_server(session, "127.0.0.1", 0, ssl=tls))
    behaviour.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield behaviour
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@contextmanager
def socket_server(script: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that does with each connection what a script says; gives its port."""
    ended = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)
    connections: list[socket.socket] = []

    def serve() -> None:
        while not ended.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            connections.append(connection)
            threading.Thread(target=_run, args=(script, connection), daemon=True).start()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        ended.set()
        thread.join()
        listener.close()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


def _run(script: Callable[[socket.socket], None], connection: socket.socket) -> None:
    with suppress(OSError):
        script(connection)
