"""Small plots of bars. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

PLACES = 30
_WIDTH = 240
_HEIGHT = 32
_GAP = 2
_LEAST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One value.

    Attributes:
        value: how much, not negative.
        label: what it is, in words.
        tone: name of its colour, one of our own.
    """

    value: float
    label: str
    tone: str = "good"


def plot(values: Sequence[Bar], label: str, places: int = PLACES) -> Markup:
    """Bars from left to right, with room for so many; heights go by the logarithm, since values differ so much."""
    shown, step = values[-places:], _WIDTH // places
    most = math.log1p(max((each.value for each in shown), default=0)) or 1.0
    bars = [_drawn(bar, place * step, step - _GAP, most) for place, bar in enumerate(shown, start=places - len(shown))]
    return Markup(  # noqa: S704 - what is no number is escaped, or ours
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" preserveAspectRatio="none">'
        f"<title>{escape(label)}</title>{''.join(bars)}</svg>"
    )


def _drawn(bar: Bar, left: int, width: int, most: float) -> str:
    height = max(_LEAST, round(_HEIGHT * math.log1p(bar.value) / most))
    place = f'x="{left}" y="{_HEIGHT - height}" width="{width}" height="{height}"'
    return f'<rect class="{bar.tone}" {place}><title>{escape(bar.label)}</title></rect>'
