"""What RPMs are, for provenance and comparisons: the port Describer for RPM."""

from __future__ import annotations

import hashlib
import re
import stat
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import rpm

from conveyor.errors import SourceInvalid
from conveyor.formats.purl import purl
from conveyor.formats.rpm.toolchain import read_header, requirements_of
from conveyor.model.contents import Contents, Member, PackageFacts
from conveyor.model.provenance import InstalledPackage
from conveyor.model.target import Format, RpmDistribution, Target

# Where the packages of a naming family come from.
VENDORS = {"rdo": "centos"}
# rpm's file format, version 3: a lead, the signature header with its padding, the header, the payload.
LEAD_BYTES = 96
HEADER_MAGIC = b"\x8e\xad\xe8\x01"
HEADER_START = struct.Struct(">4s4xII")
INDEX_ENTRY_BYTES = 16
ALIGNMENT = 8
# What rpm shows as the header's though the signature header has it, and what says nothing of the package.
SIGNATURES = {
    tag
    for name in (
        "DSAHEADER",
        "RSAHEADER",
        "SHA1HEADER",
        "SHA256HEADER",
        "SHA3_256HEADER",
        "SIGPGP",
        "SIGGPG",
        "SIGMD5",
        "SIGSIZE",
        "LONGSIGSIZE",
        "ARCHIVESIZE",
        "LONGARCHIVESIZE",
        "HEADERIMMUTABLE",
        "HEADERSIGNATURES",
        "OPENPGP",
        "FILESIGNATURES",
        "FILESIGNATURELENGTH",
        "VERITYSIGNATURES",
    )
    if (tag := getattr(rpm, f"RPMTAG_{name}", None)) is not None
}
# Told with each file.
OF_FILES = re.compile(r"file(?!digestalgo|triggers?)|basenames|dirnames|dirindexes", re.IGNORECASE)
MAX_VALUE = 2000


class RpmDescriber:
    """See the port."""

    format = Format.RPM
    tool = "rpm-build"

    def purl(self, package: InstalledPackage, target: Target) -> str:
        """`pkg:rpm/VENDOR/NAME@VERSION-RELEASE?arch=...&distro=...&epoch=...`; a source has the architecture "src"."""
        vendor = VENDORS.get(target.naming, target.naming)
        release = target.origin.release if isinstance(target.origin, RpmDistribution) else ""
        epoch, _, version = package.version.rpartition(":")
        qualifiers = {
            "arch": "src" if package.architecture == "source" else package.architecture,
            "distro": f"{vendor}-{release}" if release else "",
            "epoch": "" if epoch == "0" else epoch,
        }
        return purl("rpm", vendor, package.name, version, qualifiers)

    def is_record(self, filename: str) -> bool:
        """A build leaves nothing but packages."""
        del filename
        return False

    def buildroot(self, files: Sequence[Path]) -> tuple[InstalledPackage, ...] | None:
        """Packages do not tell."""
        del files
        return None

    def facts(self, path: Path) -> PackageFacts:
        """By the header."""
        header = read_header(path)
        return PackageFacts(
            summary=str(header[rpm.RPMTAG_SUMMARY] or ""),
            licence=str(header[rpm.RPMTAG_LICENSE] or ""),
            homepage=str(header[rpm.RPMTAG_URL] or ""),
            requires=tuple(sorted({text for _, text in requirements_of(header)})),
        )

    def abi(self, path: Path) -> tuple[str, ...]:
        """The names that it provides; those of libraries have their versions of symbols in them."""
        return tuple(sorted({str(name) for name in read_header(path)[rpm.RPMTAG_PROVIDENAME]}))

    def content_start(self, path: Path) -> int:
        """Where the header begins: signing changes what is before it, and nothing else."""
        if not path.name.endswith(".rpm"):
            return 0
        with path.open("rb") as file:
            return _start_of_header(file, path.name)

    def contents(self, path: Path) -> Contents | None:
        """The header's values, and what it says of each file; the payload is not unpacked."""
        if not path.name.endswith(".rpm"):
            return None
        header = read_header(path)
        names = {tag: str(rpm.tagnames.get(tag, tag)) for tag in header.keys()}  # noqa: SIM118 - no mapping
        fields = {
            name: _told(header[tag])
            for tag, name in names.items()
            if tag not in SIGNATURES and not OF_FILES.match(name)
        }
        return Contents(fields=fields, members=_members(header))


def _start_of_header(file: BinaryIO, filename: str) -> int:
    file.seek(LEAD_BYTES)
    start = file.read(HEADER_START.size)
    if len(start) != HEADER_START.size or not start.startswith(HEADER_MAGIC):
        raise SourceInvalid(f"{filename} is no RPM", cause="it has no signature header")
    _, entries, size = HEADER_START.unpack(start)
    length: int = HEADER_START.size + entries * INDEX_ENTRY_BYTES + size
    return LEAD_BYTES + length + -length % ALIGNMENT


def _told(value: object) -> str:
    """A value, or of one that is too long to show its beginning and its hash."""
    text = str(value)
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}... (sha256 {digest})"


def _members(header: Any) -> dict[str, Member]:  # noqa: ANN401 - rpm's bindings have no types
    columns = (
        header[rpm.RPMTAG_FILENAMES],
        header[rpm.RPMTAG_FILEMODES],
        header[rpm.RPMTAG_FILEUSERNAME],
        header[rpm.RPMTAG_FILEGROUPNAME],
        header[rpm.RPMTAG_LONGFILESIZES] or header[rpm.RPMTAG_FILESIZES],
        header[rpm.RPMTAG_FILEMTIMES],
        header[rpm.RPMTAG_FILEDIGESTS],
        header[rpm.RPMTAG_FILELINKTOS],
    )
    return {
        str(name): Member(
            mode=stat.filemode(mode),
            owner=f"{user}:{group}",
            size=size,
            modified=modified,
            content=str(digest or link),
        )
        for name, mode, user, group, size, modified, digest, link in zip(*columns, strict=False)
    }
