"""What happened, as it is told to people and programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class EventKind(StrEnum):
    """What can happen."""

    FIRST_SEEN = "first-seen"  # a package is followed from now on
    NEW_COMMITS = "new-commits"
    NEW_PACKAGING = "new-packaging"
    FORCE_PUSHED = "force-pushed"  # the branch lost commits
    BRANCH_GONE = "branch-gone"  # the followed branch was deleted or renamed
    BRANCH_BACK = "branch-back"
    TAG_MOVED = "tag-moved"
    TAG_GONE = "tag-gone"
    UNREACHABLE = "unreachable"  # a repository does not answer any more
    REACHABLE = "reachable"  # it answers again
    QUEUED = "queued"
    SUPERSEDED = "superseded"
    STARTED = "started"
    SUCCEEDED = "succeeded"
    PUBLISHED = "published"
    FAILED = "failed"  # the first failure after a success
    FAILED_AGAIN = "failed-again"
    WORKS_AGAIN = "works-again"
    ERRORED = "errored"
    GAVE_UP = "gave-up"  # errored as often as it may
    CANCELLED = "cancelled"
    FLAKY = "flaky"  # the same input had another outcome
    CYCLE = "cycle"  # packages build-depend on each other
    CASCADE_STOPPED = "cascade-stopped"
    PAUSED = "paused"
    RESUMED = "resumed"
    PRIORITIZED = "prioritized"
    POINTER_MOVED = "pointer-moved"
    CONFIGURATION_LOADED = "configuration-loaded"
    CONFIGURATION_BROKEN = "configuration-broken"
    PACKAGE_REMOVED = "package-removed"  # repos.yaml has it no more
    DAEMON_STARTED = "daemon-started"
    DAEMON_STOPPED = "daemon-stopped"
    DISK_LOW = "disk-low"
    DISK_FINE = "disk-fine"
    CLOCK_JUMPED = "clock-jumped"
    STALE = "stale"  # nothing was polled, built or published for too long
    STALE_NO_MORE = "stale-no-more"
    NOTICE_FAILED = "notice-failed"  # a mail or webhook was given up
    STILL_FAILING = "still-failing"  # a package has failed for long
    POINTER_HELD_BACK = "pointer-held-back"  # `consistent` has not followed what was published for long


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """Something that happened. Text in it may be upstream's.

    Attributes:
        kind: what.
        summary: one line for people.
        package: the package's name; empty where it is about none.
        target: the target's name; empty where it is about none.
        build: the build's number; None where it is about none.
        detail: more, by name, as JSON has it.
    """

    kind: EventKind
    summary: str
    package: str = ""
    target: str = ""
    build: int | None = None
    detail: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(NewEvent):
    """An event that is recorded.

    Attributes:
        number: from 1, rising, in the order in which they were recorded.
        at: when, with zone.
    """

    number: int
    at: datetime
