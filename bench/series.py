"""Runs of ours in turn with the tools that they are measured against."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median

from bench.claims import Claim, Pair
from bench.workshop import Workshop
from conveyor.errors import ConveyorError
from conveyor.model.target import Target

# A slow series is run less often: one run of it takes as long as many of the others.
SLOW = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run of ours.

    Attributes:
        value: our figure, in the unit of the claims.
        stages: seconds of each stage of the build; empty where there is not one build.
        source: the source package that it made, for the peers to build; empty where they need none.
        figures: further figures of the run, by name.
    """

    value: float
    stages: Mapping[str, float] = field(default_factory=dict)
    source: tuple[Path, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)


Peer = Callable[[Workshop, Target, Sample], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A claim that is still to be measured.

    Attributes:
        claim: the claim, without figures; its peer may be missing.
        theirs: the peer's figure for the source package of a run of ours.
        figure: the further figure that is ours; empty for the sample's value.
    """

    claim: Claim
    theirs: Peer
    figure: str = ""

    def ours(self, sample: Sample) -> float:
        """Our figure of a run."""
        return sample.figures[self.figure] if self.figure else sample.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Comparisons that share one run of ours.

    Attributes:
        target: name of the target.
        ours: one run.
        comparisons: what it is measured against.
        warm_up: whether one run beforehand, which is not counted, makes what is kept between runs.
        slow: whether it is run less often than others.
    """

    target: str
    ours: Callable[[Workshop, Target], Sample]
    comparisons: tuple[Comparison, ...]
    warm_up: bool = True
    slow: bool = False


def chosen(every: Sequence[Series], names: Sequence[str]) -> list[Series]:
    """The series with only the claims that are named; all if none is."""
    if not names:
        return list(every)
    narrowed = [
        replace(series, comparisons=tuple(one for one in series.comparisons if one.claim.name in names))
        for series in every
    ]
    return [series for series in narrowed if series.comparisons]


def runs_of(series: Series, runs: int) -> int:
    """How often a series is run when others are run `runs` times."""
    return max(1, runs // SLOW) if series.slow else runs


def measure(workshop: Workshop, series: Series, runs: int) -> list[Claim]:
    """Measure a series: each run of ours, then each peer on what it built.

    In turn, because whatever else the machine does then slows down all of them alike. A peer that fails is missing;
    where ours fails, none of the claims is held.
    """
    try:
        return _measured(workshop, series, runs_of(series, runs))
    except ConveyorError as error:
        return [replace(one.claim, missing=f"ours failed: {error.summary}", broken=True) for one in series.comparisons]


def _measured(workshop: Workshop, series: Series, runs: int) -> list[Claim]:
    target = workshop.conveyor.repos.target(series.target)
    if series.warm_up:
        series.ours(workshop, target)
    samples: list[Sample] = []
    claims = [comparison.claim for comparison in series.comparisons]
    for _ in range(runs):
        sample = series.ours(workshop, target)
        samples.append(sample)
        claims = [
            _with_pair(claim, comparison.ours(sample), partial(comparison.theirs, workshop, target, sample))
            for claim, comparison in zip(claims, series.comparisons, strict=True)
        ]
    stages = {stage: median(sample.stages[stage] for sample in samples) for stage in samples[0].stages}
    return [
        replace(claim, alone=[comparison.ours(sample) for sample in samples], stages=stages)
        for claim, comparison in zip(claims, series.comparisons, strict=True)
    ]


def _with_pair(claim: Claim, ours: float, theirs: Callable[[], float]) -> Claim:
    """The claim with one more run of ours and the peer's, unless the peer is missing."""
    if claim.missing:
        return claim
    try:
        return replace(claim, pairs=(*claim.pairs, Pair(ours=ours, theirs=theirs())))
    except ConveyorError as error:
        return replace(claim, pairs=(), missing=error.summary)
