"""Column types that hold the same values in SQLite and in PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, Text
from sqlalchemy.types import TypeDecorator

# PostgreSQL refuses NUL, and neither database can encode half of a surrogate pair.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)


def harmless(text: str) -> str:
    """The text with each character that no database can hold replaced by U+FFFD."""
    return _UNSTORABLE.sub(_REPLACEMENT, text)


def harmless_json(value: object) -> object:
    """A value as JSON gives it back: its text harmless, its sequences lists."""
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, Mapping):
        return harmless_object(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [harmless_json(each) for each in value]
    return value


def harmless_object(value: Mapping[str, object]) -> dict[str, object]:
    """An object as JSON gives it back."""
    return {harmless(name): harmless_json(each) for name, each in value.items()}


def utc(moment: datetime) -> datetime:
    """The same moment in UTC; the nearest there is for one beyond the years 1 to 9999 (commit dates are hostile).

    Raises:
        ValueError: it has no zone.
    """
    if moment.utcoffset() is None:
        raise ValueError(f"{moment.isoformat()} has no time zone")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return _FIRST if moment.year == _FIRST.year else _LAST


class HarmlessText(TypeDecorator[str]):
    """Text of any origin, made storable."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Clean on the way in."""
        return None if value is None else harmless(value)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment. It goes in with any zone and comes back in UTC; one without zone is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """SQLite drops the zone, so what it drops must be UTC."""
        return None if value is None else utc(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None] | None:
        """SQLite gives text without zone, and pages read hundreds of moments: in one step, not in three."""
        return _of_sqlite if dialect.name == "sqlite" else super().result_processor(dialect, coltype)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """PostgreSQL gives the session's zone."""
        return None if value is None else value.astimezone(UTC)


def _of_sqlite(written: str | None) -> datetime | None:
    return None if written is None else datetime.fromisoformat(f"{written}+00:00")
