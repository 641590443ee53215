"""What a promotion stands on: a policy against what is known of one snapshot. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from conveyor.model.build import Build, Outcome
from conveyor.model.promotion import PromotionPolicy, Vote
from conveyor.model.published import PublishedSnapshot

UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of one snapshot.

    Attributes:
        snapshot: the snapshot.
        now: the time.
        votes: votes on its commit and target, oldest first; those on all targets are among them.
        builds: the builds of its commit, by target.
        built_for: names of the targets that its package is built for.
    """

    snapshot: PublishedSnapshot
    now: datetime
    votes: Sequence[Vote]
    builds: Mapping[str, Build]
    built_for: Collection[str]

    @property
    def age(self) -> int:
        """Seconds since it was published."""
        return max(0, int((self.now - self.snapshot.published_at).total_seconds()))


def missing(policy: PromotionPolicy, facts: Facts) -> tuple[str, ...]:
    """What a snapshot lacks for a promotion, a line each; none where it is fit."""
    return (*_missing_age(policy, facts), *_missing_successes(policy, facts), *_missing_votes(policy, facts))


def stands_on(policy: PromotionPolicy, facts: Facts) -> dict[str, object]:
    """The evidence that a fit snapshot has, for the ledger: what was asked for, and what there is."""
    latest = latest_votes(facts.votes)
    builds = _judged(policy, facts)
    return {
        "commit": facts.snapshot.commit,
        "published_at": facts.snapshot.published_at.isoformat(),
        "age": facts.age,
        "min_age": policy.min_age,
        "votes": [_vote_as_json(latest[job]) for job in policy.votes if job in latest],
        "succeeded_on": {target: build.id for target, build in builds.items() if build is not None},
    }


def latest_votes(votes: Sequence[Vote]) -> dict[str, Vote]:
    """The vote of each job that counts: its latest."""
    return {vote.job: vote for vote in votes}


def told_vote(vote: Vote) -> str:
    """What a vote says, in a word or two."""
    if vote.success is None:
        return "is in progress"
    return "succeeded" if vote.success else "failed"


def told_build(build: Build | None) -> str:
    """What became of a build, in a few words."""
    if build is None:
        return "not built"
    return f"build {build.id} {build.outcome or 'is ' + build.state}"


def told_seconds(seconds: int) -> str:
    """A time that passed, in its largest unit."""
    for length, unit in UNITS:
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _missing_age(policy: PromotionPolicy, facts: Facts) -> Iterator[str]:
    if facts.age < policy.min_age:
        left = told_seconds(policy.min_age - facts.age)
        yield f"{facts.snapshot.target}: published {told_seconds(facts.age)} ago, {left} less than it must be"


def _missing_successes(policy: PromotionPolicy, facts: Facts) -> Iterator[str]:
    for target, build in _judged(policy, facts).items():
        if build is None or build.outcome is not Outcome.SUCCEEDED:
            yield f"{facts.snapshot.package} has not succeeded on {target}: {told_build(build)}"


def _judged(policy: PromotionPolicy, facts: Facts) -> dict[str, Build | None]:
    """The builds that must have succeeded: where the package is not built at all, none can be asked for."""
    return {target: facts.builds.get(target) for target in policy.succeeded_on if target in facts.built_for}


def _missing_votes(policy: PromotionPolicy, facts: Facts) -> Iterator[str]:
    latest = latest_votes(facts.votes)
    for job in policy.votes:
        vote = latest.get(job)
        if vote is None:
            yield f"{facts.snapshot.target}: no vote of {job}"
        elif not vote.success:
            yield f"{facts.snapshot.target}: {job} {told_vote(vote)}"


def _vote_as_json(vote: Vote) -> dict[str, object]:
    return {
        "job": vote.job,
        "success": vote.success,
        "target": vote.target or None,
        "user": vote.user,
        "url": vote.url,
        "at": vote.at.isoformat(),
    }
