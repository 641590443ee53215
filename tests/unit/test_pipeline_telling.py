"""Who is told of what and when, with fakes behind every port."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from types import MappingProxyType

import pytest

from conveyor.errors import ChannelDown, Fault, NoticeFailed, NoticeRefused, UnknownName
from conveyor.model.build import Build, Cause, Outcome, Stage
from conveyor.model.channels import FOR_MAINTAINERS, CommandHook, MailSettings, Security, Webhook
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.notice import Channel, Notice
from conveyor.pipeline.notices import Audience, Facts, NoticeMaker, Site
from conveyor.pipeline.telling import MAX_TRIES, Teller
from tests.fakes.clock import NOON
from tests.fakes.events import MemoryEvents
from tests.fakes.outbox import MemoryOutbox
from tests.fakes.store import MemoryStore
from tests.fakes.store_samples import TARGET, claim, commit
from tests.fakes.telling import FakeNotifier, PlainLetters

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
MAIL = MailSettings(
    host="mail.example.org",
    port=25,
    security=Security.NONE,
    sender="Conveyor <conveyor@example.org>",
    operators=("Olga <olga@example.org>",),
)
CHAT = Webhook(name="chat", url="https://chat.example.org/x", secret_file=Path("/none"))
PAGER = CommandHook(name="pager", argv=("/bin/true",))


@dataclass(slots=True)
class World:
    """A teller and all that it talks to."""

    audience: Audience
    events: MemoryEvents = field(default_factory=MemoryEvents)
    outbox: MemoryOutbox = field(default_factory=MemoryOutbox)
    store: MemoryStore = field(default_factory=MemoryStore)
    mail: FakeNotifier = field(default_factory=FakeNotifier)
    webhook: FakeNotifier = field(default_factory=FakeNotifier)
    command: FakeNotifier = field(default_factory=FakeNotifier)
    now: datetime = NOON

    def teller(self) -> Teller:
        site = Site(name="trunk", base_url="https://trunk.example.org", host="hub", data=Path("/srv/conveyor"))
        facts = Facts(self.store, site, lambda target, commit: f"https://trunk.example.org/{target}/{commit}")
        letters = PlainLetters()
        return Teller(
            events=self.events,
            outbox=self.outbox,
            maker=NoticeMaker(self.outbox, letters, facts, self.audience),
            letters=letters,
            facts=facts,
            notifiers={Channel.MAIL: self.mail, Channel.WEBHOOK: self.webhook, Channel.COMMAND: self.command},
            longest_hold=DAY,
            random=Random(7),
        )

    def happened(
        self,
        kind: EventKind,
        package: str = "nova",
        *,
        build: int | None = None,
        target: str = "",
        detail: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        summary = f"{package} {kind} {len(self.events.recorded) + 1}"
        event = NewEvent(kind=kind, summary=summary, package=package, target=target, build=build, detail=detail)
        self.events.record([event], self.now)

    def later(self, by: timedelta) -> None:
        self.now += by

    def mails(self) -> list[tuple[str, str]]:
        """Who got which subject."""
        return [(notice.recipient, notice.subject) for notice in self.mail.sent]


@pytest.fixture
def world() -> World:
    maintainers = {"nova": ("Ann <ann@example.org>", "bob@example.org"), "glance": ("ann@example.org",)}
    return World(audience=Audience(mail=MAIL, maintainers=maintainers))


@pytest.fixture
def hooked() -> World:
    return World(audience=Audience(webhooks=(CHAT,), commands=(PAGER,)))


def told_now(world: World, teller: Teller) -> int:
    """Tell, and once more when what was gathered is due."""
    first = teller.tell(world.now)
    world.later(2 * MINUTE)
    return first + teller.tell(world.now)


class TestWhoIsTold:
    @pytest.mark.parametrize("kind", FOR_MAINTAINERS)
    def test_maintainers_hear_of_the_first_failure_and_of_its_end(self, world: World, kind: EventKind) -> None:
        world.happened(kind)
        assert told_now(world, world.teller()) == 2
        assert world.mails() == [
            ("ann@example.org", f"{kind} nova {kind} 1"),
            ("bob@example.org", f"{kind} nova {kind} 1"),
        ]

    @pytest.mark.parametrize("kind", sorted(set(EventKind) - set(FOR_MAINTAINERS) - set(MAIL.operator_events)))
    def test_nobody_is_mailed_of_the_rest(self, world: World, kind: EventKind) -> None:
        world.happened(kind)
        assert told_now(world, world.teller()) == 0
        assert world.outbox.told() == 1

    @pytest.mark.parametrize("kind", MAIL.operator_events)
    def test_operators_hear_of_what_concerns_the_site(self, world: World, kind: EventKind) -> None:
        world.happened(kind)
        assert told_now(world, world.teller()) == 1
        assert [recipient for recipient, _ in world.mails()] == ["olga@example.org"]

    def test_a_package_that_nobody_maintains(self, world: World) -> None:
        world.happened(EventKind.FAILED, "cinder")
        assert told_now(world, world.teller()) == 0

    def test_an_operator_who_maintains_the_package_gets_one_mail(self, world: World) -> None:
        mail = replace(MAIL, operators=("ann@example.org",), operator_events=(EventKind.FAILED,))
        world.audience = replace(world.audience, mail=mail)
        world.happened(EventKind.FAILED)
        assert told_now(world, world.teller()) == 2

    def test_without_a_mail_server_nobody_is_mailed(self, world: World) -> None:
        world.audience = replace(world.audience, mail=None)
        world.happened(EventKind.FAILED)
        assert told_now(world, world.teller()) == 0

    def test_programs_hear_of_what_they_ask_for(self, hooked: World) -> None:
        hooked.audience = replace(
            hooked.audience, webhooks=(replace(CHAT, events=(EventKind.QUEUED, EventKind.FAILED)),)
        )
        for kind in (EventKind.QUEUED, EventKind.STARTED, EventKind.FAILED):
            hooked.happened(kind)
        hooked.teller().tell(hooked.now)
        assert [notice.event for notice in hooked.webhook.sent] == [1, 3]
        assert [notice.event for notice in hooked.command.sent] == [3]


class TestHowOften:
    def test_what_happens_within_minutes_is_one_mail(self, world: World) -> None:
        teller = world.teller()
        world.happened(EventKind.FAILED, target="debian-13-amd64")
        assert teller.tell(world.now) == 0
        world.later(MINUTE)
        world.happened(EventKind.FAILED, target="centos-10-x86_64")
        assert told_now(world, teller) == 4
        assert world.mails() == [("ann@example.org", "digest 2"), ("bob@example.org", "digest 2")]
        assert world.mail.sent[0].body == "failed nova failed 1\nfailed nova failed 2"

    def test_what_comes_within_the_interval_is_said_in_the_next_mail(self, world: World) -> None:
        teller = world.teller()
        world.happened(EventKind.FAILED)
        told_now(world, teller)
        for kind in (EventKind.WORKS_AGAIN, EventKind.FAILED, EventKind.WORKS_AGAIN):
            world.later(60 * MINUTE)
            world.happened(kind)
            assert told_now(world, teller) == 0
        world.later(DAY - 180 * MINUTE)
        assert teller.tell(world.now) == 6
        assert [subject for _, subject in world.mails()] == ["failed nova failed 1"] * 2 + ["digest 3"] * 2
        assert world.mail.sent[-1].body.count("works-again") == 4
        assert not world.outbox.waiting()

    def test_another_package_is_another_mail(self, world: World) -> None:
        teller = world.teller()
        world.happened(EventKind.FAILED)
        told_now(world, teller)
        world.happened(EventKind.FAILED, "glance")
        assert told_now(world, teller) == 1

    def test_after_the_interval_nothing_is_held_back(self, world: World) -> None:
        teller = world.teller()
        world.happened(EventKind.FAILED)
        told_now(world, teller)
        world.later(DAY)
        world.happened(EventKind.WORKS_AGAIN)
        assert told_now(world, teller) == 2

    def test_a_thousand_packages_are_one_mail_to_an_operator(self, world: World) -> None:
        teller = world.teller()
        for number in range(1000):
            world.happened(EventKind.GAVE_UP, f"package-{number}")
        assert told_now(world, teller) == 1000
        assert world.mails() == [("olga@example.org", "digest 1000")]
        world.happened(EventKind.DISK_LOW, "")
        assert told_now(world, teller) == 0
        world.later(13 * MINUTE)
        assert teller.tell(world.now) == 1

    def test_what_still_fails_is_one_mail_to_each_maintainer(self, world: World) -> None:
        teller = world.teller()
        world.happened(EventKind.FAILED, "nova")
        told_now(world, teller)
        world.mail.sent.clear()
        for name in ("glance", "nova"):
            for target in ("centos-10-x86_64", "debian-13-amd64"):
                world.happened(EventKind.STILL_FAILING, name, target=target)
        assert told_now(world, teller) == 6
        assert world.mails() == [("ann@example.org", "digest 4"), ("bob@example.org", "digest 2")]

    def test_what_still_fails_is_told_to_programs_one_by_one(self, hooked: World) -> None:
        for name in ("glance", "nova"):
            hooked.happened(EventKind.STILL_FAILING, name)
        hooked.happened(EventKind.POINTER_HELD_BACK, "")
        hooked.teller().tell(hooked.now)
        assert [notice.event for notice in hooked.webhook.sent] == [1, 2, 3]
        assert [notice.package for notice in hooked.command.sent] == ["glance", "nova", ""]

    def test_what_waits_for_a_mail_server_takes_more_along(self, world: World) -> None:
        teller = world.teller()
        world.mail.failure = ChannelDown("no server")
        world.happened(EventKind.FAILED, "glance")
        told_now(world, teller)
        world.happened(EventKind.WORKS_AGAIN, "glance")
        world.mail.failure = None
        world.later(5 * MINUTE)
        assert teller.tell(world.now) == 2
        assert world.mails() == [("ann@example.org", "digest 2")]


class TestWhatGoesWrong:
    def test_a_server_that_is_down_delays_mails_and_nothing_else(self, world: World) -> None:
        world.audience = replace(world.audience, webhooks=(CHAT,))
        world.mail.failure = ChannelDown("no server")
        teller = world.teller()
        world.happened(EventKind.FAILED)
        assert told_now(world, teller) == 1
        assert len(world.webhook.sent) == 1
        assert sorted(notice.tries for notice in world.outbox.waiting()) == [0, 1]
        world.mail.failure = None
        assert teller.tell(world.now) == 0, "it rests"
        world.later(5 * MINUTE)
        assert teller.tell(world.now) == 2

    def test_one_notice_that_fails_does_not_stop_the_next(self, hooked: World) -> None:
        hooked.webhook.failure = NoticeFailed("not this one")
        for _ in range(2):
            hooked.happened(EventKind.FAILED)
        hooked.teller().tell(hooked.now)
        assert [notice.tries for notice in hooked.outbox.waiting()] == [1, 1]

    def test_an_address_that_is_none_is_told_once_and_keeps_nobody_back(self, world: World) -> None:
        world.mail.failures["bob@example.org"] = NoticeRefused("bob@example.org is refused", cause="550 unknown")
        teller = world.teller()
        world.happened(EventKind.FAILED)
        assert told_now(world, teller) == 1
        (given_up,) = world.outbox.given_up()
        assert (given_up.recipient, given_up.cause) == ("bob@example.org", "bob@example.org is refused: 550 unknown")
        event = world.events.recorded[-1]
        assert (event.kind, event.package, event.detail["recipient"]) == (
            EventKind.NOTICE_FAILED,
            "nova",
            "bob@example.org",
        )
        assert told_now(world, teller) == 1, "operators hear of it"
        assert world.mails()[-1] == ("olga@example.org", f"notice-failed {event.summary}")

    def test_tries_are_ever_further_apart_and_end(self, hooked: World) -> None:
        hooked.audience = replace(hooked.audience, commands=())
        hooked.webhook.failure = NoticeFailed("it is down")
        teller = hooked.teller()
        hooked.happened(EventKind.FAILED)
        waits: list[timedelta] = []
        teller.tell(hooked.now)
        while waiting := hooked.outbox.waiting():
            waits.append(waiting[0].due_at - hooked.now)
            hooked.now = waiting[0].due_at
            teller.tell(hooked.now)
        assert len(waits) == MAX_TRIES - 1
        assert waits[0] < MINUTE
        assert all(later > 2 * wait for wait, later in pairwise(waits[:6]))
        assert timedelta(days=2, hours=12) < sum(waits, timedelta()) < timedelta(days=6)
        assert hooked.events.recorded[-1].kind is EventKind.NOTICE_FAILED
        assert not teller.tell(hooked.now), "who was not told is not told of that"

    def test_a_server_says_when_to_come_again(self, hooked: World) -> None:
        hooked.webhook.failure = ChannelDown("too many", wait=3600)
        hooked.happened(EventKind.FAILED)
        hooked.teller().tell(hooked.now)
        (waiting,) = hooked.outbox.waiting()
        assert waiting.due_at == hooked.now + timedelta(hours=1)

    def test_two_that_are_down_do_not_tell_each_other_for_ever(self, hooked: World) -> None:
        hooked.webhook.failure = NoticeRefused("gone")
        hooked.command.failure = NoticeRefused("gone")
        teller = hooked.teller()
        hooked.happened(EventKind.FAILED)
        for _ in range(5):
            teller.tell(hooked.now)
            hooked.later(MINUTE)
        assert [event.kind for event in hooked.events.recorded] == [
            EventKind.FAILED,
            EventKind.NOTICE_FAILED,
            EventKind.NOTICE_FAILED,
        ]
        assert len(hooked.outbox.given_up()) == 4

    def test_a_channel_that_the_settings_have_no_more(self, hooked: World) -> None:
        hooked.happened(EventKind.FAILED)
        teller = hooked.teller()
        teller._notifiers = {}
        assert teller.tell(hooked.now) == 0
        assert {notice.cause for notice in hooked.outbox.given_up()} == {
            "the settings have no webhook any more",
            "the settings have no command any more",
        }


class Killed(BaseException):
    """The process ends here."""


def killed(*_: object) -> None:
    raise Killed


class TestNothingIsLost:
    def test_a_kill_before_notices_are_recorded(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        world.happened(EventKind.FAILED)
        with monkeypatch.context() as patched:
            patched.setattr(world.outbox, "post", killed)
            with pytest.raises(Killed):
                world.teller().tell(world.now)
        assert told_now(world, world.teller()) == 2

    def test_a_kill_before_it_is_known_that_they_were_sent(
        self, hooked: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hooked.happened(EventKind.FAILED)
        with monkeypatch.context() as patched:
            patched.setattr(hooked.outbox, "sent", killed)
            with pytest.raises(Killed):
                hooked.teller().tell(hooked.now)
        hooked.later(MINUTE)
        hooked.teller().tell(hooked.now)
        first, again = hooked.webhook.sent
        assert (first.key, first.body) == (again.key, again.body)

    def test_two_tellers_make_each_notice_once(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        world.happened(EventKind.FAILED)
        with monkeypatch.context() as patched:
            patched.setattr(world.outbox, "told", iter([0, 1]).__next__)
            patched.setattr(world.outbox, "post", lambda *_: None)
            slow = world.teller()
            slow._make(world.now)
        world.teller().tell(world.now)
        world.outbox.post(world.teller()._maker.of(world.events.after(0), world.now), 1, world.now)
        assert len(world.outbox.posted) == 2

    def test_many_events_are_taken_in_portions(self, hooked: World) -> None:
        for _ in range(1200):
            hooked.happened(EventKind.FAILED)
        hooked.teller().tell(hooked.now)
        assert hooked.outbox.told() == 1200
        assert len(hooked.outbox.posted) == 2400

    def test_after_the_clock_was_set_back_nothing_waits_for_ever(self, world: World) -> None:
        teller = world.teller()
        world.happened(EventKind.FAILED)
        told_now(world, teller)
        world.happened(EventKind.WORKS_AGAIN)
        teller.tell(world.now)
        world.now -= 400 * DAY
        teller.tell(world.now)
        world.later(2 * DAY)
        assert teller.tell(world.now) == 2

    def test_what_happened_long_ago_is_no_news(self, hooked: World) -> None:
        hooked.happened(EventKind.FAILED)
        hooked.later(8 * DAY)
        hooked.happened(EventKind.FAILED)
        hooked.teller().tell(hooked.now)
        assert [notice.event for notice in hooked.outbox.posted.values()] == [2, 2]
        assert hooked.outbox.told() == 2

    def test_what_was_sent_long_ago_is_forgotten(self, hooked: World) -> None:
        teller = hooked.teller()
        hooked.happened(EventKind.FAILED)
        teller.tell(hooked.now)
        hooked.later(31 * DAY)
        hooked.happened(EventKind.FAILED)
        teller.tell(hooked.now)
        assert [notice.event for notice in hooked.outbox.posted.values()] == [2, 2]


HOSTILE = "x\r\nBcc: eve@example.org\x1b[31m\x00\u2028<b>\u202e\ud800"


def failed_build(world: World) -> Build:
    """A build that failed, and is tried again."""
    hostile = replace(commit(), upstream=replace(commit().upstream, subject=HOSTILE, author=HOSTILE))
    cause = Cause(
        fault=Fault.PACKAGE,
        stage=Stage.BUILD,
        kind="BuildFailed",
        summary="make ended with code 2",
        hint="mend it",
        details=("one", HOSTILE, "z" * 10_000),
    )
    build = world.store.queue(hostile, TARGET, retry=False)
    world.store.claim(build.id, claim("first"))
    world.store.set_log(build.id, "first", f"builds/{build.id}/1/log")
    world.store.finish(
        build.id, "first", outcome=Outcome.FAILED, at=NOON, version=None, cause=cause, stages=(), entry=None
    )
    world.store.queue(hostile, TARGET, retry=True)
    world.store.claim(build.id, claim("second"))
    return world.store.build(build.id)


def is_harmless(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(is_harmless, value)) and all(map(is_harmless, value.values()))
    if isinstance(value, list):
        return all(map(is_harmless, value))
    return not isinstance(value, str) or (value.isprintable() and len(value) <= 500)


class TestWhatIsSaid:
    def test_the_cause_of_the_attempt_that_failed(self, hooked: World) -> None:
        build = failed_build(hooked)
        hooked.happened(EventKind.FAILED, build=build.id, target=TARGET, detail={"attempt": 1, HOSTILE: [HOSTILE, 1.5]})
        hooked.teller().tell(hooked.now)
        document = json.loads(hooked.webhook.sent[0].body)
        assert (document["type"], document["timestamp"]) == ("failed", NOON.isoformat())
        told = document["data"]
        assert told["cause"]["summary"] == "make ended with code 2"
        assert (told["cause"]["fault"], told["cause"]["whose"]) == ("package", "the package's fault")
        assert told["build"]["attempt"] == 1
        assert told["links"] == {
            "why": f"conveyor why {build.id}",
            "show_log": f"conveyor log {build.id}",
            "log": "/srv/conveyor/builds/1/1/log",
            "snapshot": None,
        }
        assert "Bcc" in told["build"]["subject"]
        assert is_harmless(document)

    def test_an_event_about_no_build(self, hooked: World) -> None:
        hooked.happened(EventKind.DISK_LOW, "", detail={"much": "x" * 100_000})
        hooked.teller().tell(hooked.now)
        told = json.loads(hooked.command.sent[0].body)["data"]
        assert (told["build"], told["cause"], told["event"]["detail"]) == (None, None, {})

    def test_a_snapshot_that_has_no_place_stops_nobody(self, hooked: World, monkeypatch: pytest.MonkeyPatch) -> None:
        build = replace(failed_build(hooked), published=True)
        monkeypatch.setattr(hooked.store, "build", lambda _: build)
        teller = hooked.teller()

        def nowhere(target: str, commit: str) -> str:
            raise UnknownName(f"{target} {commit}")

        teller._maker._facts._snapshot_url = nowhere
        hooked.happened(EventKind.WORKS_AGAIN, build=build.id)
        teller.tell(hooked.now)
        assert json.loads(hooked.command.sent[0].body)["data"]["links"]["snapshot"] is None

    def test_a_build_that_is_not_known(self, hooked: World) -> None:
        hooked.happened(EventKind.FAILED, build=77)
        hooked.teller().tell(hooked.now)
        assert json.loads(hooked.command.sent[0].body)["data"]["build"] is None

    def test_a_published_build_is_linked(self, hooked: World, monkeypatch: pytest.MonkeyPatch) -> None:
        build = replace(failed_build(hooked), published=True)
        monkeypatch.setattr(hooked.store, "build", lambda _: build)
        hooked.happened(EventKind.WORKS_AGAIN, build=build.id)
        hooked.teller().tell(hooked.now)
        links = json.loads(hooked.command.sent[0].body)["data"]["links"]
        assert links["snapshot"] == f"https://trunk.example.org/{TARGET}/{build.commit.id}"


def test_the_name_of_a_notice_is_its_own() -> None:
    notice = Notice(
        channel=Channel.WEBHOOK,
        recipient="chat",
        event=1,
        package="",
        subject="",
        body="",
        id=1,
        created_at=NOON,
        due_at=NOON,
        tries=0,
        sent_at=None,
        given_up_at=None,
        cause="",
    )
    others = [
        replace(notice, event=2),
        replace(notice, recipient="other"),
        replace(notice, channel=Channel.COMMAND),
        replace(notice, created_at=NOON + MINUTE),
    ]
    assert len({each.key for each in [notice, *others]}) == 5
    assert replace(notice, id=9, tries=3, due_at=NOON + DAY, cause="x").key == notice.key
