"""How builds stand, as pages show it: a word and a shape. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from conveyor.model.build import Build, Outcome, State
from conveyor.pipeline.explaining.build import standing

NOT_BUILT = "not built"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How something stands.

    Attributes:
        word: in a word or two.
        symbol: name of the shape beside it; each looks different without colour, too.
        tone: name of its colour.
    """

    word: str
    symbol: str
    tone: str


NONE = Mark(word=NOT_BUILT, symbol="dash", tone="quiet")
_MARKS = {
    Outcome.SUCCEEDED.value: Mark(word="succeeded", symbol="check", tone="good"),
    Outcome.FAILED.value: Mark(word="failed", symbol="cross", tone="bad"),
    Outcome.ERRORED.value: Mark(word="errored", symbol="warning", tone="warn"),
    Outcome.CANCELLED.value: Mark(word="cancelled", symbol="stop", tone="quiet"),
    Outcome.SUPERSEDED.value: Mark(word="superseded", symbol="skip", tone="quiet"),
    State.QUEUED.value: Mark(word="queued", symbol="clock", tone="quiet"),
    State.RUNNING.value: Mark(word="running", symbol="half", tone="busy"),
    "being cancelled": Mark(word="being cancelled", symbol="stop", tone="busy"),
}
# Of these a person has to do something.
BROKEN = (Outcome.FAILED, Outcome.ERRORED)
STATES = (*(each.value for each in Outcome), State.QUEUED.value, State.RUNNING.value)


def mark_of(build: Build | None) -> Mark:
    """How a build stands; None for none."""
    return NONE if build is None else _MARKS[standing(build)]


def mark(word: str | None) -> Mark:
    """The mark of an outcome or a state; None is one that runs."""
    return _MARKS.get(word or State.RUNNING.value, NONE)
