"""The events of what was seen of a repository, in words. Names and texts in them are upstream's. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from conveyor.model.addresses import public_url
from conveyor.model.commit import SHORT_SHA_DIGITS, CommitInfo
from conveyor.model.event import EventKind, NewEvent
from conveyor.model.watch import Head

# Of many tags that moved or went, so many get an event each, and the others one together, which names so many.
MOST_EVENTS, MOST_NAMES = 20, 200
# Of a commit's subject an event tells so many characters.
MOST_TOLD = 200


def short(sha: str | None) -> str:
    """The first digits of a sha, for people."""
    return (sha or "nothing")[:SHORT_SHA_DIGITS]


def first_seen(now: Head, newest: CommitInfo) -> NewEvent:
    """The event of a branch that is followed from now on."""
    summary = f"{now.package} is followed: {now.ref} of {public_url(now.url)} is at {short(newest.sha)}"
    return NewEvent(kind=EventKind.FIRST_SEEN, summary=summary, package=now.package, detail=_place(now, to=now.sha))


def gone(now: Head, head: Head | None) -> NewEvent:
    """The event of a branch that is not there; `head` is what was seen before."""
    more = " any more" if head is not None else ""
    summary = f"{now.package}: {public_url(now.url)} has no branch {now.ref}{more}"
    detail = _place(now, **{"from": head.sha if head else None})
    return NewEvent(kind=EventKind.BRANCH_GONE, summary=summary, package=now.package, detail=detail)


def back(now: Head) -> NewEvent:
    """The event of a branch that is there again."""
    summary = f"{now.package}: {public_url(now.url)} has the branch {now.ref} again, at {short(now.sha)}"
    return NewEvent(kind=EventKind.BRANCH_BACK, summary=summary, package=now.package, detail=_place(now, to=now.sha))


def forced(now: Head, old: str, tip: str, dropped: int | None) -> NewEvent:
    """The event of a branch that lost commits: how many, or None where that was not counted."""
    lost = {None: "", 1: ", which drops 1 commit"}.get(dropped, f", which drops {dropped} commits")
    summary = f"{now.package}: {now.ref} of its {now.side} was forced from {short(old)} to {short(tip)}{lost}"
    detail = _place(now, **{"from": old, "to": tip, "dropped": dropped})
    return NewEvent(kind=EventKind.FORCE_PUSHED, summary=summary, package=now.package, detail=detail)


def new_commits(now: Head, new: Sequence[CommitInfo]) -> tuple[NewEvent, ...]:
    """The event of new commits; none of none."""
    if not new:
        return ()
    count = "a new commit" if len(new) == 1 else f"{len(new)} new commits"
    summary = f"{now.package} has {count} on {now.ref}, up to {short(new[-1].sha)}: {new[-1].subject[:MOST_TOLD]}"
    detail = _place(now, count=len(new), to=new[-1].sha)
    return (NewEvent(kind=EventKind.NEW_COMMITS, summary=summary, package=now.package, detail=detail),)


def new_tags(now: Head, new: Sequence[CommitInfo], names: Sequence[str]) -> tuple[NewEvent, ...]:
    """The event of new tags that lead to commits to build; none of none."""
    if not names:
        return ()
    told = list(names)[-MOST_EVENTS:]
    summary = f"{now.package} has new tags on {now.ref}: {', '.join(told)}"
    detail = _place(now, count=len(new), to=new[-1].sha, tags=told)
    return (NewEvent(kind=EventKind.NEW_COMMITS, summary=summary, package=now.package, detail=detail),)


def changed_tags(now: Head, before: Mapping[str, str], after: Mapping[str, str]) -> tuple[NewEvent, ...]:
    """The events of tags that lead elsewhere, or nowhere any more.

    Args:
        now: where they are.
        before: what each tag led to.
        after: what each leads to, the others' likewise.
    """
    changed = [name for name, sha in before.items() if after.get(name) != sha]
    events = [_changed_tag(now, name, before[name], after.get(name)) for name in changed[:MOST_EVENTS]]
    if len(changed) > MOST_EVENTS:
        events.append(_more_tags(now, changed[MOST_EVENTS:], after))
    return tuple(events)


def _changed_tag(now: Head, name: str, old: str, new: str | None) -> NewEvent:
    kind = EventKind.TAG_GONE if new is None else EventKind.TAG_MOVED
    what = "is gone" if new is None else f"was moved to {short(new)}"
    summary = f"{now.package}: the tag {name}, which led to {short(old)}, {what}"
    detail = _place(now, tag=name, **{"from": old, "to": new})
    return NewEvent(kind=kind, summary=summary, package=now.package, detail=detail)


def _more_tags(now: Head, names: Sequence[str], after: Mapping[str, str]) -> NewEvent:
    kind = EventKind.TAG_MOVED if any(name in after for name in names) else EventKind.TAG_GONE
    summary = f"{now.package}: {len(names)} more tags were moved or are gone"
    detail = _place(now, count=len(names), tags=list(names)[:MOST_NAMES])
    return NewEvent(kind=kind, summary=summary, package=now.package, detail=detail)


def _place(now: Head, **more: object) -> Mapping[str, object]:
    return {"side": now.side.value, "url": public_url(now.url), "branch": now.ref, **more}
