"""The decision which build is next, beside what else could decide it."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bench.series import Peer, Sample
from bench.workshop import Workshop
from conveyor.command import run
from conveyor.model.target import Target

CHILD = Path(__file__).with_name("child.py")
MAIN = "bench.decisions:main"
SECONDS = 600
TIME, MEMORY = "microseconds", "mebibytes"
OURS, SELECT, FAIR_SELECT, HEAP, NOBODY = "ours", "select", "fair-select", "heap", "nobody"

Figures = Mapping[str, float]


class Scheduling:
    """One number of waiting builds.

    Args:
        waiting: how many.
    """

    def __init__(self, waiting: int) -> None:
        self._waiting = waiting

    def ours(self, _workshop: Workshop, _target: Target) -> Sample:
        """Our scheduler's figures."""
        figures = self.figures(OURS)
        return Sample(value=figures[TIME], figures=figures)

    def peer(self, who: str, figure: str = TIME) -> Peer:
        """A figure of one of those in `bench.decisions.DECIDERS`."""

        def theirs(_workshop: Workshop, _target: Target, _sample: Sample) -> float:
            return self.figures(who)[figure]

        return theirs

    def figures(self, who: str) -> Figures:
        """The figures of one of them, in a process of its own."""
        with tempfile.TemporaryDirectory() as scratch:
            figures = Path(scratch, "figures")
            argv = [sys.executable, str(CHILD), str(Path(scratch, "peak")), MAIN, who, str(self._waiting), str(figures)]
            run(argv, timeout=SECONDS)
            return dict(json.loads(figures.read_text(encoding="utf-8")))
