"""What an answer of a repository means for a package that follows it. Reads the mirror, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from packaging.version import Version

from conveyor.model.addresses import public_url
from conveyor.model.commit import SHORT_SHA_DIGITS, CommitInfo
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.package import CommitPolicy, Package, PackagingRepository
from conveyor.model.queue import ReasonKind
from conveyor.model.watch import Head, RemoteRefs, Side
from conveyor.pipeline.polling.places import Answer, branch_of
from conveyor.ports import Git

# Far more than any branch has.
ALL_COMMITS = 1_000_000
# How many of a repository's version tags count, the highest; and how many new ones are looked at in one poll.
MOST_TAGS, MOST_NEW_TAGS = 5000, 200
# Of many tags that moved or went, so many get an event each.
MOST_EVENTS = 20
# Of a commit's subject an event tells so many characters.
MOST_TOLD = 200

TagVersion = Callable[[str, str], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What was seen of a package's upstream.

    Attributes:
        head: what is followed from now on; None where nothing changed.
        new: commits that were not seen before and count by the package's policy, oldest first.
        newest: the newest commit that counts; None where there is none.
        dropped: commits that are on the branch no more.
        replaced: whether nothing of the branch is left of what was seen before.
        reason: why the new ones are there.
        details: more of that, by sha.
        events: what happened.
    """

    head: Head | None = None
    new: tuple[CommitInfo, ...] = ()
    newest: CommitInfo | None = None
    dropped: Collection[str] = ()
    replaced: bool = False
    reason: ReasonKind = ReasonKind.NEW_COMMIT
    details: Mapping[str, str] = field(default_factory=dict)
    events: tuple[NewEvent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagingSighting:
    """What was seen of a package's packaging.

    Attributes:
        head: what is followed from now on; None where nothing changed.
        sha: what commits are built with now; empty where nothing can be built.
        changed: whether commits were built with something else before.
        events: what happened.
    """

    head: Head | None = None
    sha: str = ""
    changed: bool = False
    events: tuple[NewEvent, ...] = ()


class Lookout:
    """Makes out what answers mean.

    Args:
        git: the mirrors, up to date with the answers.
        tag_version: the version that a tag stands for, given the upstream's URL and the tag's name.
    """

    def __init__(self, git: Git, tag_version: TagVersion) -> None:
        self._git = git
        self._tag_version = tag_version

    def version_tags(self, package: Package, refs: RemoteRefs) -> Mapping[str, str]:
        """The tags that count for a package, sha by name; none where it does not follow tags."""
        if package.following.commits is not CommitPolicy.TAGS:
            return {}
        versions = self._versions(package, refs.tags)
        highest = sorted(versions, key=lambda name: (versions[name], name), reverse=True)[:MOST_TAGS]
        return {name: refs.tags[name] for name in sorted(highest)}

    def is_news(self, package: Package, side: Side, head: Head | None, answer: Answer) -> bool:
        """Whether an answer tells of something else than what was seen before. The mirror is not looked at."""
        if side is Side.PACKAGING:
            return self._is_packaging_news(package, head, answer)
        if head is None or answer.refs is None:
            return True
        tip = answer.refs.branches.get(package.branch)
        if (head.url, head.ref, head.sha) != (package.upstream, package.branch, tip):
            return True
        return tip is not None and self.version_tags(package, answer.refs) != head.tags

    def _is_packaging_news(self, package: Package, head: Head | None, answer: Answer) -> bool:
        sha = answer.packaging.get(package.name, "")
        if sha is None:
            return False
        ref = branch_of(package, Side.PACKAGING)
        tip = answer.refs.branches.get(ref) if answer.refs is not None else sha
        if head is None or (head.ref, head.sha) != (ref, tip):
            return True
        return tip is not None and (head.url, head.packaging_sha) != (_packaging_url(package), sha)

    def look(
        self,
        package: Package,
        heads: Mapping[Side, Head],
        answers: Mapping[Side, Answer],
        built: Collection[str],
        at: datetime,
    ) -> tuple[Sighting, PackagingSighting]:
        """What answers mean for a package.

        Args:
            package: the package.
            heads: what was seen before.
            answers: the answers of its places; none of one that did not answer.
            built: shas of commits that have builds, for a branch that comes back.
            at: now.

        Raises:
            RevisionMissing: a mirror does not have what an answer told of.
        """
        upstream, packaging = answers.get(Side.UPSTREAM), answers.get(Side.PACKAGING)
        seen = self.upstream(package, heads.get(Side.UPSTREAM), upstream.refs if upstream else None, built, at)
        head = heads.get(Side.PACKAGING)
        if packaging is not None:
            sha = packaging.packaging.get(package.name) or ""
            return seen, self.packaging(package, head, packaging.refs, sha, at)
        # Of a repository, unlike a folder, what was seen before is still here.
        is_known = isinstance(package.packaging, PackagingRepository) and head is not None and head.sha is not None
        return seen, PackagingSighting(sha=head.packaging_sha if is_known and head else "")

    def upstream(
        self, package: Package, head: Head | None, refs: RemoteRefs | None, built: Collection[str], at: datetime
    ) -> Sighting:
        """What an answer of the upstream means.

        Args:
            package: the package.
            head: what was seen before; None for nothing.
            refs: the answer; None where there is none, or no other than before.
            built: shas of commits that have builds, for a branch that comes back.
            at: now.

        Raises:
            RevisionMissing: the mirror does not have what the answer told of.
        """
        if refs is None:
            return Sighting(newest=self._newest(package, head))
        tip = refs.branches.get(package.branch)
        kept = self.version_tags(package, refs) if tip else head.tags if head else {}
        now = Head(
            package=package.name,
            side=Side.UPSTREAM,
            url=package.upstream,
            ref=package.branch,
            sha=tip,
            tags=kept,
            at=at,
        )
        if tip is None:
            return self._gone(now, head)
        seen = self._branch(now, tip, head, built)
        if package.following.commits is CommitPolicy.TAGS:
            return self._tagged(package, now, head, seen)
        return seen

    def packaging(
        self, package: Package, head: Head | None, refs: RemoteRefs | None, sha: str, at: datetime
    ) -> PackagingSighting:
        """What an answer of the packaging means.

        Args:
            package: the package.
            head: what was seen before; None for nothing.
            refs: the answer of a repository; None for a folder.
            sha: what commits are built with now; empty where the branch is gone.
            at: now.
        """
        url, ref = _packaging_url(package), branch_of(package, Side.PACKAGING)
        tip = refs.branches.get(ref) if refs is not None else sha
        now = Head(package=package.name, side=Side.PACKAGING, url=url, ref=ref, sha=tip, packaging_sha=sha, at=at)
        if tip is None:
            gone = replace(now, packaging_sha=head.packaging_sha if head else "")
            is_news = head is None or head.sha is not None
            return PackagingSighting(head=gone, events=(_gone(now, head),) if is_news else ())
        changed = head is not None and head.packaging_sha not in {"", sha}
        events = []
        if head is not None and head.sha is None:
            events.append(_back(now))
        if changed and head is not None:
            events += self._packaging_events(now, head, tip)
        return PackagingSighting(head=now, sha=sha, changed=changed, events=tuple(events))

    def _packaging_events(self, now: Head, head: Head, tip: str) -> list[NewEvent]:
        events = []
        is_same_branch = bool(now.url) and (now.url, now.ref) == (head.url, head.ref)
        if is_same_branch and head.sha and not self._git.contains(now.url, tip=tip, sha=head.sha):
            events.append(_forced(now, head.sha, tip, None))
        detail = {"side": now.side, "from": head.packaging_sha, "to": now.packaging_sha}
        summary = f"the packaging of {now.package} changed"
        return [*events, NewEvent(kind=EventKind.NEW_PACKAGING, summary=summary, package=now.package, detail=detail)]

    def _gone(self, now: Head, head: Head | None) -> Sighting:
        is_news = head is None or head.sha is not None or (head.url, head.ref) != (now.url, now.ref)
        return Sighting(head=now, events=(_gone(now, head),) if is_news else ())

    def _branch(self, now: Head, tip: str, head: Head | None, built: Collection[str]) -> Sighting:
        """What a branch that is there means."""
        (newest,) = self._git.commits(now.url, tip=tip, after=None, limit=1)
        if head is None:
            return Sighting(
                head=now, new=(newest,), newest=newest, reason=ReasonKind.NEW_PACKAGE, events=(_first(now, newest),)
            )
        if head.sha is None:
            new = self._since_built(now.url, tip, newest, built)
            return Sighting(head=now, new=new, newest=newest, events=(_back(now), *_news(now, new)))
        if head.sha == tip:
            return Sighting(head=now, newest=newest)
        if self._git.contains(now.url, tip=tip, sha=head.sha):
            new = self._git.commits(now.url, tip=tip, after=head.sha, limit=ALL_COMMITS)
            return Sighting(head=now, new=new, newest=newest, events=_news(now, new))
        if (head.url, head.ref) != (now.url, now.ref):
            return Sighting(head=now, new=(newest,), newest=newest, replaced=True, events=(_first(now, newest),))
        return self._forced(now, head.sha, tip, newest)

    def _forced(self, now: Head, old: str, tip: str, newest: CommitInfo) -> Sighting:
        """What a branch means that lost commits."""
        base = self._git.merge_base(now.url, one=old, other=tip)
        if base is None:
            events = (_forced(now, old, tip, None), *_news(now, (newest,)))
            return Sighting(head=now, new=(newest,), newest=newest, replaced=True, events=events)
        dropped = [commit.sha for commit in self._git.commits(now.url, tip=old, after=base, limit=ALL_COMMITS)]
        new = self._git.commits(now.url, tip=tip, after=base, limit=ALL_COMMITS)
        events = (_forced(now, old, tip, len(dropped)), *_news(now, new))
        return Sighting(head=now, new=new, newest=newest, dropped=frozenset(dropped), events=events)

    def _since_built(self, url: str, tip: str, newest: CommitInfo, built: Collection[str]) -> tuple[CommitInfo, ...]:
        """Commits after the last one that has a build; the newest alone where none has."""
        branch = self._git.commits(url, tip=tip, after=None, limit=ALL_COMMITS) if built else ()
        last = max((number for number, commit in enumerate(branch) if commit.sha in built), default=None)
        return (newest,) if last is None else branch[last + 1 :]

    def _newest(self, package: Package, head: Head | None) -> CommitInfo | None:
        """The newest commit that counts, of what was seen before."""
        if head is None or head.sha is None:
            return None
        if package.following.commits is CommitPolicy.TAGS:
            return self._newest_tagged(package, head, head.sha)
        (newest,) = self._git.commits(head.url, tip=head.sha, after=None, limit=1)
        return newest

    def _tagged(self, package: Package, now: Head, head: Head | None, seen: Sighting) -> Sighting:
        """What of a branch counts for a package that follows tags: the commits that version tags lead to."""
        if now.sha is None:
            raise AssertionError("a branch that is there has a tip")
        newest = self._newest_tagged(package, now, now.sha)
        before = head.tags if head else {}
        new: tuple[CommitInfo, ...] = (newest,) if newest else ()
        details: dict[str, str] = {}
        if before:
            names = self._new_tags(package, now, now.sha, before, {commit.sha for commit in seen.new})
            details = {now.tags[name]: name for name in names}
            new = tuple(self._commit(now.url, sha) for sha in details)
        events = [event for event in seen.events if event.kind is not EventKind.NEW_COMMITS]
        reason = seen.reason if seen.reason is ReasonKind.NEW_PACKAGE else ReasonKind.NEW_TAG
        return replace(
            seen,
            new=new,
            newest=newest,
            reason=reason,
            details=details,
            events=(*events, *_tag_events(now, before), *_tag_news(now, new, details)),
        )

    def _new_tags(
        self, package: Package, now: Head, tip: str, before: Mapping[str, str], arrived: Collection[str]
    ) -> Sequence[str]:
        """Names of the tags that lead to commits to build, the lowest version first.

        A tag may be there before its commit is on the branch.
        """
        versions = self._versions(package, now.tags)
        new = [name for name, sha in now.tags.items() if before.get(name) != sha]
        highest = sorted(new, key=lambda name: (versions[name], name), reverse=True)[:MOST_NEW_TAGS]
        on_branch = {name for name in highest if self._git.contains(now.url, tip=tip, sha=now.tags[name])}
        waited = {name for name, sha in now.tags.items() if sha in arrived}
        return sorted(on_branch | waited, key=lambda name: (versions[name], name))

    def _newest_tagged(self, package: Package, head: Head, tip: str) -> CommitInfo | None:
        versions = self._versions(package, head.tags)
        highest = sorted(versions, key=lambda name: (versions[name], name), reverse=True)[:MOST_NEW_TAGS]
        for name in highest:
            if self._git.contains(head.url, tip=tip, sha=head.tags[name]):
                return self._commit(head.url, head.tags[name])
        return None

    def _commit(self, url: str, sha: str) -> CommitInfo:
        (commit,) = self._git.commits(url, tip=sha, after=None, limit=1)
        return commit

    def _versions(self, package: Package, names: Collection[str]) -> Mapping[str, Version]:
        told = {name: self._tag_version(package.upstream, name) for name in names}
        return {name: Version(version) for name, version in told.items() if version is not None}


def _packaging_url(package: Package) -> str:
    return package.packaging.url if isinstance(package.packaging, PackagingRepository) else ""


def short(sha: str | None) -> str:
    """The first digits of a sha, for people."""
    return (sha or "nothing")[:SHORT_SHA_DIGITS]


def _first(now: Head, newest: CommitInfo) -> NewEvent:
    summary = f"{now.package} is followed: {now.ref} of {public_url(now.url)} is at {short(newest.sha)}"
    return NewEvent(kind=EventKind.FIRST_SEEN, summary=summary, package=now.package, detail=_place(now, to=now.sha))


def _gone(now: Head, head: Head | None) -> NewEvent:
    more = " any more" if head is not None else ""
    summary = f"{now.package}: {public_url(now.url)} has no branch {now.ref}{more}"
    detail = _place(now, **{"from": head.sha if head else None})
    return NewEvent(kind=EventKind.BRANCH_GONE, summary=summary, package=now.package, detail=detail)


def _back(now: Head) -> NewEvent:
    summary = f"{now.package}: {public_url(now.url)} has the branch {now.ref} again, at {short(now.sha)}"
    return NewEvent(kind=EventKind.BRANCH_BACK, summary=summary, package=now.package, detail=_place(now, to=now.sha))


def _forced(now: Head, old: str, tip: str, dropped: int | None) -> NewEvent:
    """The event of a branch that lost commits: how many, or None where that was not counted."""
    lost = {None: "", 1: ", which drops 1 commit"}.get(dropped, f", which drops {dropped} commits")
    summary = f"{now.package}: {now.ref} of its {now.side} was forced from {short(old)} to {short(tip)}{lost}"
    detail = _place(now, **{"from": old, "to": tip, "dropped": dropped})
    return NewEvent(kind=EventKind.FORCE_PUSHED, summary=summary, package=now.package, detail=detail)


def _news(now: Head, new: Sequence[CommitInfo]) -> tuple[NewEvent, ...]:
    if not new:
        return ()
    count = "a new commit" if len(new) == 1 else f"{len(new)} new commits"
    summary = f"{now.package} has {count} on {now.ref}, up to {short(new[-1].sha)}: {new[-1].subject[:MOST_TOLD]}"
    detail = _place(now, count=len(new), to=new[-1].sha)
    return (NewEvent(kind=EventKind.NEW_COMMITS, summary=summary, package=now.package, detail=detail),)


def _tag_news(now: Head, new: Sequence[CommitInfo], details: Mapping[str, str]) -> tuple[NewEvent, ...]:
    if not details:
        return ()
    names = ", ".join(list(details.values())[-MOST_EVENTS:])
    summary = f"{now.package} has new tags on {now.ref}: {names}"
    detail = _place(now, count=len(new), to=new[-1].sha, tags=list(details.values())[-MOST_EVENTS:])
    return (NewEvent(kind=EventKind.NEW_COMMITS, summary=summary, package=now.package, detail=detail),)


def _tag_events(now: Head, before: Mapping[str, str]) -> list[NewEvent]:
    """Events of tags that lead elsewhere, or nowhere any more."""
    events = []
    for name, sha in before.items():
        to = now.tags.get(name)
        if to == sha:
            continue
        kind = EventKind.TAG_GONE if to is None else EventKind.TAG_MOVED
        what = "is gone" if to is None else f"was moved to {short(to)}"
        detail = _place(now, tag=name, **{"from": sha, "to": to})
        summary = f"{now.package}: the tag {name}, which led to {short(sha)}, {what}"
        events.append(NewEvent(kind=kind, summary=summary, package=now.package, detail=detail))
    return events[:MOST_EVENTS]


def _place(now: Head, **more: object) -> Mapping[str, object]:
    return {"side": now.side.value, "url": public_url(now.url), "branch": now.ref, **more}
