"""Moments, as JSON has them."""

from __future__ import annotations

from datetime import datetime


def iso(moment: datetime | None) -> str | None:
    """ISO 8601 with the offset from UTC; None for none."""
    return moment.isoformat() if moment else None


def moment(text: str | None) -> datetime | None:
    """The moment that a text says; None for none."""
    return None if text is None else datetime.fromisoformat(text)
