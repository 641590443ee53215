"""Answers to why, as JSON: docs/json.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conveyor.model.why import Subject, Why


def why_as_json(answer: Why) -> dict[str, Any]:
    """An answer in a documented form: docs/json.md."""
    return {
        "subject": answer.subject,
        "name": answer.name,
        "about": answer.about,
        "state": answer.state,
        "summary": answer.summary,
        "lines": list(answer.lines),
        "log": list(answer.log),
        "hint": answer.hint,
        "because": [why_as_json(each) for each in answer.because],
    }


def why_from_json(document: Mapping[str, Any]) -> Why:
    """What a document says of why something is as it is."""
    return Why(
        subject=Subject(document["subject"]),
        name=document["name"],
        about=document["about"],
        state=document["state"],
        summary=document["summary"],
        lines=tuple(document["lines"]),
        log=tuple(document["log"]),
        hint=document["hint"],
        because=tuple(why_from_json(each) for each in document["because"]),
    )
