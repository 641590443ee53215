"""Builds with another outcome for the same input."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from conveyor.model.build import AttemptRecord, Outcome, Stage

JUDGED = (Outcome.SUCCEEDED, Outcome.FAILED)
# What is judged there depends on other builds too: on versions before, names of others, what can be installed.
OTHERS_COUNT = (Stage.CHECK, Stage.INSTALL)


def flaky(attempts: Sequence[AttemptRecord]) -> tuple[AttemptRecord, AttemptRecord] | None:
    """Two attempts with the same input, a build's own and the same root, of which one succeeded and one failed."""
    judged = [each for each in attempts if _is_judged(each)]
    alike = sorted(judged, key=lambda each: (each.buildroot or "", each.number))
    for _, group in groupby(alike, key=lambda each: each.buildroot):
        first, *others = group
        differing = next((each for each in others if each.outcome is not first.outcome), None)
        if differing is not None:
            return first, differing
    return None


def flaky_words(first: AttemptRecord, other: AttemptRecord) -> str:
    """What was seen of two attempts."""
    return (
        f"attempt {first.number} {first.outcome} and attempt {other.number} {other.outcome} "
        "with the same input in the same root"
    )


def _is_judged(attempt: AttemptRecord) -> bool:
    if attempt.outcome not in JUDGED or attempt.buildroot is None:
        return False
    return attempt.cause is None or attempt.cause.stage not in OTHERS_COUNT
