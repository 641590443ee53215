"""Names as Debian allows them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.errors import SourceInvalid
from conveyor.formats.deb.names import deb_source_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nova", "nova"),
        ("oslo.utils", "oslo.utils"),
        ("Foo_Bar", "foo-bar"),
        ("libstdc++6", "libstdc++6"),
        ("_x y", "x-y"),
    ],
)
def test_source_names(name: str, expected: str) -> None:
    assert deb_source_name(name) == expected


@pytest.mark.parametrize("name", ["", "a", "-", "\u00e9"])
def test_names_of_which_nothing_is_left_are_refused(name: str) -> None:
    with pytest.raises(SourceInvalid, match="gives no Debian source name"):
        deb_source_name(name)


@given(st.text(min_size=1))
def test_every_result_is_a_name_that_policy_allows_and_stays_itself(name: str) -> None:
    try:
        result = deb_source_name(name)
    except SourceInvalid:
        return
    assert set(result) <= set("abcdefghijklmnopqrstuvwxyz0123456789+-.")
    assert result[0].isalnum()
    assert deb_source_name(result) == result
