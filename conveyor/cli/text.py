"""Text for a terminal: what upstream can name made harmless, and sizes."""

from __future__ import annotations

import re

ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?", re.DOTALL)
# Control characters of C0 and C1 but tab, and the Unicode marks that turn the direction of text.
UNSAFE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
UNITS = (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024))


def plain(text: str) -> str:
    """One line without escape sequences and control characters."""
    return UNSAFE.sub("\N{REPLACEMENT CHARACTER}", ESCAPES.sub("", text))


def human_size(size: int) -> str:
    """Bytes for people."""
    unit, factor = next((each for each in UNITS if size >= each[1]), UNITS[-1])
    return f"{size / factor:.1f} {unit}"
