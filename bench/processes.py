"""`conveyor build` as people call it: in processes, poll and install check included."""

from __future__ import annotations

import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.workshop import Workshop
from conveyor.command import run
from conveyor.model.target import Target

CHILD = Path(__file__).with_name("child.py")
MAIN = "conveyor.cli.main:main"
SECONDS = 3600


def build(workshop: Workshop, target: Target, package: str, *options: str) -> float:
    """Build a package; returns the most MiB of resident memory that the process of `conveyor` had."""
    with tempfile.TemporaryDirectory(dir=workshop.conveyor.settings.data_dir) as folder:
        peak = Path(folder, "peak")
        argv = [sys.executable, str(CHILD), str(peak), MAIN, "build", package, "--target", target.name, *options]
        run(argv, timeout=SECONDS, env=workshop.environment)
        return int(peak.read_text()) / 1024


def two(workshop: Workshop, target: Target, package: str, *, processes: int) -> float:
    """Seconds of building two new commits of a package, in so many processes at once.

    They are not published: a commit may not be published after a newer one.
    """
    commits = [workshop.commit(package) for _ in range(2)]
    started = time.monotonic()
    with ThreadPoolExecutor(processes) as pool:
        builds = [pool.submit(build, workshop, target, package, "--no-publish", "--commit", sha) for sha in commits]
        for one in builds:
            one.result()
    return time.monotonic() - started
