"""Retention of repos.yaml: which snapshots of each target stay."""

from __future__ import annotations

from collections.abc import Mapping

from conveyor.config.checker import check, given
from conveyor.config.document import Document
from conveyor.config.mistakes import Loc
from conveyor.config.schema import RetentionEntry
from conveyor.model.published import Retention

KEY = "retention"


def read_retention(document: Document, raw_targets: Mapping[str, object]) -> Mapping[str, Retention]:
    """What each target keeps, by its name: its own, or what the file says for all; everything where neither does."""
    general = _read(document, document.data, ())
    return {
        name: _read(document, raw, ("targets", name)) if isinstance(raw, dict) and KEY in raw else general
        for name, raw in raw_targets.items()
    }


def _read(document: Document, raw: Mapping[str, object], loc: Loc) -> Retention:
    if not given(raw, KEY):
        return Retention()
    entry = check(document, RetentionEntry, raw[KEY], (*loc, KEY))
    if entry is None:
        return Retention()
    # Where only the age is given, none is kept for being among the newest.
    return Retention(newest=entry.newest or 0, younger_than=entry.younger_than or 0, grace=entry.grace)
