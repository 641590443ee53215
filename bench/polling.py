"""A poll of many repositories with nothing new, and what others do for it."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench import dlrn, gitserver
from bench.series import Sample
from bench.workshop import Workshop
from conveyor.command import run
from conveyor.model.target import Target

CHILD = Path(__file__).with_name("child.py")
OURS = "bench.poll:main"
REFRESH = "bench.refresh:main"
SECONDS = 3600
# Server and clients are on this machine.
ENVIRONMENT = {"no_proxy": "127.0.0.1"}
PROCESSOR, MEMORY = "processor", "memory"


class Polling:
    """One number of packages, each with an upstream and a packaging repository.

    Args:
        cache: keeps the repositories, the store and DLRN between runs.
        count: how many packages.
    """

    def __init__(self, cache: Path, count: int) -> None:
        self._cache = cache
        self._count = count
        self._folder = cache / f"polling/{count}"

    def ours(self, _workshop: Workshop, _target: Target) -> Sample:
        """Seconds of a poll, by a process that was just started."""
        with self._serving() as (url, head), tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            peak, figures = Path(scratch, "peak"), Path(scratch, "figures")
            store = self._folder / "store"
            store.mkdir(exist_ok=True)
            arguments = (str(store), url, str(self._count), head, str(figures))
            run([sys.executable, str(CHILD), str(peak), OURS, *arguments], timeout=SECONDS, env=ENVIRONMENT)
            found: Mapping[str, float] = json.loads(figures.read_text())
            if found["asked"] != 2 * self._count:
                raise AssertionError(f"{found['asked']} repositories were asked")
            return Sample(value=found["seconds"], figures={**found, MEMORY: int(peak.read_text()) / 1024})

    def floor(self, _workshop: Workshop, _target: Target, _sample: Sample) -> float:
        """Seconds of `git ls-remote` of each repository, eight at a time."""
        with self._serving() as (url, _), tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            listing = Path(scratch, "urls")
            listing.write_text("".join(f"{each}\n" for each in self._urls(url)), encoding="utf-8")
            argv = ["xargs", "-P8", "-n1", "-a", str(listing), "git", "ls-remote"]
            with Path(scratch, "output").open("wb") as output:
                started = time.perf_counter()
                run(argv, timeout=SECONDS, env=ENVIRONMENT, log=output)
                return time.perf_counter() - started

    def dlrn(self, _workshop: Workshop, _target: Target, _sample: Sample) -> float:
        """Seconds of DLRN's refresh of each repository, by as many processes as there are processors."""
        python = dlrn.installed(self._cache / "dlrn")
        # Its clones know their server by its port.
        with self._serving() as (url, _), tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            peak, figures = Path(scratch, "peak"), Path(scratch, "figures")
            argv = [str(python), str(CHILD), str(peak), REFRESH, scratch, str(figures), *self._urls(url)]
            run(argv, timeout=SECONDS, env={"PATH": os.environ["PATH"], **ENVIRONMENT})
            return float(json.loads(figures.read_text())["seconds"])

    def _urls(self, url: str) -> list[str]:
        return [f"{url}{gitserver.name_of(number)}.git" for number in range(2 * self._count)]

    @contextmanager
    def _serving(self) -> Iterator[tuple[str, str]]:
        """The repositories' server: its URL, and the commit that they all have."""
        self._folder.mkdir(parents=True, exist_ok=True)
        made = gitserver.repositories(self._folder / "git", 2 * self._count)
        with (
            tempfile.TemporaryDirectory(dir=self._folder) as scratch,
            gitserver.serving(made, Path(scratch)) as url,
        ):
            yield url, gitserver.head_of(made)
