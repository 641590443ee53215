"""Text that others wrote, made harmless for terminals, mails and logs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?", re.DOTALL)
# Control characters of C0 and C1 but tab, what Unicode breaks lines at, the marks that turn the direction of text, and
# halves of surrogate pairs, which nothing can encode.
_UNSAFE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def plain(text: str) -> str:
    """One line without escape sequences and control characters."""
    if text.isprintable():  # nearly all is, and nothing that is looked for is
        return text
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", _ESCAPES.sub("", text))


def shortened(text: str, length: int) -> str:
    """A text of at most so many characters: what is cut off is told by dots."""
    return text if len(text) <= length else f"{text[: length - 3]}..."


def plain_value(value: object) -> object:
    """A value as JSON has it, with each text in it, keys too, made plain; what JSON does not have becomes text."""
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, Mapping):
        return {plain(str(key)): plain_value(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain_value(inner) for inner in value]
    return plain(str(value))
