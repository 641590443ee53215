"""Where every pointer stands, and what holds it back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from conveyor.errors import SnapshotDamaged, UnknownName
from conveyor.model.commit import SHORT_SHA_DIGITS
from conveyor.model.promotion import CONSISTENT, CURRENT, PromotionPolicy, consistent_of
from conveyor.model.published import PublishedSnapshot
from conveyor.pipeline.pointing import evidence
from conveyor.pipeline.pointing.choose import LOOKED_BACK
from conveyor.pipeline.pointing.coherence import Contents
from conveyor.pipeline.pointing.knowledge import Knowledge
from conveyor.ports import Ledger, Repository, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One pointer of one target.

    Attributes:
        target: the target's name.
        pointer: the pointer's name.
        commit: id of the commit that it leads to; None where there is no such pointer yet.
        published_at: when that snapshot was published; None where there is none.
        held_back: why it does not lead to the newest snapshot, a line each; none where it does, or could.
    """

    target: str
    pointer: str
    commit: str | None
    published_at: datetime | None
    held_back: tuple[str, ...]


class Standings:
    """Looks at pointers.

    Args:
        store: what was built.
        ledger: where pointers led.
        repository: the published tree.
        knowledge: what is known of snapshots.
        policies: the promotions of repos.yaml.
        components: by target, the packages that can hold its `consistent` back, and their components.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        repository: Repository,
        knowledge: Knowledge,
        policies: Sequence[PromotionPolicy],
        components: Mapping[str, Mapping[str, str]],
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._repository = repository
        self._knowledge = knowledge
        self._policies = policies
        self._components = components

    def of(self, targets: Sequence[str]) -> tuple[Standing, ...]:
        """The pointers of targets: `current` and `consistent` first, then promotions, those of repos.yaml first."""
        held_back = {policy.name: self._held_back(policy) for policy in self._policies}
        return tuple(each for target in targets for each in self._of(target, held_back))

    def _of(self, target: str, held_back: dict[str, dict[str, tuple[str, ...]]]) -> Iterator[Standing]:
        pointed = self._repository.pointers(target)
        named = [policy.name for policy in self._policies if target in policy.targets]
        published = {commit: self._published_at(target, commit) for commit in {*pointed.values()}}
        for pointer in dict.fromkeys([CURRENT, CONSISTENT, *named, *pointed]):
            commit = pointed.get(pointer)
            lines = self.failing(target, pointer) or held_back.get(pointer, {}).get(target, ())
            yield Standing(
                target=target,
                pointer=pointer,
                commit=commit,
                published_at=published[commit] if commit is not None else None,
                held_back=lines,
            )

    def contents(self, target: str, commit: str) -> Contents:
        """The commit of each package in a snapshot.

        Raises:
            UnknownName: there is no such snapshot.
            SnapshotDamaged: it cannot be read.
        """
        return self._knowledge.contents(target, commit)

    def holding(self, target: str, pointer: str) -> tuple[str, ...]:
        """The packages that hold `consistent` back, or that of a component, sorted; none for other pointers."""
        if not pointer.startswith(CONSISTENT):
            return ()
        configured = self._components.get(target, {})
        failing = [name for name in self._store.failing(target) if name in configured]
        return tuple(name for name in failing if pointer in {CONSISTENT, consistent_of(configured[name])})

    def failing(self, target: str, pointer: str) -> tuple[str, ...]:
        """Why builds hold `consistent` back, or that of a component, a line each; none for other pointers."""
        return tuple(did_not_succeed(target, name) for name in self.holding(target, pointer))

    def _held_back(self, policy: PromotionPolicy) -> dict[str, tuple[str, ...]]:
        """What the newest snapshots lack, by target; of those that go together, what keeps them apart too."""
        newest = {target: self._newest(target) for target in policy.targets}
        there = {target: snapshot for target, snapshot in newest.items() if snapshot is not None}
        if all(self._repository.pointed(target, policy.name) == each.commit for target, each in there.items()):
            return {}
        lines = {target: self._lacking(policy, each) for target, each in there.items()}
        if not policy.together:
            return lines
        lacking = tuple(f"{target}: nothing is published" for target in policy.targets if target not in there)
        differing = self._differing({target: each.commit for target, each in there.items()})
        everything = [line for target in policy.targets for line in lines.get(target, ())]
        return dict.fromkeys(policy.targets, tuple(dict.fromkeys([*lacking, *everything, *differing])))

    def _lacking(self, policy: PromotionPolicy, newest: PublishedSnapshot) -> tuple[str, ...]:
        lines = evidence.missing(policy, self._knowledge.facts(newest, policy))
        if not policy.automatic or self._repository.pointed(newest.target, policy.name) == newest.commit:
            return lines
        entries = self._ledger.entries(target=newest.target, pointer=policy.name, limit=LOOKED_BACK)
        if newest.commit not in {entry.step.before for entry in entries}:
            return lines
        told = (
            f"{newest.target}: it was moved away from {newest.commit[:SHORT_SHA_DIGITS]}, and waits for something newer"
        )
        return (*lines, told)

    def _differing(self, commits: Mapping[str, str]) -> tuple[str, ...]:
        try:
            return self._knowledge.differences(commits)
        except (SnapshotDamaged, UnknownName) as error:
            return (error.summary,)  # who looks wants to see all the rest, too

    def _newest(self, target: str) -> PublishedSnapshot | None:
        commit = self._repository.pointed(target, CURRENT)
        return None if commit is None else self._knowledge.snapshot(target, commit)

    def _published_at(self, target: str, commit: str) -> datetime | None:
        snapshot = self._knowledge.snapshot(target, commit)
        return None if snapshot is None else snapshot.published_at


def did_not_succeed(target: str, package: str) -> str:
    """How a package holds `consistent` back."""
    return f"{target}: the latest build of {package} did not succeed"
