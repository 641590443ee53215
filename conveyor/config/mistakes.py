"""Mistakes in a configuration: collected, explained, and raised all at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from conveyor.errors import ConfigurationInvalid

Loc = tuple[str | int, ...]

SHOWN_MISTAKES = 200
SHOWN_NAMES = 12
SHOWN_CHARACTERS = 60
EXPECTED = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "list_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
}

KINDS = {type(None): "empty", int: "a number", float: "a number", list: "a list", dict: "a mapping"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One mistake.

    Attributes:
        source: the file's path, or the name of an environment variable.
        line: the line in the file, from 1; 0 where it is not known.
        place: the key, such as "packages.nova.upstream"; empty for the whole.
        text: what is wrong, and what would be right.
    """

    source: str
    line: int
    place: str
    text: str

    def __str__(self) -> str:
        where = f"{self.source}:{self.line}" if self.line else self.source
        return ": ".join(filter(None, [where, self.place, self.text]))


def invalid(name: str, mistakes: Iterable[Mistake]) -> ConfigurationInvalid:
    """The error that tells all mistakes at once, in the order of their lines."""
    ordered = sorted(mistakes, key=lambda mistake: (mistake.source, mistake.line))
    lines = list(dict.fromkeys(map(str, ordered)))
    count = "1 mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
    if len(lines) > SHOWN_MISTAKES:
        lines = [*lines[:SHOWN_MISTAKES], f"and {len(lines) - SHOWN_MISTAKES} more"]
    hint = "Correct each place named below and run the command again; docs/configuration.md describes every key."
    return ConfigurationInvalid(f"{name} has {count}", hint=hint, details=lines)


def place(loc: Loc) -> str:
    """A key's path for people: `("targets", "t", "repositories", 0)` is "targets.t.repositories[0]"."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{_plain(part)}"
    return text.removeprefix(".")


def show(text: str) -> str:
    """A text in quotes, cut when long, with nothing in it that a terminal would obey."""
    return repr(text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 3] + "...")


def describe(value: object) -> str:
    """A value for people."""
    if isinstance(value, str):
        return f"the text {show(value)}"
    return str(value).lower() if isinstance(value, bool) else KINDS.get(type(value), "something else")


def nearest(name: str, known: Iterable[str]) -> str:
    """A question for the nearest of the known names; empty where none is near."""
    near = difflib.get_close_matches(name, [str(other) for other in known], n=1)
    return f"did you mean {near[0]!r}?" if near else ""


def suggest(name: str, known: Iterable[str]) -> str:
    """What to write instead of a name that is not known: the nearest, or else all (of them that fit on a line)."""
    names = sorted(map(str, known))
    return nearest(name, names) or f"would be right: {listing(names)}"


def listing(names: Sequence[str]) -> str:
    """Names for people, cut where they are many."""
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return (", ".join(names[:SHOWN_NAMES]) + more) or "none, as none is known"


def explain(error: ErrorDetails, model: type[BaseModel]) -> str:
    """What Pydantic found, in words: what is wrong, and what would be right."""
    loc, kind = error["loc"], error["type"]
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if kind == "extra_forbidden":
        return f"unknown key; {suggest(str(loc[-1]), fields_at(model, loc[:-1]))}"
    if kind == "missing":
        return f"is missing; {_right(model, loc)}"
    if kind == "too_short":
        return f"is empty; {_right(model, loc)}"
    return _explain_type(error, model)


def _explain_type(error: ErrorDetails, model: type[BaseModel]) -> str:
    context, expected = error.get("ctx", {}), EXPECTED.get(error["type"])
    if "ge" in context or "le" in context:
        bound = f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
        return f"must be {bound}; {_right(model, error['loc'])}"
    if expected is None:
        return f"{error['msg']}; {_right(model, error['loc'])}"
    right = _right_type(error["input"], expected, model, error["loc"])
    return f"is {describe(error['input'])}, must be {expected}; {right}"


def fields_at(model: type[BaseModel], loc: Loc) -> dict[str, FieldInfo]:
    """The fields of the (nested) model that a location leads to."""
    for part in loc:
        if isinstance(part, str) and part in model.model_fields:
            model = _nested(model.model_fields[part].annotation) or model
    return model.model_fields


def _nested(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_nested, get_args(annotation))), None)


def _right_type(value: object, expected: str, model: type[BaseModel], loc: Loc) -> str:
    if expected == "text" and isinstance(value, (bool, int, float)):
        return "would be right: quotes around it"
    return _right(model, loc)


def _right(model: type[BaseModel], loc: Loc) -> str:
    keys = [part for part in loc if isinstance(part, str)]
    field = fields_at(model, tuple(keys[:-1])).get(keys[-1]) if keys else None
    examples = (field.examples or []) if field else []
    return f"would be right: {examples[0]}" if examples else "docs/configuration.md describes it"


def _plain(part: str) -> str:
    return part if part and part.isprintable() and not set(part) & set(" :\"'") else show(part)
