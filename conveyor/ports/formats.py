"""What is particular to one package format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from conveyor.model.artifact import Artifact
from conveyor.model.contents import Contents, PackageFacts
from conveyor.model.packaging import PackagingFile, RenderInput
from conveyor.model.provenance import InstalledPackage
from conveyor.model.queue import Relations
from conveyor.model.target import Format, Target
from conveyor.model.version import PackageVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePlan:
    """What the source package of one format is made of, and how, inside the sandbox.

    Attributes:
        archive: file name of the upstream archive.
        archive_prefix: its top folder.
        extra: files that the archive holds beside the upstream tree, by path below the prefix.
        files: packaging files to lay beside it.
        script: the shell script that makes the source package. It starts in a folder of its own that holds the
            archive and the packaging files, and leaves its results in "$RESULTS".
        arguments: the script's arguments.
        source_date_epoch: time of the commit, which builders tell a tool that runs no script of ours.
    """

    archive: str
    archive_prefix: str
    extra: Mapping[str, bytes]
    files: tuple[PackagingFile, ...]
    script: bytes
    arguments: tuple[str, ...]
    source_date_epoch: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlan:
    """How a source package of one format is built, inside the sandbox.

    Attributes:
        script: the shell script. It starts in a folder of its own that holds the source package's files, and leaves
            its results in "$RESULTS".
        arguments: the script's arguments.
        source_date_epoch: time of the commit, which builders tell a tool that runs no script of ours.
        package: the package's name, under which compilations are kept where the target wants it; empty to keep none.
    """

    script: bytes
    arguments: tuple[str, ...]
    source_date_epoch: int = 0
    package: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskyFiles:
    """Files in a package that give rights.

    Attributes:
        privileged: paths of programs that run with rights of their owner: setuid, setgid, or with capabilities.
        devices: paths of device nodes.
        complete: False where the package is too large to have been looked through.
    """

    privileged: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    complete: bool = True


class Toolchain(Protocol):
    """All that is particular to one format and runs nothing by itself. A table Format -> Toolchain holds them."""

    format: Format

    def version(
        self, upstream: str, scheme_release: str | None, packaging_release: int, target: Target, rebuild: int = 0
    ) -> PackageVersion:
        """The version in the format's notation.

        Args:
            upstream: the upstream's version, PEP 440 or what else a tag held.
            scheme_release: the release where the version scheme sets one (DLRN's does), else None.
            packaging_release: counts the packaging's changes, from 1.
            target: gives the mark of the distribution.
            rebuild: which rebuild of the same upstream commit and packaging it is; 0 for none. It sorts above the one
                before, and below the next packaging's.

        Raises:
            VersionInvalid: the format cannot express it.
        """

    def compare(self, left: str, right: str) -> int:
        """Negative, 0 or positive as EVR string `left` is older than, equal to or newer than `right`."""

    def source_plan(self, render_input: RenderInput, files: Sequence[PackagingFile]) -> SourcePlan:
        """How to make the source package.

        Raises:
            SourceInvalid: the packaging lacks what the format needs (a spec, debian/control).
        """

    def build_plan(self, target: Target, version: PackageVersion, source_date_epoch: int) -> BuildPlan:
        """How to build the source package."""

    def relations(self, files: Sequence[PackagingFile]) -> Relations:
        """What rendered packaging declares: what its build needs, and which names its packages have and provide.

        For deciding what is built first, so that names count and versions do not. Nothing is run, so that what only the
        format's own tools can tell is left out, such as the value of a macro; and so is what cannot be read, which its
        build will tell. The fingerprint is that of the file that declares it.
        """

    def build_requirements(self, source_files: Sequence[Path]) -> tuple[str, ...]:
        """The build dependencies that a source package declares, in the format's words, sorted."""

    def runtime_requirements(self, packages: Sequence[Path]) -> tuple[str, ...]:
        """What binary packages need of others to be installed, less what they bring themselves, sorted."""

    def inspect(self, path: Path) -> Artifact:
        """What a file that a build left is.

        Raises:
            SourceInvalid: the file is not what its name says.
        """

    def foreign(self, source_files: Sequence[Path], packages: Sequence[Path]) -> tuple[str, ...]:
        """Why binary packages are none of what a source package makes: a line for each such package.

        The source package was made before anything of the upstream ran; the packages come from a build in which the
        upstream could write any file under any name.
        """

    def risky_files(self, package: Path) -> RiskyFiles:
        """The files in a binary package that give rights to who runs or opens them.

        Raises:
            SourceInvalid: the package's payload is not what its name says.
        """

    def explain_source_failure(self, log: Sequence[str]) -> tuple[str, tuple[str, ...]]:
        """From the log of a failed source stage: the cause in one line, and the lines that matter."""

    def explain_build_failure(self, log: Sequence[str]) -> tuple[str, tuple[str, ...]]:
        """From the log of a failed build: the cause in one line (the failing command), and the lines that matter."""


class Describer(Protocol):
    """Tells what package files of one format are, for provenance and comparisons. Nothing is run or unpacked."""

    format: Format

    @property
    def tool(self) -> str:
        """The package whose version tells by which tool a root builds."""

    def purl(self, package: InstalledPackage, target: Target) -> str:
        """A package's URL (purl-spec) among those of a target's distribution; architecture "source" for a source."""

    def is_record(self, filename: str) -> bool:
        """Whether a file tells of its build, so that each build of the same has another."""

    def buildroot(self, files: Sequence[Path]) -> tuple[InstalledPackage, ...] | None:
        """What was installed in the root that left these files, as they tell it, sorted; None where they do not."""

    def facts(self, path: Path) -> PackageFacts:
        """What a binary package says of itself.

        Raises:
            SourceInvalid: it cannot be read.
        """

    def abi(self, path: Path) -> tuple[str, ...]:
        """What others may have been built against in a binary package, sorted: where none of it goes, they still fit.

        These are its name, the names that it provides, and its libraries with their symbols; never a version of the
        package itself.

        Raises:
            SourceInvalid: it cannot be read.
        """

    def content_start(self, path: Path) -> int:
        """Where in a file begins what the build made, in bytes: what is before may be signatures of later.

        Raises:
            SourceInvalid: it is not what its name says.
        """

    def contents(self, path: Path) -> Contents | None:
        """All that is in a package; None for a file that is no package of this format.

        Raises:
            SourceInvalid: it cannot be read.
        """
