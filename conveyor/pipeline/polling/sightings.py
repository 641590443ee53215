"""What an answer of a repository means for a package that follows it. Reads the mirror, and changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from conveyor.model.commit import CommitInfo
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.package import CommitPolicy, Package, PackagingRepository
from conveyor.model.queue import ReasonKind
from conveyor.model.watch import Head, RemoteRefs, Side, Tags
from conveyor.pipeline.polling import tidings
from conveyor.pipeline.polling.places import Answer, branch_of
from conveyor.pipeline.polling.versiontags import TagVersion, VersionTags
from conveyor.ports import Git

# Far more than any branch has.
ALL_COMMITS = 1_000_000
NO_TAGS = Tags()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What was seen of a package's upstream.

    Attributes:
        head: what is followed from now on; None where nothing changed.
        tags: what its version tags are from now on; None where they are as before.
        new: commits that were not seen before and count by the package's policy, oldest first.
        newest: the newest commit that counts; None where there is none.
        dropped: commits that are on the branch no more.
        replaced: whether nothing of the branch is left of what was seen before.
        reason: why the new ones are there.
        details: more of that, by sha.
        events: what happened.
    """

    head: Head | None = None
    tags: Tags | None = None
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What was seen of a package before, and is in the store.

    Attributes:
        heads: what is followed, by side.
        tags: the version tags of its upstream.
        built: shas of commits that have builds, for a branch that comes back.
    """

    heads: Mapping[Side, Head] = field(default_factory=dict)
    tags: Tags = NO_TAGS
    built: Collection[str] = ()


class Lookout:
    """Makes out what answers mean.

    Args:
        git: the mirrors, up to date with the answers.
        tag_version: the version that a tag stands for, given the upstream's URL and the tag's name.
    """

    def __init__(self, git: Git, tag_version: TagVersion) -> None:
        self._git = git
        self._tags = VersionTags(git, tag_version)

    def is_news(self, package: Package, side: Side, head: Head | None, tags: Tags, answer: Answer) -> bool:
        """Whether an answer tells of something else than what was seen before. The mirror is not looked at.

        Args:
            package: the package.
            side: which of its repositories answered.
            head: what was seen of that before; None for nothing.
            tags: the tags that were seen before; of a package that does not follow tags it does not matter.
            answer: the answer.
        """
        if side is Side.PACKAGING:
            return self._is_packaging_news(package, head, answer)
        if head is None or answer.refs is None:
            return True
        tip = answer.refs.branches.get(package.branch)
        if (head.url, head.ref, head.sha) != (package.upstream, package.branch, tip):
            return True
        follows = package.following.commits is CommitPolicy.TAGS
        return tip is not None and follows and self._tags_now(package, answer.refs) != tags

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
        self, package: Package, known: Known, answers: Mapping[Side, Answer], at: datetime
    ) -> tuple[Sighting, PackagingSighting]:
        """What answers mean for a package.

        Args:
            package: the package.
            known: what was seen before.
            answers: the answers of its places; none of one that did not answer.
            at: now.

        Raises:
            RevisionMissing: a mirror does not have what an answer told of.
        """
        upstream, packaging = answers.get(Side.UPSTREAM), answers.get(Side.PACKAGING)
        seen = self._upstream(package, known, upstream.refs if upstream else None, at)
        head = known.heads.get(Side.PACKAGING)
        if packaging is not None:
            sha = packaging.packaging.get(package.name) or ""
            return seen, self._packaging(package, head, packaging.refs, sha, at)
        # Of a repository, unlike a folder, what was seen before is still here.
        is_known = isinstance(package.packaging, PackagingRepository) and head is not None and head.sha is not None
        return seen, PackagingSighting(sha=head.packaging_sha if is_known and head else "")

    def _upstream(self, package: Package, known: Known, refs: RemoteRefs | None, at: datetime) -> Sighting:
        """What an answer of the upstream means; None for no answer, or no other than before."""
        head = known.heads.get(Side.UPSTREAM)
        if refs is None:
            return Sighting(newest=self._newest(package, head, known.tags))
        tip = refs.branches.get(package.branch)
        now = Head(package=package.name, side=Side.UPSTREAM, url=package.upstream, ref=package.branch, sha=tip, at=at)
        is_same_place = head is not None and head.url == now.url
        before = known.tags if is_same_place else NO_TAGS
        if tip is None:
            return replace(self._gone(now, head), tags=None if is_same_place else NO_TAGS)
        seen = self._branch(now, tip, head, known.built)
        tags = self._tags_now(package, refs)
        if tags.followed:
            seen = self._tagged(package, tip, known.tags, tags, seen)
        events = (*seen.events, *tidings.changed_tags(now, before.shas, tags.shas))
        # New commits come last: the tags give them their versions.
        in_order = sorted(events, key=lambda event: event.kind is EventKind.NEW_COMMITS)
        return replace(seen, tags=tags if tags != known.tags else None, events=tuple(in_order))

    def _tags_now(self, package: Package, refs: RemoteRefs) -> Tags:
        """The version tags: where they are followed as the answer has them; else as versions are worked out from."""
        if package.following.commits is CommitPolicy.TAGS:
            return Tags(shas=self._tags.of(package, refs.tags), followed=True)
        return Tags(shas=self._tags.mirrored(package))

    def _packaging(
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
            return PackagingSighting(head=gone, events=(tidings.gone(now, head),) if is_news else ())
        changed = head is not None and head.packaging_sha not in {"", sha}
        events = []
        if head is not None and head.sha is None:
            events.append(tidings.back(now))
        if changed and head is not None:
            events += self._packaging_events(now, head, tip)
        return PackagingSighting(head=now, sha=sha, changed=changed, events=tuple(events))

    def _packaging_events(self, now: Head, head: Head, tip: str) -> list[NewEvent]:
        events = []
        is_same_branch = bool(now.url) and (now.url, now.ref) == (head.url, head.ref)
        if is_same_branch and head.sha and not self._git.contains(now.url, tip=tip, sha=head.sha):
            events.append(tidings.forced(now, head.sha, tip, None))
        detail = {"side": now.side, "from": head.packaging_sha, "to": now.packaging_sha}
        summary = f"the packaging of {now.package} changed"
        return [*events, NewEvent(kind=EventKind.NEW_PACKAGING, summary=summary, package=now.package, detail=detail)]

    def _gone(self, now: Head, head: Head | None) -> Sighting:
        is_news = head is None or head.sha is not None or (head.url, head.ref) != (now.url, now.ref)
        return Sighting(head=now, events=(tidings.gone(now, head),) if is_news else ())

    def _branch(self, now: Head, tip: str, head: Head | None, built: Collection[str]) -> Sighting:
        """What a branch that is there means."""
        (newest,) = self._git.commits(now.url, tip=tip, after=None, limit=1)
        if head is None:
            return Sighting(
                head=now,
                new=(newest,),
                newest=newest,
                reason=ReasonKind.NEW_PACKAGE,
                events=(tidings.first_seen(now, newest),),
            )
        if head.sha is None:
            new = self._since_built(now.url, tip, newest, built)
            return Sighting(
                head=now, new=new, newest=newest, events=(tidings.back(now), *tidings.new_commits(now, new))
            )
        if head.sha == tip:
            return Sighting(head=now, newest=newest)
        if self._git.contains(now.url, tip=tip, sha=head.sha):
            new = self._git.commits(now.url, tip=tip, after=head.sha, limit=ALL_COMMITS)
            return Sighting(head=now, new=new, newest=newest, events=tidings.new_commits(now, new))
        if (head.url, head.ref) != (now.url, now.ref):
            return Sighting(
                head=now, new=(newest,), newest=newest, replaced=True, events=(tidings.first_seen(now, newest),)
            )
        return self._forced(now, head.sha, tip, newest)

    def _forced(self, now: Head, old: str, tip: str, newest: CommitInfo) -> Sighting:
        """What a branch means that lost commits."""
        base = self._git.merge_base(now.url, one=old, other=tip)
        if base is None:
            events = (tidings.forced(now, old, tip, None), *tidings.new_commits(now, (newest,)))
            return Sighting(head=now, new=(newest,), newest=newest, replaced=True, events=events)
        dropped = [commit.sha for commit in self._git.commits(now.url, tip=old, after=base, limit=ALL_COMMITS)]
        new = self._git.commits(now.url, tip=tip, after=base, limit=ALL_COMMITS)
        events = (tidings.forced(now, old, tip, len(dropped)), *tidings.new_commits(now, new))
        return Sighting(head=now, new=new, newest=newest, dropped=frozenset(dropped), events=events)

    def _since_built(self, url: str, tip: str, newest: CommitInfo, built: Collection[str]) -> tuple[CommitInfo, ...]:
        """Commits after the last one that has a build; the newest alone where none has."""
        branch = self._git.commits(url, tip=tip, after=None, limit=ALL_COMMITS) if built else ()
        last = max((number for number, commit in enumerate(branch) if commit.sha in built), default=None)
        return (newest,) if last is None else branch[last + 1 :]

    def _newest(self, package: Package, head: Head | None, tags: Tags) -> CommitInfo | None:
        """The newest commit that counts, of what was seen before."""
        if head is None or head.sha is None:
            return None
        if package.following.commits is CommitPolicy.TAGS:
            return self._tags.newest(package, tags.shas, head.sha)
        (newest,) = self._git.commits(head.url, tip=head.sha, after=None, limit=1)
        return newest

    def _tagged(self, package: Package, tip: str, before: Tags, tags: Tags, seen: Sighting) -> Sighting:
        """What of a branch counts for a package that follows tags: the commits that version tags lead to."""
        newest = self._tags.newest(package, tags.shas, tip)
        new: tuple[CommitInfo, ...] = (newest,) if newest else ()
        details: dict[str, str] = {}
        if before.followed and before.shas:
            names = self._tags.new(package, tags.shas, tip, before.shas, {commit.sha for commit in seen.new})
            details = {tags.shas[name]: name for name in names}
            new = tuple(self._tags.commit(package, sha) for sha in details)
        events = [event for event in seen.events if event.kind is not EventKind.NEW_COMMITS]
        if seen.head is None:
            raise AssertionError("a branch that is there is followed")
        return replace(
            seen,
            new=new,
            newest=newest,
            reason=seen.reason if seen.reason is ReasonKind.NEW_PACKAGE else ReasonKind.NEW_TAG,
            details=details,
            events=(*events, *tidings.new_tags(seen.head, new, list(details.values()))),
        )


def _packaging_url(package: Package) -> str:
    return package.packaging.url if isinstance(package.packaging, PackagingRepository) else ""
