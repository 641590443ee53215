"""The queue: what waits for a worker, why, and in which order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

from conveyor.model.build import State
from conveyor.model.commit import Commit
from conveyor.model.event import NewEvent
from conveyor.model.watch import Head, Tags


class Priority(IntEnum):
    """What goes first: the lower number."""

    URGENT = 0  # a person put it before everything else
    REQUEST = 10  # a person asked for it
    FRESH = 20  # the newest commit of its branch
    BACKLOG = 30  # a commit that has newer ones
    REBUILD = 40  # nothing new but what it builds with


class ReasonKind(StrEnum):
    """Why a build was put into the queue."""

    REQUESTED = "requested"  # a person asked for it
    NEW_PACKAGE = "new-package"  # the package was not followed on the target before
    NEW_COMMIT = "new-commit"  # the upstream has a new commit
    NEW_TAG = "new-tag"  # the upstream has a new tag
    NEW_PACKAGING = "new-packaging"  # the packaging changed
    DEPENDENCY = "dependency"  # a build dependency changed
    RETRY = "retry"  # its last attempt errored, which was not its fault
    BOOTSTRAP = "bootstrap"  # it is in a circle of packages that build-depend on each other


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a build is there.

    Attributes:
        kind: the kind of reason.
        detail: who asked, which dependency changed and so on; one line, may be empty. May hold upstream's text.
        build: the build that led to this one, by its number; None where none did.
        cascade: how many builds led to one another before this one; 0 for what began by itself.
    """

    kind: ReasonKind
    detail: str = ""
    build: int | None = None
    cascade: int = 0


REQUESTED = Reason(kind=ReasonKind.REQUESTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBuild:
    """A build to be made, unless the commit has one for the target.

    Attributes:
        commit: what is built.
        target: the target's name.
        priority: its priority.
        reason: why.
        superseded: why it is only recorded, and never built; empty for one that is queued.
    """

    commit: Commit
    target: str
    priority: Priority
    reason: Reason
    superseded: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one look at a package's repositories brings to the store: all of it or nothing.

    Attributes:
        builds: builds to make, oldest commit first.
        superseded: builds that need not be built any more, by number, and why; those that run or have ended stay.
        cancelled: builds to cancel though they run, by number, and why.
        heads: what is followed from now on.
        tags: what the version tags of upstreams are from now on, by package; those packages have heads.
        events: what happened, in order.
    """

    builds: tuple[NewBuild, ...] = ()
    superseded: Mapping[int, str] = field(default_factory=dict)
    cancelled: Mapping[int, str] = field(default_factory=dict)
    heads: tuple[Head, ...] = ()
    tags: Mapping[str, Tags] = field(default_factory=dict)
    events: tuple[NewEvent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueItem:
    """A build as far as its place in the queue goes.

    Attributes:
        build: its number. Of one package on one target, the lower number is built first; a rebuild and what waits for a
            moment let others pass.
        package: the package's name.
        target: the target's name.
        state: queued, running or finished.
        priority: see `Priority`.
        queued_at: when it was last put into the queue, with zone.
        not_before: it waits for this moment; None for none.
    """

    build: int
    package: str
    target: str
    state: State
    priority: Priority
    queued_at: datetime
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueChanges:
    """What changed in the queue.

    Attributes:
        number: the last change that is in here; give it the next time.
        items: each build that changed, as it is now, once.
        is_whole: whether they are all builds that are queued or running: whatever else was known is to be forgotten.
    """

    number: int
    items: tuple[QueueItem, ...]
    is_whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSize:
    """How many builds of a target are in one state.

    Attributes:
        target: the target's name.
        state: queued or running.
        builds: how many.
        oldest: when the first of them was put into the queue, with zone.
    """

    target: str
    state: State
    builds: int
    oldest: datetime


class ScopeKind(StrEnum):
    """What a pause holds back."""

    ALL = "all"
    TARGET = "target"
    PACKAGE = "package"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """A part of the queue.

    Attributes:
        kind: everything, a target or a package.
        name: the target's or package's name; empty for everything.
    """

    kind: ScopeKind
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" if self.name else "everything"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A part of the queue that no build is taken from.

    Attributes:
        scope: which part.
        actor: who or what paused it.
        note: why; may be empty.
        at: since when, with zone.
    """

    scope: Scope
    actor: str
    note: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Relations:
    """What the packaging of a package declares, in the words of the target's format.

    Attributes:
        requires: names that its build needs.
        provides: names of the binary packages that it makes, and what these provide.
        fingerprint: tells one state of the packaging from another.
    """

    requires: tuple[str, ...]
    provides: tuple[str, ...]
    fingerprint: str = ""
