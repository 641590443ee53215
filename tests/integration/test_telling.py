"""A failure is told by mail, webhook and command, with a real store and real servers; and what a kill leaves."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook

from conveyor.config import load_repos, load_settings
from conveyor.errors import Fault
from conveyor.model.build import Cause, Outcome, Stage
from conveyor.model.event import EventKind, NewEvent
from conveyor.pipeline.telling import Teller
from conveyor.wiring import Records, make_teller, open_records
from tests.fakes.clock import NOON
from tests.fakes.store_samples import TARGET, claim, commit
from tests.support.receiver import receiver
from tests.support.smtp import mail_server

pytestmark = pytest.mark.integration
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
REPOS = """\
targets:
  debian-13-amd64: {format: deb, suite: trixie}
packages:
  nova: {upstream: "https://opendev.org/openstack/nova", targets: [debian-13-amd64], maintainers: [Ann <ann@b>, bob@b]}
"""
TOML = """\
data_dir = "data"
repos = "repos.yaml"
base_url = "https://trunk.example.org"

[mail]
host = "127.0.0.1"
port = {port}
sender = "conveyor@example.org"

[[webhooks]]
name = "chat"
url = "{url}"
secret_file = "{folder}/secret"

[[commands]]
name = "file"
argv = ["/bin/sh", "-c", "cat >> {folder}/told; echo >> {folder}/told"]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A site in a folder."""

    folder: Path

    def configure(self, port: int, url: str) -> None:
        (self.folder / "specs/nova").mkdir(parents=True)
        (self.folder / "repos.yaml").write_text(REPOS)
        (self.folder / "secret").write_text(SECRET)
        (self.folder / "conveyor.toml").write_text(TOML.format(port=port, url=url, folder=self.folder))

    def opened(self) -> tuple[Records, Teller]:
        settings = load_settings(self.folder / "conveyor.toml", {})
        records = open_records(settings)
        return records, make_teller(settings, load_repos(settings.repos, limits=settings.limits), records)

    def told(self) -> list[str]:
        return (self.folder / "told").read_text().splitlines()


def fail(records: Records) -> int:
    build = records.store.queue(commit(), TARGET, retry=False)
    records.store.claim(build.id, claim("x"))
    records.store.set_log(build.id, "x", "builds/1/1/log")
    cause = Cause(
        fault=Fault.PACKAGE, stage=Stage.BUILD, kind="BuildFailed", summary="make: 2", hint="mend", details=("boom",)
    )
    records.store.finish(
        build.id, "x", outcome=Outcome.FAILED, at=NOON, version="1-1", cause=cause, stages=(), entry=None
    )
    event = NewEvent(
        kind=EventKind.FAILED,
        summary="nova failed",
        package="nova",
        target=TARGET,
        build=build.id,
        detail={"attempt": 1},
    )
    records.events.record([event], NOON)
    return build.id


def test_a_failure_is_told_in_every_way(tmp_path: Path) -> None:
    place = Place(folder=tmp_path)
    with mail_server() as mail, receiver() as chat:
        mail.recipients["bob@b"] = "550 no such user"
        place.configure(mail.port, chat.url)
        records, teller = place.opened()
        build = fail(records)
        assert teller.tell(NOON) == 2
        assert teller.tell(NOON + timedelta(minutes=2)) == 1
        records.store.close()
        records, teller = place.opened()
        teller.tell(NOON + timedelta(minutes=3))
        (given_up,) = records.outbox.given_up()
        newest = records.events.newest(limit=1)[0]
        records.store.close()

    ((recipient, message),) = mail.mails
    assert (recipient, message["Subject"]) == ("ann@b", f"[conveyor] nova failed on {TARGET} in build")
    body = message.get_content()
    for words in ("make: 2", "    | boom", "next: mend", f"conveyor why {build}", f"{tmp_path}/data/builds/1/1/log"):
        assert words in body
    first, second = chat.requests
    document = Webhook(SECRET).verify(first.body, dict(first.headers))
    assert (document["type"], document["data"]["cause"]["details"]) == ("failed", ["boom"])
    assert json.loads(second.body)["type"] == "notice-failed"
    assert [json.loads(line)["type"] for line in place.told()] == ["failed", "notice-failed"]
    assert (given_up.recipient, newest.kind) == ("bob@b", EventKind.NOTICE_FAILED)


def _tell_and_die(folder: Path, after: int, at: datetime) -> None:
    """Tell, and be killed at the so many-th call of the outbox that writes."""
    records, teller = Place(folder=folder).opened()
    left = after
    for name in ("post", "sent", "failed"):
        method = getattr(records.outbox, name)

        def counted(*given: object, method: object = method) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            assert callable(method)
            method(*given)
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        setattr(records.outbox, name, counted)
    teller.tell(at)


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_a_kill_at_any_point_loses_nothing(tmp_path: Path, after: int) -> None:
    place = Place(folder=tmp_path)
    with mail_server() as mail, receiver() as chat:
        place.configure(mail.port, chat.url)
        records, _ = place.opened()
        fail(records)
        records.store.close()
        spawn = multiprocessing.get_context("spawn")
        killed = spawn.Process(target=_tell_and_die, args=(tmp_path, after, NOON))
        killed.start()
        killed.join(60)
        assert killed.exitcode == -signal.SIGKILL
        records, teller = place.opened()
        teller.tell(NOON)
        teller.tell(NOON + timedelta(minutes=2))
        assert not records.outbox.waiting()
        assert records.outbox.told() == 1
        records.store.close()
    assert [recipient for recipient, _ in mail.mails] == ["ann@b", "bob@b"]
    assert len({request.headers["webhook-id"] for request in chat.requests}) == 1
    assert 1 <= len(chat.requests) <= 2
    assert len(set(place.told())) == 1
