"""What is known of a key that signs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

EXPIRES_SOON = timedelta(days=30)


class KeyState(StrEnum):
    """Whether a key can sign."""

    GOOD = "good"
    EXPIRED = "expired"
    REVOKED = "revoked"
    DISABLED = "disabled"
    PUBLIC = "public only"  # its private half is not there
    UNFIT = "not made for signing"  # only a subkey of it is; some clients know only the primary key's signatures


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A key of the publisher's home.

    Attributes:
        fingerprint: 40 hex digits, of the primary key.
        owner: its first user id.
        state: whether it can sign.
        made_at: when it was made.
        expires_at: when it expires; None for never.
    """

    fingerprint: str
    owner: str
    state: KeyState
    made_at: datetime
    expires_at: datetime | None

    def expires_soon(self, now: datetime) -> bool:
        """Whether it is time to think of the next one."""
        return self.expires_at is not None and self.expires_at - now < EXPIRES_SOON
