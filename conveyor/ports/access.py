"""Who may do what on the web, and what was done."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

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


class Tokens(Protocol):
    """Secrets that programs act with. Each method is one transaction."""

    def add(self, token: Token) -> None:
        """Keep a new one.

        Raises:
            NotPossible: one of that name is not revoked.
        """

    def of_digest(self, digest: str) -> Token | None:
        """The one whose secret has this sha256, revoked and expired ones included."""

    def all(self) -> tuple[Token, ...]:
        """All of them, revoked ones included, by name, and of one name the newest first."""

    def used(self, digest: str, at: datetime) -> None:
        """Remember that it worked."""

    def revoke(self, name: str, at: datetime) -> Token:
        """Let the one of this name work no more.

        Raises:
            UnknownName: there is none that is not revoked.
        """


class Users(Protocol):
    """People whose passwords are kept here. Each method is one transaction."""

    def add(self, user: User) -> None:
        """Keep a new one.

        Raises:
            NotPossible: there is one of that name.
        """

    def find(self, name: str) -> User | None:
        """The one of this name."""

    def all(self) -> tuple[User, ...]:
        """All of them, by name."""

    def set_password(self, name: str, password: str, at: datetime) -> None:
        """Keep what Argon2 made of another password.

        Raises:
            UnknownName: there is no such user.
        """

    def set_disabled(self, name: str, at: datetime, *, disabled: bool) -> None:
        """Let it sign in no more, or again.

        Raises:
            UnknownName: there is no such user.
        """

    def set_permissions(self, name: str, permissions: Permissions) -> None:
        """Let it do this and nothing else. Its sessions go on: what a user may do is looked up with each request.

        Raises:
            UnknownName: there is no such user.
        """

    def delete(self, name: str) -> None:
        """Keep it no more. What it did stays in the audit log.

        Raises:
            UnknownName: there is no such user.
        """


class Sessions(Protocol):
    """People that have signed in. Each method is one transaction."""

    def add(self, session: Session) -> None:
        """Keep a new one, and forget those that have expired by its beginning."""

    def of_digest(self, digest: str) -> Session | None:
        """The one whose secret has this sha256, expired ones included."""

    def of_user(self, user: str) -> tuple[Session, ...]:
        """Those of a user, the newest first, expired ones included."""

    def seen(self, digest: str, at: datetime) -> None:
        """Remember that it is in use."""

    def end(self, digest: str) -> None:
        """Forget it; nothing happens where there is none."""

    def end_all(self, user: str) -> int:
        """Forget all of a user; returns how many there were."""


class AuditLog(Protocol):
    """What was done; only ever added to. Each method is one transaction."""

    def record(self, deed: Deed) -> AuditEntry:
        """Add what was done, with the next number."""

    def newest(self, query: AuditQuery) -> tuple[AuditEntry, ...]:
        """What was done last of what is asked for, the newest first."""


class IdempotencyKeys(Protocol):
    """Requests that are carried out once, however often they are sent. Each method is one transaction."""

    def begin(self, request: KeyedRequest, at: datetime) -> Answered | None:
        """Say that a request is about to be carried out; what is known of it where it came before, under its key."""

    def complete(self, request: KeyedRequest, status: int, body: str) -> None:
        """Remember how a request was answered."""

    def release(self, request: KeyedRequest) -> None:
        """Forget a request that was not carried out: when it comes again, it is new."""

    def forget(self, before: datetime) -> int:
        """Forget requests that came before a time; returns how many."""
