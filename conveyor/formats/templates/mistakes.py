"""What goes wrong while a template is rendered, told with file, line, cause and the way out."""

from __future__ import annotations

import difflib
import re
import traceback
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

from jinja2 import TemplateError, TemplateNotFound, TemplateSyntaxError

from conveyor.errors import SourceInvalid, TemplateInvalid
from conveyor.formats.templates.variables import PackageFacts, TargetFacts

# All that a template's mistakes raise: Jinja2's errors, Python's for what expressions do to values, and those of the
# functions that templates call.
_MISTAKES = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    SourceInvalid,
    TypeError,
    ValueError,
)
_UNDEFINED_VARIABLE = re.compile(r"'([^']*)' is undefined")
_UNDEFINED_ATTRIBUTE = re.compile(r"has no attribute '([^']*)'")
_ATTRIBUTES = tuple(field.name for facts in (PackageFacts, TargetFacts) for field in fields(facts))
_MODULE_PREFIX = re.compile(r"\b(?:[a-z_]+\.)+(?=[A-Z])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a template could have meant.

    Attributes:
        labels: what errors call the templates.
        templates: the names under which they include each other.
        variables: the names of all variables and functions.
    """

    labels: Collection[str]
    templates: Collection[str]
    variables: Collection[str]


@contextmanager
def telling_mistakes(label: str, known: Known) -> Iterator[None]:
    """Turn what a template's mistakes raise into TemplateInvalid.

    Args:
        label: the template that is rendered; the mistake may be in another that it includes.
        known: what it could have meant.

    Raises:
        TemplateInvalid: there was a mistake.
    """
    try:
        yield
    except _MISTAKES as error:
        place, line = _place(error, label, known.labels)
        what = f"{place}, line {line}" if line else place
        raise TemplateInvalid(what, cause=_cause(error), hint=_hint(error, known)) from error


def nearest(name: str, names: Collection[str]) -> str:
    """A hint that suggests the nearest of `names`, or nothing where none is near."""
    near = difflib.get_close_matches(name, sorted(names), n=1)
    return f"did you mean {near[0]!r}?" if near else ""


def _place(error: Exception, label: str, labels: Collection[str]) -> tuple[str, int | None]:
    """The innermost template that the error went through, and its line."""
    if isinstance(error, TemplateSyntaxError):
        return (error.filename, error.lineno) if error.filename else (label, None)
    place: tuple[str, int | None] = (label, None)
    for frame, line in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename in labels:
            place = (frame.f_code.co_filename, line)
    return place


def _cause(error: Exception) -> str:
    match error:
        case TemplateNotFound():
            return f"there is no template {error.name!r}"
        case SourceInvalid():
            return error.summary
        case RecursionError():
            return "it includes or calls itself without end"
        case ZeroDivisionError():
            return "it divides by zero"
        case TemplateSyntaxError():
            return error.message or "it is no Jinja2 template"
    text = _MODULE_PREFIX.sub("", str(error).partition("\n")[0])
    return text or type(error).__name__


def _hint(error: Exception, known: Known) -> str:
    if isinstance(error, TemplateNotFound):
        return nearest(str(error.name), known.templates)
    variable = _UNDEFINED_VARIABLE.search(str(error))
    if variable:
        advice = nearest(variable[1], known.variables)
        return advice or f"set {variable[1]!r} in variables.yaml, or see the variables in docs/packaging.md"
    attribute = _UNDEFINED_ATTRIBUTE.search(str(error))
    return nearest(attribute[1], _ATTRIBUTES) if attribute else ""
