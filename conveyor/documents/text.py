"""Documents as text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

_NOTHING: Mapping[str, Sequence[str]] = {}


def compact(value: object) -> str:
    """A value as JSON, without spaces.

    Raises:
        ValueError: it holds a number that JSON has not.
    """
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def text_of(document: Mapping[str, Any], ready: Mapping[str, Sequence[str]] = _NOTHING) -> str:
    """A document as JSON, without spaces.

    Args:
        document: the document.
        ready: members that are lists whose values are JSON already, by their names: they take the place of those of
            the document.
    """
    if not ready:
        return compact(document)
    members = (
        f"{compact(name)}:{_list(ready[name]) if name in ready else compact(value)}" for name, value in document.items()
    )
    return f"{{{','.join(members)}}}"


def _list(values: Sequence[str]) -> str:
    return f"[{','.join(values)}]"
