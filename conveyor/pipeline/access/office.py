"""Where tokens and users are looked after, here or on another machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from conveyor.model.access import AuditEntry, AuditQuery, Permissions, Token, User


class Office(Protocol):
    """Makes tokens and users, takes them away, and tells of it.

    See `conveyor.pipeline.access.keeping.AccessKeeping` for what each method raises.
    """

    def tokens(self) -> tuple[Token, ...]:
        """The tokens, those that work no more included."""

    def create_token(self, name: str, permissions: Permissions, lasts: int | None) -> str:
        """Make a token; returns its secret, which nothing and nobody can tell again."""

    def revoke_token(self, name: str) -> None:
        """Let a token work no more."""

    def users(self) -> tuple[User, ...]:
        """The users that are kept here."""

    def create_user(self, name: str, permissions: Permissions, ask: Callable[[], str]) -> None:
        """Make a user; `ask` is asked for the password."""

    def set_password(self, name: str, ask: Callable[[], str]) -> None:
        """Give a user another password, for which `ask` is asked. Its sessions end."""

    def set_disabled(self, name: str, *, disabled: bool) -> None:
        """Let a user sign in no more, or again. Its sessions end."""

    def permit(self, name: str, permissions: Permissions) -> None:
        """Let a user do this and nothing else, from its next request on."""

    def delete_user(self, name: str) -> None:
        """Keep a user no more. Its sessions end; what it did stays in the audit log."""

    def sign_out(self, name: str) -> int:
        """End all sessions of a person; returns how many there were."""

    def deeds(self, query: AuditQuery) -> tuple[AuditEntry, ...]:
        """What was done last, the newest first."""
