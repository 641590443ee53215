"""Who may do what on the web."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Permission(StrEnum):
    """What one may be allowed to do. Each stands alone, but for `admin`, which has all of them."""

    READ = "read"  # look, where the site is not open for everybody
    VOTE = "vote"  # say what a test found on a published commit
    PROMOTE = "promote"  # move promotions, and move them back
    RETRY = "retry"  # retry, rebuild and cancel builds, poll, change their order
    ADMIN = "admin"  # all of it, and pause, resume, and look after tokens, users and the audit log


Permissions = frozenset[Permission]


class Means(StrEnum):
    """How somebody showed who it is."""

    NOBODY = "nobody"
    TOKEN = "token"  # noqa: S105 - a word, no secret
    PASSWORD = "password"  # noqa: S105 - a local user's, with each request
    SESSION = "session"
    COMMAND = "command"  # the command line, by whoever may write to the store


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks.

    Attributes:
        name: the user's or the token's name; empty for nobody.
        permissions: what it may do.
        means: how it showed who it is.
        csrf: what its pages send with each form, as acting with a session needs it; empty for other means.
    """

    name: str
    permissions: Permissions
    means: Means
    csrf: str = field(default="", repr=False)

    def may(self, permission: Permission) -> bool:
        """Whether it may do this."""
        return permission in self.permissions or Permission.ADMIN in self.permissions


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A secret that a program acts with.

    Attributes:
        name: who acts; of the tokens of one name at most one is not revoked.
        digest: sha256 of the secret, in hex; the secret itself is kept nowhere.
        permissions: what it may do.
        created_at: when it was made.
        created_by: by whom.
        expires_at: when it stops to work; None for never.
        used_at: when it last worked, give or take a minute.
        revoked_at: when it was revoked; None where it was not.
    """

    name: str
    digest: str = field(repr=False)
    permissions: Permissions
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    used_at: datetime | None = None
    revoked_at: datetime | None = None

    def works(self, at: datetime) -> bool:
        """Whether one may act with it at a time."""
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person who signs in with a password that is kept here.

    Attributes:
        name: who it is.
        password: what Argon2 made of the password.
        permissions: what it may do.
        disabled: whether it may not sign in.
        created_at: when it was made.
        changed_at: when its password was last set, or it was disabled or enabled: sessions from before have ended.
    """

    name: str
    password: str = field(repr=False)
    permissions: Permissions
    disabled: bool = False
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A person that has signed in.

    Attributes:
        digest: sha256 of the cookie's secret, in hex; the secret itself is kept nowhere.
        user: who it is.
        issuer: the URL of the provider that vouches for it; empty for a local user.
        permissions: what it may do, as the provider said at the time; of a local user its own count instead.
        created_at: when it signed in.
        seen_at: when it last asked for something, give or take a minute.
        expires_at: when it has to sign in again.
    """

    digest: str = field(repr=False)
    user: str
    issuer: str = ""
    permissions: Permissions = frozenset()
    created_at: datetime
    seen_at: datetime
    expires_at: datetime


class Result(StrEnum):
    """What became of an action."""

    DONE = "done"
    REFUSED = "refused"  # it was not allowed, or the request was wrong
    FAILED = "failed"  # through no fault of who asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What somebody did, or tried to do.

    Attributes:
        at: when it ended.
        actor: the name of who did it.
        means: how it showed who it is.
        address: the IP address that it came from; empty where there is none.
        action: what, such as `POST /api/v1/builds/{build}/retry` or `token create`.
        subject: to what, such as a build's number or a token's name.
        result: what became of it.
        detail: more of it: text, numbers, lists and objects as JSON has them.
    """

    at: datetime
    actor: str
    means: Means
    address: str = ""
    action: str
    subject: str = ""
    result: Result
    detail: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """A deed in the audit log.

    Attributes:
        number: from 1, without gaps.
        deed: what was done.
    """

    number: int
    deed: Deed


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuery:
    """Which deeds are wanted: those that fit everything that is given.

    Attributes:
        actor: of this user or token.
        action: with this text in the action.
        subject: to this.
        result: that ended so.
        since: then or later, with zone.
        before: with a lower number.
        limit: how many at most.
    """

    actor: str | None = None
    action: str | None = None
    subject: str | None = None
    result: Result | None = None
    since: datetime | None = None
    before: int | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedRequest:
    """A request that is to be carried out once, however often it is sent.

    Attributes:
        key: what its sender calls it.
        actor: the sender's name; others' keys are other requests.
        digest: sha256 of the request, in hex: another request under the same key is a mistake.
    """

    key: str
    actor: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What is known of a request.

    Attributes:
        digest: sha256 of the request, in hex.
        at: when it came.
        status: what it was answered with; None while it is being carried out, or where that was killed.
        body: the answer's body; empty until then.
    """

    digest: str
    at: datetime
    status: int | None = None
    body: str = ""
