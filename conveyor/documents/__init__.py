"""Values as the JSON of docs/json.md, for `--json` and the API, and back."""

from __future__ import annotations

FORMAT_VERSION = 1
