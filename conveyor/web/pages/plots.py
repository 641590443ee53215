"""Small plots: where their bars are. macros.html draws them. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# The picture is 240 wide.
_PLACES = 30
_STEP = 8
_HEIGHT = 32
_LEAST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One value.

    Attributes:
        value: how much, not negative.
        label: what it is, in words.
        tone: name of its colour.
    """

    value: float
    label: str
    tone: str = "good"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A bar in its place, in the units of the picture.

    Attributes:
        bar: what it shows.
        left, top, height: where it is, and how high.
    """

    bar: Bar
    left: int
    top: int
    height: int


def bars(values: Sequence[Bar], *, places: int = _PLACES) -> list[Drawn]:
    """Bars from left to right, with room for so many; heights go by the logarithm, since values differ so much."""
    shown = values[-places:]
    most = math.log1p(max((each.value for each in shown), default=0)) or 1.0
    first = places - len(shown)
    return [_drawn(bar, place * _STEP, most) for place, bar in enumerate(shown, start=first)]


def _drawn(bar: Bar, left: int, most: float) -> Drawn:
    height = max(_LEAST, round(_HEIGHT * math.log1p(bar.value) / most))
    return Drawn(bar=bar, left=left, top=_HEIGHT - height, height=height)
