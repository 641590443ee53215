"""The ports `Tokens`, `Users`, `Sessions`, `AuditLog` and `IdempotencyKeys` in memory.

They pass the same contract suite as the real ones.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from conveyor.errors import NotPossible, UnknownName
from conveyor.model.access import (
    Answered,
    AuditEntry,
    AuditQuery,
    Deed,
    KeyedRequest,
    Permissions,
    Session,
    Token,
    User,
)
from conveyor.store.types import harmless, harmless_object, utc


class MemoryTokens:
    """See `conveyor.ports.Tokens`."""

    def __init__(self) -> None:
        self._tokens: dict[str, Token] = {}

    def add(self, token: Token) -> None:
        if any(one.name == token.name and one.revoked_at is None for one in self._tokens.values()):
            raise NotPossible(f"there is a token called {token.name!r} already")
        self._tokens[token.digest] = token

    def of_digest(self, digest: str) -> Token | None:
        return self._tokens.get(digest)

    def all(self) -> tuple[Token, ...]:
        newest_first = sorted(self._tokens.values(), key=lambda one: one.created_at, reverse=True)
        return tuple(sorted(newest_first, key=lambda one: one.name))

    def used(self, digest: str, at: datetime) -> None:
        if digest in self._tokens:
            self._tokens[digest] = replace(self._tokens[digest], used_at=utc(at))

    def revoke(self, name: str, at: datetime) -> Token:
        for digest, token in self._tokens.items():
            if token.name == name and token.revoked_at is None:
                self._tokens[digest] = replace(token, revoked_at=utc(at))
                return self._tokens[digest]
        raise UnknownName(f"there is no token called {name!r}")


class MemoryUsers:
    """See `conveyor.ports.Users`."""

    def __init__(self) -> None:
        self._users: dict[str, User] = {}

    def add(self, user: User) -> None:
        if user.name in self._users:
            raise NotPossible(f"there is a user called {user.name!r} already")
        self._users[user.name] = user

    def find(self, name: str) -> User | None:
        return self._users.get(name)

    def all(self) -> tuple[User, ...]:
        return tuple(user for _, user in sorted(self._users.items()))

    def set_password(self, name: str, password: str, at: datetime) -> None:
        self._users[name] = replace(self._known(name), password=password, changed_at=utc(at))

    def set_disabled(self, name: str, at: datetime, *, disabled: bool) -> None:
        self._users[name] = replace(self._known(name), disabled=disabled, changed_at=utc(at))

    def set_permissions(self, name: str, permissions: Permissions) -> None:
        self._users[name] = replace(self._known(name), permissions=permissions)

    def delete(self, name: str) -> None:
        del self._users[self._known(name).name]

    def _known(self, name: str) -> User:
        if name not in self._users:
            raise UnknownName(f"there is no user called {name!r}")
        return self._users[name]


class MemorySessions:
    """See `conveyor.ports.Sessions`."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    def add(self, session: Session) -> None:
        now = session.created_at
        self._sessions = {digest: one for digest, one in self._sessions.items() if one.expires_at > now}
        self._sessions[session.digest] = session

    def of_digest(self, digest: str) -> Session | None:
        return self._sessions.get(digest)

    def of_user(self, user: str) -> tuple[Session, ...]:
        mine = [one for one in self._sessions.values() if one.user == user]
        return tuple(sorted(mine, key=lambda one: one.created_at, reverse=True))

    def seen(self, digest: str, at: datetime) -> None:
        if digest in self._sessions:
            self._sessions[digest] = replace(self._sessions[digest], seen_at=utc(at))

    def end(self, digest: str) -> None:
        self._sessions.pop(digest, None)

    def end_all(self, user: str) -> int:
        mine = self.of_user(user)
        for one in mine:
            self.end(one.digest)
        return len(mine)


class MemoryAuditLog:
    """See `conveyor.ports.AuditLog`.

    Attributes:
        entries: all of them, in order.
    """

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    def record(self, deed: Deed) -> AuditEntry:
        kept = replace(
            deed,
            at=utc(deed.at),
            actor=harmless(deed.actor),
            address=harmless(deed.address),
            action=harmless(deed.action),
            subject=harmless(deed.subject),
            detail=harmless_object(deed.detail),
        )
        self.entries.append(AuditEntry(number=len(self.entries) + 1, deed=kept))
        return self.entries[-1]

    def newest(self, query: AuditQuery) -> tuple[AuditEntry, ...]:
        found = [
            entry
            for entry in reversed(self.entries)
            if query.actor in {None, entry.deed.actor}
            and (query.action is None or query.action.lower() in entry.deed.action.lower())
            and query.subject in {None, entry.deed.subject}
            and query.result in {None, entry.deed.result}
            and (query.since is None or entry.deed.at >= query.since)
            and (query.before is None or entry.number < query.before)
        ]
        return tuple(found[: query.limit])


class MemoryIdempotencyKeys:
    """See `conveyor.ports.IdempotencyKeys`."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Answered] = {}

    def begin(self, request: KeyedRequest, at: datetime) -> Answered | None:
        found = self._known.get((request.actor, request.key))
        if found is None:
            self._known[request.actor, request.key] = Answered(digest=request.digest, at=utc(at))
        return found

    def complete(self, request: KeyedRequest, status: int, body: str) -> None:
        key = (request.actor, request.key)
        if key in self._known:
            self._known[key] = replace(self._known[key], status=status, body=harmless(body))

    def release(self, request: KeyedRequest) -> None:
        found = self._known.get((request.actor, request.key))
        if found is not None and found.status is None:
            del self._known[request.actor, request.key]

    def forget(self, before: datetime) -> int:
        old = [key for key, found in self._known.items() if found.at < before]
        for key in old:
            del self._known[key]
        return len(old)
