"""Passwords of local users: Argon2id keeps them, with the parameters of its library (RFC 9106)."""

from __future__ import annotations

from functools import cached_property
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from conveyor.errors import UserError
from conveyor.pipeline.access.secrets import TOKEN_PREFIX, new_secret

# NIST SP 800-63B: length counts, and rules about characters do not.
SHORTEST = 12
LONGEST = 1024
# Each takes 64 MiB and a core for a moment.
AT_ONCE = 2


class Passwords:
    """Hashes passwords and compares them, a few at once.

    Args:
        hasher: what hashes.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._room = BoundedSemaphore(AT_ONCE)

    def hashed(self, name: str, password: str) -> str:
        """What is kept of a new password of a user.

        Raises:
            UserError: it is too short, too long, or easy to guess.
        """
        mistake = _mistake(name, password)
        if mistake:
            raise UserError(f"the password {mistake}", hint=f"take {SHORTEST} characters or more that nobody can guess")
        with self._room:
            return self._hasher.hash(password)

    def fits(self, kept: str | None, password: str) -> bool:
        """Whether a password is the one that was kept; with None it takes as long, and is not."""
        if len(password) > LONGEST:
            return False
        with self._room:
            try:
                return self._hasher.verify(kept or self._nobodys, password) and kept is not None
            except (VerificationError, InvalidHashError):
                return False

    @cached_property
    def _nobodys(self) -> str:
        return self._hasher.hash(new_secret())


def _mistake(name: str, password: str) -> str:
    if len(password) < SHORTEST:
        return f"has {len(password)} characters, fewer than {SHORTEST}"
    if len(password) > LONGEST:
        return f"has more than {LONGEST} characters"
    if password.startswith(TOKEN_PREFIX):
        return f"begins with {TOKEN_PREFIX!r}, as tokens do"
    if name.lower() in password.lower() or len(set(password)) < SHORTEST // 3:
        return "is easy to guess"
    return ""
