"""Values of a document against their schema; what is wrong goes into the document's mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from conveyor.config.document import Document
from conveyor.config.mistakes import Loc, explain

M = TypeVar("M", bound=BaseModel)


def check(document: Document, model: type[M], raw: object, loc: Loc, context: object = None) -> M | None:
    """The part of a document at `loc` as a model; None where it has mistakes."""
    try:
        return model.model_validate(raw, context=context)
    except ValidationError as error:
        for found in error.errors(include_url=False):
            whole = (*loc, *found["loc"])
            at = whole if found["type"] == "missing" else _known(whole, document.lines)
            document.mistake(at, explain(found, model))
        return None


def given(raw: object, key: str) -> bool:
    """Whether a mapping has a value for a key, right or wrong."""
    return isinstance(raw, dict) and raw.get(key) is not None


def mapping(document: Document, key: str) -> dict[str, Any]:
    """The mapping under a key at the top; empty where that is something else. Entries left empty are mappings too."""
    raw = document.data.get(key)
    if not isinstance(raw, dict):
        return {}
    return {name: {} if value is None and (key, name) not in document.broken else value for name, value in raw.items()}


def _known(loc: Loc, lines: Mapping[Loc, int]) -> Loc:
    # Pydantic names steps inside a value that the file spells in one word.
    while loc and loc not in lines:
        loc = loc[:-1]
    return loc
