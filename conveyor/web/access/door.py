"""Finds out who asks."""

from __future__ import annotations

import hashlib
import hmac
import secrets as random
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from threading import Lock

from starlette.requests import HTTPConnection

from conveyor.errors import DiskFull, NotRecognized, StoreUnusable
from conveyor.model.access import Means, Permission, Permissions, Principal, Session, Token, User
from conveyor.pipeline.access import secrets
from conveyor.pipeline.access.passwords import Passwords
from conveyor.web.access import cookies
from conveyor.web.access.addresses import address_of
from conveyor.web.access.credentials import Credentials, parse
from conveyor.web.access.tries import FailedTries
from conveyor.web.site import Site

# When something was last used is told so exactly: more would be a write with each request.
USED_EVERY = timedelta(minutes=1)
# For so long, in seconds, a password that fitted is not hashed again: programs send it with every request.
FITS_FOR = 300.0
_FITTING = 1000
_WRONG = "the name or the password is wrong"


class Door:
    """Finds out who asks, and remembers who tried in vain. One for each process.

    Args:
        passwords: hashes and compares passwords, a few at once.
        now: seconds that only rise.
    """

    def __init__(self, passwords: Passwords | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self.passwords = passwords or Passwords()
        self._now = now
        self._key = random.token_bytes(32)
        self._fitting: OrderedDict[bytes, float] = OrderedDict()
        self._lock = Lock()
        self.tries = FailedTries(now)

    def asking(self, site: Site, request: HTTPConnection) -> Principal:
        """Who asks.

        Raises:
            NotRecognized: it showed something that nobody has, or that works no more.
            TooManyTries: too many tries from its address or with its name have failed.
        """
        header = request.headers.get("authorization")
        if header is not None:
            return self._by_credentials(site, parse(header), address_of(request, site.settings.web.trusted_proxies))
        secret = cookies.read(request, site.settings, cookies.SESSION)
        return (self._by_session(site, secret) if secret else None) or nobody(site)

    def user(self, site: Site, name: str, password: str, address: str) -> User:
        """The local user of this name and password.

        Raises:
            NotRecognized: there is none, or it may not sign in.
            TooManyTries: too many tries from its address or with its name have failed.
        """
        user = site.conveyor.users.find(name)
        kept = user.password if user and not user.disabled else None
        proof = hmac.digest(self._key, f"{kept}\0{password}".encode("utf-8", "replace"), hashlib.sha256)
        if user and kept and self._fitted(proof):
            return user
        self.tries.require_room(address, name)
        if self.passwords.fits(kept, password) and user:
            self._remember(proof)
            return user
        self.tries.failed(address, name)
        raise NotRecognized(_WRONG)

    def _by_credentials(self, site: Site, given: Credentials, address: str) -> Principal:
        if given.name is None or given.secret.startswith(secrets.TOKEN_PREFIX):
            return self._by_token(site, given, address)
        user = self.user(site, given.name, given.secret, address)
        return Principal(name=user.name, permissions=_allowed(user.permissions), means=Means.PASSWORD)

    def _by_token(self, site: Site, given: Credentials, address: str) -> Principal:
        digest = secrets.digest(given.secret)
        token = site.conveyor.tokens.of_digest(digest)
        if token is None or not secrets.same(token.digest, digest) or given.name not in {None, token.name}:
            # Nobody guesses so many bits; who tries is told to stop all the same.
            self.tries.failed(address)
            self.tries.require_room(address)
            raise NotRecognized(
                "nobody has this token", hint="check that it was copied whole; 'conveyor token create' makes another"
            )
        now = site.conveyor.clock.now()
        if not token.works(now):
            raise _works_no_more(token)
        if _is_due(token.used_at, now):
            # What cannot be noted keeps nobody from looking.
            with suppress(DiskFull, StoreUnusable):
                site.conveyor.tokens.used(digest, now)
        return Principal(name=token.name, permissions=_allowed(token.permissions), means=Means.TOKEN)

    def _by_session(self, site: Site, secret: str) -> Principal | None:
        digest = secrets.digest(secret)
        session = site.conveyor.sessions.of_digest(digest)
        now = site.conveyor.clock.now()
        if session is None or not secrets.same(session.digest, digest) or now >= session.expires_at:
            return None
        permissions = _of_person(site, session) if session.issuer else _of_local(site, session)
        if not permissions:
            return None
        if _is_due(session.seen_at, now):
            with suppress(DiskFull, StoreUnusable):
                site.conveyor.sessions.seen(digest, now)
        return Principal(
            name=session.user,
            permissions=_allowed(permissions),
            means=Means.SESSION,
            csrf=secrets.csrf_of(secret),
        )

    def _fitted(self, proof: bytes) -> bool:
        with self._lock:
            return self._fitting.get(proof, 0.0) > self._now()

    def _remember(self, proof: bytes) -> None:
        with self._lock:
            self._fitting[proof] = self._now() + FITS_FOR
            self._fitting.move_to_end(proof)
            while len(self._fitting) > _FITTING:
                self._fitting.popitem(last=False)


def shows_nothing(site: Site, request: HTTPConnection) -> bool:
    """Whether a request says nothing of who asks, so that nothing needs to be looked up."""
    return "authorization" not in request.headers and not cookies.read(request, site.settings, cookies.SESSION)


def nobody(site: Site) -> Principal:
    """Who says nothing of who it is."""
    permissions = frozenset({Permission.READ}) if site.settings.web.open else frozenset[Permission]()
    return Principal(name="", permissions=permissions, means=Means.NOBODY)


def _allowed(permissions: Permissions) -> Permissions:
    """Who may do anything may look."""
    return permissions | {Permission.READ} if permissions else permissions


def _of_person(site: Site, session: Session) -> Permissions:
    """What somebody may do whom a provider vouches for; nothing where that is no more the site's."""
    oidc = site.settings.web.oidc
    return session.permissions if oidc and oidc.issuer == session.issuer else frozenset()


def _of_local(site: Site, session: Session) -> Permissions:
    """What a local user may do now; nothing where its session ended with its password."""
    user = site.conveyor.users.find(session.user)
    if user is None or user.disabled or session.created_at < user.changed_at:
        return frozenset()
    return user.permissions


def _is_due(last: datetime | None, now: datetime) -> bool:
    return last is None or now - last >= USED_EVERY


def _works_no_more(token: Token) -> NotRecognized:
    ended = f"revoked at {token.revoked_at}" if token.revoked_at else f"good until {token.expires_at}"
    return NotRecognized(
        f"the token {token.name} works no more",
        cause=f"it was {ended}",
        hint=f"an administrator can make another: conveyor token create {token.name}",
    )
