"""Documents as text, some of whose parts are text already."""

from __future__ import annotations

import json

import pytest

from conveyor.documents.text import compact, text_of

DOCUMENT = {"a": 1, "list": [{"b": '\u202e"é'}, {"c": [None, True]}], 'z"': {"d": 1.5}}


def test_parts_that_are_ready_make_the_same_text() -> None:
    ready = {"list": [compact(each) for each in DOCUMENT["list"]]}  # type: ignore[attr-defined]
    assert text_of({**DOCUMENT, "list": []}, ready) == text_of(DOCUMENT) == compact(DOCUMENT)
    assert json.loads(text_of(DOCUMENT, {"list": []})) == {**DOCUMENT, "list": []}


def test_what_json_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        text_of({"a": float("nan"), "list": []}, {"list": []})
