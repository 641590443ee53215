"""Tokens, users, sessions and deeds for tests."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from conveyor.model.access import Deed, KeyedRequest, Means, Permission, Result, Session, Token, User
from tests.fakes.store_samples import NOON

HASH = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo"


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def token(name: str, secret: str = "", *permissions: Permission, at: datetime = NOON) -> Token:
    return Token(
        name=name,
        digest=digest(secret or name),
        permissions=frozenset(permissions or (Permission.VOTE,)),
        created_at=at,
        created_by="root",
    )


def user(name: str, *permissions: Permission) -> User:
    return User(
        name=name,
        password=HASH,
        permissions=frozenset(permissions or (Permission.RETRY,)),
        created_at=NOON,
        changed_at=NOON,
    )


def session(secret: str, name: str = "ada", at: datetime = NOON, hours: int = 12) -> Session:
    return Session(digest=digest(secret), user=name, created_at=at, seen_at=at, expires_at=at + timedelta(hours=hours))


def deed(actor: str = "ci", action: str = "POST /votes", subject: str = "abc", result: Result = Result.DONE) -> Deed:
    return Deed(at=NOON, actor=actor, means=Means.TOKEN, action=action, subject=subject, result=result)


def request(key: str = "k", actor: str = "ci", content: str = "x") -> KeyedRequest:
    return KeyedRequest(key=key, actor=actor, digest=digest(content))
