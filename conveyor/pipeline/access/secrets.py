"""Secrets that let somebody in, and what is kept of them."""

from __future__ import annotations

import hashlib
import hmac
import secrets

# Scanners for leaked secrets find tokens by it: docs/web.md has the pattern.
TOKEN_PREFIX = "cvy_"  # noqa: S105 - what secrets begin with
_BYTES = 32


def new_token() -> str:
    """A token's secret."""
    return TOKEN_PREFIX + secrets.token_urlsafe(_BYTES)


def new_secret() -> str:
    """The secret of a session."""
    return secrets.token_urlsafe(_BYTES)


def digest(secret: str) -> str:
    """What is kept of a secret, in hex: nobody can guess so many bits, so a quick hash will do."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def csrf_of(secret: str) -> str:
    """What the forms of a session send along. It follows from the cookie's secret, so it is kept nowhere."""
    return hmac.new(secret.encode(), b"csrf", hashlib.sha256).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two texts are the same, in a time that tells nothing of where they differ."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))
