"""Answers to why, as JSON: docs/json.md."""

from __future__ import annotations

from typing import Any

from conveyor.model.why import Why


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
