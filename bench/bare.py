"""The bare tools, run alone in the very root that a build of ours had: same layers, same sandbox, same source."""

from __future__ import annotations

import tempfile
from pathlib import Path

from conveyor.model.artifact import ArtifactKind
from conveyor.model.build import Build
from conveyor.model.target import Format, Target
from conveyor.ports import BuildPlan, PreparedRoot
from conveyor.wiring import Conveyor

# Each measures itself, so that neither the sandbox nor unpacking is in its figure.
DEB_SCRIPT = b"""\
set -eu
dpkg-source --no-check --no-copy --extract ./*.dsc source
cd source
start=$(date +%s%N)
dpkg-buildpackage -b -us -uc
echo $(($(date +%s%N) - start)) > "$RESULTS/nanoseconds"
"""
RPM_SCRIPT = b"""\
set -eu
start=$(date +%s%N)
rpmbuild --define "_topdir $PWD/rpmbuild" --define "dist $1" --rebuild ./*.src.rpm
echo $(($(date +%s%N) - start)) > "$RESULTS/nanoseconds"
"""


def source_files(conveyor: Conveyor, build: Build) -> tuple[Path, ...]:
    """The files of the source package that a build made, in the pool."""
    entry = conveyor.parts.store.entry(build.id)
    made = (artifact for artifact in entry.artifacts if artifact.kind is not ArtifactKind.BINARY)
    return tuple(conveyor.tree.artifact_path(build.target, artifact) for artifact in made)


def seconds(conveyor: Conveyor, target: Target, build: Build) -> float:
    """How long the bare tool takes for the source package of a build."""
    source = source_files(conveyor, build)
    script = {Format.DEB: DEB_SCRIPT, Format.RPM: RPM_SCRIPT}[target.format]
    plan = BuildPlan(script=script, arguments=(f".{target.dist}",))
    with tempfile.TemporaryDirectory(dir=conveyor.settings.data_dir) as folder:
        results = Path(folder, "results")
        results.mkdir()
        log = Path(folder, "log")
        builder = conveyor.parts.builders[target.builder]
        builder.build(_root(conveyor, target, source, log), plan, source, results, log, None)
        return int((results / "nanoseconds").read_text()) / 1e9


def _root(conveyor: Conveyor, target: Target, source: tuple[Path, ...], log: Path) -> PreparedRoot:
    """The root that the build had: what its source package requires, out of the same layers."""
    requirements = conveyor.parts.toolchains[target.format].build_requirements(source)
    entries = conveyor.parts.store.entries(target.name)
    binaries = [made for entry in entries for made in entry.artifacts if made.kind is ArtifactKind.BINARY]
    trunk = conveyor.tree.trunk(target.name, binaries)
    return conveyor.parts.builders[target.builder].prepare(target, requirements, trunk, log)
