"""Text for a terminal: what upstream can name made harmless, and sizes."""

from __future__ import annotations

from rich.console import Console

from conveyor.model.text import plain

UNITS = (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024))

__all__ = ["human_size", "plain", "say"]


def human_size(size: int) -> str:
    """Bytes for people."""
    unit, factor = next((each for each in UNITS if size >= each[1]), UNITS[-1])
    return f"{size / factor:.1f} {unit}"


def say(console: Console, line: str) -> None:
    """Print one line as it is: not folded, and without markup."""
    console.print(plain(line), markup=False, soft_wrap=True)
