"""Promotions: pointers that move on evidence, for one target or for several at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from conveyor.errors import ConveyorError, PromotionRefused, UnknownName
from conveyor.model.promotion import TAKEN, LedgerEntry, MoveKind, PromotionPolicy, follows_builds, is_pointer_name
from conveyor.model.published import PublishedSnapshot
from conveyor.pipeline.looking.find_commit import Meant, find_commit
from conveyor.pipeline.pointing import evidence
from conveyor.pipeline.pointing.choose import Chooser, Chosen
from conveyor.pipeline.pointing.knowledge import Knowledge
from conveyor.pipeline.pointing.pointers import ACTOR, Pointers
from conveyor.ports import Repository, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a promotion would do.

    Attributes:
        chosen: the snapshot that the pointer is to lead to, by target.
        missing: what it lacks, a line each; none where it can be done.
        evidence: on what it stands, for the ledger.
    """

    chosen: Chosen
    missing: tuple[str, ...] = ()
    evidence: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What somebody asks to be promoted.

    Attributes:
        commit: as `find_commit` takes it.
        policy: the promotion's.
        targets: names of targets; none for those of the policy on which there is such a commit.
        actor: who asks.
        note: a person's words.
        keep: whether retention keeps the snapshots for ever.
    """

    commit: str
    policy: PromotionPolicy
    targets: tuple[str, ...] = ()
    actor: str
    note: str = ""
    keep: bool = False


class Promoter:
    """Decides on promotions, and has Pointers move them.

    Args:
        store: what was built.
        repository: the published tree.
        pointers: moves pointers.
        knowledge: what is known of snapshots.
        chooser: finds snapshots.
        policies: the promotions of repos.yaml.
    """

    def __init__(
        self,
        *,
        store: Store,
        repository: Repository,
        pointers: Pointers,
        knowledge: Knowledge,
        chooser: Chooser,
        policies: Sequence[PromotionPolicy],
    ) -> None:
        self._store = store
        self._repository = repository
        self._pointers = pointers
        self._knowledge = knowledge
        self._chooser = chooser
        self._policies = policies

    def plan(self, asked: Asked) -> Plan:
        """What a promotion would do; nothing is moved.

        Raises:
            PromotionRefused: nothing is promoted to the name, or not on these targets; or something is missing, which
                is in the details.
            UnknownName: there is no such commit, or no pointer can be called that.
        """
        policy = asked.policy
        check_name(policy.name)
        _check_targets(policy, asked.targets)
        meant = find_commit(self._store, self._repository, asked.commit, policy.targets)
        plan = self._plan_together(policy, meant) if policy.together else self._plan_each(asked, meant)
        if plan.missing:
            raise PromotionRefused(
                f"{policy.name} cannot move to {asked.commit}",
                hint="'conveyor status' shows where every promotion stands; repos.yaml says what it needs",
                details=plan.missing,
            )
        return plan

    def promote(self, asked: Asked) -> tuple[LedgerEntry, ...]:
        """Move a promotion to a commit, on all targets or on none.

        Returns:
            What the ledger has of it; nothing where it was there already.

        Raises:
            PromotionRefused, UnknownName: see `plan`; nothing is moved.
            DiskFull, StoreUnusable: see `Pointers.move`.
        """
        return self.promote_all((asked,))

    def promote_all(self, asked: Sequence[Asked]) -> tuple[LedgerEntry, ...]:
        """Do several promotions in one move: all of them, or none.

        Args:
            asked: promotions of different names. The first one says who asks, the words, and what to keep.

        Raises:
            PromotionRefused, UnknownName: see `plan`; nothing is moved.
            DiskFull, StoreUnusable: see `Pointers.move`.
        """
        fixed = [replace(each, targets=tuple(self.plan(each).chosen)) for each in asked]
        with self._pointers.writing({target for each in fixed for target in each.targets}):
            plans = {each.policy.name: (each.policy, self.plan(each)) for each in fixed}
            evidence = {name: plan.evidence for name, (_, plan) in plans.items()}
            return self._pointers.move_held(
                MoveKind.PROMOTED,
                [step for policy, plan in plans.values() for step in _steps(policy, plan.chosen)],
                actor=asked[0].actor,
                note=asked[0].note,
                evidence=evidence if len(asked) > 1 else evidence[asked[0].policy.name],
                keep=asked[0].keep,
            )

    def follow(self) -> tuple[ConveyorError, ...]:
        """Move the promotions that move by themselves; returns what kept any from it."""
        problems: list[ConveyorError] = []
        for policy in self._policies:
            for part in _movable(policy):
                try:
                    self._follow(part)
                except ConveyorError as error:
                    problems.append(error)
        return tuple(problems)

    def _follow(self, policy: PromotionPolicy) -> None:
        # Most builds change nothing, and need not wait for whoever writes to the targets.
        if not self._chooser.newer(policy):
            return
        with self._pointers.writing(policy.targets):
            plan = self._judged(policy, self._chooser.newer(policy), ())
            steps = _steps(policy, plan.chosen)
            self._pointers.move_held(MoveKind.PROMOTED, steps, actor=ACTOR, evidence=plan.evidence)

    def _plan_each(self, asked: Asked, meant: Meant) -> Plan:
        """Each target's snapshot of what is meant."""
        policy = asked.policy
        own, missing = self._own(meant, asked.targets or [name for name in policy.targets if name in meant.commits])
        if not own and not missing:
            missing = tuple(_not_there(meant, target) for target in policy.targets)
        return self._judged(policy, own, missing)

    def _plan_together(self, policy: PromotionPolicy, meant: Meant) -> Plan:
        """The commit's own snapshots; where they are not alike, the next ones that still have it."""
        own, missing = self._own(meant, [target for target in policy.targets if self._has(meant, target)])
        if missing:
            return Plan(chosen=own, missing=missing)
        chosen = self._chooser.together(policy, own, alone=meant.by_pointer)
        if chosen is None:
            differing = self._knowledge.differences({target: each.commit for target, each in own.items()})
            others = [target for target in policy.targets if target not in own]
            lines = [f"{target}: no snapshot goes with the others and has all that is asked for" for target in others]
            return self._judged(policy, own, (*differing, *lines))
        return self._judged(policy, chosen, ())

    def _has(self, meant: Meant, target: str) -> bool:
        """Whether a target of a set must have the commit: not where its package is not built."""
        if meant.by_pointer or target in meant.commits:
            return True
        packages = {build.commit.package for build in meant.builds.values()}
        return any(target in self._knowledge.grid.get(package, ()) for package in packages)

    def _judged(self, policy: PromotionPolicy, chosen: Chosen, missing: tuple[str, ...]) -> Plan:
        """A plan with all that is missing of it, and all that it stands on."""
        facts = [self._knowledge.facts(snapshot, policy) for snapshot in chosen.values()]
        lacking = [line for each in facts for line in evidence.missing(policy, each)]
        stands_on = {each.snapshot.target: evidence.stands_on(policy, each) for each in facts}
        return Plan(
            chosen=chosen,
            missing=tuple(dict.fromkeys([*missing, *lacking])),
            evidence={"together": policy.together, "targets": stands_on},
        )

    def _own(self, meant: Meant, targets: Sequence[str]) -> tuple[dict[str, PublishedSnapshot], tuple[str, ...]]:
        """The snapshots of what is meant, and a line for each target that has none, or has none any more."""
        own, missing = {}, []
        for target in targets:
            commit = meant.commits.get(target)
            snapshot = self._knowledge.snapshot(target, commit) if commit is not None else None
            if snapshot is None:
                missing.append(_not_there(meant, target))
            elif snapshot.collected_at is not None:
                missing.append(f"{target}: {snapshot.commit} was collected, {snapshot.collected_at:%Y-%m-%d %H:%M} UTC")
            else:
                own[target] = snapshot
        return own, tuple(missing)


def check_name(name: str) -> None:
    """See that something can be promoted to a name.

    Raises:
        PromotionRefused: it follows builds.
        UnknownName: no pointer can be called that.
    """
    if follows_builds(name):
        raise PromotionRefused(
            f"nothing is promoted to {name}", cause="it follows builds", hint="promote to another name, such as tested"
        )
    if not is_pointer_name(name):
        raise UnknownName(
            f"{name!r} cannot be a promotion's name",
            hint=f"use letters, digits, '.', '_' and '-'; two hex digits, {', '.join(TAKEN)} are taken",
        )


def _check_targets(policy: PromotionPolicy, targets: Sequence[str]) -> None:
    """See that a promotion can be moved on some targets alone.

    Raises:
        PromotionRefused: it cannot.
    """
    has = ", ".join(policy.targets)
    others = [target for target in targets if target not in policy.targets]
    if others:
        raise PromotionRefused(f"{policy.name} is no promotion of {', '.join(others)}", hint=f"its targets: {has}")
    if policy.together and targets and {*targets} != {*policy.targets}:
        raise PromotionRefused(
            f"{policy.name} moves for all of its targets together", hint=f"leave --target out; its targets: {has}"
        )


def _movable(policy: PromotionPolicy) -> Iterator[PromotionPolicy]:
    """A promotion that moves by itself, as the parts that move each for itself; nothing of one that does not."""
    if policy.automatic and policy.together:
        yield policy
    elif policy.automatic:
        yield from (replace(policy, targets=(target,)) for target in policy.targets)


def _steps(policy: PromotionPolicy, chosen: Chosen) -> list[tuple[str, str, str]]:
    return [(target, policy.name, snapshot.commit) for target, snapshot in chosen.items()]


def _not_there(meant: Meant, target: str) -> str:
    """Why a target has no snapshot of what is meant."""
    if meant.by_pointer and target in meant.commits:
        return f"{target}: {meant.named} leads to {meant.commits[target]}, which the store does not know"
    if meant.by_pointer:
        return f"{target}: there is no pointer {meant.named}"
    commit = next(iter(meant.builds.values())).commit
    told = evidence.told_build(meant.builds.get(target))
    return f"{target}: {commit.package} {commit.short} is not published ({told})"
