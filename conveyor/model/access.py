"""Who may do what on the web."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Permission(StrEnum):
    """What one may be allowed to do. Each stands alone, but for `admin`, which has all of them."""

    READ = "read"  # look, where the site is not open for everybody
    VOTE = "vote"  # say what a test found on a published commit
    PROMOTE = "promote"  # move promotions, and move them back
    RETRY = "retry"  # retry, rebuild and cancel builds, poll, change their order
    ADMIN = "admin"  # all of it, and pause, resume, and look after tokens, users and the audit log


class Means(StrEnum):
    """How somebody showed who it is."""

    NOBODY = "nobody"
    TOKEN = "token"  # noqa: S105 - a word, no secret
    SESSION = "session"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks.

    Attributes:
        name: the user's or the token's name; empty for nobody.
        permissions: what it may do.
        means: how it showed who it is.
    """

    name: str
    permissions: frozenset[Permission]
    means: Means

    def may(self, permission: Permission) -> bool:
        """Whether it may do this."""
        return permission in self.permissions or Permission.ADMIN in self.permissions
