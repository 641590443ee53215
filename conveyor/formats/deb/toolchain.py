"""The deb format's toolchain: what is particular to debian/, .dsc and .deb files. Nothing is run here."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from debian.deb822 import Deb822, Dsc

from conveyor.errors import SourceInvalid
from conveyor.formats.artifacts import artifact_of
from conveyor.formats.deb import control_member, payload
from conveyor.formats.deb import version as deb_version
from conveyor.formats.deb.relations import BUILD_FIELDS, declared, names_of, split_relations
from conveyor.formats.failure import Marks, telling_lines
from conveyor.formats.filenames import safe_name
from conveyor.formats.sdist import python_metadata
from conveyor.model.artifact import Artifact, ArtifactKind
from conveyor.model.packaging import PackagingFile, RenderInput
from conveyor.model.queue import Relations
from conveyor.model.target import Format, Target
from conveyor.model.version import PackageVersion
from conveyor.ports import BuildPlan, RiskyFiles, SourcePlan

HERE = Path(__file__).parent
NEEDED = ("debian/control", "debian/rules", "debian/changelog")
# Policy 5.6.1, 5.6.12 and 5.6.8. Whatever matches can stand in a file name, a log and a page.
NAME = re.compile(r"[a-z0-9][a-z0-9+.-]{1,200}")
VERSION = re.compile(r"(?:[0-9]{1,9}:)?[0-9A-Za-z][0-9A-Za-z.+~-]{0,200}")
ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9-]{1,50}")
# Debhelper makes these by itself, for each package with compiled code.
DEBUG_SUFFIX = "-dbgsym"
FINAL = (
    re.compile(r"^dh(?:_\S+)?: error: (.+)"),
    re.compile(r"^make(?:\[\d+\])?: \*\*\* \[(?:debian/rules:\d+: )?([^]]+)\]"),
    re.compile(r"^dpkg-buildpackage: error: (.+)"),
)
# dh tells each of its steps, and make each override.
BUILD_MARKS = Marks(final=FINAL, beginning=re.compile(r"^   (?:dh_\w+|debian/rules )|^make\[1\]: Entering directory"))
SOURCE_MARKS = Marks(final=(re.compile(r"^dpkg-source: error: (.+)"), re.compile(r"^(?:tar|cp|mv): (.+)")))


class DebToolchain:
    """The port Toolchain for deb."""

    format = Format.DEB

    def version(
        self, upstream: str, scheme_release: str | None, packaging_release: int, target: Target, rebuild: int = 0
    ) -> PackageVersion:
        """Epoch, upstream version and Debian revision (Policy 5.6.12)."""
        epoch, version = deb_version.to_deb(upstream, plain_sha=True)
        release = deb_version.release(packaging_release, scheme_release, target.dist, rebuild)
        return PackageVersion(upstream=upstream, epoch=epoch, version=version, release=release)

    def compare(self, left: str, right: str) -> int:
        """As dpkg compares versions."""
        return deb_version.compare(left, right)

    def source_plan(self, render_input: RenderInput, files: Sequence[PackagingFile]) -> SourcePlan:
        """The debian/ folder and the upstream archive, for dpkg-source's format 3.0 (quilt)."""
        missing = sorted(set(NEEDED) - {file.path for file in files})
        if missing:
            raise SourceInvalid(
                f"the packaging of {render_input.package.name} lacks {', '.join(missing)}",
                hint=f"a deb target needs them: add them to specs/{render_input.package.name}, or name an archetype",
            )
        name = source_name(files)
        version = render_input.version.version
        prefix = f"{render_input.package.distribution}-{render_input.version.upstream}"
        return SourcePlan(
            archive=f"{name}_{version}.orig.tar.gz",
            archive_prefix=prefix,
            extra=python_metadata(render_input),
            files=tuple(files),
            script=(HERE / "make-source.sh").read_bytes(),
            arguments=(name, version, prefix),
        )

    def build_plan(self, target: Target, version: PackageVersion, source_date_epoch: int) -> BuildPlan:
        """`dpkg-buildpackage --build=binary`."""
        del target, version
        return BuildPlan(script=(HERE / "build.sh").read_bytes(), arguments=(str(source_date_epoch),))

    def relations(self, files: Sequence[PackagingFile]) -> Relations:
        """By debian/control."""
        return declared(files)

    def build_requirements(self, source_files: Sequence[Path]) -> tuple[str, ...]:
        """The Build-Depends of a .dsc, those for single architectures included (Policy 7.7)."""
        relations: set[str] = set()
        for path in source_files:
            if path.name.endswith(".dsc"):
                source = read_dsc(path)
                for field in BUILD_FIELDS:
                    relations.update(split_relations(str(source.get(field, ""))))
        return tuple(sorted(relations))

    def runtime_requirements(self, packages: Sequence[Path]) -> tuple[str, ...]:
        """The Depends and Pre-Depends of packages, less what they bring themselves."""
        controls = [read_control(path) for path in packages]
        own = {str(control["Package"]) for control in controls}
        for control in controls:
            own.update(name for text in split_relations(str(control.get("Provides", ""))) for name in names_of(text))
        relations = {
            text
            for control in controls
            for field in ("Depends", "Pre-Depends")
            for text in split_relations(str(control.get(field, "")))
        }
        return tuple(sorted(text for text in relations if own.isdisjoint(names_of(text))))

    def inspect(self, path: Path) -> Artifact:
        """What a file is, by its own control data."""
        name = safe_name(path)
        if name.endswith(".deb"):
            control = read_control(path)
            fields = tuple(str(control[field]) for field in ("Package", "Version", "Architecture"))
            if path.name != _file_name(*fields):
                raise SourceInvalid(f"{path.name} is {' '.join(fields)} inside")
            return artifact_of(path, ArtifactKind.BINARY, *fields)
        if name.endswith(".dsc"):
            source = read_dsc(path)
            _check_fields(path.name, source, {"Source": NAME, "Version": VERSION})
            return artifact_of(path, ArtifactKind.SOURCE, str(source["Source"]), str(source["Version"]), "source")
        return artifact_of(path, ArtifactKind.SUPPORT)

    def foreign(self, source_files: Sequence[Path], packages: Sequence[Path]) -> tuple[str, ...]:
        """By the .dsc's Binary field and the packages' Source field (Policy 5.6.19, 5.6.1)."""
        sources = [read_dsc(path) for path in source_files if path.name.endswith(".dsc")]
        names = {str(source["Source"]) for source in sources}
        declared = {name for source in sources for name in re.split(r"[\s,]+", str(source.get("Binary", ""))) if name}
        reasons = ((path, _foreign(read_control(path), names, declared)) for path in packages)
        return tuple(f"{path.name}: {reason}" for path, reason in reasons if reason)

    def risky_files(self, package: Path) -> RiskyFiles:
        """By the data archive's headers."""
        return payload.risky_files(package)

    def explain_source_failure(self, log: Sequence[str]) -> tuple[str, tuple[str, ...]]:
        """What dpkg-source says."""
        return telling_lines(log, SOURCE_MARKS)

    def explain_build_failure(self, log: Sequence[str]) -> tuple[str, tuple[str, ...]]:
        """The step of debian/rules that failed, and what failed in it."""
        return telling_lines(log, BUILD_MARKS)


def source_name(files: Sequence[PackagingFile]) -> str:
    """The source package's name, as debian/control has it.

    Raises:
        SourceInvalid: it has none, or one that Policy 5.6.1 forbids.
    """
    control = next(file for file in files if file.path == "debian/control")
    name = str(Deb822(control.content.decode("utf-8", "replace")).get("Source", ""))
    if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name):
        raise SourceInvalid("debian/control names no valid source package", cause=f"Source: {name}")
    return name


def read_control(path: Path) -> Deb822:
    """The control data of a .deb.

    Raises:
        SourceInvalid: the file is no .deb, or lacks a field that every one has.
    """
    try:
        control = Deb822(control_member.read_control(path).decode())
    except UnicodeDecodeError as error:
        raise SourceInvalid(f"{path.name} is no Debian package", cause="its control file is not UTF-8") from error
    missing = {"Package", "Version", "Architecture"} - set(control)
    if missing:
        raise SourceInvalid(f"{path.name} is no Debian package", cause=f"it lacks {', '.join(sorted(missing))}")
    _check_fields(path.name, control, {"Package": NAME, "Version": VERSION, "Architecture": ARCHITECTURE})
    return control


def _check_fields(filename: str, control: Deb822, patterns: Mapping[str, re.Pattern[str]]) -> None:
    for field, pattern in patterns.items():
        if not pattern.fullmatch(str(control[field])):
            raise SourceInvalid(
                f"{filename} is no package that can be published", cause=f"{field}: {str(control[field])[:80]!r}"
            )


def _file_name(name: str, version: str, architecture: str) -> str:
    """As dpkg-deb names a package by itself: without the epoch."""
    return f"{name}_{version.partition(':')[2] or version}_{architecture}.deb"


def _foreign(control: Deb822, sources: Collection[str], declared: Collection[str]) -> str:
    """Why a package is none of a source package; empty where it is one."""
    name = str(control["Package"])
    if name not in declared and name.removesuffix(DEBUG_SUFFIX) not in declared:
        return f"debian/control declares no package {name}"
    # "Source: name" or "Source: name (version)"; it is left out where it is the package's own name.
    source = str(control.get("Source", name)).partition(" ")[0]
    return "" if source in sources else f"it says that it was built from {source[:80]!r}"


def read_dsc(path: Path) -> Dsc:
    """The control data of a source package (Policy 5.4).

    Raises:
        SourceInvalid: the file is none, or lacks a field that every one has.
    """
    source = Dsc(path.read_text(encoding="utf-8", errors="replace"))
    missing = {"Source", "Version"} - set(source)
    if missing:
        raise SourceInvalid(f"{path.name} is no Debian source package", cause=f"it lacks {', '.join(sorted(missing))}")
    return source
