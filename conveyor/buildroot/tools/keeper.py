"""What a builder tells of the caches that its tool keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from conveyor.model.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What lies in a target's cache. Whoever uses a folder of it holds a shared lock on the file `locks/NAME` there.

    Attributes:
        bases: pattern of folders with the tarballs that roots are made of.
        downloads: patterns of folders with downloaded packages.
    """

    bases: str
    downloads: tuple[str, ...]


class Keeper(Protocol):
    """A builder whose tool keeps caches."""

    def current(self, target: Target) -> frozenset[str]:
        """The names of the folders that the target's builds use as it is configured now."""

    def refresh(self, target: Target, log: Path) -> bool:
        """See Buildroots."""

    def visit(self, target: Target, argv: Sequence[str], log: Path, *, as_root: bool) -> int:
        """See Buildroots."""
