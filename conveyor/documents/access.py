"""Tokens, users and the audit log, as JSON: docs/json.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from conveyor.documents import FORMAT_VERSION
from conveyor.documents.moments import iso, moment
from conveyor.model.access import AuditEntry, Deed, Means, Permission, Permissions, Result, Token, User


def tokens_as_json(found: Sequence[Token], now: datetime) -> dict[str, Any]:
    """The tokens in a documented form: docs/json.md."""
    return {"format_version": FORMAT_VERSION, "tokens": [_token_as_json(token, now) for token in found]}


def token_state(token: Token, now: datetime) -> str:
    """Whether it works, in a word."""
    if token.revoked_at is not None:
        return "revoked"
    return "works" if token.works(now) else "expired"


def users_as_json(found: Sequence[User]) -> dict[str, Any]:
    """The users in a documented form: docs/json.md."""
    return {"format_version": FORMAT_VERSION, "users": [_user_as_json(user) for user in found]}


def audit_as_json(found: Sequence[AuditEntry]) -> dict[str, Any]:
    """What was done, in a documented form: docs/json.md."""
    return {"format_version": FORMAT_VERSION, "entries": [_entry_as_json(entry) for entry in found]}


def tokens_from_json(document: Mapping[str, Any]) -> tuple[Token, ...]:
    """What a document says of tokens. What is kept of their secrets it does not tell."""
    return tuple(
        Token(
            name=each["name"],
            digest="",
            permissions=_permissions(each["may"]),
            created_at=datetime.fromisoformat(each["created_at"]),
            created_by=each["created_by"],
            expires_at=moment(each["expires_at"]),
            used_at=moment(each["used_at"]),
            revoked_at=moment(each["revoked_at"]),
        )
        for each in document["tokens"]
    )


def users_from_json(document: Mapping[str, Any]) -> tuple[User, ...]:
    """What a document says of users. What is kept of their passwords it does not tell."""
    return tuple(
        User(
            name=each["name"],
            password="",
            permissions=_permissions(each["may"]),
            disabled=each["disabled"],
            created_at=datetime.fromisoformat(each["created_at"]),
            changed_at=datetime.fromisoformat(each["changed_at"]),
        )
        for each in document["users"]
    )


def deeds_from_json(document: Mapping[str, Any]) -> tuple[AuditEntry, ...]:
    """What a document says was done."""
    return tuple(
        AuditEntry(
            number=each["number"],
            deed=Deed(
                at=datetime.fromisoformat(each["at"]),
                actor=each["actor"],
                means=Means(each["means"]),
                address=each["address"] or "",
                action=each["action"],
                subject=each["subject"] or "",
                result=Result(each["result"]),
                detail=each["detail"],
            ),
        )
        for each in document["entries"]
    )


def _permissions(words: Sequence[str]) -> Permissions:
    return frozenset(Permission(word) for word in words)


def _token_as_json(token: Token, now: datetime) -> Mapping[str, Any]:
    return {
        "name": token.name,
        "may": sorted(token.permissions),
        "state": token_state(token, now),
        "created_at": token.created_at.isoformat(),
        "created_by": token.created_by,
        "expires_at": iso(token.expires_at),
        "used_at": iso(token.used_at),
        "revoked_at": iso(token.revoked_at),
    }


def _user_as_json(user: User) -> Mapping[str, Any]:
    return {
        "name": user.name,
        "may": sorted(user.permissions),
        "disabled": user.disabled,
        "created_at": user.created_at.isoformat(),
        "changed_at": user.changed_at.isoformat(),
    }


def _entry_as_json(entry: AuditEntry) -> Mapping[str, Any]:
    deed = entry.deed
    return {
        "number": entry.number,
        "at": deed.at.isoformat(),
        "actor": deed.actor,
        "means": deed.means,
        "address": deed.address or None,
        "action": deed.action,
        "subject": deed.subject or None,
        "result": deed.result,
        "detail": dict(deed.detail),
    }
