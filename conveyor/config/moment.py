"""Times as people write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from conveyor.errors import UserError

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_AGO = re.compile(r"(.+?)\s+ago")
_RIGHT = "would be right: 2026-11-21, 2026-11-21T14:30, 2026-11-21T14:30+02:00, 2026-11-21T12:30Z, '90m ago', '2d ago'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A time that somebody wrote.

    Attributes:
        at: the time, with zone.
        local: whether no zone was written, so that it was taken as local time.
    """

    at: datetime
    local: bool


def moment_of(text: str, now: datetime) -> Moment:
    """The time that a text says: ISO 8601, a date alone for the end of that day, or a duration "ago".

    Raises:
        UserError: it says none.
    """
    try:
        ago = _AGO.fullmatch(text.strip())
        if ago:
            return Moment(at=now - timedelta(seconds=_seconds(ago[1])), local=False)
        if _DATE.fullmatch(text):
            return Moment(at=datetime.combine(date.fromisoformat(text), time.max).astimezone(), local=True)
        said = datetime.fromisoformat(text)
        return Moment(at=said.astimezone(), local=said.tzinfo is None)
    except (ValueError, OverflowError, OSError) as error:
        raise UserError(f"{text!r} is no time", hint=_RIGHT) from error


def _seconds(text: str) -> int:
    # Here, because it takes longer to import than `--help` takes.
    from conveyor.config.human import parse_duration  # noqa: PLC0415

    return parse_duration(text)
