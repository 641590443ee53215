"""Tokens, users and the audit log, as JSON: docs/json.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from conveyor.documents import FORMAT_VERSION
from conveyor.documents.moments import iso
from conveyor.model.access import AuditEntry, Token, User


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
