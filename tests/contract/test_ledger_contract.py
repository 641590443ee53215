"""What every ledger and every box of votes does, whatever it keeps things in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from conveyor.errors import UnknownName
from conveyor.model import chain
from conveyor.model.promotion import LedgerEntry, Move, MoveKind, Step, Vote, VotesWanted
from conveyor.ports import Ledger, Store, Votes
from conveyor.store import open_books
from tests.fakes.ledger import MemoryLedger, MemoryVotes
from tests.fakes.store import MemoryStore
from tests.fakes.store_samples import NOON, OTHER_TARGET, TARGET, commit, minute, succeed

CHATHAM = timezone(timedelta(hours=12, minutes=45))


@dataclass(frozen=True, kw_only=True)
class Both:
    ledger: Ledger
    votes: Votes
    store: Store


@pytest.fixture(params=["memory", "sqlite_url", "emptied_postgresql_url"])
def both(request: pytest.FixtureRequest) -> Iterator[Both]:
    if request.param == "memory":
        store = MemoryStore()
        yield Both(ledger=MemoryLedger(store=store), votes=MemoryVotes(store), store=store)
        return
    books = open_books(request.getfixturevalue(request.param))
    yield Both(ledger=books.ledger, votes=books.votes, store=books.store)
    books.store.close()


@pytest.fixture
def ledger(both: Both) -> Ledger:
    return both.ledger


@pytest.fixture
def votes(both: Both) -> Votes:
    return both.votes


def step(after: str, *, before: str | None = None, pointer: str = "tested", target: str = TARGET) -> Step:
    return Step(target=target, pointer=pointer, before=before, after=after)


def move(*steps: Step, kind: MoveKind = MoveKind.PROMOTED, keep: bool = False, note: str = "") -> Move:
    return Move(kind=kind, actor="ada", note=note, keep=keep, at=NOON, steps=steps)


def made(ledger: Ledger, *steps: Step, keep: bool = False) -> tuple[LedgerEntry, ...]:
    """A move that has happened."""
    return ledger.complete(ledger.begin(move(*steps, keep=keep)), minute(1))


class TestMoves:
    def test_a_move_that_was_begun_is_pending_and_no_entry(self, ledger: Ledger) -> None:
        evidence = {"votes": [{"job": "smoke", "success": True}], "age": 3.5, "none": None}
        first = replace(move(step("b", before="a"), step("b", target=OTHER_TARGET)), evidence=evidence, note="Good.")
        second = move(step("c", pointer="current"), kind=MoveKind.PUBLISHED, keep=True)
        numbers = [ledger.begin(first), ledger.begin(second)]

        assert ledger.pending() == ((numbers[0], first), (numbers[1], second))
        assert numbers[0] < numbers[1]
        assert ledger.entries() == ()

    def test_a_move_that_was_completed_is_an_entry_for_each_step(self, ledger: Ledger) -> None:
        whole = replace(
            move(step("b", before="a"), step("b", target=OTHER_TARGET), keep=True, note="Good."),
            evidence={"age": 3},
        )
        number = ledger.begin(whole)
        entries = ledger.complete(number, minute(1))

        assert [entry.step for entry in entries] == list(whole.steps)
        for entry in entries:
            assert (entry.move, entry.kind, entry.actor, entry.note) == (number, MoveKind.PROMOTED, "ada", "Good.")
            assert (entry.evidence, entry.keep, entry.at) == ({"age": 3}, True, minute(1))
        assert ledger.pending() == ()
        assert ledger.entries() == entries[::-1]
        assert ledger.of_move(number) == entries
        assert [ledger.entry(entry.number) for entry in entries] == list(entries)

    def test_completing_again_changes_nothing(self, ledger: Ledger) -> None:
        number = ledger.begin(move(step("b"), step("b", target=OTHER_TARGET)))
        entries = ledger.complete(number, minute(1))
        made(ledger, step("c", before="b"))

        assert ledger.complete(number, minute(9)) == entries
        assert len(ledger.entries()) == 3

    def test_an_abandoned_move_is_forgotten_and_its_number_not_used_again(self, ledger: Ledger) -> None:
        number = ledger.begin(move(step("b")))
        ledger.abandon(number)
        ledger.abandon(number)

        assert ledger.pending() == ()
        assert ledger.entries() == ledger.of_move(number) == ()
        with pytest.raises(ValueError, match="no move"):
            ledger.complete(number, minute(1))
        assert ledger.begin(move(step("b"))) > number

    def test_what_has_happened_cannot_be_abandoned(self, ledger: Ledger) -> None:
        (entry,) = made(ledger, step("b"))

        with pytest.raises(ValueError, match="has happened"):
            ledger.abandon(entry.move)
        assert ledger.entries() == (entry,)

    def test_a_move_has_steps_each_of_another_pointer(self, ledger: Ledger) -> None:
        for wrong in (move(), move(step("b"), step("c"))):
            with pytest.raises((ValueError, IntegrityError)):
                ledger.begin(wrong)
        assert ledger.pending() == ()

    def test_evidence_must_be_json(self, ledger: Ledger) -> None:
        for wrong in ({"at": NOON}, {"age": float("nan")}):
            with pytest.raises((ValueError, TypeError)):
                ledger.begin(replace(move(step("b")), evidence=wrong))

    def test_text_that_no_database_can_hold_is_made_harmless_before_it_is_hashed(self, ledger: Ledger) -> None:
        hostile = replace(move(step("b")), actor="A\x00\ud800", note="\U0001f600'; DROP TABLE ledger; --\x00")
        hostile = replace(hostile, evidence={"\udcff\x00": ["\x00", "\U0001f600"], "n": 1e300})
        (entry,) = ledger.complete(ledger.begin(hostile), minute(1))

        assert (entry.actor, entry.note) == ("A\ufffd\ufffd", "\U0001f600'; DROP TABLE ledger; --\ufffd")
        assert entry.evidence == hostile.evidence
        assert ledger.entries() == (entry,)
        assert ledger.broken() is None

    def test_moments_come_back_equal_from_any_zone(self, ledger: Ledger) -> None:
        at = datetime(2026, 3, 29, 2, 30, 0, 123456, CHATHAM)
        (entry,) = ledger.complete(ledger.begin(replace(move(step("b")), at=at)), at)

        assert entry.at == at
        assert entry.at.utcoffset() == timedelta(0)
        assert ledger.entries() == (entry,)
        assert ledger.broken() is None


class TestEntries:
    def test_newest_first_of_a_target_a_pointer_both_or_all(self, ledger: Ledger) -> None:
        made(ledger, step("a"), step("a", target=OTHER_TARGET))
        made(ledger, step("a", pointer="current"))
        made(ledger, step("b", before="a"))

        assert [entry.number for entry in ledger.entries()] == [4, 3, 2, 1]
        assert [entry.number for entry in ledger.entries(target=TARGET)] == [4, 3, 1]
        assert [entry.number for entry in ledger.entries(pointer="tested")] == [4, 2, 1]
        assert [entry.number for entry in ledger.entries(target=TARGET, pointer="tested", limit=1)] == [4]
        at = ledger.entry(2).at
        assert [entry.number for entry in ledger.entries(until=at)][-2:] == [2, 1]
        assert all(entry.at <= at for entry in ledger.entries(until=at))
        assert ledger.entries(until=ledger.entry(1).at - timedelta(seconds=1)) == ()
        assert ledger.entries(pointer="nothing") == ()

    def test_an_entry_that_is_not_there(self, ledger: Ledger) -> None:
        made(ledger, step("a"))
        for number in (0, 2):
            with pytest.raises(UnknownName, match=f"no entry {number}"):
                ledger.entry(number)

    def test_what_entries_say_to_keep_of_a_target(self, ledger: Ledger) -> None:
        made(ledger, step("a"), step("b", target=OTHER_TARGET), keep=True)
        made(ledger, step("c", before="a"))
        made(ledger, step("d", before="c"), keep=True)

        assert ledger.kept(TARGET) == {"a", "d"}
        assert ledger.kept(OTHER_TARGET) == {"b"}
        assert ledger.kept("another") == frozenset()


class TestChain:
    def test_each_entry_holds_the_hash_of_the_one_before(self, ledger: Ledger) -> None:
        made(ledger, step("a"), step("a", target=OTHER_TARGET))
        made(ledger, step("b", before="a"))
        first, second, third = ledger.entries()[::-1]

        assert [entry.number for entry in (first, second, third)] == [1, 2, 3]
        assert first.previous == chain.START
        assert (second.previous, third.previous) == (first.hash, second.hash)
        assert ledger.broken() is None

    def test_the_hash_is_of_all_fields_as_the_documentation_says(self, ledger: Ledger) -> None:
        number = ledger.begin(
            replace(move(step("b", before="a"), keep=True, note="Gut, é"), evidence={"b": 1, "a": []})
        )
        (entry,) = ledger.complete(number, datetime(2026, 3, 1, 12, 1, tzinfo=UTC))
        text = (
            '{"actor":"ada","after":"b","at":"2026-03-01T12:01:00.000000+00:00","before":"a",'
            f'"evidence":{{"a":[],"b":1}},"keep":true,"kind":"promoted","move":{number},"note":"Gut, \\u00e9",'
            f'"number":1,"pointer":"tested","previous":"{64 * "0"}","target":"{TARGET}"}}'
        )

        assert json.loads(text)["note"] == entry.note
        assert entry.hash == hashlib.sha256(text.encode()).hexdigest()

    def test_an_empty_ledger_is_well(self, ledger: Ledger) -> None:
        assert ledger.broken() is None


def vote(job: str = "smoke", *, subject: str = "b", target: str = TARGET, success: bool | None = True) -> Vote:
    return Vote(subject=subject, target=target, job=job, success=success, user="zuul", at=NOON)


class TestVotes:
    def test_a_vote_comes_back_as_it_was_given(self, votes: Votes) -> None:
        given = Vote(
            subject="b",
            target=TARGET,
            job="smoke",
            success=None,
            url="https://example.org/log",
            notes="it runs",
            user="zuul",
            at=datetime(2026, 3, 29, 2, 30, 0, 123456, CHATHAM),
        )
        assert votes.add(given) == given
        assert votes.of("b") == (given,)

    def test_earlier_votes_of_a_job_stay_and_the_oldest_comes_first(self, votes: Votes) -> None:
        given = [votes.add(vote(success=success)) for success in (None, False, True)]

        assert votes.of("b") == tuple(given)

    def test_of_one_target_those_on_all_are_in_it(self, votes: Votes) -> None:
        here = votes.add(vote())
        there = votes.add(vote(target=OTHER_TARGET))
        everywhere = votes.add(vote(target=""))
        votes.add(vote(subject="c"))

        assert votes.of("b") == (here, there, everywhere)
        assert votes.of("b", target=TARGET) == (here, everywhere)
        assert votes.of("nothing") == ()

    def test_hostile_text_is_made_harmless(self, votes: Votes) -> None:
        given = votes.add(replace(vote(), notes="\x00\ud800'); DROP TABLE vote; --"))

        assert given.notes == "\ufffd\ufffd'); DROP TABLE vote; --"
        assert votes.of("b") == (given,)


class TestTheLatestVotes:
    """Those on what is published for a target: `published` is, of the component compute, and `gone` was."""

    PUBLISHED, GONE, ELSEWHERE = commit("published").id, commit("gone").id, commit("elsewhere").id
    MD5 = "0123456789abcdef" * 2

    @pytest.fixture(autouse=True)
    def given(self, both: Both) -> list[Vote]:
        for name, target in (("published", TARGET), ("gone", TARGET), ("elsewhere", OTHER_TARGET)):
            both.store.mark_published(succeed(both.store, commit(name), NOON, target=target).id, 0.1)
        both.store.mark_collected([both.store.published(TARGET, commit=self.GONE)[0].build], NOON)
        succeed(both.store, commit("waits"), NOON)
        wanted = [
            vote("smoke", subject=self.PUBLISHED),
            replace(vote("smoke", subject=self.GONE, success=False), at=minute(3)),
            replace(vote("smoke", subject=self.PUBLISHED, target="", success=None), at=minute(2)),
            replace(vote("full", subject=self.MD5), at=minute(4)),
            replace(vote("full", subject=self.PUBLISHED), at=minute(2)),
        ]
        others = [
            vote("smoke", subject=self.ELSEWHERE, target=""),
            vote("smoke", subject=self.PUBLISHED, target=OTHER_TARGET),
            vote("smoke", subject=commit("waits").id),
            vote("smoke", subject="nothing"),
        ]
        return [both.votes.add(each) for each in (*wanted, *others)][: len(wanted)]

    @pytest.mark.parametrize(
        ("wanted", "numbers"),
        [
            ({}, [1, 4, 2, 0]),
            ({"there": True}, [4, 2, 0]),
            ({"aggregates": True}, [3]),
            ({"aggregates": True, "success": False}, []),
            ({"since": NOON}, [1, 4, 2]),
            ({"since": minute(3)}, []),
            ({"job": "smoke"}, [1, 2, 0]),
            ({"job": "smoke", "success": True}, [0]),
            ({"success": False}, [1, 2]),
            ({"component": "compute"}, [1, 4, 2, 0]),
            ({"component": "comp'; --\ud800"}, []),
            ({"offset": 1, "limit": 2}, [4, 2]),
        ],
    )
    def test_what_is_wanted_comes_the_latest_first(
        self, votes: Votes, given: list[Vote], wanted: dict[str, Any], numbers: list[int]
    ) -> None:
        assert votes.newest(VotesWanted(target=TARGET, **wanted)) == tuple(given[number] for number in numbers)


class TestPromotions:
    def test_pointers_that_follow_builds_are_left_out(self, both: Both) -> None:
        ledger, (a, b) = both.ledger, (commit("a").id, commit("b").id)
        both.store.mark_published(succeed(both.store, commit("a"), NOON).id, 0.1)
        for pointer in ("current", "consistent", "consistent-compute"):
            made(ledger, step(a, pointer=pointer))
        first = made(ledger, step(a), step(a, target=OTHER_TARGET))[0]
        ledger.complete(ledger.begin(move(step(b, pointer="like"), kind=MoveKind.PUBLISHED)), NOON)
        second = made(ledger, step(a, pointer="consistently"))[0]
        back = ledger.complete(ledger.begin(move(step(b, before=a), kind=MoveKind.ROLLED_BACK)), NOON)[0]

        assert ledger.promotions(TARGET) == (back, second, first)
        assert ledger.promotions(TARGET, offset=1, limit=1) == (second,)
        assert ledger.promotions(TARGET, pointer="tested") == (back, first)
        assert ledger.promotions(TARGET, commits=[a]) == (second, first)
        assert ledger.promotions(TARGET, commits=[]) == ()
        assert ledger.promotions(TARGET, component="compute") == (second, first)
        assert ledger.promotions(TARGET, component="network") == ()
