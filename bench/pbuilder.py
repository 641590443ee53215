"""pbuilder on the same source package, as Debian's package of it is without configuration."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from pathlib import Path

from debian.deb822 import Dsc

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

    def warm(self, source: tuple[Path, ...]) -> float:
        """Seconds of a build whose base tarball is there and whose dependencies are downloaded."""
        if not self._tarball.exists():
            self.create()
        filled = self._folder / f"filled-{_dependencies(source)}"
        if not filled.exists():
            self.build(source)
            filled.touch()
        return self.build(source)

    def create(self) -> float:
        """Seconds of making the base tarball."""
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = self._tarball.with_suffix(".new")
        mirror = self._suite.mirror or host_mirror()
        distribution = ("--distribution", self._suite.suite, "--mirror", mirror)
        seconds = self._run(
            "create", "--basetgz", str(unfinished), *distribution, "--components", " ".join(self._suite.components)
        )
        unfinished.rename(self._tarball)
        return seconds

    def build(self, source: tuple[Path, ...]) -> float:
        """Seconds of a build, with the tarball and the downloads that are there."""
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            # pbuilder looks for the tarballs beside the .dsc.
            copies = [Path(shutil.copy(path, folder)) for path in source]
            results = Path(folder, "results")
            results.mkdir()
            options = ("--basetgz", str(self._tarball), "--buildresult", str(results))
            return self._run("build", *options, str(_dsc(tuple(copies))))

    def _run(self, command: str, *arguments: str) -> float:
        places = {name: self._folder / name for name in ("buildplace", "aptcache")}
        for place in places.values():
            place.mkdir(exist_ok=True)
        options = [word for name, place in places.items() for word in (f"--{name}", str(place))]
        started = time.monotonic()
        # Its mounts go with it, even if it is killed.
        run(["unshare", "--mount", "--", "pbuilder", command, *options, *arguments], timeout=SECONDS)
        return time.monotonic() - started


def _dsc(source: tuple[Path, ...]) -> Path:
    return next(path for path in source if path.suffix == ".dsc")


def _dependencies(source: tuple[Path, ...]) -> str:
    """A name for the build dependencies of a source package."""
    with _dsc(source).open(encoding="utf-8") as file:
        fields = Dsc(file)
    declared = " ".join(fields.get(name, "") for name in ("Build-Depends", "Build-Depends-Indep"))
    return hashlib.sha256(declared.encode()).hexdigest()[:16]
