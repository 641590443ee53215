"""Looking for builds among all of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from conveyor.model.build import Build, Outcome, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which builds are wanted: those that fit everything that is given.

    Attributes:
        packages: names of packages; None for all, and none of them for no build at all.
        target: the target's name.
        commit: the beginning of the commit's id.
        version: the beginning of the version.
        file: the beginning of the name of a file that the build made.
        state: queued, running or finished.
        outcome: what became of it.
        since: put into the queue for the last time at this moment or later, with zone.
        until: put into the queue for the last time before this moment, with zone.
        trunk: whether it is of the trunk; None for both.
        before: leaves out builds with this number and higher ones: where a page before this one ended.
        limit: how many at most.
    """

    packages: tuple[str, ...] | None = None
    target: str | None = None
    commit: str | None = None
    version: str | None = None
    file: str | None = None
    state: State | None = None
    outcome: Outcome | None = None
    since: datetime | None = None
    until: datetime | None = None
    trunk: bool | None = True
    before: int | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some of the builds that were found.

    Attributes:
        builds: the builds, newest first.
        before: what to ask for as `before` to get those that follow; None where there are no more.
    """

    builds: tuple[Build, ...]
    before: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Latest:
    """How the trunk of a package stands on a target.

    Attributes:
        newest: the build that was made last.
        judged: the last one that succeeded, failed or errored; None where there is none yet.
    """

    newest: Build
    judged: Build | None
