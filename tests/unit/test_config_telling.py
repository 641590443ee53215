"""The settings that say who is told of what."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conveyor.config import Settings, Surroundings, load_settings
from conveyor.errors import ConfigurationInvalid
from conveyor.model.channels import (
    FOR_OPERATORS,
    FOR_PROGRAMS,
    CommandHook,
    MailSettings,
    Security,
    Webhook,
)
from conveyor.model.event import EventKind

HOME = {"HOME": "/home/ann"}


def load(folder: Path, text: str, **variables: str) -> Settings:
    (folder / "conveyor.toml").write_text(text)
    around = Surroundings(folder=folder, site=folder / "etc", superuser=False)
    return load_settings(folder / "conveyor.toml", {**HOME, **variables}, surroundings=around)


def mistakes(folder: Path, text: str, **variables: str) -> list[str]:
    with pytest.raises(ConfigurationInvalid) as raised:
        load(folder, text, **variables)
    return [line.removeprefix(f"{folder}/conveyor.toml:") for line in raised.value.details]


def test_a_mail_server_and_a_sender_are_enough(tmp_path: Path) -> None:
    settings = load(tmp_path, '[mail]\nhost = "mail.example.org"\nsender = "conveyor@example.org"\n')
    assert settings.mail == MailSettings(
        host="mail.example.org",
        port=587,
        security=Security.STARTTLS,
        sender="conveyor@example.org",
        operators=(),
        operator_events=FOR_OPERATORS,
        interval=86400,
        operator_interval=900,
        gather=120,
        templates=None,
    )


@pytest.mark.parametrize(
    ("host", "said", "security", "port"),
    [
        ("localhost", "", Security.NONE, 25),
        ("::1", "", Security.NONE, 25),
        ("192.0.2.1", "", Security.STARTTLS, 587),
        ("mail", 'security = "tls"', Security.TLS, 465),
        ("mail", 'security = "none"', Security.NONE, 25),
        ("mail", "port = 2525", Security.STARTTLS, 2525),
    ],
)
def test_what_connects(tmp_path: Path, host: str, said: str, security: Security, port: int) -> None:
    mail = load(tmp_path, f'[mail]\nhost = "{host}"\nsender = "a@b"\n{said}').mail
    assert mail is not None
    assert (mail.security, mail.port) == (security, port)


def test_everything_that_can_be_said(tmp_path: Path) -> None:
    text = """\
[mail]
host = "mail.example.org"
port = 25
security = "starttls"
user = "me"
password_file = "password"
sender = "Conveyor <conveyor@example.org>"
operators = ["Olga <olga@example.org>"]
operator_events = ["disk-low"]
interval = "2h"
operator_interval = "1m"
gather = "5s"
templates = "templates"

[[webhooks]]
name = "chat"
url = "https://chat.example.org/hooks/x?y=z"
secret_file = "/etc/conveyor/chat-secret"
events = ["published"]

[[commands]]
name = "pager"
argv = ["/usr/bin/page", "--now"]
events = ["stale"]
time_limit = "10s"

[[commands]]
name = "log"
argv = ["/usr/bin/logger"]
"""
    settings = load(tmp_path, text)
    assert settings.mail == MailSettings(
        host="mail.example.org",
        port=25,
        security=Security.STARTTLS,
        sender="Conveyor <conveyor@example.org>",
        user="me",
        password_file=tmp_path / "password",
        operators=("Olga <olga@example.org>",),
        operator_events=(EventKind.DISK_LOW,),
        interval=7200,
        operator_interval=60,
        gather=5,
        templates=tmp_path / "templates",
    )
    assert settings.webhooks == (
        Webhook(
            name="chat",
            url="https://chat.example.org/hooks/x?y=z",
            secret_file=Path("/etc/conveyor/chat-secret"),
            events=(EventKind.PUBLISHED,),
        ),
    )
    assert settings.commands == (
        CommandHook(name="pager", argv=("/usr/bin/page", "--now"), events=(EventKind.STALE,), time_limit=10),
        CommandHook(name="log", argv=("/usr/bin/logger",), events=FOR_PROGRAMS, time_limit=60),
    )
    assert "y=z" not in repr(settings)


def test_variables_say_it_too(tmp_path: Path) -> None:
    hook = {"name": "chat", "url": "http://localhost:8080", "secret_file": "/s"}
    settings = load(
        tmp_path,
        "",
        CONVEYOR_MAIL_HOST="mail",
        CONVEYOR_MAIL_SENDER="a@b",
        CONVEYOR_MAIL_PORT="26",
        CONVEYOR_MAIL_OPERATORS='["o@b"]',
        CONVEYOR_WEBHOOKS=json.dumps([hook]),
        CONVEYOR_COMMANDS='[{"name": "x", "argv": ["/bin/true"]}]',
    )
    assert settings.mail is not None
    assert (settings.mail.port, settings.mail.operators) == (26, ("o@b",))
    assert (settings.webhooks[0].name, settings.commands[0].argv) == ("chat", ("/bin/true",))


def test_mistakes_are_told_with_what_would_be_right(tmp_path: Path) -> None:
    text = """\
[mail]
host = "mail.example.org:25"
sender = "conveyor"
operators = ["olga"]
operator_events = ["disk-ful"]
interval = "often"

[[webhooks]]
name = "a b"
url = "ftp://x"
secret_file = "secret"
events = []

[[webhooks]]
name = "chat"
url = "https://me:secret@chat/"
secret_file = "/s"
events = ["faild"]

[[commands]]
name = "x"
argv = ["page"]
time_limit = "1h"

[[commands]]
name = "y"
argv = []
"""
    address = "would be right: Name <name@example.org>"
    url = "would be right: https://chat.example.org/hooks/conveyor"
    found = mistakes(tmp_path, text)
    assert found == [
        "2: mail.host: 'mail.example.org:25' is no host; would be right: mail.example.org",
        f"3: mail.sender: 'conveyor' is no mail address; {address}",
        f"4: mail.operators[0]: 'olga' is no mail address; {address}",
        "5: mail.operator_events[0]: unknown kind of event 'disk-ful'; did you mean 'disk-low'?",
        "6: mail.interval: 'often' is no duration; would be right: 30m, 90s, 2h or 7d",
        "9: webhooks[0].name: 'a b' is no name; would be right: chat",
        f"10: webhooks[0].url: is no https or http URL; {url}",
        "11: webhooks[0].secret_file: 'secret' is no path; would be right: /srv/conveyor",
        '12: webhooks[0].events: is empty; would be right: ["failed", "works-again"]',
        (
            "16: webhooks[1].url: holds a user or password, which would end up in logs; leave it to ssh or to git's "
            f"credential helper; {url}"
        ),
        "18: webhooks[1].events[0]: unknown kind of event 'faild'; did you mean 'failed'?",
        "22: commands[0].argv: 'page' is no absolute path; would be right: /usr/local/bin/tell",
        "23: commands[0].time_limit: must be at most 600; would be right: 1m",
        '27: commands[1].argv: is empty; would be right: ["/usr/local/bin/tell", "--quiet"]',
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('sender = "a@b"', "needs a 'host', the mail server; would be right: mail.example.org"),
        ('host = "m"', "needs a 'sender', the address in From; would be right: Conveyor <conveyor@example.org>"),
        ('host = "m"\nsender = "a@b"\nuser = "me"', "'user' and 'password_file' need each other"),
        (
            'host = "m"\nsender = "a@b"\nuser = "me"\npassword_file = "/p"\nsecurity = "none"',
            "a password would go over the net in the clear; would be right: security = 'starttls'",
        ),
    ],
)
def test_what_belongs_together(tmp_path: Path, text: str, told: str) -> None:
    assert mistakes(tmp_path, f"[mail]\n{text}\n") == [f"2: mail: {told}"]


def test_names_are_their_own(tmp_path: Path) -> None:
    one = '[[commands]]\nname = "x"\nargv = ["/bin/true"]\n'
    assert mistakes(tmp_path, one + one) == ["1: commands: two are called 'x'; would be right: a name for each"]
