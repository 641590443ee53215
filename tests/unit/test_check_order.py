"""The check before publishing, with the formats' real comparisons."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from conveyor.errors import VersionWentBackwards
from conveyor.formats.deb import version as deb
from conveyor.formats.rpm import version as rpm
from conveyor.pipeline.check import check_order

COMPARISONS = [rpm.compare, deb.compare]


@pytest.mark.parametrize("compare", COMPARISONS)
def test_going_forward_is_fine(compare: Callable[[str, str], int]) -> None:
    check_order("1.0.0-1", [], compare)
    check_order("1.0.0-1", ["1.0.0~rc1-1", "0.9.0-7", "1.0.0-1"], compare)


@pytest.mark.parametrize("compare", COMPARISONS)
def test_going_backwards_names_the_newest_and_the_way_out(compare: Callable[[str, str], int]) -> None:
    with pytest.raises(VersionWentBackwards) as caught:
        check_order("1.0.0~rc1-1", ["0.9.0-1", "1.1.0-1", "1.0.0-1"], compare)
    assert caught.value.what == "version 1.0.0~rc1-1 sorts below 1.1.0-1, which is already published"
    assert "above 1.1.0-1" in caught.value.hint
