"""Lines of a log, made harmless for browsers: hostile bytes in, plain text with the colours that it names out.

A line's style ends with the line: what is shown of a log does not depend on where one began to read it.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from conveyor.formats.failure import SIGNS, clean
from conveyor.model.text import plain

# Of a longer line the beginning is shown, and how much more there is.
LINE_BYTES = 4096
MARKED_CHARACTERS = 1024
CARRIAGE_RETURN = "\N{SYMBOL FOR CARRIAGE RETURN}"
# ECMA-48, 8.3.117: Select Graphic Rendition.
_STYLE = re.compile(r"\x1b\[([0-9;:]{0,64})m")
_STAGE = re.compile(r"== [a-z]+ ==")
_COLOURS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_ATTRIBUTES = {1: "bold", 2: "dim", 3: "italic", 4: "underline"}
_ATTRIBUTES_OFF = {22: ("bold", "dim"), 23: ("italic",), 24: ("underline",)}
_INVERSE, _NOT_INVERSE = 7, 27
_FOREGROUND, _BACKGROUND = 38, 48
_PALETTE, _RGB = 5, 2
# Of xterm's 256 colours: 16 named ones, a cube of 6 x 6 x 6, then greys.
_NAMED, _CUBE_END, _CUBE_SIDE, _CUBE_HALF = 16, 232, 6, 3
_HALF_BYTE = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line as it is shown.

    Attributes:
        number: its number, from 1.
        offset: of its first byte in the log.
        runs: its text in pieces of one style, each with the names of CSS classes; harmless to show as text.
        mark: why it matters: "stage", "note", "error" or "cause"; empty for most.
        cut: bytes at its end that are not shown.
    """

    number: int
    offset: int
    runs: tuple[tuple[str, str], ...]
    mark: str = ""
    cut: int = 0

    @property
    def text(self) -> str:
        """Its text, without styles."""
        return "".join(text for text, _ in self.runs)

    def as_json(self) -> dict[str, Any]:
        """The line as JSON has it: docs/web.md. What says nothing is left out."""
        more: dict[str, Any] = {"mark": self.mark, "cut": self.cut}
        if any(style for _, style in self.runs):
            more["runs"] = [list(run) for run in self.runs]
        kept = {name: value for name, value in more.items() if value}
        return {"number": self.number, "offset": self.offset, "text": self.text, **kept}


def shown(raw: bytes, *, number: int, offset: int, length: int, causes: frozenset[str]) -> Line:
    """A line as it is shown.

    Args:
        raw: its beginning, without the end of line.
        number: its number.
        offset: of its first byte.
        length: how many bytes it has.
        causes: lines that the pipeline found to be why the build failed.
    """
    kept = raw[:LINE_BYTES]
    # A character that the cut goes through is left out.
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(kept, final=len(kept) == length)
    runs = tuple(_runs(text.rstrip("\r")))
    told = "".join(part for part, _ in runs)
    return Line(
        number=number, offset=offset, runs=runs or (("", ""),), mark=_mark(told, causes), cut=length - len(kept)
    )


def _mark(text: str, causes: frozenset[str]) -> str:
    said = clean(text)
    if said and said in causes:
        return "cause"
    if _STAGE.fullmatch(said):
        return "stage"
    if said.startswith("conveyor: "):
        return "note"
    return "error" if any(sign.pattern.search(said[:MARKED_CHARACTERS]) for sign in SIGNS) else ""


def _runs(text: str) -> Iterator[tuple[str, str]]:
    """Pieces of one style."""
    if "\x1b" not in text:
        if text:
            yield _harmless(text), ""
        return
    style = _Style()
    # Text and styles take turns.
    for number, piece in enumerate(_STYLE.split(text)):
        if number % 2:
            style.apply(piece)
        elif harmless := _harmless(piece):
            yield harmless, style.classes()


def _harmless(text: str) -> str:
    return plain(text.replace("\r", CARRIAGE_RETURN))


@dataclass(slots=True)
class _Style:
    """The style that is in force."""

    foreground: str = ""
    background: str = ""
    inverse: bool = False
    attributes: set[str] = field(default_factory=set)

    def apply(self, parameters: str) -> None:
        """Take up what an escape sequence says; what is unknown changes nothing."""
        codes = [int(code or "0") for code in re.split("[;:]", parameters[:64]) if len(code) <= 3]  # noqa: PLR2004
        while codes:
            code = codes.pop(0)
            if code in {_FOREGROUND, _BACKGROUND}:
                self._set_colour(_chosen(codes), code)
            else:
                self._apply(code)

    def _apply(self, code: int) -> None:
        if code == 0:
            self.foreground, self.background, self.inverse = "", "", False
            self.attributes.clear()
        elif code in _ATTRIBUTES:
            self.attributes.add(_ATTRIBUTES[code])
        elif code in _ATTRIBUTES_OFF:
            self.attributes.difference_update(_ATTRIBUTES_OFF[code])
        elif code in {_INVERSE, _NOT_INVERSE}:
            self.inverse = code == _INVERSE
        else:
            self._apply_colour(code)

    def _apply_colour(self, code: int) -> None:
        """The named colours: 30 to 37 and 90 to 97 for text, ten more for what is behind it; 39 and 49 for none."""
        tens, colour = divmod(code, 10)
        if tens in {3, 9} and colour < len(_COLOURS):
            self.foreground = _COLOURS[colour]
        elif tens in {4, 10} and colour < len(_COLOURS):
            self.background = _COLOURS[colour]
        elif code == _FOREGROUND + 1:
            self.foreground = ""
        elif code == _BACKGROUND + 1:
            self.background = ""

    def _set_colour(self, colour: str, code: int) -> None:
        if code == _FOREGROUND:
            self.foreground = colour
        else:
            self.background = colour

    def classes(self) -> str:
        """Names of CSS classes. What has a colour behind it has no other: together they might not be readable."""
        behind = self.background or (self.foreground or "white" if self.inverse else "")
        colour = f"ansi-on-{behind}" if behind else f"ansi-{self.foreground}" if self.foreground else ""
        named = [f"ansi-{name}" for name in sorted(self.attributes)]
        return " ".join([*named, *([colour] if colour else [])])


def _chosen(codes: list[int]) -> str:
    """The named colour that is nearest to one of many, whose codes are taken from the list."""
    kind = codes.pop(0) if codes else 0
    if kind == _PALETTE and codes:
        return _of_palette(codes.pop(0))
    if kind == _RGB and len(codes) >= 3:  # noqa: PLR2004
        red, green, blue = (codes.pop(0) >= _HALF_BYTE for _ in range(3))
        return _COLOURS[red + 2 * green + 4 * blue]
    return ""


def _of_palette(code: int) -> str:
    if code < _NAMED:
        return _COLOURS[code % 8]
    if code >= _CUBE_END:
        return ""
    rest, blue = divmod(code - _NAMED, _CUBE_SIDE)
    red, green = divmod(rest, _CUBE_SIDE)
    bits: Sequence[bool] = [part >= _CUBE_HALF for part in (red, green, blue)]
    return _COLOURS[bits[0] + 2 * bits[1] + 4 * bits[2]]
