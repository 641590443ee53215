"""`conveyor build` as people call it: in processes, poll and install check included."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.workshop import Workshop
from conveyor.command import run
from conveyor.model.target import Target

CHILD = Path(__file__).with_name("child.py")
MAIN = "conveyor.cli.main:main"
SECONDS = 3600


def build(workshop: Workshop, target: Target, package: str) -> float:
    """Build a package's newest commit; returns the most MiB of resident memory that the process of `conveyor` had."""
    with tempfile.TemporaryDirectory(dir=workshop.conveyor.settings.data_dir) as folder:
        peak = Path(folder, "peak")
        argv = [
            sys.executable,
            str(CHILD),
            str(peak),
            "conveyor.cli.main:main",
            "build",
            package,
            "--target",
            target.name,
        ]
        run(argv, timeout=SECONDS, env=workshop.environment)
        return int(peak.read_text()) / 1024


def at_once(workshop: Workshop, target: Target, packages: Sequence[str]) -> float:
    """Seconds of building a new commit of each package, all at the same time."""
    for package in packages:
        workshop.commit(package)
    started = time.monotonic()
    with ThreadPoolExecutor(len(packages)) as pool:
        # The list asks for each result, so that what failed is raised.
        list(pool.map(lambda package: build(workshop, target, package), packages))
    return time.monotonic() - started


def in_turn(workshop: Workshop, target: Target, packages: Sequence[str]) -> float:
    """Seconds of building a new commit of each package, one after the other."""
    for package in packages:
        workshop.commit(package)
    started = time.monotonic()
    for package in packages:
        build(workshop, target, package)
    return time.monotonic() - started
