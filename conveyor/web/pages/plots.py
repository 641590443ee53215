"""Small plots, as SVG without styles or scripts. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

_HEIGHT = 32
_STEP = 8
_BAR = 6
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


def bars(values: Sequence[Bar], label: str, *, places: int = 30) -> Markup:
    """Bars from left to right, with room for so many; heights go by the logarithm, since values differ so much."""
    shown = values[-places:]
    most = math.log1p(max((each.value for each in shown), default=0)) or 1.0
    start = (places - len(shown)) * _STEP
    drawn = Markup("").join(_bar(each, start + number * _STEP, most) for number, each in enumerate(shown))
    return Markup(
        '<svg class="plot" viewBox="0 0 {} {}" role="img" preserveAspectRatio="none"><title>{}</title>{}</svg>'
    ).format(places * _STEP, _HEIGHT, label, drawn)


def _bar(bar: Bar, left: int, most: float) -> Markup:
    height = max(_LEAST, round(_HEIGHT * math.log1p(bar.value) / most))
    return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>').format(
        bar.tone, left, _HEIGHT - height, _BAR, height, bar.label
    )
