"""Published snapshots: what can be looked at, kept and collected."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedSnapshot:
    """A snapshot as the store knows it. What it holds stands in its manifest.json.

    Attributes:
        build: number of the build that caused it.
        target: the target's name.
        commit: id of its commit.
        package: the package whose build caused it.
        version: EVR string of that build.
        published_at: when, with zone.
        collected_at: when retention removed it; None while it is there.
    """

    build: int
    target: str
    commit: str
    package: str
    version: str
    published_at: datetime
    collected_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Which snapshots of a target stay, from repos.yaml. One that any of these keeps stays.

    What a pointer points at, and what a ledger entry says to keep, stays whatever this says.

    Attributes:
        newest: how many of the newest; None to keep all.
        younger_than: seconds since they were published; 0 for none.
    """

    newest: int | None = None
    younger_than: int = 0
