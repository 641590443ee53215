"""The words of explanations: moments, reasons, what holds a daemon. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from conveyor.model.build import Build
from conveyor.model.event import Event
from conveyor.model.queue import Pause, Priority, Reason, ReasonKind, ScopeKind
from conveyor.pipeline.pointing.evidence import told_seconds

NO_DAEMON = "no daemon is running, so nothing happens by itself"
START_DAEMON = "start one: conveyor daemon"
_LISTED = 5
_GOES = {
    Priority.URGENT: "before everything else",
    Priority.REQUEST: "as what a person asked for",
    Priority.FRESH: "as the newest commit of its branch",
    Priority.BACKLOG: "after newer commits",
    Priority.REBUILD: "last, as a rebuild",
}
_REASONS = {
    ReasonKind.REQUESTED: "somebody asked for it",
    ReasonKind.NEW_PACKAGE: "the package was not followed on this target before",
    ReasonKind.NEW_COMMIT: "the upstream has a new commit",
    ReasonKind.NEW_TAG: "the upstream has a new tag",
    ReasonKind.NEW_PACKAGING: "the packaging changed",
    ReasonKind.DEPENDENCY: "a build dependency changed",
    ReasonKind.RETRY: "its last attempt errored, which was not its fault",
    ReasonKind.BOOTSTRAP: "it is in a circle of packages that build-depend on each other",
}


def moment(at: datetime, now: datetime) -> str:
    """A point in time, and how far away it is."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC ({distance(at, now)})"


def distance(at: datetime, now: datetime) -> str:
    """How far away a point in time is: "3 min ago", "in 20 s"."""
    seconds = int((at - now).total_seconds())
    return f"in {told_seconds(seconds)}" if seconds > 0 else f"{told_seconds(-seconds)} ago"


def listed(names: Sequence[object], most: int = _LISTED) -> str:
    """Names one after the other; of many the first."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more


def times(count: int) -> str:
    """How often."""
    return "once" if count == 1 else f"{count} times"


def count(number: int, noun: str) -> str:
    """So many of something."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def goes(priority: Priority) -> str:
    """How a priority puts a build before or after others."""
    return _GOES[priority]


def moved_tag(event: Event, now: datetime) -> str:
    """A tag of upstream that moved or went, and why that matters."""
    return f"{event.summary}, seen at {moment(event.at, now)}; versions come from tags"


def because_of(reason: Reason) -> str:
    """Why a build was put into the queue, in one line."""
    text = _REASONS[reason.kind]
    detail = f": {reason.detail}" if reason.detail else ""
    led = f" (build {reason.build} led to it)" if reason.build is not None else ""
    return f"{text}{detail}{led}"


def is_rebuild(reason: Reason) -> bool:
    """Whether a reason brings no commit of the package's own."""
    return reason.kind in {ReasonKind.DEPENDENCY, ReasonKind.BOOTSTRAP}


def paused(pause: Pause, now: datetime) -> str:
    """Who holds what back, since when and why."""
    what = "everything" if pause.scope.kind is ScopeKind.ALL else str(pause.scope)
    note = f": {pause.note}" if pause.note else ""
    return f"{what} was paused by {pause.actor} at {moment(pause.at, now)}{note}"


def resume_command(pause: Pause) -> str:
    """The command that ends a pause."""
    option = "" if pause.scope.kind is ScopeKind.ALL else f" --{pause.scope.kind} {pause.scope.name}"
    return f"conveyor resume{option}"


def named(build: Build) -> str:
    """A build, as one line names it."""
    return f"build {build.id} of {build.commit.package} {build.commit.short} for {build.target}"
