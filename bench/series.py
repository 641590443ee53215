"""Warm builds in turn with the tools that they are measured against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median

from bench.claims import Claim, Pair
from bench.workshop import Warm, Workshop
from conveyor.errors import ConveyorError
from conveyor.model.build import Build
from conveyor.model.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A claim that is still to be measured.

    Attributes:
        claim: the claim, without figures; its peer may be missing.
        measure: seconds that the peer takes for the source package of a build.
    """

    claim: Claim
    measure: Callable[[Workshop, Target, Build], float]


def measure(workshop: Workshop, comparisons: Sequence[Comparison], runs: int) -> list[Claim]:
    """Measure comparisons of one target together: each build of ours, then each peer on what it built.

    In turn, because whatever else the machine does then slows down all of them alike. One build beforehand, which is
    not counted, makes what is kept between builds. A peer that fails is missing.
    """
    target = workshop.conveyor.repos.target(comparisons[0].claim.target)
    workshop.build(target)
    builds: list[Warm] = []
    claims = [comparison.claim for comparison in comparisons]
    for _ in range(runs):
        warm = workshop.build(target)
        builds.append(warm)
        claims = [
            _with_pair(claim, warm, partial(comparison.measure, workshop, target, warm.build))
            for claim, comparison in zip(claims, comparisons, strict=True)
        ]
    stages = {stage: median(warm.stages[stage] for warm in builds) for stage in builds[0].stages}
    alone = [warm.seconds for warm in builds]
    return [replace(claim, alone=alone, stages=stages) for claim in claims]


def _with_pair(claim: Claim, warm: Warm, theirs: Callable[[], float]) -> Claim:
    """The claim with one more run of ours and the peer's, unless the peer is missing."""
    if claim.missing:
        return claim
    try:
        return replace(claim, pairs=(*claim.pairs, Pair(ours=warm.seconds, theirs=theirs())))
    except ConveyorError as error:
        return replace(claim, pairs=(), missing=error.summary)
