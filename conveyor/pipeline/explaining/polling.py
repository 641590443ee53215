"""Why a package's repositories are polled or not, and why a commit has no build. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import assert_never

from conveyor.model.addresses import public_url
from conveyor.model.commit import SHORT_SHA_DIGITS
from conveyor.model.package import CommitPolicy, Package
from conveyor.model.watch import Head, Poke, Remote, Side
from conveyor.pipeline.explaining.words import NO_DAEMON, START_DAEMON, moment, times

_TAGS_ONLY = "only commits that a tag with a version leads to are built"


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """A git repository that a package follows, and how that goes.

    Attributes:
        side: upstream or packaging.
        url: the repository.
        ref: the branch.
        head: what was last seen of it; None before the first time.
        remote: how polling it goes; None before the first time.
    """

    side: Side
    url: str
    ref: str
    head: Head | None
    remote: Remote | None

    @property
    def is_gone(self) -> bool:
        """Whether the branch is not there any more."""
        return self.head is not None and self.head.sha is None

    @property
    def is_silent(self) -> bool:
        """Whether the repository does not answer."""
        return self.remote is not None and self.remote.failures > 0

    @property
    def is_new(self) -> bool:
        """Whether it has never been polled."""
        return self.remote is None or self.remote.polled_at is None

    @property
    def shown(self) -> str:
        """The repository, as it may be shown."""
        return f"{self.side} {public_url(self.url)}"


class Whereabouts(Enum):
    """Where a commit is, seen from a branch that is followed."""

    AHEAD = auto()  # in the branch, after what was last seen of it
    BEHIND = auto()  # in the branch, at or before what was last seen of it
    ELSEWHERE = auto()  # fetched, and not in the branch
    UNKNOWN = auto()  # not among what was fetched
    UNFETCHED = auto()  # nothing has been fetched here


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Where a commit is, in a package.

    Attributes:
        package: the package.
        where: where.
        sha: its whole sha, where it was found; else what was asked for.
    """

    package: Package
    where: Whereabouts
    sha: str

    @property
    def is_found(self) -> bool:
        """Whether the package's upstream has it."""
        return self.where in {Whereabouts.AHEAD, Whereabouts.BEHIND, Whereabouts.ELSEWHERE}


def obstacle(followed: Sequence[Followed]) -> str:
    """What keeps a package from being polled, in a few words; empty for nothing."""
    for each in followed:
        if each.is_silent:
            return f"its {each.side} repository does not answer"
        if each.is_gone:
            return f"the followed branch of its {each.side} repository is gone"
    return "it was never polled" if followed and all(each.is_new for each in followed) else ""


def polling(followed: Sequence[Followed], poke: Poke | None, now: datetime, *, daemon: bool) -> Iterator[str]:
    """How polling the repositories of a package goes, a line each."""
    for each in followed:
        yield from _polling(each, now)
    if poke is not None:
        yield f"{poke.actor} asked for a poll at {moment(poke.at, now)}, which has not been made yet"
    if not daemon and followed:
        yield f"{NO_DAEMON}: nothing is polled"


def _polling(each: Followed, now: datetime) -> Iterator[str]:
    remote = each.remote
    if remote is None or remote.polled_at is None:
        yield f"{each.shown} was never polled"
        return
    due = f"it is asked again at {moment(remote.next_at, now)}" if remote.next_at > now else "it is due now"
    if each.is_silent:
        yield f"{silence(each, now)}: {remote.cause or 'it did not say why'}"
        yield f"it was asked {times(remote.failures)} in vain; {due}"
    else:
        yield f"{each.shown} answered at {moment(remote.polled_at, now)}; {due}"
    if each.head is not None and each.is_gone:
        gone = moment(each.head.at, now)
        yield f"its branch {each.ref} has been gone since {gone}: restore it, or set another in repos.yaml"


def silence(each: Followed, now: datetime) -> str:
    """Since when a repository does not answer."""
    answered = each.remote.answered_at if each.remote else None
    since = f"not answered since {moment(answered, now)}" if answered else "never answered"
    return f"{each.shown} has {since}"


def never_built(target: str, package: Package, followed: Sequence[Followed], *, daemon: bool) -> tuple[str, str]:
    """Why a package was never built for a target, and what to do."""
    build = f"conveyor build {package.name} --target {target}"
    if target not in package.targets:
        return f"repos.yaml does not build it for {target}", f"add {target} to its 'targets' in repos.yaml"
    stops = obstacle(followed)
    if not daemon:
        return NO_DAEMON, f"{START_DAEMON}, or build it now: {build}"
    if stops:
        return f"{stops}, so no commit is known", build
    if package.following.commits is CommitPolicy.TAGS:
        return f"{_TAGS_ONLY}, and none was seen", build
    return "no commit of it was queued for this target yet", build


def unbuilt(sighting: Sighting) -> tuple[str, str]:
    """Why a commit of a package has no build, and what to do; what polling has to do with it is told by `polling`."""
    package, sha = sighting.package, sighting.sha[:SHORT_SHA_DIGITS]
    build = f"to build it: conveyor build {package.name} --commit {sighting.sha}"
    match sighting.where:
        case Whereabouts.AHEAD:
            return f"{sha} is newer than what the last poll saw of {package.branch}", f"conveyor poll {package.name}"
        case Whereabouts.BEHIND:
            return _passed(package, sha), build
        case Whereabouts.ELSEWHERE:
            other = "it is of another branch, or a force push dropped it"
            return f"{sha} is not in {package.branch}, which is followed: {other}", build
        case Whereabouts.UNKNOWN:
            return f"nothing that was fetched of {package.name} begins with {sha}", f"conveyor poll {package.name}"
        case Whereabouts.UNFETCHED:
            return f"nothing of {package.name} was fetched on this machine yet", f"conveyor poll {package.name}"
        case _:
            assert_never(sighting.where)


def _passed(package: Package, sha: str) -> str:
    if package.following.commits is CommitPolicy.TAGS:
        return f"{sha} is in {package.branch}, but {_TAGS_ONLY} (commits: tags in repos.yaml)"
    merged = "or came in by a merge, of which only the merge itself is built"
    return f"{sha} was in {package.branch} before that was followed, {merged}"
