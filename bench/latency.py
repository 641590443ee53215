"""From a push to the package in `current`, under a real daemon, and by hand."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from bench.daemonsite import DaemonSite
from bench.series import Sample
from bench.workshop import Workshop
from conveyor.command import run
from conveyor.errors import CommandTimedOut
from conveyor.model.target import Target

PACKAGE = "hello"
INTERVAL = 1  # seconds between two polls
PATIENCE = 300.0
SECONDS = 600


class Latency:
    """One small package, for one target.

    Args:
        folder: where its site is made, anew for each run but for the roots of its builds.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ours(self, _workshop: Workshop, target: Target) -> Sample:
        """Seconds from a push to the package in `current`: the daemon runs, has polled before, and is idle.

        Raises:
            CommandTimedOut: it never came.
        """
        site = self._site(target)
        with site.daemon():
            _await(site, target)
            time.sleep(2 * INTERVAL)
            site.push(PACKAGE)
            started = time.monotonic()
            _await(site, target)
            return Sample(value=time.monotonic() - started)

    def by_hand(self, _workshop: Workshop, target: Target, _sample: Sample) -> float:
        """Seconds of `conveyor build` for the next commit, from its start to its end."""
        site = self._site(target, keep=True)
        site.push(PACKAGE)
        started = time.monotonic()
        run(site.command("build", PACKAGE), cwd=site.folder, timeout=SECONDS, env=site.environment)
        return time.monotonic() - started

    def _site(self, target: Target, *, keep: bool = False) -> DaemonSite:
        site = DaemonSite(
            folder=self._folder / target.name, names=(PACKAGE,), targets=(target.name,), interval=INTERVAL
        )
        if not keep:
            for part in ("upstreams", "specs", "data/repos", "data/builds", "data/mirrors"):
                shutil.rmtree(site.folder / part, ignore_errors=True)
            for file in site.folder.glob("data/conveyor.db*"):
                file.unlink()
            site.prepare()
        return site


def _await(site: DaemonSite, target: Target) -> None:
    if not site.wait(target.name, PATIENCE):
        raise CommandTimedOut(
            f"the daemon did not publish {PACKAGE} within {PATIENCE:g} s",
            details=site.log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:],
        )
