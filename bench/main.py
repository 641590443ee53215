"""`bench/run [NAME...] [--json]`: measures the claims that are named, or all."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench import bare, machine
from bench.claims import Budget, Claim
from bench.output import as_json, stage_table, table
from bench.pbuilder import Pbuilder
from bench.series import Comparison, measure
from bench.workshop import Workshop
from conveyor.errors import ConveyorError
from conveyor.model.build import Build
from conveyor.model.target import Target
from conveyor.wiring import require_root

PROJECT = Path(__file__).resolve().parent.parent
CACHE = PROJECT / ".cache/bench"
RPM_DISTRIBUTION = PROJECT / ".cache/rpm-distribution"
DEB_TARGET = "debian-13-amd64"
RPM_TARGET = "local-1-x86_64"
TARGETS = (DEB_TARGET, RPM_TARGET)
NO_DISTRIBUTION = "the local RPM distribution is not there: 'make bench' makes it"
RUNS = 5
EXIT_NOT_HELD = 1


def comparisons() -> tuple[Comparison, ...]:
    """All claims, not measured yet."""
    bare_deb = Claim(
        name="warm-deb",
        target=DEB_TARGET,
        peer="dpkg-buildpackage -b, same root",
        budget=Budget(factor=1.3, text="1.3x"),
    )
    with_pbuilder = Claim(
        name="warm-deb-pbuilder",
        target=DEB_TARGET,
        peer="pbuilder, same source",
        budget=Budget(factor=1 / 5, text="1/5"),
        missing=Pbuilder.missing(),
    )
    bare_rpm = Claim(
        name="warm-rpm",
        target=RPM_TARGET,
        peer="rpmbuild --rebuild, same root",
        budget=Budget(factor=1.0, extra=1.0, text="1x + 1.0 s"),
    )
    with_dlrn = Claim(
        name="warm-rpm-dlrn",
        target=RPM_TARGET,
        peer="DLRN with mock, warm",
        budget=Budget(factor=1 / 20, text="1/20"),
        missing="DLRN with mock is not on this machine",
    )
    return (
        Comparison(claim=bare_deb, measure=_bare),
        Comparison(claim=with_pbuilder, measure=_pbuilder),
        Comparison(claim=bare_rpm, measure=_bare),
        Comparison(claim=with_dlrn, measure=_unmeasured),
    )


def _bare(workshop: Workshop, target: Target, build: Build) -> float:
    return bare.seconds(workshop.conveyor, target, build)


def _pbuilder(workshop: Workshop, target: Target, build: Build) -> float:
    return Pbuilder(target, CACHE / "pbuilder").seconds(bare.source_files(workshop.conveyor, build))


def _unmeasured(_workshop: Workshop, target: Target, _build: Build) -> float:
    raise AssertionError(f"a missing peer is not measured: {target.name}")


def main(argv: Sequence[str]) -> int:
    """Measure and print; 1 where a budget was not held, 2 and 3 as for every command of Conveyor."""
    every = comparisons()
    options = _options(argv, [comparison.claim.name for comparison in every])
    chosen = [each for each in every if not options.names or each.claim.name in options.names]
    before = machine.facts()
    try:
        require_root()
        claims = _measured(chosen, options.runs)
    except ConveyorError as error:
        print(f"bench: {error}", file=sys.stderr)
        return error.exit_code
    if options.json:
        for claim in claims:
            print(json.dumps({**as_json(claim), "machine": before}))
    else:
        print(f"{before}, then {machine.load()}; medians of {options.runs} runs, each in turn with its peer\n")
        print(table(claims))
        print(f"\n{stage_table(claims)}")
    return EXIT_NOT_HELD if any(claim.held is False for claim in claims) else 0


def _options(argv: Sequence[str], known: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/run", description="Measure the performance claims, as ratios.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(known)}; all if none is named")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each claim")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"how often each is measured (default {RUNS})")
    options = parser.parse_args(argv)
    if unknown := sorted(set(options.names) - set(known)):
        parser.error(f"unknown: {', '.join(unknown)}; known are {', '.join(known)}")
    if options.runs < 1:
        parser.error("--runs must be at least 1")
    return options


def _measured(chosen: Sequence[Comparison], runs: int) -> list[Claim]:
    workshop = Workshop(PROJECT, CACHE)
    try:
        series = [[each for each in chosen if each.claim.target == target] for target in TARGETS]
        return [claim for comparisons in series if comparisons for claim in _series(workshop, comparisons, runs)]
    finally:
        workshop.conveyor.close()


def _series(workshop: Workshop, comparisons: Sequence[Comparison], runs: int) -> list[Claim]:
    if comparisons[0].claim.target == RPM_TARGET and not RPM_DISTRIBUTION.exists():
        return [replace(each.claim, missing=NO_DISTRIBUTION) for each in comparisons]
    return measure(workshop, comparisons, runs)
