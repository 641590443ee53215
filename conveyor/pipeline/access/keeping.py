"""Tokens and users are made and taken away here, and whoever keeps the audit log hears of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from conveyor.errors import ConveyorError, Fault, NotPossible, UnknownName, UserError
from conveyor.model.access import AuditEntry, AuditQuery, Deed, Means, Permission, Permissions, Result, Token, User
from conveyor.pipeline.access import secrets
from conveyor.pipeline.access.passwords import Passwords
from conveyor.ports import AuditLog, Clock, Sessions, Tokens, Users

# A colon would end the name in HTTP's Basic: RFC 7617.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")


class AccessKeeping:
    """Makes tokens and users, and takes them away.

    Args:
        tokens: the tokens.
        users: the local users.
        sessions: who has signed in.
        audit: what was done.
        tell: hears of everything.
        clock: the time.
        passwords: what hashes passwords.
        actor: who does it.
        means: how that is known.

    Every method raises StoreUnusable when the store fails.
    """

    def __init__(
        self,
        *,
        tokens: Tokens,
        users: Users,
        sessions: Sessions,
        audit: AuditLog,
        tell: Callable[[Deed], object],
        clock: Clock,
        passwords: Passwords,
        actor: str,
        means: Means = Means.COMMAND,
    ) -> None:
        self._tokens = tokens
        self._users = users
        self._sessions = sessions
        self._audit = audit
        self._tell = tell
        self._clock = clock
        self._passwords = passwords
        self._actor = actor
        self._means = means

    def tokens(self) -> tuple[Token, ...]:
        """The tokens, those that work no more included."""
        return self._tokens.all()

    def users(self) -> tuple[User, ...]:
        """The users that are kept here."""
        return self._users.all()

    def deeds(self, query: AuditQuery) -> tuple[AuditEntry, ...]:
        """What was done last, the newest first."""
        return self._audit.newest(query)

    def create_token(self, name: str, permissions: Permissions, lasts: int | None) -> str:
        """Make a token; returns its secret, which nothing and nobody can tell again.

        Args:
            name: its name.
            permissions: what it may do.
            lasts: seconds until it expires; None for never.

        Raises:
            UserError: the name is none, or it would be allowed nothing.
            NotPossible: a token or a user is called so.
        """
        _require_name(name)
        _require_some(permissions)
        secret = secrets.new_token()
        now = self._clock.now()
        with self._told("token create", name, {"may": sorted(permissions), "lasts": lasts}):
            if self._users.find(name):
                raise NotPossible(f"a user is called {name!r}", hint="call the token otherwise: the ledger tells names")
            self._tokens.add(
                Token(
                    name=name,
                    digest=secrets.digest(secret),
                    permissions=permissions,
                    created_at=now,
                    created_by=self._actor,
                    expires_at=None if lasts is None else now + timedelta(seconds=lasts),
                )
            )
        return secret

    def revoke_token(self, name: str) -> None:
        """Let a token work no more.

        Raises:
            UnknownName: there is none of this name that works.
        """
        with self._told("token revoke", name):
            self._tokens.revoke(name, self._clock.now())

    def create_user(self, name: str, permissions: Permissions, ask: Callable[[], str]) -> None:
        """Make a user; `ask` is asked for the password, once all else is right.

        Raises:
            UserError: the name or the password is none.
            NotPossible: a token or a user is called so.
        """
        _require_name(name)
        if any(token.name == name and token.revoked_at is None for token in self._tokens.all()):
            raise NotPossible(f"a token is called {name!r}", hint="call the user otherwise: the ledger tells names")
        kept = self._passwords.hashed(name, ask())
        now = self._clock.now()
        with self._told("user create", name, {"may": sorted(permissions)}):
            self._users.add(User(name=name, password=kept, permissions=permissions, created_at=now, changed_at=now))

    def set_password(self, name: str, ask: Callable[[], str]) -> None:
        """Give a user another password, for which `ask` is asked. Its sessions end.

        Raises:
            UserError: the password is none.
            UnknownName: there is no such user.
        """
        kept = self._passwords.hashed(name, ask())
        with self._told("user password", name):
            self._known(name)
            self._users.set_password(name, kept, self._clock.now())
            self._sessions.end_all(name)

    def set_disabled(self, name: str, *, disabled: bool) -> None:
        """Let a user sign in no more, or again. Its sessions end.

        Raises:
            UnknownName: there is no such user.
            NotPossible: it would disable itself.
        """
        with self._told("user disable" if disabled else "user enable", name):
            if disabled:
                self._require_another(name)
            self._known(name)
            self._users.set_disabled(name, self._clock.now(), disabled=disabled)
            self._sessions.end_all(name)

    def permit(self, name: str, permissions: Permissions) -> None:
        """Let a user do this and nothing else. Its sessions go on with it: it counts from the next request on.

        Raises:
            UserError: it would be allowed nothing.
            UnknownName: there is no such user.
            NotPossible: an administrator would be none any more by its own doing.
        """
        _require_some(permissions)
        detail: dict[str, object] = {"may": sorted(permissions)}
        with self._told("user permit", name, detail):
            if Permission.ADMIN not in permissions:
                self._require_another(name)
            detail["before"] = sorted(self._known(name).permissions)
            self._users.set_permissions(name, permissions)

    def delete_user(self, name: str) -> None:
        """Keep a user no more. Its sessions end; what it did stays in the audit log, and its name is free.

        Raises:
            UnknownName: there is no such user.
            NotPossible: it would delete itself.
        """
        detail: dict[str, object] = {}
        with self._told("user delete", name, detail):
            self._require_another(name)
            detail["may"] = sorted(self._known(name).permissions)
            self._users.delete(name)
            self._sessions.end_all(name)

    def sign_out(self, name: str) -> int:
        """End all sessions of a person, whoever vouches for it; returns how many there were."""
        with self._told("user sign-out", name):
            return self._sessions.end_all(name)

    def _known(self, name: str) -> User:
        """The user of this name; of somebody whom a provider vouches for, it is told where to look instead."""
        user = self._users.find(name)
        if user is not None:
            return user
        issuers = sorted({session.issuer for session in self._sessions.of_user(name) if session.issuer})
        raise UnknownName(
            f"there is no user called {name!r}",
            cause=f"{name} signs in with a provider, {', '.join(issuers)}" if issuers else "",
            hint="[web.oidc.groups] says what its groups may do" if issuers else "'conveyor user list' shows them",
        )

    def _require_another(self, name: str) -> None:
        """See that nobody locks itself out: so whoever acts as an administrator stays one, and there always is one."""
        if name == self._actor and self._means is not Means.COMMAND:
            raise NotPossible(
                f"{name} is who asks, and would lose what this needs", hint="another administrator can do it"
            )

    @contextmanager
    def _told(self, action: str, subject: str, detail: dict[str, object] | None = None) -> Iterator[None]:
        """Tell of what the block does, however it ends; of `detail`, what it has then."""
        told = {} if detail is None else detail
        result = Result.DONE
        try:
            yield
        except ConveyorError as error:
            result = Result.REFUSED if error.fault is Fault.USER else Result.FAILED
            told["error"] = error.summary
            raise
        finally:
            deed = Deed(
                at=self._clock.now(),
                actor=self._actor,
                means=self._means,
                action=action,
                subject=subject,
                result=result,
                detail=told,
            )
            self._tell(deed)


def is_name(text: str) -> bool:
    """Whether a token or a user may be called so."""
    return _NAME.fullmatch(text) is not None


def _require_name(name: str) -> None:
    if not is_name(name):
        raise UserError(
            f"{name!r} is no name",
            hint="letters, digits, and '.', '_', '@', '+', '-' within; at most 100; such as tempest-ci",
        )


def _require_some(permissions: Permissions) -> None:
    if not permissions:
        raise UserError("it would be allowed nothing", hint="say what it may do: 'vote', say, or 'read' to look")
