"""What a builder keeps between builds, for people who look after it: `conveyor buildroot`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from conveyor.model.target import BuilderKind, Target


class StockKind(StrEnum):
    """What a part of the stock is."""

    BASE = "base"
    BUILD_PACKAGES = "build packages"
    DEPENDENCIES = "dependencies"
    DOWNLOADS = "downloads"
    COMPILATIONS = "compilations"


@dataclass(frozen=True, slots=True, kw_only=True)
class StockItem:
    """One part of what is kept.

    Attributes:
        builder: whose it is.
        target: name of the target that it was made for; empty where that is not known.
        kind: what it is.
        name: its id among the builder's.
        size: bytes on the disk.
        made_at: in seconds since the epoch; None where that is not known.
        used_at: when it was used last, in seconds since the epoch; None where that is not known.
        users: ids of the processes of this machine that use it now.
        current: whether the target's next build uses it as its base, without one being made.
    """

    builder: BuilderKind
    target: str
    kind: StockKind
    name: str
    size: int
    made_at: float | None
    used_at: float | None
    users: tuple[int, ...] = ()
    current: bool = False


def shares(stock: Mapping[BuilderKind, Sequence[StockItem]], limit: int) -> dict[BuilderKind, int]:
    """How many of all bytes that may be kept are for each builder: its part of what all have now."""
    sizes = {kind: sum(item.size for item in items) for kind, items in stock.items()}
    total = sum(sizes.values())
    return {kind: limit if total == 0 else limit * size // total for kind, size in sizes.items()}


class Buildroots(Protocol):
    """The stock of one builder."""

    def stock(self, targets: Sequence[Target]) -> tuple[StockItem, ...]:
        """All that is kept for these targets, and what is kept for none that is known; in no order."""

    def is_due(self, target: Target) -> bool:
        """Whether the target's base is there, and older than it should be."""

    def refresh(self, target: Target, log: Path) -> bool:
        """Make what every build of the target starts from anew; running builds keep what they have.

        Returns False where another process is at it.

        Raises:
            MirrorUnreachable: the distribution's packages cannot be fetched.
        """

    def prune(self, to: int) -> int:
        """Remove what was not used for longest until at most `to` bytes are left, but nothing that is in use.

        Returns the bytes that were freed.
        """

    def visit(self, target: Target, argv: Sequence[str], log: Path, *, as_root: bool) -> int:
        """Run a command on the caller's terminal in a throw-away copy of the target's buildroot; its exit code.

        It has no network. It is the unprivileged user that builds run as, or root of the buildroot and of nothing else.
        """
