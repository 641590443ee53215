"""What every keeper of tokens, users, sessions, deeds and requests does, whatever it keeps them in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta, timezone
from pathlib import Path

import pytest

from conveyor.errors import NotPossible, UnknownName
from conveyor.model.access import Answered, AuditQuery, Means, Permission, Result
from conveyor.ports import AuditLog, IdempotencyKeys, Sessions, Tokens, Users
from conveyor.store import open_books
from tests.fakes.access import MemoryAuditLog, MemoryIdempotencyKeys, MemorySessions, MemoryTokens, MemoryUsers
from tests.fakes.access_samples import HASH, deed, digest, request, session, token, user
from tests.fakes.processes import ended, spawn, wait_for
from tests.fakes.store_samples import NOON, minute


@dataclass(frozen=True, kw_only=True)
class Access:
    tokens: Tokens
    users: Users
    sessions: Sessions
    audit: AuditLog
    idempotency: IdempotencyKeys


@pytest.fixture(params=["memory", "sqlite_url", "emptied_postgresql_url"])
def access(request: pytest.FixtureRequest) -> Iterator[Access]:
    if request.param == "memory":
        yield Access(
            tokens=MemoryTokens(),
            users=MemoryUsers(),
            sessions=MemorySessions(),
            audit=MemoryAuditLog(),
            idempotency=MemoryIdempotencyKeys(),
        )
        return
    books = open_books(request.getfixturevalue(request.param))
    yield Access(
        tokens=books.tokens,
        users=books.users,
        sessions=books.sessions,
        audit=books.audit,
        idempotency=books.idempotency,
    )
    books.store.close()


class TestTokens:
    def test_it_is_found_by_its_secret_alone(self, access: Access) -> None:
        kept = replace(
            token("ci", "s", Permission.VOTE, Permission.PROMOTE), expires_at=minute(5), created_by="ada@hub"
        )
        access.tokens.add(kept)

        assert access.tokens.of_digest(digest("s")) == kept
        assert access.tokens.of_digest(digest("ci")) is None
        assert access.tokens.of_digest("") is None

    def test_two_of_one_name_do_not_work_at_once(self, access: Access) -> None:
        access.tokens.add(token("ci", "a"))
        with pytest.raises(NotPossible, match="'ci' already"):
            access.tokens.add(token("ci", "b", at=minute(1)))
        revoked = access.tokens.revoke("ci", minute(2))
        access.tokens.add(token("ci", "b", at=minute(3)))

        assert revoked == replace(token("ci", "a"), revoked_at=minute(2))
        assert access.tokens.all() == (token("ci", "b", at=minute(3)), revoked)
        assert access.tokens.of_digest(digest("a")) == revoked

    def test_what_is_not_there_or_revoked_cannot_be_revoked(self, access: Access) -> None:
        access.tokens.add(token("ci"))
        access.tokens.revoke("ci", NOON)
        for name in ("ci", "other"):
            with pytest.raises(UnknownName, match=f"no token called '{name}'"):
                access.tokens.revoke(name, NOON)

    def test_when_it_worked_is_remembered(self, access: Access) -> None:
        access.tokens.add(token("ci"))
        access.tokens.used(digest("ci"), minute(7).astimezone(timezone(timedelta(hours=5))))
        access.tokens.used(digest("other"), minute(8))

        assert access.tokens.all() == (replace(token("ci"), used_at=minute(7)),)

    def test_they_come_by_name(self, access: Access) -> None:
        for name in ("b", "a", "c"):
            access.tokens.add(token(name))
        assert [one.name for one in access.tokens.all()] == ["a", "b", "c"]

    def test_it_works_until_it_expires_or_is_revoked(self) -> None:
        assert token("ci").works(minute(10**6))
        expiring = replace(token("ci"), expires_at=minute(5))
        assert expiring.works(minute(4))
        assert not expiring.works(minute(5))
        assert not replace(token("ci"), revoked_at=NOON).works(NOON)


class TestUsers:
    def test_it_is_found_by_its_name(self, access: Access) -> None:
        access.users.add(user("ada", Permission.ADMIN))

        assert access.users.find("ada") == user("ada", Permission.ADMIN)
        assert access.users.find("Ada") is None
        with pytest.raises(NotPossible, match="'ada' already"):
            access.users.add(user("ada"))
        assert access.users.all() == (user("ada", Permission.ADMIN),)

    def test_a_password_and_whether_it_may_sign_in_can_change(self, access: Access) -> None:
        access.users.add(user("ada"))
        access.users.set_password("ada", HASH + "x", minute(1))
        assert access.users.find("ada") == replace(user("ada"), password=HASH + "x", changed_at=minute(1))
        access.users.set_disabled("ada", minute(2), disabled=True)
        assert access.users.find("ada") == replace(
            user("ada"), password=HASH + "x", changed_at=minute(2), disabled=True
        )
        access.users.set_disabled("ada", minute(3), disabled=False)
        assert [one.disabled for one in access.users.all()] == [False]

    def test_what_it_may_do_can_change(self, access: Access) -> None:
        access.users.add(user("ada", Permission.RETRY))
        access.users.set_permissions("ada", frozenset({Permission.VOTE, Permission.PROMOTE}))
        assert access.users.find("ada") == user("ada", Permission.VOTE, Permission.PROMOTE)

    def test_it_can_be_deleted_and_another_of_its_name_be_made(self, access: Access) -> None:
        access.users.add(user("ada", Permission.ADMIN))
        access.users.add(user("grace"))
        access.users.delete("ada")
        assert access.users.find("ada") is None
        assert access.users.all() == (user("grace"),)
        access.users.add(user("ada"))
        assert access.users.find("ada") == user("ada")

    def test_one_that_is_not_there_cannot_change(self, access: Access) -> None:
        with pytest.raises(UnknownName, match="no user called 'bob'"):
            access.users.set_permissions("bob", frozenset({Permission.VOTE}))
        with pytest.raises(UnknownName, match="no user called 'bob'"):
            access.users.delete("bob")
        with pytest.raises(UnknownName, match="no user called 'bob'"):
            access.users.set_password("bob", HASH, NOON)
        with pytest.raises(UnknownName, match="no user called 'bob'"):
            access.users.set_disabled("bob", NOON, disabled=True)


class TestSessions:
    def test_it_is_found_by_its_secret_alone(self, access: Access) -> None:
        kept = replace(session("s"), issuer="https://id.example.org", permissions=frozenset({Permission.VOTE}))
        access.sessions.add(kept)

        assert access.sessions.of_digest(digest("s")) == kept
        assert access.sessions.of_digest(digest("ada")) is None

    def test_it_can_be_ended_alone_or_with_all_of_its_user(self, access: Access) -> None:
        for at, secret in enumerate(("a", "b", "c")):
            access.sessions.add(session(secret, at=minute(at)))
        access.sessions.add(session("d", name="grace"))
        access.sessions.end(digest("b"))
        access.sessions.end(digest("b"))

        assert [one.digest for one in access.sessions.of_user("ada")] == [digest("c"), digest("a")]
        assert access.sessions.end_all("ada") == 2
        assert access.sessions.end_all("ada") == 0
        assert access.sessions.of_digest(digest("a")) is None
        assert access.sessions.of_user("grace") == (session("d", name="grace"),)

    def test_that_it_is_in_use_is_remembered(self, access: Access) -> None:
        access.sessions.add(session("s"))
        access.sessions.seen(digest("s"), minute(9))
        access.sessions.seen(digest("other"), minute(9))

        assert access.sessions.of_digest(digest("s")) == replace(session("s"), seen_at=minute(9))

    def test_a_new_one_has_expired_ones_forgotten(self, access: Access) -> None:
        access.sessions.add(session("old", hours=1))
        access.sessions.add(session("other", at=minute(59)))
        assert access.sessions.of_digest(digest("old")) is not None
        access.sessions.add(session("new", at=minute(60)))

        assert access.sessions.of_digest(digest("old")) is None
        assert access.sessions.of_digest(digest("other")) is not None


class TestAudit:
    def test_deeds_are_numbered_from_1(self, access: Access) -> None:
        first, second = access.audit.record(deed()), access.audit.record(deed(actor="ada"))

        assert (first.number, first.deed, second.number) == (1, deed(), 2)
        assert access.audit.newest(AuditQuery()) == (second, first)

    def test_all_that_is_told_comes_back(self, access: Access) -> None:
        hostile = "\x00\udcff'; DROP TABLE audit; --"
        told = replace(
            deed(actor=hostile, subject=hostile, result=Result.FAILED),
            means=Means.SESSION,
            address="2001:db8::1",
            detail={"status": 503, "names": ("a", hostile)},
        )
        access.audit.record(told)

        clean = "\ufffd\ufffd'; DROP TABLE audit; --"
        assert access.audit.newest(AuditQuery())[0].deed == replace(
            told, actor=clean, subject=clean, detail={"status": 503, "names": ["a", clean]}
        )

    def test_every_means_and_result_can_be_recorded(self, access: Access) -> None:
        for means in Means:
            for result in Result:
                access.audit.record(replace(deed(result=result), means=means))
        assert len(access.audit.newest(AuditQuery())) == len(Means) * len(Result)

    def test_it_can_be_searched(self, access: Access) -> None:
        access.audit.record(deed())
        access.audit.record(replace(deed("ada", "POST /api/v1/builds/{build}/retry", "7"), at=minute(1)))
        access.audit.record(replace(deed("ada", "sign in", result=Result.REFUSED), at=minute(2)))

        def found(**wanted: object) -> list[int]:
            return [entry.number for entry in access.audit.newest(AuditQuery(**wanted))]  # type: ignore[arg-type]

        assert found() == [3, 2, 1]
        assert found(actor="ada") == [3, 2]
        assert found(action="post /") == [2, 1]
        assert found(action="%") == []
        assert found(subject="7") == [2]
        assert found(result=Result.REFUSED) == [3]
        assert found(since=minute(1)) == [3, 2]
        assert found(before=3) == [2, 1]
        assert found(before=3, limit=1) == [2]

    def test_processes_that_record_at_once_leave_no_gap(self, database_url: str, tmp_path: Path) -> None:
        go = tmp_path / "go"

        def work() -> None:
            mine = open_books(database_url)
            wait_for(go)
            for _ in range(10):
                mine.audit.record(deed())

        open_books(database_url).store.close()
        pids = [spawn(work) for _ in range(4)]
        go.touch()
        assert [ended(pid) for pid in pids] == [0] * 4
        books = open_books(database_url)
        assert [entry.number for entry in books.audit.newest(AuditQuery())] == list(range(40, 0, -1))
        books.store.close()


class TestIdempotencyKeys:
    def test_one_that_came_before_is_told_how_it_was_answered(self, access: Access) -> None:
        keys = access.idempotency
        assert keys.begin(request(), NOON) is None
        assert keys.begin(request(), minute(1)) == Answered(digest=digest("x"), at=NOON)
        keys.complete(request(), 201, '{"vote": "\u00e9"}')
        answered = Answered(digest=digest("x"), at=NOON, status=201, body='{"vote": "\u00e9"}')

        assert keys.begin(request(), minute(2)) == answered
        assert keys.begin(request(content="other"), minute(2)) == answered

    def test_keys_are_their_senders_own(self, access: Access) -> None:
        assert access.idempotency.begin(request(), NOON) is None
        assert access.idempotency.begin(request(actor="other"), NOON) is None
        assert access.idempotency.begin(request(key="other"), NOON) is None

    def test_what_was_not_carried_out_may_come_again(self, access: Access) -> None:
        keys = access.idempotency
        keys.begin(request(), NOON)
        keys.release(request())
        assert keys.begin(request(), minute(1)) is None
        keys.complete(request(), 200, "")
        keys.release(request())
        assert keys.begin(request(), minute(2)) == Answered(digest=digest("x"), at=minute(1), status=200)

    def test_old_ones_are_forgotten(self, access: Access) -> None:
        keys = access.idempotency
        keys.begin(request(), NOON)
        keys.begin(request(key="new"), minute(1))

        assert keys.forget(minute(1)) == 1
        assert keys.begin(request(key="new"), minute(2)) is not None
        assert keys.begin(request(), minute(2)) is None

    def test_of_processes_that_begin_at_once_one_carries_it_out(self, database_url: str, tmp_path: Path) -> None:
        go = tmp_path / "go"

        def work(worker: int) -> None:
            mine = open_books(database_url)
            wait_for(go)
            for number in range(10):
                if mine.idempotency.begin(request(key=str(number)), NOON) is None:
                    (tmp_path / f"{number}-{worker}").touch()

        open_books(database_url).store.close()
        pids = [spawn(lambda worker=worker: work(worker)) for worker in range(4)]  # type: ignore[misc]
        go.touch()
        assert [ended(pid) for pid in pids] == [0] * 4
        assert [len(list(tmp_path.glob(f"{number}-*"))) for number in range(10)] == [1] * 10
