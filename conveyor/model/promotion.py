"""Pointers that move: who moved which from where to where, on which evidence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase

from conveyor.model.artifact import COMPONENT_FOLDER

CURRENT = "current"
CONSISTENT = "consistent"
# They follow builds; nobody promotes to them.
RESERVED = (CURRENT, CONSISTENT, f"{CONSISTENT}-*")

_POINTER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# Names that the tree of a target has for itself, beside folders of two hex digits: the files with the public keys too.
LEDGER_HEAD = "ledger-head"
TAKEN = ("pool", LEDGER_HEAD, COMPONENT_FOLDER, "*.asc")
_JOB = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:+-]{0,199}")
_SHARD = re.compile(r"[0-9a-f]{2}")


def is_pointer_name(name: str) -> bool:
    """Whether a pointer can be called that: `TAKEN` and two hex digits are the tree's own."""
    taken = _SHARD.fullmatch(name) or any(fnmatchcase(name, pattern) for pattern in TAKEN)
    return bool(_POINTER.fullmatch(name)) and not taken


def follows_builds(name: str) -> bool:
    """Whether a pointer moves with builds alone: one of `RESERVED`."""
    return any(fnmatchcase(name, pattern) for pattern in RESERVED)


def consistent_of(component: str) -> str:
    """The pointer to the newest snapshot in which the latest build of every package of a component succeeded."""
    return f"{CONSISTENT}-{re.sub('[^A-Za-z0-9._-]', '-', component)}"


def is_job_name(name: str) -> bool:
    """Whether a test can be called that in votes; what DLRN's jobs are called can."""
    return bool(_JOB.fullmatch(name))


class MoveKind(StrEnum):
    """Why a pointer moved."""

    PUBLISHED = "published"  # `current` and `consistent`, after a good build
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"
    FOUND = "found"  # it was elsewhere than the ledger says: moved by hand, or restored from a backup


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One pointer of one target.

    Attributes:
        target: the target's name.
        pointer: the pointer's name.
        before: id of the commit that it pointed at; None where there was no such pointer.
        after: id of the commit that it points at from then on.
    """

    target: str
    pointer: str
    before: str | None
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Pointers that move together: all of them, or none.

    Attributes:
        kind: why.
        actor: who or what moves them: a user's name, or "conveyor" for what follows builds.
        note: a person's words about it; may be empty.
        evidence: on what it stands, in JSON's types: votes, ages, outcomes.
        keep: whether retention keeps the snapshots that it leads to, for ever.
        at: when it began, with zone.
        steps: the pointers.
    """

    kind: MoveKind
    actor: str
    note: str = ""
    evidence: Mapping[str, object] = field(default_factory=dict)
    keep: bool = False
    at: datetime
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One step of a move that happened. Entries are only ever added, and each holds the hash of the one before.

    Attributes:
        number: from 1, without gaps.
        move: number that the steps of one move have in common.
        kind, actor, note, evidence, keep: the move's.
        at: when it was done, with zone.
        step: which pointer went from where to where.
        previous: hash of the entry before; 64 zeros for the first.
        hash: hex sha256 of all of the above.
    """

    number: int
    move: int
    kind: MoveKind
    actor: str
    note: str
    evidence: Mapping[str, object]
    keep: bool
    at: datetime
    step: Step
    previous: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """What a test says of a published commit.

    Attributes:
        subject: id of the commit, or the md5 of an aggregated repository file.
        target: the target that was tested; empty for all.
        job: name of the test.
        success: what it says; None while it runs.
        url: where its log is; may be empty.
        notes: its words; may be empty. Hostile text.
        user: who votes.
        at: when, with zone.
    """

    subject: str
    target: str
    job: str
    success: bool | None
    url: str = ""
    notes: str = ""
    user: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class VotesWanted:
    """Which votes are wanted: those that fit everything that is given.

    Attributes:
        target: on what is published for this target; votes for other targets alone are left out.
        aggregates: on aggregated repository files; else on commits.
        since: cast later than this, with zone.
        job: of this job.
        success: True for those that succeeded, False for all others: for those of tests that run, too.
        component: on commits of packages of this component.
        there: leaves out those on commits whose snapshots retention removed.
        offset: how many of the latest are left out.
        limit: how many at most.
    """

    target: str
    aggregates: bool = False
    since: datetime | None = None
    job: str | None = None
    success: bool | None = None
    component: str | None = None
    there: bool = False
    offset: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionPolicy:
    """What a promotion needs, from repos.yaml.

    Attributes:
        name: the pointer's name.
        targets: names of the targets that have it; empty for all.
        together: whether it moves for all of these targets or for none, to snapshots of the same commits.
        votes: jobs whose latest vote must be a success.
        min_age: seconds since the snapshot was published.
        succeeded_on: targets that the commit must have succeeded on, as far as its package is built for them.
        automatic: whether it moves by itself as soon as the newest snapshots are fit.
    """

    name: str
    targets: tuple[str, ...] = ()
    together: bool = False
    votes: tuple[str, ...] = ()
    min_age: int = 0
    succeeded_on: tuple[str, ...] = ()
    automatic: bool = False
