"""The bare tools, run alone in the very root that a build of ours had: same layers, same sandbox, same source."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.workshop import Workshop
from conveyor.model.artifact import ArtifactKind
from conveyor.model.target import Format, Target
from conveyor.ports import BuildPlan, PreparedRoot

# It measures inside, so that neither the sandbox nor unpacking is in its figures.
MEASURED = b"""\
set -eu
measured() {
    python3 -c '
import json, resource, subprocess, sys, time
started = time.monotonic()
code = subprocess.call(sys.argv[2:])
seconds = time.monotonic() - started
kibibytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
with open(sys.argv[1], "w") as file:
    json.dump({"seconds": seconds, "largest": kibibytes / 1024}, file)
sys.exit(code)
' "$RESULTS/figures" "$@"
}
"""
DEB_SCRIPT = b"""\
dpkg-source --no-check --no-copy --extract ./*.dsc source
cd source
measured dpkg-buildpackage -b -us -uc
"""
RPM_SCRIPT = b"""\
measured rpmbuild --define "_topdir $PWD/rpmbuild" --define "dist $1" --rebuild ./*.src.rpm
"""
SCRIPTS = {Format.DEB: MEASURED + DEB_SCRIPT, Format.RPM: MEASURED + RPM_SCRIPT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the bare tool took.

    Attributes:
        seconds: wall time.
        largest: MiB of resident memory of its largest process.
    """

    seconds: float
    largest: float


def build(workshop: Workshop, target: Target, source: tuple[Path, ...]) -> Figures:
    """Build a source package with the bare tool."""
    conveyor = workshop.conveyor
    plan = BuildPlan(script=SCRIPTS[target.format], arguments=(f".{target.dist}",))
    with tempfile.TemporaryDirectory(dir=conveyor.settings.data_dir) as folder:
        results = Path(folder, "results")
        results.mkdir()
        log = Path(folder, "log")
        builder = conveyor.parts.builders[target.builder]
        builder.build(_root(workshop, target, source, log), plan, source, results, log, None)
        return Figures(**json.loads((results / "figures").read_text()))


def _root(workshop: Workshop, target: Target, source: tuple[Path, ...], log: Path) -> PreparedRoot:
    """The root that the build had: what its source package requires, out of the same layers."""
    conveyor = workshop.conveyor
    requirements = conveyor.parts.toolchains[target.format].build_requirements(source)
    entries = conveyor.parts.store.entries(target.name)
    binaries = [made for entry in entries for made in entry.artifacts if made.kind is ArtifactKind.BINARY]
    trunk = conveyor.tree.trunk(target.name, binaries)
    return conveyor.parts.builders[target.builder].prepare(target, requirements, trunk, log)
