"""Rebuilds, as JSON: docs/json.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from conveyor.documents import FORMAT_VERSION
from conveyor.documents.builds import build_as_json
from conveyor.pipeline.controls import Rebuilt


def rebuilt_as_json(done: Sequence[Rebuilt]) -> dict[str, Any]:
    """The document that `conveyor rebuild --json` prints."""
    rebuilds = [{"build": build_as_json(each.rebuild), "of": each.good.id, "is_new": each.is_new} for each in done]
    return {"format_version": FORMAT_VERSION, "rebuilds": rebuilds}
