"""Durations and sizes as people write them."""

from __future__ import annotations

import pytest

from conveyor.config import parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("7d", 604800), ("45", 45), ("2147483647", 2**31 - 1)],
)
def test_duration(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512M", 512 * 2**20),
        ("4G", 4 * 2**30),
        ("1K", 1024),
        ("1T", 2**40),
        ("4096", 4096),
        ("8388607T", 8388607 * 2**40),
    ],
)
def test_size(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "m", "0", "0m", "-3m", "1.5h", "3 m", "30M", "1h30m", "2147483648", "99999d", "٣m", "3m\n", "9" * 5000]
)
def test_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration; would be right: 30m, 90s, 2h or 7d"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "G", "0G", "-1G", "4g", "4GB", "1.5G", "8388608T", "9223372036854775808", "4G "])
def test_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is no size; would be right: 512M or 4G"):
        parse_size(text)
