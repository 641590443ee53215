"""Published snapshots: what can be looked at, kept and collected."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


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

    The newest, what a pointer points at, and what a ledger entry says to keep, stay whatever this says.

    Attributes:
        newest: how many of the newest; None to keep all, 0 where only their age counts.
        younger_than: seconds since they were published; 0 for none.
        grace: seconds that a snapshot stays after the last thing that kept it has ended: for clients that are in the
            middle of reading it.
    """

    newest: int | None = None
    younger_than: int = 0
    grace: int = 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What retention takes from a target.

    Attributes:
        target: the target's name.
        snapshots: the snapshots, oldest first.
        files: files of the pool, as paths in it, sorted.
        builds: numbers of the builds whose attempts' folders go, sorted.
        size: bytes on the disk that it frees.
    """

    target: str
    snapshots: tuple[PublishedSnapshot, ...]
    files: tuple[str, ...]
    builds: tuple[int, ...]
    size: int


class Flaw(StrEnum):
    """What can be wrong with a file of the pool."""

    DAMAGED = "damaged"  # its bytes are no longer those of its sha256
    MISSING = "missing"  # a snapshot lists it, and it is not there
    FOREIGN = "foreign"  # nothing that Conveyor put there


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFile:
    """A file of a pool that was read.

    Attributes:
        path: its path in the pool.
        size: its bytes; 0 for a link.
        flaw: what is wrong; None where nothing is.
    """

    path: str
    size: int
    flaw: Flaw | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFinding:
    """A file of the pool, or a manifest, that is not as it has to be.

    Attributes:
        target: the target's name.
        path: its path in the target's tree.
        flaw: what is wrong.
        package: the package that it belongs to; empty where no snapshot and no newest build lists it.
        commit: id of the commit whose build made it; empty where that is not known.
    """

    target: str
    path: str
    flaw: Flaw
    package: str
    commit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolReport:
    """What reading a pool from end to end found.

    Attributes:
        target: the target's name.
        files: how many were read.
        size: how many bytes they have.
        findings: what is wrong, by path.
    """

    target: str
    files: int
    size: int
    findings: tuple[PoolFinding, ...]
