"""pbuilder on the same source package, with a warm base tarball and a warm cache of packages."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

from conveyor.command import run
from conveyor.formats.deb.mirror import host_mirror
from conveyor.model.target import DebianSuite, Target

SECONDS = 1800


class Pbuilder:
    """pbuilder for one target; its base tarball is made when it is missing.

    Args:
        target: a deb target.
        folder: keeps the tarball and the downloaded packages.
    """

    def __init__(self, target: Target, folder: Path) -> None:
        if not isinstance(target.origin, DebianSuite):
            raise TypeError(f"{target.name} is no deb target")
        self._suite = target.origin
        self._folder = folder
        self._tarball = folder / f"{target.origin.suite}.tgz"

    @staticmethod
    def missing() -> str:
        """Why it cannot be measured against; empty where it can."""
        return "" if shutil.which("pbuilder") else "pbuilder is not on this machine"

    def seconds(self, source: tuple[Path, ...]) -> float:
        """How long it takes for a source package."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            # pbuilder looks for the tarballs beside the .dsc.
            copies = [Path(shutil.copy(path, folder)) for path in source]
            dsc = next(path for path in copies if path.suffix == ".dsc")
            if not self._tarball.exists():
                self._make_tarball()
                self._build(dsc)
            return self._build(dsc)

    def _make_tarball(self) -> None:
        unfinished = self._tarball.with_suffix(".new")
        mirror = self._suite.mirror or host_mirror()
        distribution = ("--distribution", self._suite.suite, "--mirror", mirror)
        self._run(
            "create", "--basetgz", str(unfinished), *distribution, "--components", " ".join(self._suite.components)
        )
        unfinished.rename(self._tarball)

    def _build(self, dsc: Path) -> float:
        """Build once, the packages that it needs being in pbuilder's cache from the second time on."""
        results = dsc.parent / "results"
        results.mkdir(exist_ok=True)
        started = time.monotonic()
        self._run("build", "--basetgz", str(self._tarball), "--buildresult", str(results), str(dsc))
        return time.monotonic() - started

    def _run(self, command: str, *arguments: str) -> None:
        places = {name: self._folder / name for name in ("buildplace", "aptcache")}
        for place in places.values():
            place.mkdir(exist_ok=True)
        options = [word for name, place in places.items() for word in (f"--{name}", str(place))]
        run(["pbuilder", command, *options, *arguments], timeout=SECONDS)
