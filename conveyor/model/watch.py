"""What is known of the repositories that are polled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Side(StrEnum):
    """Which of a package's repositories."""

    UPSTREAM = "upstream"
    PACKAGING = "packaging"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteRefs:
    """What a repository has, as it says itself. Names are upstream's text.

    Attributes:
        branches: sha of each branch, by its name without "refs/heads/".
        tags: sha of the commit (or other object) that each tag leads to in the end, by its name without "refs/tags/".
    """

    branches: Mapping[str, str]
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What was last seen of a package on one side, and is in the queue.

    Attributes:
        package: the package's name.
        side: upstream or packaging.
        url: the repository; empty for a packaging folder.
        ref: the followed branch; empty for a packaging folder.
        sha: the newest commit that was seen; None where the branch is gone. Of a folder the hash of its content.
        packaging_sha: of packaging: what commits are built with, which is not `sha` where an archetype is part of it;
            where the branch is gone, what it was. Empty for upstream.
        at: when it was last seen to change, with zone.
    """

    package: str
    side: Side
    url: str
    ref: str
    sha: str | None
    packaging_sha: str = ""
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """The tags of a package's upstream that stand for versions, as they were last seen, and all told that came before.

    Attributes:
        shas: sha of the commit (or other object) that each leads to in the end, by its name.
        followed: whether the commits that they lead to are those to build; else only versions depend on them.
    """

    shas: Mapping[str, str] = field(default_factory=dict)
    followed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """How polling a repository goes.

    Attributes:
        url: the repository; the absolute path of a packaging folder.
        polled_at: when it was last asked, with zone; None for never.
        answered_at: when it last answered, with zone; None for never.
        failures: how often in a row it did not answer.
        cause: why it did not; empty where it did.
        next_at: when it is due, with zone.
    """

    url: str
    polled_at: datetime | None
    answered_at: datetime | None
    failures: int
    cause: str
    next_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Poke:
    """Somebody wants a package polled now.

    Attributes:
        package: the package's name.
        actor: who or what.
        at: when, with zone.
    """

    package: str
    actor: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Polling:
    """How repositories are polled.

    Attributes:
        interval: seconds between two polls of a repository, where no package that needs it says otherwise.
        at_once: how many are asked at once.
        per_host: how many of them on one host.
        time_limit: seconds that one may take to answer.
        retry_start: seconds after which one that did not answer is asked again; doubled with each time.
        retry_limit: seconds that this grows to.
    """

    interval: int = 5 * 60
    at_once: int = 8
    per_host: int = 4
    time_limit: int = 60
    retry_start: int = 60
    retry_limit: int = 3600
