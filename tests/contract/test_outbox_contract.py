"""What every outbox does, whatever it keeps notices in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from conveyor.model.event import EventKind, NewEvent
from conveyor.model.notice import Channel, NewNotice, Notice
from conveyor.ports import Outbox
from conveyor.store import open_books
from tests.fakes.outbox import MemoryOutbox
from tests.fakes.store_samples import NOON, minute

ADA = "Ada <ada@example.org>"


@pytest.fixture(params=["memory", "sqlite_url", "emptied_postgresql_url"])
def outbox(request: pytest.FixtureRequest) -> Iterator[Outbox]:
    """An outbox after nine events."""
    if request.param == "memory":
        yield MemoryOutbox()
        return
    books = open_books(request.getfixturevalue(request.param))
    books.events.record([NewEvent(kind=EventKind.FAILED, summary=str(number)) for number in range(9)], NOON)
    yield books.outbox
    books.store.close()


def notice(event: int = 1, recipient: str = ADA, channel: Channel = Channel.MAIL, package: str = "nova") -> NewNotice:
    return NewNotice(
        channel=channel, recipient=recipient, event=event, package=package, subject=f"{event}", body="It failed.\n"
    )


def numbers(notices: tuple[Notice, ...]) -> list[int]:
    return [one.event for one in notices]


class TestPost:
    def test_notices_wait_and_events_are_told(self, outbox: Outbox) -> None:
        assert (outbox.told(), outbox.waiting()) == (0, ())
        outbox.post([notice(1), notice(2, "ci", Channel.WEBHOOK, "")], 5, minute(1))

        assert outbox.told() == 5
        first, second = outbox.waiting()
        assert (first.channel, first.recipient, first.event, first.package) == (Channel.MAIL, ADA, 1, "nova")
        assert (first.subject, first.body, first.created_at, first.due_at) == (
            "1",
            "It failed.\n",
            minute(1),
            minute(1),
        )
        assert (first.tries, first.sent_at, first.given_up_at, first.cause) == (0, None, None, "")
        assert (second.channel, second.recipient, second.package) == (Channel.WEBHOOK, "ci", "")

    def test_events_that_nobody_is_told_of_count_too(self, outbox: Outbox) -> None:
        outbox.post([], 3, NOON)

        assert (outbox.told(), outbox.waiting()) == (3, ())

    def test_a_lower_number_changes_nothing(self, outbox: Outbox) -> None:
        outbox.post([notice(1)], 5, NOON)
        outbox.post([notice(4)], 4, NOON)

        assert outbox.told() == 5
        assert numbers(outbox.waiting()) == [1]

    def test_nobody_is_told_twice_of_one_event_over_one_channel(self, outbox: Outbox) -> None:
        outbox.post([notice(1), notice(1)], 5, NOON)
        outbox.post(
            [notice(1), notice(1, "grace@example.org"), notice(1, channel=Channel.COMMAND), notice(2)], 5, minute(1)
        )

        assert [(one.event, one.recipient, one.channel) for one in outbox.waiting()] == [
            (1, ADA, Channel.MAIL),
            (1, "grace@example.org", Channel.MAIL),
            (1, ADA, Channel.COMMAND),
            (2, ADA, Channel.MAIL),
        ]

    def test_text_that_no_database_can_hold_is_made_harmless(self, outbox: Outbox) -> None:
        outbox.post([replace(notice(), subject="a\x00", body="\udcff")], 1, NOON)

        assert [(one.subject, one.body) for one in outbox.waiting()] == [("a\ufffd", "\ufffd")]


class TestSending:
    def test_what_is_due_the_oldest_first(self, outbox: Outbox) -> None:
        outbox.post([notice(1)], 1, minute(5))
        outbox.post([notice(2), notice(3)], 3, minute(1))

        assert outbox.due(minute(0)) == ()
        assert numbers(outbox.due(minute(1))) == [2, 3]
        assert numbers(outbox.due(minute(5))) == [2, 3, 1]
        assert numbers(outbox.due(minute(5), limit=1)) == [2]

    def test_what_was_sent_waits_no_more(self, outbox: Outbox) -> None:
        outbox.post([notice(1), notice(2), notice(3)], 3, NOON)
        first, _, third = outbox.waiting()
        outbox.sent([first.id, third.id], minute(1))
        outbox.sent([], minute(1))

        assert numbers(outbox.waiting()) == [2]
        assert numbers(outbox.due(minute(9))) == [2]

    def test_what_failed_is_tried_again_later(self, outbox: Outbox) -> None:
        outbox.post([notice(1), notice(2)], 2, NOON)
        outbox.failed(outbox.waiting()[0].id, "refused \x00", minute(1), minute(10))

        assert numbers(outbox.due(minute(9))) == [2]
        (again,) = [one for one in outbox.due(minute(10)) if one.event == 1]
        assert (again.tries, again.cause, again.due_at) == (1, "refused \ufffd", minute(10))

    def test_what_is_given_up_waits_no_more(self, outbox: Outbox) -> None:
        outbox.post([notice(1)], 2, NOON)
        (waiting,) = outbox.waiting()
        outbox.failed(waiting.id, "no such address", minute(1), None)
        outbox.sent([waiting.id], minute(2))
        outbox.failed(waiting.id, "again", minute(2), minute(3))

        assert outbox.waiting() == outbox.due(minute(99)) == ()


class TestHolding:
    def test_what_is_held_back_is_due_when_it_says(self, outbox: Outbox) -> None:
        outbox.post([replace(notice(1), due_at=minute(60)), notice(2)], 2, NOON)

        assert numbers(outbox.due(minute(59))) == [2]
        assert numbers(outbox.due(minute(60))) == [2, 1]

    def test_the_first_that_waits_for_somebody(self, outbox: Outbox) -> None:
        assert outbox.next_due(ADA, "nova") is None
        later, other = replace(notice(1), due_at=minute(60)), replace(notice(2, package="glance"), due_at=minute(1))
        outbox.post([later, other, replace(notice(3), due_at=minute(30))], 3, NOON)

        assert outbox.next_due(ADA, "nova") == minute(30)
        outbox.sent([one.id for one in outbox.waiting()], minute(60))
        assert outbox.next_due(ADA, "nova") is None

    def test_after_the_clock_was_set_back_none_waits_too_long(self, outbox: Outbox) -> None:
        outbox.post([replace(notice(1), due_at=minute(600)), replace(notice(2), due_at=minute(5))], 2, NOON)
        outbox.forget_waits(minute(20))
        outbox.forget_waits(minute(20))

        assert [one.due_at for one in outbox.waiting()] == [minute(5), minute(20)]


class TestSizes:
    def test_how_many_wait_over_each_channel(self, outbox: Outbox) -> None:
        assert outbox.sizes() == {}
        outbox.post([notice(1), notice(2), notice(3, "ci", Channel.WEBHOOK)], 3, NOON)
        outbox.sent([outbox.waiting()[0].id], NOON)
        assert outbox.sizes() == {Channel.MAIL: 1, Channel.WEBHOOK: 1}


class TestAfterwards:
    def test_what_was_given_up_the_newest_first(self, outbox: Outbox) -> None:
        outbox.post([notice(1), notice(2), notice(3)], 3, NOON)
        for each, at in zip(outbox.waiting(), (minute(2), minute(1), minute(3)), strict=True):
            outbox.failed(each.id, "no such address", at, None)

        assert numbers(outbox.given_up()) == [3, 1, 2]
        assert numbers(outbox.given_up(limit=1)) == [3]
        assert outbox.given_up()[0].cause == "no such address"

    def test_what_ended_long_ago_is_forgotten(self, outbox: Outbox) -> None:
        outbox.post([notice(1), notice(2), notice(3), notice(4)], 4, NOON)
        first, second, third, _ = outbox.waiting()
        outbox.sent([first.id], minute(1))
        outbox.failed(second.id, "x", minute(1), None)
        outbox.sent([third.id], minute(9))
        outbox.forget(minute(5))

        assert outbox.given_up() == ()
        assert outbox.last_sent(ADA, "nova") == minute(9)
        assert numbers(outbox.waiting()) == [4]


class TestLastSent:
    def test_it_is_when_somebody_was_told_last_of_a_package(self, outbox: Outbox) -> None:
        assert outbox.last_sent(ADA, "nova") is None
        outbox.post([notice(1), notice(2), notice(3, package="glance"), notice(4, "grace@example.org")], 4, NOON)
        outbox.sent([outbox.waiting()[0].id], minute(3))

        assert outbox.last_sent(ADA, "nova") == minute(3)
        assert outbox.last_sent(ADA, "glance") == NOON
        assert outbox.last_sent(ADA, "heat") is None

    def test_what_waits_counts_as_sent_when_it_is_due_and_what_was_given_up_does_not(self, outbox: Outbox) -> None:
        outbox.post([notice(1)], 1, NOON)
        (waiting,) = outbox.waiting()
        outbox.failed(waiting.id, "busy", minute(1), minute(60))
        assert outbox.last_sent(ADA, "nova") == minute(60)
        outbox.failed(waiting.id, "busy", minute(60), None)
        assert outbox.last_sent(ADA, "nova") is None
