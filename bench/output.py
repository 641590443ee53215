"""Claims as tables for people and as JSON for programs. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bench.claims import Claim

HEADINGS = ("claim", "ours", "against", "value", "theirs", "ratio", "budget", "held")
DIGITS = 3
NOTHING = "-"


def as_json(claim: Claim) -> dict[str, object]:
    """One claim for a program: null where there is nothing to tell."""
    return {
        "claim": claim.name,
        "target": claim.target,
        "value": _rounded(claim.value),
        "unit": claim.unit,
        "against": _rounded(claim.against),
        "ratio": _rounded(claim.ratio),
        "budget": _budget(claim),
        "held": claim.held,
        "ours": claim.what,
        "peer": claim.peer,
        "missing": claim.missing or None,
        "runs": [{"value": _rounded(pair.ours), "against": _rounded(pair.theirs)} for pair in claim.pairs],
        "stages": {stage: _rounded(seconds) for stage, seconds in claim.stages.items()},
    }


def table(claims: Sequence[Claim]) -> str:
    """The claims, one on a line, and below it why figures are missing."""
    rows = [HEADINGS, *(_row(claim) for claim in claims)]
    notes = [f"{claim.name}: {claim.missing}" for claim in claims if claim.missing]
    return "\n".join([*_aligned(rows), *notes])


def stage_table(claims: Sequence[Claim]) -> str:
    """The seconds of each stage, one kind of build on a line; empty where none was measured."""
    kinds = {(claim.target, claim.what): claim.stages for claim in claims if claim.stages}
    if not kinds:
        return ""
    names = list(dict.fromkeys(stage for stages in kinds.values() for stage in stages))
    rows: list[Sequence[str]] = [("seconds of each stage", "target", *names)]
    for (target, what), stages in kinds.items():
        rows.append((what, target, *(_figure(stages.get(name), "") for name in names)))
    return "\n".join(_aligned(rows))


def _row(claim: Claim) -> tuple[str, ...]:
    return (
        claim.name,
        claim.what,
        claim.peer,
        _figure(claim.value, claim.unit),
        _figure(claim.against, claim.unit),
        NOTHING if claim.ratio is None else f"{claim.ratio:.2f}x",
        _budget(claim),
        _held(claim),
    )


def _budget(claim: Claim) -> str:
    return NOTHING if claim.budget is None else claim.budget.text


def _held(claim: Claim) -> str:
    if claim.broken:
        return "FAILED"
    if claim.against is None:
        return "missing"
    return {True: "yes", False: "NO", None: NOTHING}[claim.held]


def _figure(value: float | None, unit: str) -> str:
    return NOTHING if value is None else f"{value:.{DIGITS}f} {unit}".rstrip()


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
