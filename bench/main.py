"""`bench/run [NAME...] [--json]`: measures the claims that are named, or all."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from bench import machine
from bench.catalogue import BUILDERS, RPM, every_series
from bench.claims import Claim
from bench.output import as_json, stage_table, table
from bench.series import SLOW, Series, chosen, measure
from bench.workshop import Workshop
from conveyor.errors import ConveyorError
from conveyor.model.target import BuilderKind
from conveyor.wiring import require_root

PROJECT = Path(__file__).resolve().parent.parent
CACHE = PROJECT / ".cache/bench"
RPM_DISTRIBUTION = PROJECT / ".cache/rpm-distribution"
NO_DISTRIBUTION = "the local RPM distribution is not there: 'make bench' makes it"
RUNS = 3
EXIT_NOT_HELD = 1


def main(argv: Sequence[str]) -> int:
    """Measure and print; 1 where a budget was not held, 2 and 3 as for every command of Conveyor."""
    every = every_series(CACHE)
    options = _options(argv, [one.claim.name for series in every for one in series.comparisons])
    before = machine.facts()
    claims: list[Claim] = []
    try:
        require_root()
        # What has been measured stays in the list, whatever happens later.
        claims.extend(_measured(chosen(every, options.names), options.runs))
    except ConveyorError as error:
        print(f"bench: {error}", file=sys.stderr)
        return error.exit_code
    finally:
        _print(claims, options, before)
    return EXIT_NOT_HELD if any(claim.held is False for claim in claims) else 0


def _print(claims: Sequence[Claim], options: argparse.Namespace, before: str) -> None:
    if options.json:
        for claim in claims:
            print(json.dumps({**as_json(claim), "machine": before}))
    elif claims:
        slow = max(1, options.runs // SLOW)
        print(f"{before}, then {machine.load()}; medians of {options.runs} runs, of slow ones {slow}\n")
        print(table(claims))
        print(f"\n{stage_table(claims)}")


def _options(argv: Sequence[str], known: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/run", description="Measure the performance claims, as ratios.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(known)}; all if none is named")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each claim")
    parser.add_argument(
        "--runs", type=int, default=RUNS, help=f"how often each is measured, slow ones a third of it (default {RUNS})"
    )
    options = parser.parse_args(argv)
    if unknown := sorted(set(options.names) - set(known)):
        parser.error(f"unknown: {', '.join(unknown)}; known are {', '.join(known)}")
    if options.runs < 1:
        parser.error("--runs must be at least 1")
    return options


def _measured(chosen_series: Sequence[Series], runs: int) -> Iterator[Claim]:
    workshop = Workshop(PROJECT, CACHE, BUILDERS)
    try:
        for number, series in enumerate(chosen_series, 1):
            names = ", ".join(one.claim.name for one in series.comparisons)
            print(f"bench: {number} of {len(chosen_series)}: {names}", file=sys.stderr, flush=True)
            yield from _claims(workshop, series, runs)
    finally:
        workshop.close()


def _claims(workshop: Workshop, series: Series, runs: int) -> list[Claim]:
    """The claims of a series, measured unless this machine lacks what ours needs."""
    missing = _lacking(workshop, series)
    if missing:
        return [replace(one.claim, missing=missing) for one in series.comparisons]
    return measure(workshop, series, runs)


def _lacking(workshop: Workshop, series: Series) -> str:
    if series.target.startswith(RPM) and not RPM_DISTRIBUTION.exists():
        return NO_DISTRIBUTION
    builder = workshop.conveyor.repos.target(series.target).builder
    if builder not in workshop.conveyor.parts.builders:
        return f"Conveyor has no builder {builder} here"
    # Another builder than our own needs the tool that it is measured against.
    return "" if builder is BuilderKind.OVERLAY else series.comparisons[0].claim.missing
