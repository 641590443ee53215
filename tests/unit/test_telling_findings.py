"""What `conveyor doctor` says of telling, and what `conveyor notices` prints."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from conveyor.cli.main import app
from conveyor.config import load_repos, load_settings
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.health import Finding
from conveyor.model.notice import Channel, NewNotice
from conveyor.store import open_books
from conveyor.wiring.conveyor import SystemClock
from conveyor.wiring.telling import findings
from tests.fakes.outbox import MemoryOutbox
from tests.support.smtp import mail_server

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
REPOS = """\
targets:
  debian-13-amd64: {format: deb, suite: trixie}
packages:
  nova: {upstream: "https://opendev.org/openstack/nova", targets: [debian-13-amd64], maintainers: ["a..b@c", "a@b"]}
"""


def found(folder: Path, toml: str, outbox: MemoryOutbox | None = None) -> dict[str, Finding]:
    (folder / "specs/nova").mkdir(parents=True, exist_ok=True)
    (folder / "repos.yaml").write_text(REPOS)
    (folder / "conveyor.toml").write_text(f'data_dir = "data"\nrepos = "repos.yaml"\n{toml}')
    settings = load_settings(folder / "conveyor.toml", {})
    repos = load_repos(settings.repos, limits=settings.limits)
    return {each.subject: each for each in findings(settings, repos, outbox or MemoryOutbox())}


def test_nothing_is_said_where_nobody_is_told(tmp_path: Path) -> None:
    assert not found(tmp_path, "")


def test_a_mail_server_is_tried(tmp_path: Path) -> None:
    with mail_server() as server:
        toml = f'[mail]\nhost = "127.0.0.1"\nport = {server.port}\nsender = "a@b"\n'
        good = found(tmp_path, toml)
    assert (good["mail"].good, good["mail"].detail) == (True, f"127.0.0.1:{server.port} answers")
    assert good["maintainers"].detail == "no mail address: a..b@c"
    assert not server.mails
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        bad = found(tmp_path, toml.replace(str(server.port), str(unused.getsockname()[1])))["mail"]
    assert not bad.good
    assert bad.remedy


def test_templates_are_tried(tmp_path: Path) -> None:
    with mail_server() as server:
        toml = f'[mail]\nhost = "127.0.0.1"\nport = {server.port}\nsender = "a@b"\ntemplates = "templates"\n'
        missing = found(tmp_path, toml)["mail templates"]
        (tmp_path / "templates").mkdir()
        good = found(tmp_path, toml)["mail templates"]
        (tmp_path / "templates/failed.body.j2").write_text("{{ x }}")
        bad = found(tmp_path, toml)["mail templates"]
    assert (missing.good, good.good, bad.good) == (False, True, False)
    assert bad.detail == "failed.body.j2: 'x' is undefined"


def test_secrets_and_programs_are_looked_at(tmp_path: Path) -> None:
    toml = ""
    for name in ("good", "open", "none"):
        path = tmp_path / name
        toml += f'[[webhooks]]\nname = "{name}"\nurl = "http://localhost/"\nsecret_file = "{path}"\n'
        if name != "none":
            path.write_text(SECRET)
            path.chmod(0o600 if name == "good" else 0o644)
    toml += '[[commands]]\nname = "here"\nargv = ["/bin/true"]\n[[commands]]\nname = "gone"\nargv = ["/none"]\n'
    told = found(tmp_path, toml)
    assert {name: finding.good for name, finding in told.items()} == {
        "webhook good": True,
        "webhook open": False,
        "webhook none": False,
        "command here": True,
        "command gone": False,
    }
    assert told["webhook good"].detail == "signed, in the clear, 11 kinds of events"
    assert told["webhook open"].remedy == f"chmod 600 {tmp_path}/open"


def notice(event: int, recipient: str) -> NewNotice:
    return NewNotice(
        channel=Channel.MAIL, recipient=recipient, event=event, package="nova", subject="nova failed\x1b[1m", body=""
    )


def test_what_was_given_up_is_said(tmp_path: Path) -> None:
    outbox, now = MemoryOutbox(), SystemClock().now()
    outbox.post([notice(1, "bob@example.org")], 1, now)
    outbox.failed(1, "550 no such user", now, None)
    told = found(tmp_path, "", outbox)["notices"]
    assert told.detail == "1 given up within a day, the last for bob@example.org: 550 no such user"


@pytest.mark.parametrize("json_wanted", [False, True])
def test_the_command_prints_what_waits(tmp_path: Path, json_wanted: bool) -> None:
    arguments = ["--data-dir", str(tmp_path), "notices", *(["--json"] if json_wanted else [])]
    empty = CliRunner().invoke(app, arguments)
    assert empty.exit_code == 0

    books, now = open_books(f"sqlite:///{tmp_path}/conveyor.db"), SystemClock().now()
    books.events.record([NewEvent(kind=EventKind.FAILED, summary="s")], now)
    books.outbox.post([notice(1, "ann@example.org"), notice(1, "bob@example.org")], 1, now)
    books.outbox.failed(1, "550 no such user", now, None)
    books.store.close()
    shown = CliRunner().invoke(app, arguments)
    if json_wanted:
        document = json.loads(shown.stdout)
        assert [each["recipient"] for each in document["waiting"]] == ["bob@example.org"]
        assert [each["cause"] for each in document["given_up"]] == ["550 no such user"]
    else:
        assert "everything was told" in empty.stdout
        assert "ann@example.org  mail  given up" in shown.stdout
        assert "\x1b" not in shown.stdout
