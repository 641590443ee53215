"""A performance claim: what was measured, against what, and whether its budget was held. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The most that a claim may take: `factor` times what it is measured against, and `extra` more.

    Attributes:
        factor: of the peer's figure.
        extra: in the claim's unit.
        text: how people write it, such as "1.3x".
    """

    factor: float
    extra: float = 0.0
    text: str

    def holds(self, value: float, against: float) -> bool:
        """Whether a figure keeps to the budget."""
        return value <= self.factor * against + self.extra


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One run of ours and the run of the peer that came right after it, so that both met the same machine."""

    ours: float
    theirs: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One claim and what was found.

    Attributes:
        name: what `bench/run` calls it.
        target: what is built for.
        what: what of ours is measured, in a few words.
        peer: what it is measured against, in a few words.
        budget: what is allowed; None for a claim that only informs.
        unit: of all figures.
        pairs: what was measured; empty where nothing could be.
        missing: why the peer's figure, or ours, is not there; empty where it is.
        broken: whether ours failed, so that the claim is not held.
        alone: our figures where the peer is missing.
        stages: seconds of each stage, medians, in the stages' order.
    """

    name: str
    target: str
    what: str
    peer: str
    budget: Budget | None = None
    unit: str = "s"
    pairs: Sequence[Pair] = ()
    missing: str = ""
    broken: bool = False
    alone: Sequence[float] = ()
    stages: Mapping[str, float] = field(default_factory=dict)

    @property
    def value(self) -> float | None:
        """Our figure: the median of the runs."""
        ours = [pair.ours for pair in self.pairs] or list(self.alone)
        return median(ours) if ours else None

    @property
    def against(self) -> float | None:
        """The peer's: the median of the runs."""
        return median(pair.theirs for pair in self.pairs) if self.pairs else None

    @property
    def ratio(self) -> float | None:
        """Ours by the peer's."""
        if self.value is None or not self.against:
            return None
        return self.value / self.against

    @property
    def held(self) -> bool | None:
        """Whether the budget was held; None where there is none, or nothing to compare: a missing peer is not beaten.

        What failed on our side has not held anything.
        """
        if self.broken:
            return False
        if self.budget is None or self.value is None or self.against is None:
            return None
        return self.budget.holds(self.value, self.against)
