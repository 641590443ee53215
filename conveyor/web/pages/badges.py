"""Badges: how a package stands, as a small picture for its README."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Response

from conveyor.model.build import Outcome, State
from conveyor.web.overview import Looked
from conveyor.web.pages.answer import SVG, Show
from conveyor.web.pages.states import NOT_BUILT

# Colours with enough contrast to white, by how it stands; the worst comes first.
COLOURS = {
    Outcome.FAILED.value: "#b3261e",
    Outcome.ERRORED.value: "#8a4b00",
    Outcome.CANCELLED.value: "#5b6067",
    Outcome.SUPERSEDED.value: "#5b6067",
    State.RUNNING.value: "#0b57a4",
    State.QUEUED.value: "#5b6067",
    NOT_BUILT: "#5b6067",
    Outcome.SUCCEEDED.value: "#1a6b3a",
}
_LETTER = 6.4
_ROOM = 12

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Badge:
    """A badge.

    Attributes:
        label: what it is about.
        word: how that stands.
        split: where its left part ends, in pixels.
        width: in pixels.
        colour: of its right part.
    """

    label: str
    word: str
    split: int
    width: int
    colour: str


@router.get("/packages/{name}/badge.svg")
def of_package(name: str, pages: Show, look: Looked) -> Response:
    """How a package stands on the target where it stands worst."""
    package = pages.site.repos.package(name)
    words = [_word(look, name, target) for target in package.targets]
    worst = min(words, key=[*COLOURS].index, default=NOT_BUILT)
    return pages.answer(pages.render("badge.svg", badge=badge(name, worst)), SVG)


@router.get("/packages/{name}/{target}/badge.svg")
def of_target(name: str, target: str, pages: Show, look: Looked) -> Response:
    """How a package stands on a target."""
    package, on = pages.site.repos.package(name), pages.site.repos.target(target)
    word = _word(look, package.name, on.name)
    return pages.answer(pages.render("badge.svg", badge=badge(f"{package.name} on {on.name}", word)), SVG)


def badge(label: str, word: str) -> Badge:
    """A badge with room for its words."""
    split = round(len(label) * _LETTER) + _ROOM
    width = split + round(len(word) * _LETTER) + _ROOM
    return Badge(label=label, word=word, split=split, width=width, colour=COLOURS[word])


def _word(look: Looked, name: str, target: str) -> str:
    cell = look.cells.get((name, target))
    return NOT_BUILT if cell is None else (cell.shown.outcome or cell.shown.state).value
