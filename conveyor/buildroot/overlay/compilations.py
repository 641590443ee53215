"""What compilers made, kept from one build of a package to the next by ccache.

A build gets what the package's last good build left as an archive, unpacks it itself, and leaves another one among its
results. So it never writes to anything that lasts, and this machine never unpacks what a build made. One package never
sees what another one kept.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from conveyor.buildroot.isolation.sandbox import Bind

SCRIPT = "/build/with-ccache.sh"
ARCHIVE = "/build/compilations.tar"
RESULT = "compilations.tar"
WRAPPER = Path(__file__).with_name("ccache.sh")
MAX_BYTES = 2 * 1024**3  # twice what ccache is told to keep


class Compilations:
    """The archives of all packages.

    Args:
        folder: where they are kept: `<target>/<package>.tar` each.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def shown(self, target: str, package: str, job: Path) -> tuple[Bind, ...]:
        """What a build has to see; `job` is a temporary folder of its own."""
        copy = job / RESULT
        try:
            # Another build may replace it meanwhile.
            os.link(self._path(target, package), copy)
        except FileNotFoundError:
            copy.touch()
        return Bind(source=WRAPPER, target=SCRIPT), Bind(source=copy, target=ARCHIVE)

    def take(self, target: str, package: str, results: Path) -> None:
        """Keep what a build left for the next one; what is far too large is left out."""
        made = results / RESULT
        if not made.exists():
            return
        if made.stat().st_size <= MAX_BYTES:
            path = self._path(target, package)
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.{os.getpid()}")
            shutil.copyfile(made, temporary)
            temporary.replace(path)
        made.unlink()

    def _path(self, target: str, package: str) -> Path:
        return self._folder / target / f"{package}.tar"
