"""What debs and their source packages are, for provenance and comparisons: the port Describer for deb."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from debian.deb822 import Deb822

from conveyor.formats.deb import archive, control_member
from conveyor.formats.deb.archive import Member as TarMember
from conveyor.formats.deb.archive import invalid
from conveyor.formats.deb.relations import split_relations
from conveyor.formats.deb.toolchain import read_control
from conveyor.formats.purl import purl
from conveyor.model.contents import Contents, Member, PackageFacts
from conveyor.model.provenance import InstalledPackage
from conveyor.model.target import DebianSuite, Format, Target

MAX_UNPACKED = 8 << 30  # bytes that a comparison looks through
MAX_BUILDINFO = 4 << 20
MAX_SYMBOLS = 16 << 20
SHLIBS, SYMBOLS = "shlibs", "symbols"
# deb-buildinfo(5); the architecture is there where it is not the build's own.
INSTALLED = re.compile(r"([a-z0-9][a-z0-9+.-]*)(?::([a-z0-9-]+))? \(= ([0-9A-Za-z.+:~-]+)\)")
KINDS = {
    b"1": stat.S_IFREG,
    b"2": stat.S_IFLNK,
    b"3": stat.S_IFCHR,
    b"4": stat.S_IFBLK,
    b"5": stat.S_IFDIR,
    b"6": stat.S_IFIFO,
}


class DebDescriber:
    """See the port."""

    format = Format.DEB
    tool = "dpkg-dev"

    def purl(self, package: InstalledPackage, target: Target) -> str:
        """`pkg:deb/debian/NAME@VERSION?arch=...&distro=SUITE`; a source package has the architecture "source"."""
        suite = target.origin.suite if isinstance(target.origin, DebianSuite) else ""
        qualifiers = {"arch": package.architecture, "distro": suite}
        return purl("deb", target.naming, package.name.lower(), package.version, qualifiers)

    def is_record(self, filename: str) -> bool:
        """.buildinfo has the build's date and environment, .changes the .buildinfo's checksum."""
        return filename.endswith((".buildinfo", ".changes"))

    def buildroot(self, files: Sequence[Path]) -> tuple[InstalledPackage, ...] | None:
        """The Installed-Build-Depends of a .buildinfo: the build dependencies and theirs, and what is essential."""
        for path in files:
            if path.name.endswith(".buildinfo") and path.stat().st_size <= MAX_BUILDINFO:
                fields = Deb822(path.read_text(encoding="utf-8", errors="replace"))
                listed = str(fields.get("Installed-Build-Depends", ""))
                found = (INSTALLED.fullmatch(relation) for relation in split_relations(listed))
                return tuple(
                    sorted(
                        InstalledPackage(name=match[1], version=match[3], architecture=match[2] or "")
                        for match in found
                        if match
                    )
                )
        return None

    def facts(self, path: Path) -> PackageFacts:
        """By the control file, which has no field for a licence."""
        control = read_control(path)
        relations = {
            text for field in ("Depends", "Pre-Depends") for text in split_relations(str(control.get(field, "")))
        }
        return PackageFacts(
            summary=str(control.get("Description", "")).partition("\n")[0],
            licence="",
            homepage=str(control.get("Homepage", "")),
            requires=tuple(sorted(relations)),
        )

    def abi(self, path: Path) -> tuple[str, ...]:
        """By the names in the control file, and what dpkg-shlibdeps(1) reads: deb-shlibs(5) and deb-symbols(5)."""
        control = read_control(path)
        names = [str(control["Package"]), *split_relations(str(control.get("Provides", "")))]
        files = control_member.read_files(path, [SHLIBS, SYMBOLS], MAX_SYMBOLS)
        return tuple(
            sorted(
                {
                    *(name.partition(" ")[0] for name in names),
                    *_sonames(files.get(SHLIBS, b"").decode("utf-8", "replace")),
                    *_symbols(files.get(SYMBOLS, b"").decode("utf-8", "replace")),
                }
            )
        )

    def content_start(self, path: Path) -> int:
        """A deb is never changed once it is built."""
        del path
        return 0

    def contents(self, path: Path) -> Contents | None:
        """The control file's fields, and the members of both archives."""
        if not path.name.endswith(".deb"):
            return None
        members: dict[str, Member] = {}
        with path.open("rb") as file:
            told = [_add(file, path.name, member, start, members) for member, start in ARCHIVES]
        fields = {field: str(value) for field, value in read_control(path).items()}
        return Contents(fields=fields, members=members, complete=all(told))


def _sonames(shlibs: str) -> Iterator[str]:
    """Library and version of each line, `[TYPE:] LIBRARY VERSION DEPENDENCIES`."""
    for line in shlibs.splitlines():
        words = line.split()
        name = words[1:] if words and words[0].endswith(":") else words
        if len(name) > 1 and not name[0].startswith("#"):
            yield f"{name[0]}.so.{name[1]}"


def _symbols(symbols: str) -> Iterator[str]:
    """Each symbol with its library: lines that begin with a blank follow the line of their library."""
    library = ""
    for line in symbols.splitlines():
        words = line.split()
        if words and line.startswith(" "):
            yield f"{library}:{words[0]}"
        elif words and line[0] not in "#|*":
            library = words[0]


# The archives of a .deb, and what the paths in them are shown with.
ARCHIVES = (("control.tar", "control:"), ("data.tar", ""))


def _add(file: BinaryIO, filename: str, name: str, start: str, members: dict[str, Member]) -> bool:
    """Add an archive's members; False where it is not looked through to its end."""
    found = archive.find(file, filename, name)
    if not found.readable:
        return False
    try:
        for member, digest in archive.digested(found.open(file, MAX_UNPACKED)):
            members[start + member.name.removeprefix(".")] = _member(member, digest)
    except archive.TooLarge:
        return False
    except archive.BROKEN as error:
        raise invalid(filename, f"its {found.name}: {error}") from error
    return True


def _member(member: TarMember, digest: bytes) -> Member:
    return Member(
        mode=stat.filemode(KINDS.get(member.kind, stat.S_IFREG) | member.mode),
        owner=member.owner,
        size=member.size,
        modified=member.modified,
        content=digest.hex() if member.regular else member.link,
    )
