"""The RPM format's toolchain: what is particular to spec files, SRPMs and RPMs. Nothing is run here."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import rpm

from conveyor.errors import SourceInvalid
from conveyor.formats.artifacts import artifact_of
from conveyor.formats.failure import Marks, clean, telling_lines, with_list
from conveyor.formats.filenames import safe_name
from conveyor.formats.rpm import relations
from conveyor.formats.rpm import version as rpm_version
from conveyor.formats.sdist import python_metadata
from conveyor.model.artifact import Artifact, ArtifactKind
from conveyor.model.packaging import PackagingFile, RenderInput
from conveyor.model.queue import Relations
from conveyor.model.target import Format, Target
from conveyor.model.version import PackageVersion
from conveyor.ports import BuildPlan, RiskyFiles, SourcePlan

HERE = Path(__file__).parent
MAX_LISTED = 100
# What can stand in a file name, a log and a page; rpmbuild itself allows more.
IDENTITY = {
    rpm.RPMTAG_NAME: re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,200}"),
    rpm.RPMTAG_EVR: re.compile(r"(?:[0-9]{1,10}:)?[A-Za-z0-9._+~^]{1,150}-[A-Za-z0-9._+~^]{1,150}"),
    rpm.RPMTAG_ARCH: re.compile(r"[A-Za-z0-9_]{1,50}"),
}
SUBPACKAGE = re.compile(r"^[ \t]*%package[ \t]+(?:-n[ \t]*(?P<whole>\S+)|(?P<part>[^-\s]\S*))", re.MULTILINE)
# rpm makes these by itself, for packages with compiled code.
DEBUG_SUFFIX = re.compile(r"-debug(?:info|source)$")
SENSES = ((rpm.RPMSENSE_LESS, "<"), (rpm.RPMSENSE_GREATER, ">"), (rpm.RPMSENSE_EQUAL, "="))
# rpmbuild's own words at the end of a failed build and of a spec that it cannot parse.
FINAL = (
    re.compile(r"^error: Bad exit status from \S+ \((%\w+)\)"),
    re.compile(r"^error: (.+)"),
)
# Sections are shell scripts that tell each command before they run it: the last one is the one that failed.
BUILD_MARKS = Marks(
    final=FINAL, beginning=re.compile(r"^(?:\+ |Processing files: )"), command=re.compile(r"^(?:\+ )+(.+)")
)
SPEC_MARKS = Marks(final=FINAL[1:])


class RpmToolchain:
    """The port Toolchain for RPM."""

    format = Format.RPM

    def version(
        self, upstream: str, scheme_release: str | None, packaging_release: int, target: Target, rebuild: int = 0
    ) -> PackageVersion:
        """Epoch, Version and Release, %{?dist} left to the spec."""
        epoch, version = rpm_version.to_rpm(upstream, plain_sha=True)
        release = rpm_version.release(packaging_release, scheme_release, target.dist, rebuild)
        return PackageVersion(upstream=upstream, epoch=epoch, version=version, release=release)

    def compare(self, left: str, right: str) -> int:
        """As rpm compares EVR strings."""
        return rpm_version.compare(left, right)

    def source_plan(self, render_input: RenderInput, files: Sequence[PackagingFile]) -> SourcePlan:
        """The spec, its additional sources and the upstream archive, for `rpmbuild -bs`."""
        specs = [file.path for file in files if file.path.endswith(".spec") and "/" not in file.path]
        if len(specs) != 1:
            raise SourceInvalid(
                f"{render_input.package.name} has {len(specs)} spec files",
                cause=", ".join(specs) or "no template of the packaging or its archetype gives one",
                hint=f"an RPM target needs exactly one, such as specs/{render_input.package.name}/"
                f"{render_input.package.name}.spec.j2",
            )
        prefix = f"{render_input.package.distribution}-{render_input.version.upstream}"
        epoch = int(render_input.commit.upstream.committed_at.timestamp())
        return SourcePlan(
            archive=f"{prefix}.tar.gz",
            archive_prefix=prefix,
            extra=python_metadata(render_input),
            files=tuple(files),
            script=(HERE / "make-source.sh").read_bytes(),
            arguments=(str(epoch), f".{render_input.target.dist}"),
            source_date_epoch=epoch,
        )

    def build_plan(self, target: Target, version: PackageVersion, source_date_epoch: int) -> BuildPlan:
        """`rpmbuild --rebuild`."""
        del version
        script = (HERE / "build.sh").read_bytes()
        arguments = (str(source_date_epoch), f".{target.dist}")
        return BuildPlan(script=script, arguments=arguments, source_date_epoch=source_date_epoch)

    def relations(self, files: Sequence[PackagingFile]) -> Relations:
        """By the spec, as text."""
        return relations.declared(files)

    def build_requirements(self, source_files: Sequence[Path]) -> tuple[str, ...]:
        """The BuildRequires: what the header of an SRPM says it requires."""
        headers = [read_header(path) for path in source_files if path.name.endswith(".src.rpm")]
        return tuple(sorted({text for header in headers for _, text in requirements_of(header)}))

    def runtime_requirements(self, packages: Sequence[Path]) -> tuple[str, ...]:
        """The Requires of packages, less what they provide themselves."""
        headers = [read_header(path) for path in packages]
        own = {name for header in headers for name in (*header[rpm.RPMTAG_PROVIDENAME], *_file_names(header))}
        wanted = ((name, text) for header in headers for name, text in requirements_of(header))
        return tuple(sorted({text for name, text in wanted if name not in own}))

    def inspect(self, path: Path) -> Artifact:
        """What a file is, by its own header."""
        if not safe_name(path).endswith(".rpm"):
            return artifact_of(path, ArtifactKind.SUPPORT)
        header = read_header(path)
        source = bool(header[rpm.RPMTAG_SOURCEPACKAGE])
        fields = tuple(str(header[tag]) for tag in (rpm.RPMTAG_NAME, rpm.RPMTAG_EVR, rpm.RPMTAG_ARCH))
        if path.name != _file_name(*fields, source=source):
            raise SourceInvalid(f"{path.name} is {' '.join(fields)} inside")
        name, evr, architecture = fields
        kind = ArtifactKind.SOURCE if source else ArtifactKind.BINARY
        return artifact_of(path, kind, name, evr, "source" if source else architecture)

    def foreign(self, source_files: Sequence[Path], packages: Sequence[Path]) -> tuple[str, ...]:
        """By the spec in the SRPM's header, and what packages say of the SRPM that they are of.

        The spec is there with its macros expanded since rpm 4.18; that of an older rpm tells no names.
        """
        headers = [read_header(path) for path in source_files if path.name.endswith(".src.rpm")]
        sources = {header[rpm.RPMTAG_NAME] for header in headers}
        declared = {name for header in headers for name in declared_names(header)}
        reasons = ((path, _foreign(read_header(path), sources, declared)) for path in packages)
        return tuple(f"{path.name}: {reason}" for path, reason in reasons if reason)

    def risky_files(self, package: Path) -> RiskyFiles:
        """By the modes and capabilities that the header has for each file."""
        header = read_header(package)
        modes = list(zip(_file_names(header), header[rpm.RPMTAG_FILEMODES], strict=False))
        privileged = [name for name, mode in modes if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID)]
        capable = [name for (name, _), text in zip(modes, header[rpm.RPMTAG_FILECAPS], strict=False) if text]
        devices = [name for name, mode in modes if stat.S_ISBLK(mode) or stat.S_ISCHR(mode)]
        found = sorted({*privileged, *capable})[:MAX_LISTED]
        return RiskyFiles(privileged=tuple(found), devices=tuple(devices[:MAX_LISTED]))

    def explain_source_failure(self, log: Sequence[str]) -> tuple[str, tuple[str, ...]]:
        """What rpmbuild says of a spec that does not parse."""
        lines = [clean(line) for line in log]
        errors = [number for number, line in enumerate(lines) if line.startswith("error:")]
        if errors:
            return with_list(lines, errors[0]).removeprefix("error: "), tuple(lines[number] for number in errors[:8])
        return telling_lines(log, SPEC_MARKS)

    def explain_build_failure(self, log: Sequence[str]) -> tuple[str, tuple[str, ...]]:
        """The section that failed, and what failed in it."""
        return telling_lines(log, BUILD_MARKS)


def read_header(path: Path) -> Any:  # noqa: ANN401 - rpm's bindings have no types
    """The header of an RPM or SRPM, its signature unchecked.

    Raises:
        SourceInvalid: the file is no RPM.
    """
    transaction = rpm.TransactionSet()
    transaction.setVSFlags(rpm.RPMVSF_MASK_NOSIGNATURES)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        header = transaction.hdrFromFdno(descriptor)
    except rpm.error as error:
        raise SourceInvalid(f"{path.name} is no RPM", cause=str(error)) from error
    finally:
        os.close(descriptor)
    for tag, pattern in IDENTITY.items():
        if not pattern.fullmatch(str(header[tag])):
            raise SourceInvalid(
                f"{path.name} is no package that can be published",
                cause=f"{rpm.tagnames.get(tag, tag)}: {str(header[tag])[:80]!r}",
            )
    return header


def declared_names(source: Any) -> Iterator[str]:  # noqa: ANN401
    """The names of the binary packages in the spec that a source package's header holds; none where it holds none."""
    spec = source[rpm.RPMTAG_SPEC] if hasattr(rpm, "RPMTAG_SPEC") else None
    if not spec:
        return
    name = source[rpm.RPMTAG_NAME]
    yield name
    for match in SUBPACKAGE.finditer(str(spec)):
        yield match["whole"] or f"{name}-{match['part']}"


def _file_name(name: str, evr: str, architecture: str, *, source: bool) -> str:
    """As rpm names a package: without the epoch."""
    return f"{name}-{evr.partition(':')[2] or evr}.{'src' if source else architecture}.rpm"


def _foreign(header: Any, sources: Collection[str], declared: Collection[str]) -> str:  # noqa: ANN401
    """Why a package is none of a source package; empty where it is one."""
    name = header[rpm.RPMTAG_NAME]
    if declared and DEBUG_SUFFIX.sub("", name) not in declared and name not in declared:
        return f"the spec declares no package {name}"
    source = str(header[rpm.RPMTAG_SOURCERPM]).rsplit("-", 2)[0]
    return "" if source in sources else f"it says that it was built from {source[:80]!r}"


def requirements_of(header: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    """Name and text of each requirement of a header but those on rpm itself."""
    rows: Iterable[tuple[str, int, str]] = zip(
        header[rpm.RPMTAG_REQUIRENAME], header[rpm.RPMTAG_REQUIREFLAGS], header[rpm.RPMTAG_REQUIREVERSION], strict=True
    )
    for name, flags, version in rows:
        if not flags & rpm.RPMSENSE_RPMLIB:
            sense = "".join(sign for flag, sign in SENSES if flags & flag)
            yield name, f"{name} {sense} {version}" if sense and version else name


def _file_names(header: Any) -> Sequence[str]:  # noqa: ANN401
    names: Sequence[str] = header[rpm.RPMTAG_FILENAMES]
    return names
