"""Text for a terminal: what upstream can name made harmless, and sizes."""

from __future__ import annotations

from conveyor.model.text import plain

UNITS = (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024))

__all__ = ["human_size", "plain"]


def human_size(size: int) -> str:
    """Bytes for people."""
    unit, factor = next((each for each in UNITS if size >= each[1]), UNITS[-1])
    return f"{size / factor:.1f} {unit}"
