"""Durations and sizes as people write them."""

from __future__ import annotations

import re

SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
BYTES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
# What a signed 32-bit time and a signed 64-bit size can hold: kernels and databases take no more.
MAX_SECONDS = 2**31 - 1
MAX_BYTES = 2**63 - 1
MAX_DIGITS = 19
NEVER = "never"


def parse_duration(text: str) -> int:
    """Seconds in "90s", "30m", "2h" or "7d"; a number alone is seconds.

    Raises:
        ValueError: the text is no duration, is zero, or is longer than 2^31 seconds.
    """
    return _parse(text, units=SECONDS, maximum=MAX_SECONDS, what="duration", right="30m, 90s, 2h or 7d")


def parse_lifetime(text: str) -> int | None:
    """Seconds, as parse_duration has them; None for "never".

    Raises:
        ValueError: as parse_duration has it.
    """
    return None if text == NEVER else parse_duration(text)


def parse_size(text: str) -> int:
    """Bytes in "512M" or "4G", in powers of 1024; a number alone is bytes.

    Raises:
        ValueError: the text is no size, is zero, or is larger than 2^63 bytes.
    """
    return _parse(text, units=BYTES, maximum=MAX_BYTES, what="size", right="512M or 4G")


def _parse(text: str, *, units: dict[str, int], maximum: int, what: str, right: str) -> int:
    letters = "".join(units)
    match = re.fullmatch(rf"([0-9]{{1,{MAX_DIGITS}}})([{letters}]?)", text)
    value = int(match[1]) * units[match[2]] if match else 0
    if not 0 < value <= maximum:
        raise ValueError(f"{text[:40]!r} is no {what}; would be right: {right}")
    return value
