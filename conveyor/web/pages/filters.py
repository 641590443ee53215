"""Filters in addresses, which people write by hand too."""

from __future__ import annotations

from collections.abc import Iterable

from conveyor.config.mistakes import listing, nearest, show
from conveyor.errors import UnknownName


def require_known(kind: str, word: str, known: Iterable[str]) -> None:
    """See that a filter takes out what it says: of one that is ignored everything would seem to fit.

    Args:
        kind: what the word is.
        word: what was asked for; empty for anything.
        known: what could be.

    Raises:
        UnknownName: it is none of them.
    """
    words = sorted(known)
    if word and word not in words:
        hint = " ".join(filter(None, [nearest(word, words), f"there are {listing(words)}"]))
        raise UnknownName(f"unknown {kind} {show(word)}", hint=hint)
