"""Which of a target's snapshots a promotion may lead to, and which of several targets go together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, takewhile

from conveyor.model.promotion import CURRENT, PromotionPolicy
from conveyor.model.published import PublishedSnapshot
from conveyor.pipeline.pointing import evidence
from conveyor.pipeline.pointing.coherence import alike
from conveyor.pipeline.pointing.knowledge import Knowledge
from conveyor.ports import Ledger, Repository, Store

# How many of a target's newest snapshots are looked at, and how many of the fit ones are compared with other targets'.
LOOKED_BACK = 200
COMPARED = 8

# A snapshot for each target.
Chosen = Mapping[str, PublishedSnapshot]


class Chooser:
    """Finds snapshots that are fit, newest first.

    Args:
        store: what was published.
        ledger: where pointers led.
        repository: the published tree.
        knowledge: what is known of snapshots.
    """

    def __init__(self, store: Store, ledger: Ledger, repository: Repository, knowledge: Knowledge) -> None:
        self._store = store
        self._ledger = ledger
        self._repository = repository
        self._knowledge = knowledge

    def newer(self, policy: PromotionPolicy) -> Chosen:
        """The newest fit snapshots that are newer than all that the promotion has led to; none where there are none.

        Of targets that go together some may stay where they are. So nothing moves back, and what was rolled back stays
        so until something newer is fit.
        """
        newer = {target: self._since(target, policy.name) for target in policy.targets}
        if not any(newer.values()):
            return {}
        present = {target: self._pointed(target, policy.name) for target in policy.targets}
        candidates = {
            target: [*self._fit(policy, newer[target]), *self._fit(policy, filter(None, [present[target]]))]
            for target in policy.targets
        }
        chosen = self._alike(candidates) if policy.together else _first(candidates)
        return {} if chosen is None or all(present[target] == each for target, each in chosen.items()) else chosen

    def together(self, policy: PromotionPolicy, own: Chosen, *, alone: bool) -> Chosen | None:
        """Snapshots that go together and have a commit in them; None where there are none.

        Args:
            policy: the promotion's.
            own: the commit's own snapshots, which are preferred; of the policy's other targets any will do.
            alone: whether its own are the only ones, and not also those after them that have it too.
        """
        candidates: dict[str, Sequence[PublishedSnapshot]] = {}
        for target in policy.targets:
            if target not in own:
                candidates[target] = list(self._fit(policy, self._published(target)))
            else:
                candidates[target] = [own[target], *([] if alone else self._with_the_same(policy, own[target]))]
        return self._alike(candidates)

    def _alike(self, candidates: Mapping[str, Sequence[PublishedSnapshot]]) -> Chosen | None:
        def contents(target: str, snapshot: PublishedSnapshot) -> Mapping[str, str | None]:
            return self._knowledge.contents(target, snapshot.commit)

        return alike(candidates, contents, self._knowledge.grid)

    def _since(self, target: str, pointer: str) -> list[PublishedSnapshot]:
        """The snapshots that are newer than all that a pointer has led to, newest first."""
        led_to = self._ledger.entries(target=target, pointer=pointer, limit=LOOKED_BACK)
        known = {commit for entry in led_to for commit in (entry.step.before, entry.step.after)}
        return list(takewhile(lambda snapshot: snapshot.commit not in known, self._published(target)))

    def _published(self, target: str) -> list[PublishedSnapshot]:
        """The newest snapshots of a target, newest first, but for those that never were its newest.

        A snapshot that is published late, after one of a newer commit of its package, has the older commit in it.
        """
        moves = self._ledger.entries(target=target, pointer=CURRENT, limit=LOOKED_BACK)
        current = {entry.step.after for entry in moves}
        return [each for each in self._store.published(target, limit=LOOKED_BACK) if each.commit in current]

    def _with_the_same(self, policy: PromotionPolicy, own: PublishedSnapshot) -> Iterator[PublishedSnapshot]:
        """The fit snapshots that were published after a commit's own and still have it, newest first."""
        published = self._published(own.target)
        later = reversed(published[: published.index(own)]) if own in published else iter(())
        same = list(takewhile(lambda snapshot: snapshot.package != own.package, later))
        return self._fit(policy, reversed(same))

    def _fit(self, policy: PromotionPolicy, snapshots: Iterable[PublishedSnapshot]) -> Iterator[PublishedSnapshot]:
        """Those that have all that the policy asks for, as many as are compared."""
        return islice((each for each in snapshots if self._is_fit(policy, each)), COMPARED)

    def _is_fit(self, policy: PromotionPolicy, snapshot: PublishedSnapshot) -> bool:
        if snapshot.collected_at is not None:
            return False
        return not evidence.missing(policy, self._knowledge.facts(snapshot, policy))

    def _pointed(self, target: str, pointer: str) -> PublishedSnapshot | None:
        commit = self._repository.pointed(target, pointer)
        return None if commit is None else self._knowledge.snapshot(target, commit)


def _first(candidates: Mapping[str, Sequence[PublishedSnapshot]]) -> Chosen:
    return {target: snapshots[0] for target, snapshots in candidates.items() if snapshots}
