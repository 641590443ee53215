"""A format for tests: a package's packaging is one file, the recipe, which the fake builder carries out itself.

A recipe has one word and its arguments on each line:

    needs NAME              a build dependency
    depends NAME            what the built packages need when they are installed
    say TEXT                a line of the build's log
    provides NAME           what the built packages provide beside their own names
    make FILENAME CONTENT   a result of the build; "{version}" stands for the version
    smuggle FILENAME TEXT   a result that the source package does not declare
    sleep SECONDS           takes its time
    exit CODE               the build fails
    broken                  no source package can be made of it
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.version import Version

from conveyor.errors import SourceInvalid
from conveyor.model.artifact import Artifact, ArtifactKind
from conveyor.model.packaging import PackagingFile, RenderInput
from conveyor.model.queue import Relations
from conveyor.model.target import Format, Target
from conveyor.model.version import PackageVersion
from conveyor.ports import BuildPlan, RiskyFiles, SourcePlan

RECIPE = "recipe"
SUFFIX = ".fake"


class FakeToolchain:
    """See `conveyor.ports.Toolchain`. Packages are called NAME_VERSION.fake."""

    format = Format.DEB

    def version(
        self, upstream: str, scheme_release: str | None, packaging_release: int, target: Target, rebuild: int = 0
    ) -> PackageVersion:
        del target
        release = scheme_release or str(packaging_release)
        return PackageVersion(
            upstream=upstream, epoch=0, version=upstream, release=f"{release}.{rebuild}" if rebuild else release
        )

    def compare(self, left: str, right: str) -> int:
        one, other = _key(left), _key(right)
        return (one > other) - (one < other)

    def source_plan(self, render_input: RenderInput, files: Sequence[PackagingFile]) -> SourcePlan:
        recipe = next((file.content for file in files if file.path == RECIPE), None)
        if recipe is None:
            raise SourceInvalid(f"the packaging of {render_input.package.name} lacks a recipe")
        prefix = f"{render_input.package.name}-{render_input.version.upstream}"
        return SourcePlan(
            archive=f"{prefix}.tar.gz",
            archive_prefix=prefix,
            extra={},
            files=tuple(files),
            script=recipe,
            arguments=(),
        )

    def build_plan(self, target: Target, version: PackageVersion, source_date_epoch: int) -> BuildPlan:
        del target
        return BuildPlan(script=b"", arguments=(version.evr, str(source_date_epoch)))

    def relations(self, files: Sequence[PackagingFile]) -> Relations:
        recipe = next((file.content for file in files if file.path == RECIPE), b"")
        lines = list(steps(recipe))
        made = {rest.split("_")[0] for word, rest in lines if word == "make" and rest.split(" ")[0].endswith(SUFFIX)}
        return Relations(
            requires=tuple(sorted({rest for word, rest in lines if word == "needs"})),
            provides=tuple(sorted(made | {rest for word, rest in lines if word == "provides"})),
            fingerprint=hashlib.sha256(recipe).hexdigest(),
        )

    def build_requirements(self, source_files: Sequence[Path]) -> tuple[str, ...]:
        recipes = [path.read_bytes() for path in source_files if path.name == RECIPE]
        return tuple(sorted(rest for recipe in recipes for word, rest in steps(recipe) if word == "needs"))

    def runtime_requirements(self, packages: Sequence[Path]) -> tuple[str, ...]:
        return tuple(sorted({line for path in packages for line in _dependencies(path)}))

    def inspect(self, path: Path) -> Artifact:
        content = path.read_bytes()
        binary = path.suffix == SUFFIX
        name, _, version = path.stem.partition("_") if binary else (path.name, "", "")
        return Artifact(
            filename=path.name,
            sha256=hashlib.sha256(content).hexdigest(),
            size=len(content),
            kind=ArtifactKind.BINARY if binary else ArtifactKind.SUPPORT,
            name=name,
            version=version,
            architecture="all" if binary else "",
        )

    def foreign(self, source_files: Sequence[Path], packages: Sequence[Path]) -> tuple[str, ...]:
        recipes = [path.read_bytes() for path in source_files if path.name == RECIPE]
        smuggled = {rest.split("_")[0] for recipe in recipes for word, rest in steps(recipe) if word == "smuggle"}
        return tuple(
            f"{path.name}: the recipe does not make it" for path in packages if path.name.split("_")[0] in smuggled
        )

    def risky_files(self, package: Path) -> RiskyFiles:
        lines = list(steps(package.read_bytes()))
        return RiskyFiles(
            privileged=tuple(rest for word, rest in lines if word == "setuid"),
            devices=tuple(rest for word, rest in lines if word == "device"),
        )

    def explain_source_failure(self, log: Sequence[str]) -> tuple[str, tuple[str, ...]]:
        return log[-1] if log else "it said nothing", tuple(log[-3:])

    def explain_build_failure(self, log: Sequence[str]) -> tuple[str, tuple[str, ...]]:
        return log[-1] if log else "it said nothing", tuple(log[-3:])


def steps(recipe: bytes) -> Iterator[tuple[str, str]]:
    """Word and arguments of each line."""
    for line in recipe.decode().splitlines():
        word, _, rest = line.partition(" ")
        yield word, rest


def _dependencies(path: Path) -> list[str]:
    return [rest for word, rest in steps(path.read_bytes()) if word == "depends"]


def _key(evr: str) -> tuple[Version, Version]:
    version, _, release = evr.partition("-")
    return Version(version), Version(release)
