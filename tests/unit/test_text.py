"""Text that others wrote, made harmless."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.model.addresses import mailbox, mailbox_name
from conveyor.model.text import plain, plain_value, shortened


@given(st.text())
def test_plain_text_is_one_line_and_stays_as_it_is(text: str) -> None:
    made = plain(text)
    assert len(made.splitlines()) <= 1
    assert plain(made) == made
    made.encode()


def test_what_is_cut_is_told() -> None:
    assert (shortened("abcdef", 6), shortened("abcdefg", 6)) == ("abcdef", "abc...")


def test_values_keep_their_form() -> None:
    value = {"a\n": [1, 2.5, None, True, ("x\x1b[1m",)], "b": {"c": math.nan}, "d": {1}}
    assert plain_value(value) == {
        "a\N{REPLACEMENT CHARACTER}": [1, 2.5, None, True, ["x"]],
        "b": {"c": "nan"},
        "d": "{1}",
    }
    json.dumps(plain_value(value), allow_nan=False)


@pytest.mark.parametrize(
    ("text", "address", "name"),
    [
        ("ann@example.org", "ann@example.org", ""),
        ("Ann B. <ann+x@example.org>", "ann+x@example.org", "Ann B."),
        (" <ann@x> ", "ann@x", ""),
        ("ann@[192.0.2.1]", "ann@[192.0.2.1]", ""),
        ("Ann <ann@münchen.example>", "ann@xn--mnchen-3ya.example", "Ann"),
    ],
)
def test_addresses(text: str, address: str, name: str) -> None:
    assert (mailbox(text), mailbox_name(text)) == (address, name)


@pytest.mark.parametrize(
    "text",
    [
        *("", "ann", "@", "a@", "@b", "a b@c", "a..b@c", ".a@c", "a@b..c", "a@-b", "a@b,c@d", "a@b;c", '"a b"@c'),
        *("a@b\n", "a@b\r\nX: y", "x\n<a@b>", "a@b <c@d>\x00", "Ann <a@b> x", "<a@b><c@d>", "ä@b", "a@\ud800"),
        *("a" * 65 + "@b", "a@" + "b" * 300, "a@" + "ä" * 80),
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="is no mail address"):
        mailbox(text)
