"""Which snapshots retention takes. Pure: the same history gives the same answer, however often it is asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from conveyor.model.published import PublishedSnapshot, Retention


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What keeps snapshots of a target, whatever its policy says.

    Attributes:
        commits: ids of the commits that a pointer or a move in the making leads to, or that an entry of the ledger says
            to keep.
        left: when a pointer last moved away, by the id of the commit that it had pointed at.
    """

    commits: frozenset[str] = frozenset()
    left: Mapping[str, datetime] = field(default_factory=dict)


def outdated(
    snapshots: Sequence[PublishedSnapshot], policy: Retention, held: Held, now: datetime
) -> tuple[PublishedSnapshot, ...]:
    """The snapshots that nothing has kept for as long as the grace lasts, oldest first.

    Args:
        snapshots: of one target; those that are collected already are left out.
        policy: the target's.
        held: what is kept in any case.
        now: the time.
    """
    if policy.newest is None:
        return ()
    ends = dict(_ends(snapshots, policy, max(policy.newest, 1)))
    grace = timedelta(seconds=policy.grace)
    gone = {
        commit
        for commit, ended in ends.items()
        if ended is not None and commit not in held.commits and now >= max(ended, held.left.get(commit, ended)) + grace
    }
    chosen = (each for each in snapshots if each.commit in gone and each.collected_at is None)
    return tuple(sorted(chosen, key=_age))


def _ends(
    snapshots: Sequence[PublishedSnapshot], policy: Retention, newest: int
) -> Iterator[tuple[str, datetime | None]]:
    """By commit, when the policy stopped to keep its snapshot; None while it keeps it.

    Two packages may share an upstream and its packaging: then their commits have one id, and one snapshot's folder.
    """
    newest_first = sorted((each for each in snapshots if each.collected_at is None), key=_age, reverse=True)
    age = timedelta(seconds=policy.younger_than)
    ends: defaultdict[str, list[datetime | None]] = defaultdict(list)
    for rank, each in enumerate(newest_first):
        pushed_out = newest_first[rank - newest].published_at if rank >= newest else None
        ends[each.commit].append(None if pushed_out is None else max(pushed_out, each.published_at + age))
    for commit, all_ends in ends.items():
        known = [end for end in all_ends if end is not None]
        yield commit, max(known) if len(known) == len(all_ends) else None


def _age(snapshot: PublishedSnapshot) -> tuple[datetime, int]:
    return snapshot.published_at, snapshot.build
