"""Publishing one commit among many packages, and what others do for it."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import dlrn, history, manypackages
from bench.publication import TARGET
from bench.series import Peer, Sample
from bench.workshop import Workshop
from conveyor.command import run
from conveyor.model.target import Format, Target

CHILD = Path(__file__).with_name("child.py")
POST_BUILD = "bench.postbuild:main"
OURS = "bench.publication:main"
SECONDS = 1800
# With the version of what is made there.
DLRN_FOLDER = "dlrn-2"
MEASURED = """\
import json, resource, subprocess, sys, time
started = time.monotonic()
code = subprocess.call(sys.argv[2:], stdout=subprocess.DEVNULL)
seconds = time.monotonic() - started
kibibytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
with open(sys.argv[1], "w") as file:
    json.dump({"seconds": seconds, "memory": kibibytes / 1024}, file)
sys.exit(code)
"""
TIME, FIRST, MEMORY, BYTES, INODES = "seconds", "first", "memory", "kibibytes", "inodes"
KIBI = 1024
WITHOUT_SOURCES = ("--quiet", "--excludes=*.src.rpm")


Figures = Mapping[str, float]


class Publishing:
    """One number of packages, for one format.

    Args:
        cache: keeps the histories and repositories between runs, and DLRN.
        package_format: what is published.
        count: how many packages.
        builds: how many builds of them are in the store.
    """

    def __init__(self, cache: Path, package_format: Format, count: int, builds: int = history.BUILDS) -> None:
        self._cache = cache
        self._format = package_format
        self._count = count
        self._builds = builds
        name = f"{package_format}-{count}" if builds == history.BUILDS else f"{package_format}-{count}-{builds}"
        self._folder = cache / "publishing" / name
        self._last: tuple[Sample, Callable[[], Figures], Figures] | None = None

    def ours(self, _workshop: Workshop, _target: Target) -> Sample:
        """A new version of one package, the second that is published by a process of its own."""
        figures = self.again()
        return Sample(value=figures[TIME], figures=figures)

    def peer(self, tool: Callable[[], Figures], figure: str = TIME) -> Peer:
        """One figure of one of the tools below, which is run once for all figures of a run of ours."""

        def theirs(_workshop: Workshop, _target: Target, sample: Sample) -> float:
            if self._last is None or self._last[0] is not sample or self._last[1] != tool:
                self._last = sample, tool, tool()
            return self._last[2][figure]

        return theirs

    def again(self) -> Figures:
        """Our own figures, for comparing numbers of packages and of builds."""
        return self._in_process(OURS, str(self._folder), self._format.value, str(self._count), str(self._builds))

    def createrepo(self) -> Figures:
        """createrepo_c over all packages."""
        return self._measured("createrepo_c", *WITHOUT_SOURCES, str(self._binaries()))

    def update(self) -> Figures:
        """createrepo_c with the metadata of the run before, one package being of another version since."""
        folder = self._binaries()
        self._measured("createrepo_c", *WITHOUT_SOURCES, str(folder))
        (package,) = manypackages.make(self._format, folder / "new", manypackages.names(1), f"2.{time.time_ns()}")
        path, _ = package.files[0]
        next(folder.glob(f"python3-{package.name}-*")).unlink()
        path.rename(folder / path.name)
        shutil.rmtree(folder / "new")
        return self._measured("createrepo_c", "--update", *WITHOUT_SOURCES, str(folder))

    def ftparchive(self) -> Figures:
        """apt-ftparchive over all packages, with its database of what it knows of each."""
        known = self._folder / "ftparchive.db"
        argv = ("apt-ftparchive", "--db", str(known), "packages", str(self._binaries()))
        if not known.exists():
            self._measured(*argv)
        return self._measured(*argv)

    def post_build(self) -> Figures:
        """DLRN's step after a build, with its library: post_build and process_build_result."""
        if not (self._folder / DLRN_FOLDER / "ready").exists():
            self._post_build()  # makes its history
        return self._post_build()

    def _post_build(self) -> Figures:
        python = dlrn.installed(self._cache / "dlrn")
        made, folder = history.packages_folder(self._folder), self._folder / DLRN_FOLDER
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            peak, figures = Path(scratch, "peak"), Path(scratch, "figures")
            argv = [str(python), str(CHILD), str(peak), POST_BUILD, str(folder), str(made), str(figures)]
            run(argv, timeout=SECONDS, env={"PATH": os.environ["PATH"]})
            return {**json.loads(figures.read_text()), MEMORY: int(peak.read_text()) / KIBI}

    def _in_process(self, main: str, *arguments: str) -> Figures:
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            peak, figures = Path(scratch, "peak"), Path(scratch, "figures")
            run([sys.executable, str(CHILD), str(peak), main, *arguments, str(figures)], timeout=SECONDS)
            return {**json.loads(figures.read_text()), MEMORY: int(peak.read_text()) / KIBI}

    def _measured(self, *argv: str) -> Figures:
        with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            figures = Path(scratch, "figures")
            run([sys.executable, "-c", MEASURED, str(figures), *argv], timeout=SECONDS)
            return dict(json.loads(figures.read_text()))

    def _binaries(self) -> Path:
        """A folder with the binary packages alone, as hard links."""
        folder = self._folder / "binaries"
        if not folder.exists():
            made = history.kept(self._folder, self._format, TARGET, self._count)
            temporary = self._folder / "binaries.new"
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            for package in made.packages:
                path, _ = package.files[0]
                (temporary / path.name).hardlink_to(path)
            temporary.rename(folder)
        return folder
