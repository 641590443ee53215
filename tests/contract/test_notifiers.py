"""What every notifier does, whatever it sends with; and what each does with those that misbehave."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook as ReferenceWebhook

from conveyor.errors import ChannelDown, NoticeFailed, NoticeRefused
from conveyor.model.channels import CommandHook, MailSettings, Security, Webhook
from conveyor.model.notice import Channel, Notice
from conveyor.ports import Notifier
from conveyor.telling.command import CommandNotifier
from conveyor.telling.mail import MailNotifier
from conveyor.telling.webhook import WebhookNotifier
from tests.fakes.clock import NOON
from tests.fakes.telling import FakeNotifier
from tests.support.certificate import Certificate, make_certificate
from tests.support.receiver import Receiver, receiver
from tests.support.smtp import MailServer, mail_server, socket_server

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_" + "C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
SENDER = "Conveyor Ünit <conveyor@example.org>"
HOSTILE = "x\r\nBcc: eve@example.org\n\n\x1b[31m<b>\x00\u2028\u202e\ud800é"


def notice(channel: Channel, recipient: str, *, subject: str = "nova failed", body: str = "") -> Notice:
    return Notice(
        channel=channel,
        recipient=recipient,
        event=7,
        package="nova",
        subject=subject,
        body=body or json.dumps({"type": "failed"}),
        id=3,
        created_at=NOON,
        due_at=NOON,
        tries=0,
        sent_at=None,
        given_up_at=None,
        cause="",
    )


def mail_settings(port: int, **more: object) -> MailSettings:
    base = MailSettings(host="127.0.0.1", port=port, security=Security.NONE, sender=SENDER)
    return replace(base, **more)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A notifier, and how its other side is set.

    Attributes:
        notifier: what is tested.
        notice: what it can send.
        nobody: what nobody will ever take.
        arrived: the bodies that arrived.
        fail: has the other side not take things.
    """

    notifier: Notifier
    notice: Notice
    nobody: Notice
    arrived: Callable[[], list[str]]
    fail: Callable[[], None]


def fake_case() -> Case:
    fake = FakeNotifier(failures={"nobody": NoticeRefused("it is none")})

    def fail() -> None:
        fake.failure = NoticeFailed("not now")

    return Case(
        notifier=fake,
        notice=notice(Channel.MAIL, "ann@example.org"),
        nobody=notice(Channel.MAIL, "nobody"),
        arrived=lambda: [each.body for each in fake.sent],
        fail=fail,
    )


def mail_case(stack: ExitStack) -> Case:
    server = stack.enter_context(mail_server())

    def fail() -> None:
        server.data = "451 not now"

    return Case(
        notifier=MailNotifier(mail_settings(server.port)),
        notice=notice(Channel.MAIL, "ann@example.org"),
        nobody=notice(Channel.MAIL, "nobody"),
        arrived=lambda: [message.get_content().rstrip("\n") for _, message in server.mails],
        fail=fail,
    )


def webhook_case(stack: ExitStack, folder: Path) -> Case:
    server = stack.enter_context(receiver())

    def fail() -> None:
        server.code = 503

    return Case(
        notifier=WebhookNotifier([chat(folder, server.url)]),
        notice=notice(Channel.WEBHOOK, "chat"),
        nobody=notice(Channel.WEBHOOK, "nobody"),
        arrived=lambda: [request.body.decode() for request in server.requests],
        fail=fail,
    )


def command_case(folder: Path) -> Case:
    script = f"test ! -e {folder}/fail && cat >> {folder}/got && echo >> {folder}/got"
    hook = CommandHook(name="pager", argv=("/bin/sh", "-c", script))
    return Case(
        notifier=CommandNotifier([hook]),
        notice=notice(Channel.COMMAND, "pager"),
        nobody=notice(Channel.COMMAND, "nobody"),
        arrived=lambda: (folder / "got").read_text().splitlines(),
        fail=(folder / "fail").touch,
    )


def chat(folder: Path, url: str, secrets: str = SECRET) -> Webhook:
    (folder / "secret").write_text(f"{secrets}\n")
    return Webhook(name="chat", url=url, secret_file=folder / "secret")


@pytest.fixture(params=["fake", *Channel])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    with ExitStack() as stack:
        match request.param:
            case Channel.MAIL:
                yield mail_case(stack)
            case Channel.WEBHOOK:
                yield webhook_case(stack, tmp_path)
            case Channel.COMMAND:
                yield command_case(tmp_path)
            case _:
                yield fake_case()


class TestContract:
    def test_what_is_sent_arrives_as_it_is(self, case: Case) -> None:
        sent = replace(case.notice, body=json.dumps({"type": "failed", "text": "ä\N{SNOWMAN} .\n"}, ensure_ascii=False))
        case.notifier.send(sent)
        case.notifier.send(case.notice)
        assert case.arrived() == [sent.body, case.notice.body]

    def test_who_is_not_there_never_will_be(self, case: Case) -> None:
        with pytest.raises(NoticeRefused):
            case.notifier.send(case.nobody)
        case.notifier.send(case.notice)

    def test_what_is_not_taken_now_may_be_later(self, case: Case) -> None:
        case.fail()
        with pytest.raises(NoticeFailed):
            case.notifier.send(case.notice)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


def to(server: MailServer | int, **more: object) -> MailNotifier:
    port = server if isinstance(server, int) else server.port
    return MailNotifier(mail_settings(port, **more), step=0.5, whole=1)


HEADERS = {
    *("from", "to", "subject", "date", "message-id", "auto-submitted", "x-conveyor-event", "x-conveyor-package"),
    *("content-type", "content-transfer-encoding", "mime-version"),
}
ANN = notice(Channel.MAIL, "ann@example.org")


def keep_still(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def drip(connection: socket.socket, line: bytes) -> None:
    while True:
        connection.sendall(line)
        time.sleep(0.05)


def drip_body(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nx: ")
    drip(connection, b"y")


class TestMail:
    def test_what_stands_in_its_head(self) -> None:
        with mail_server() as server:
            to(server).send(ANN)
        ((recipient, message),) = server.mails
        assert (recipient, message["To"], message["From"]) == ("ann@example.org", "ann@example.org", SENDER)
        assert (message["Subject"], message["Auto-Submitted"]) == ("nova failed", "auto-generated")
        assert message["Message-ID"] == f"<{ANN.key}@example.org>"
        assert (message["X-Conveyor-Event"], message["X-Conveyor-Package"]) == ("7", "nova")
        assert abs(datetime.now(UTC) - message["Date"].datetime) < timedelta(minutes=5)
        assert message.get_content_type() == "text/plain"

    def test_hostile_text_stays_text(self) -> None:
        with mail_server() as server:
            sent = replace(ANN, subject=HOSTILE, package=HOSTILE, body=f"{HOSTILE}\n.\nQUIT\n{'long ' * 500}")
            to(server).send(sent)
        ((recipient, message),) = server.mails
        assert recipient == "ann@example.org"
        assert {name.lower() for name in message} == HEADERS
        assert len(list(message)) == len(HEADERS)
        assert "Bcc: eve@example.org" in message["Subject"]
        assert message["Subject"].isprintable()
        assert "\n.\nQUIT\n" in message.get_content()
        assert not set(message.get_content()) & set("\x1b\x00\u2028\u202e\r")
        (raw,) = server.raw
        assert raw.isascii()
        assert max(map(len, raw.split(b"\r\n"))) <= 998

    @pytest.mark.parametrize(
        "recipient", ["", "ann", "ann@", "a b@example.org", "ann@example.org\r\nRCPT TO:<e@e>", HOSTILE]
    )
    def test_what_is_no_address_reaches_no_server(self, recipient: str) -> None:
        with pytest.raises(NoticeRefused, match="is no mail address"):
            to(1).send(replace(ANN, recipient=recipient))

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [("550 no such user", NoticeRefused), ("450 come back", NoticeFailed), ("421 closing", ChannelDown)],
    )
    def test_one_who_is_not_taken(self, answer: str, expected: type[Exception]) -> None:
        with mail_server() as server:
            server.recipients["bob@example.org"] = answer
            with pytest.raises(expected) as raised:
                to(server).send(replace(ANN, recipient="bob@example.org"))
            to(server).send(ANN)
        assert type(raised.value) is expected
        assert answer in str(raised.value)
        assert len(server.mails) == 1

    @pytest.mark.parametrize(("answer", "expected"), [("554 spam", NoticeRefused), ("452 full", NoticeFailed)])
    def test_a_mail_that_is_not_taken(self, answer: str, expected: type[Exception]) -> None:
        with mail_server() as server:
            server.data = answer
            with pytest.raises(expected, match=answer):
                to(server).send(ANN)

    def test_a_sender_that_is_not_taken_is_nobody_s_address(self) -> None:
        with mail_server() as server:
            server.sender = "553 not you"
            with pytest.raises(ChannelDown, match="553 not you"):
                to(server).send(ANN)

    def test_no_server_at_all(self) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            with pytest.raises(ChannelDown, match="Connection refused") as raised:
                to(unused.getsockname()[1]).send(ANN)
        assert "conveyor doctor" in raised.value.hint
        with pytest.raises(ChannelDown):
            MailNotifier(mail_settings(25, host="no-such-host.invalid")).check()

    @pytest.mark.parametrize(
        "script",
        [
            pytest.param(keep_still, id="says nothing"),
            pytest.param(lambda connection: connection.close(), id="hangs up"),
            pytest.param(lambda connection: connection.sendall(b"\x00\xff\n" * 1000), id="talks nonsense"),
            pytest.param(lambda connection: connection.sendall(b"x" * 100_000), id="never ends its line"),
            pytest.param(lambda connection: connection.sendall(b"554 go away\x1b[31m\r\n"), id="wants nobody"),
            pytest.param(lambda connection: drip(connection, b"220-x\r\n"), id="never comes to an end"),
        ],
    )
    def test_a_server_that_is_none(self, script: Callable[[socket.socket], None]) -> None:
        began = time.monotonic()
        with socket_server(script) as port, pytest.raises(ChannelDown) as raised:
            to(port).send(ANN)
        assert time.monotonic() - began < 20
        assert raised.value.summary.isprintable()

    def test_what_was_taken_is_sent_whatever_comes_after(self) -> None:
        def script(connection: socket.socket) -> None:
            for answer in (
                b"220 hi",
                b"250 hello",
                b"250 sender",
                b"250 recipient",
                b"354 go on",
                b"250 taken",
                b"\xff",
            ):
                connection.sendall(answer + b"\r\n")
                if answer != b"354 go on":
                    connection.recv(65536)
                else:
                    while not connection.recv(65536).endswith(b"\r\n.\r\n"):
                        pass

        with socket_server(script) as port:
            to(port).send(ANN)

    @pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
    def test_tls_with_a_login(
        self, security: Security, certificate: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "password").write_text("sesame\n")
        starttls = certificate.server() if security is Security.STARTTLS else None
        tls = certificate.server() if security is Security.TLS else None
        with mail_server(starttls=starttls, tls=tls, password="sesame") as server:
            notifier = to(server, security=security, user="me", password_file=tmp_path / "password")
            with pytest.raises(ChannelDown, match="certificate"):
                notifier.send(ANN)
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate.certificate))
            notifier.send(ANN)
            notifier.check()
            assert (server.logins, len(server.mails)) == (["me", "me"], 1)
            (tmp_path / "password").write_text("sésame")
            with pytest.raises(ChannelDown):
                notifier.send(ANN)
            (tmp_path / "password").write_text("wrong")
            with pytest.raises(ChannelDown, match="535"):
                notifier.send(ANN)
            (tmp_path / "password").unlink()
            with pytest.raises(ChannelDown, match="password cannot be read"):
                notifier.send(ANN)

    def test_a_certificate_of_another_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        other = make_certificate(tmp_path, "DNS:other.example.org")
        monkeypatch.setenv("SSL_CERT_FILE", str(other.certificate))
        with mail_server(tls=other.server()) as server, pytest.raises(ChannelDown, match="certificate"):
            to(server, security=Security.TLS).send(ANN)

    def test_no_mail_in_the_clear_where_tls_is_wanted(self) -> None:
        with mail_server() as server, pytest.raises(ChannelDown, match="STARTTLS"):
            to(server, security=Security.STARTTLS).send(ANN)
        assert not server.mails


CHAT = notice(Channel.WEBHOOK, "chat")


def posting(folder: Path, url: str, secrets: str = SECRET) -> WebhookNotifier:
    return WebhookNotifier([chat(folder, url, secrets)], whole=0.5)


@pytest.fixture
def server() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


class TestWebhook:
    @pytest.mark.parametrize("secret", [SECRET, OTHER_SECRET])
    def test_the_reference_implementation_verifies_it(self, server: Receiver, tmp_path: Path, secret: str) -> None:
        posting(tmp_path, server.url, f"{SECRET}\n{OTHER_SECRET}").send(CHAT)
        (request,) = server.requests
        assert ReferenceWebhook(secret).verify(request.body, dict(request.headers)) == {"type": "failed"}
        headers = {name.lower(): value for name, value in request.headers.items()}
        assert headers["webhook-id"] == f"msg_{CHAT.key}"
        assert headers["content-type"].startswith("application/json")
        assert headers["user-agent"].startswith("conveyor/")
        assert request.path == "/hook?key=secret-part"

    def test_the_signature_of_the_specification(self, server: Receiver, tmp_path: Path) -> None:
        at = datetime.fromtimestamp(1614265330, UTC)
        notifier = WebhookNotifier([chat(tmp_path, server.url)], now=lambda: at)
        notifier.send(replace(CHAT, body='{"test": 2432232314}'))
        headers = {name.lower(): value for name, value in server.requests[0].headers.items()}
        assert headers["webhook-timestamp"] == "1614265330"
        content = f"msg_{CHAT.key}.1614265330.".encode() + b'{"test": 2432232314}'
        expected = ReferenceWebhook(SECRET)
        assert headers["webhook-signature"] == expected.sign(f"msg_{CHAT.key}", at, content.split(b".", 2)[2].decode())

    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            (400, NoticeFailed),
            (413, NoticeFailed),
            (410, NoticeRefused),
            (301, ChannelDown),
            (307, ChannelDown),
            (404, ChannelDown),
            (429, ChannelDown),
            (500, ChannelDown),
            (504, ChannelDown),
        ],
    )
    def test_what_a_server_answers(
        self, server: Receiver, tmp_path: Path, code: int, expected: type[Exception]
    ) -> None:
        server.code, server.body = code, b"\x1b[31mno\xff" + b"x" * 10_000
        server.headers["location"] = server.url
        with pytest.raises(expected) as raised:
            posting(tmp_path, server.url).send(CHAT)
        assert type(raised.value) is expected
        assert str(code) in str(raised.value)
        assert len(server.requests) == 1, "no redirect is followed"
        assert "secret-part" not in str(raised.value)
        assert len(str(raised.value)) < 500

    @pytest.mark.parametrize(
        ("said", "wait"), [("120", 120), ("Sun, 01 Mar 2026 12:01:00 GMT", 60), ("soon", 0), ("-3", 0), ("\u00b2", 0)]
    )
    def test_when_to_come_again(self, server: Receiver, tmp_path: Path, said: str, wait: float) -> None:
        server.code = 503
        server.headers["retry-after"] = said
        with pytest.raises(ChannelDown) as raised:
            WebhookNotifier([chat(tmp_path, server.url)], now=lambda: NOON).send(CHAT)
        assert raised.value.wait == wait

    @pytest.mark.parametrize(
        "script",
        [
            pytest.param(keep_still, id="says nothing"),
            pytest.param(lambda connection: connection.close(), id="hangs up"),
            pytest.param(lambda connection: connection.sendall(b"\x00\xff" * 1000), id="talks nonsense"),
            pytest.param(lambda connection: drip(connection, b"H"), id="never ends its line"),
            pytest.param(drip_body, id="never comes to an end"),
        ],
    )
    def test_a_server_that_is_none(self, script: Callable[[socket.socket], None], tmp_path: Path) -> None:
        began = time.monotonic()
        with socket_server(script) as port, pytest.raises(ChannelDown) as raised:
            posting(tmp_path, f"http://127.0.0.1:{port}/secret-part").send(CHAT)
        assert time.monotonic() - began < 20
        assert "secret-part" not in str(raised.value)

    def test_an_endless_answer_is_not_read(self, tmp_path: Path) -> None:
        def script(connection: socket.socket) -> None:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n")
            while True:
                connection.sendall(b"x" * 65536)

        with socket_server(script) as port:
            posting(tmp_path, f"http://127.0.0.1:{port}/").send(CHAT)

    def test_certificates_are_checked(
        self, certificate: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with receiver(certificate.server()) as server:
            notifier = posting(tmp_path, server.url)
            with pytest.raises(ChannelDown, match="certificate"):
                notifier.send(CHAT)
            assert not server.requests
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate.certificate))
            notifier.send(CHAT)

    @pytest.mark.parametrize(
        "content", ["", "sesame", "whsec_=", "whsec_c2hvcnQ=", f"{SECRET}\nx", "\udcff", "whsec_" + "A" * 100]
    )
    def test_a_file_without_a_secret(self, server: Receiver, tmp_path: Path, content: str) -> None:
        notifier = posting(tmp_path, server.url)
        (tmp_path / "secret").write_bytes(content.encode(errors="surrogateescape"))
        with pytest.raises(ChannelDown, match="holds no secret of a webhook") as raised:
            notifier.send(CHAT)
        assert content not in str(raised.value) or not content
        assert not server.requests

    def test_no_file_at_all(self, server: Receiver, tmp_path: Path) -> None:
        notifier = posting(tmp_path, server.url)
        (tmp_path / "secret").unlink()
        with pytest.raises(ChannelDown, match="No such file"):
            notifier.send(CHAT)


PAGER = notice(Channel.COMMAND, "pager")


def calling(*argv: str, time_limit: int = 20) -> CommandNotifier:
    return CommandNotifier([CommandHook(name="pager", argv=argv, time_limit=time_limit)])


class TestCommand:
    def test_it_knows_nothing_of_our_environment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CONVEYOR_SIGNING_KEY", "secret")
        calling("/bin/sh", "-c", f"env > {tmp_path}/env").send(PAGER)
        assert "CONVEYOR" not in (tmp_path / "env").read_text()

    def test_there_is_no_shell(self, tmp_path: Path) -> None:
        calling("/usr/bin/touch", f"{tmp_path}/$(id); x").send(PAGER)
        assert (tmp_path / "$(id); x").exists()

    def test_why_it_failed(self) -> None:
        script = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; printf 'the\\033[31m end'; exit 3"
        with pytest.raises(NoticeFailed, match="ended with code 3") as raised:
            calling("/bin/sh", "-c", script).send(PAGER)
        assert type(raised.value) is NoticeFailed
        assert len(raised.value.cause) <= 300

    def test_one_that_takes_too_long_ends_with_all_it_started(self, tmp_path: Path) -> None:
        script = f"sleep 60 & echo $! > {tmp_path}/pid; wait"
        with pytest.raises(ChannelDown, match="took longer than 1 s"):
            calling("/bin/sh", "-c", script, time_limit=1).send(PAGER)
        pid = (tmp_path / "pid").read_text().strip()
        assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split(")")[1]

    def test_one_that_says_too_much(self) -> None:
        with pytest.raises(ChannelDown):
            calling("/usr/bin/yes", time_limit=1).send(PAGER)

    def test_one_that_reads_nothing(self) -> None:
        calling("/bin/true").send(replace(PAGER, body="x" * 2_000_000))

    def test_one_that_is_not_there(self, tmp_path: Path) -> None:
        (tmp_path / "plain").write_text("text")
        for program in (tmp_path / "none", tmp_path / "plain", tmp_path):
            with pytest.raises(ChannelDown):
                calling(str(program)).send(PAGER)
