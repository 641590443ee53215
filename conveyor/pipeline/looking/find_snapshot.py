"""Which snapshot of a target somebody means: by pointer, commit, abbreviated sha or build number."""

from __future__ import annotations

import re

from conveyor.errors import AmbiguousName, ConveyorError, UnknownName
from conveyor.model.published import PublishedSnapshot
from conveyor.ports import Repository, Store

# As short as git takes them.
_ABBREVIATED = re.compile(r"[0-9a-f]{4,40}(_[0-9a-zA-Z._-]*)?")
_NUMBER = re.compile(r"[0-9]{1,9}")
_SHOWN = 5


def find_snapshot(store: Store, repository: Repository, target: str, named: str) -> PublishedSnapshot:
    """The published snapshot of a target that goes by a name.

    Args:
        store: what was published.
        repository: the published tree, for the pointers.
        target: the target's name.
        named: a pointer; else a build's number; else the id of a commit or its beginning, from four digits on. The
            first of these that there is counts.

    Returns:
        The snapshot, which may have been collected: `collected_at` tells.

    Raises:
        UnknownName: nothing is called that.
        AmbiguousName: more than one snapshot is.
    """
    pointed = repository.pointers(target).get(named)
    if pointed is not None:
        return _pointed(store, target, named, pointed)
    numbered = _numbered(store, target, int(named)) if _NUMBER.fullmatch(named) else None
    if numbered is not None:
        return numbered
    found = store.published(target, commit=named) if _ABBREVIATED.fullmatch(named) else ()
    exact = [each for each in found if each.commit == named]
    commits = sorted({each.commit for each in exact or found})
    if len(commits) == 1:
        return (exact or found)[-1]
    raise _ambiguous(target, named, commits) if commits else _unknown(repository, target, named)


def _pointed(store: Store, target: str, pointer: str, commit: str) -> PublishedSnapshot:
    found = [each for each in store.published(target, commit=commit) if each.commit == commit]
    if not found:
        raise UnknownName(
            f"{pointer} of {target} points at {commit}, which the store does not know",
            cause="the store is older than the published tree, or another site's",
            hint="restore the newer backup of the store, or move the pointer to a snapshot that it knows",
        )
    return found[-1]


def _numbered(store: Store, target: str, number: int) -> PublishedSnapshot | None:
    try:
        commit = store.build(number).commit.id
    except UnknownName:
        return None
    return next((each for each in store.published(target, commit=commit) if each.build == number), None)


def _ambiguous(target: str, named: str, commits: list[str]) -> ConveyorError:
    more = f" and {len(commits) - _SHOWN} more" if len(commits) > _SHOWN else ""
    return AmbiguousName(
        f"{target} has {len(commits)} snapshots whose commit begins with {named}",
        cause=", ".join(commits[:_SHOWN]) + more,
        hint="write more of it; two builds of one upstream commit differ after the '_'",
    )


def _unknown(repository: Repository, target: str, named: str) -> ConveyorError:
    pointers = ", ".join(repository.pointers(target)) or "none"
    return UnknownName(
        f"{target} has no snapshot {named!r}",
        cause="it is no pointer, no commit and no build that was published",
        hint=f"'conveyor snapshot list --target {target}' shows them; pointers: {pointers}",
    )
