"""The stanzas of Packages and Sources, one for each artifact (Debian Policy, chapter 5; apt's repository format)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from debian.deb822 import Deb822, Dsc

from conveyor.errors import SourceInvalid
from conveyor.formats.deb.control_member import MAX_CONTROL, read_control
from conveyor.model.artifact import Artifact

_SHA256 = "Checksums-Sha256"
# What the repository says of a package, the package may not say of itself.
_PACKAGES_FIELDS = frozenset(
    ("filename", "size", "md5sum", "sha1", "sha256", "sha512", "description-md5", "status", "conffiles", "directory")
)
_SOURCES_FIELDS = frozenset(("source", "package", "directory", "files", "checksums-sha1", "checksums-sha256"))
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")  # Policy 5.6.1
_CHECKSUM_LINE = re.compile(r"(?P<sha256>[0-9a-f]{64}) +(?P<size>[0-9]{1,15}) +(?P<name>[^\s/]+)")
_MD5_LINE = re.compile(r"(?P<md5>[0-9a-f]{32}) +(?P<size>[0-9]{1,15}) +(?P<name>[^\s/]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One of the files that a .dsc names.

    Attributes:
        name: its file name.
        size: bytes.
        sha256: 64 hex digits.
    """

    name: str
    size: int
    sha256: str


def binary_stanza(path: Path, artifact: Artifact) -> str:
    """The stanza of a .deb for Packages.

    Raises:
        SourceInvalid: it is not a valid package, or another than it was said to be.
    """
    control = _paragraph(read_control(path), artifact.filename)
    found = tuple(control.get(field, "") for field in ("Package", "Version", "Architecture"))
    if found != (artifact.name, artifact.version, artifact.architecture) or not _NAME.fullmatch(found[0]):
        raise SourceInvalid(f"{artifact.filename} is {' '.join(found)} inside")
    own = {
        "Filename": f"pool/{artifact.pool_path}",
        "Size": str(artifact.size),
        "SHA256": artifact.sha256,
    }
    return _text(control, _PACKAGES_FIELDS, own)


def source_stanza(path: Path, artifact: Artifact) -> str:
    """The stanza of a .dsc for Sources. Its Directory is the .dsc's own folder in the pool.

    Raises:
        SourceInvalid: it is not a valid .dsc, or another than it was said to be.
    """
    content = _bounded(path, artifact.filename)
    dsc = _paragraph(_payload(content), artifact.filename)
    found = (dsc.get("Source", ""), dsc.get("Version", ""))
    if found != (artifact.name, artifact.version) or not _NAME.fullmatch(found[0]):
        raise SourceInvalid(f"{artifact.filename} is {' '.join(found)} inside")
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    own = {
        "Directory": str(PurePosixPath("pool", artifact.pool_path).parent),
        "Files": "".join(
            f"\n {line}"
            for line in [f"{md5} {artifact.size} {artifact.filename}", *_lines(dsc, "Files", _MD5_LINE, artifact)]
        ),
        _SHA256: "".join(
            f"\n {line}"
            for line in [
                f"{artifact.sha256} {artifact.size} {artifact.filename}",
                *_lines(dsc, _SHA256, _CHECKSUM_LINE, artifact),
            ]
        ),
    }
    return f"Package: {artifact.name}\n{_text(dsc, _SOURCES_FIELDS, own)}"


def files_of(stanza: str, dsc: Artifact) -> tuple[SourceFile, ...]:
    """The files that a stanza of Sources names beside the .dsc itself."""
    matches = (_CHECKSUM_LINE.fullmatch(line.strip()) for line in stanza.splitlines())
    return tuple(
        SourceFile(name=match["name"], size=int(match["size"]), sha256=match["sha256"])
        for match in matches
        if match and match["name"] != dsc.filename
    )


def find(file: SourceFile, artifacts: Iterable[Artifact], dsc: Artifact) -> Artifact:
    """The artifact that a file of a .dsc is.

    Raises:
        SourceInvalid: the build left no such file.
    """
    for artifact in artifacts:
        if (artifact.filename, artifact.sha256) == (file.name, file.sha256):
            return artifact
    raise SourceInvalid(f"{dsc.filename} names {file.name}, which the build did not leave with that content")


def _bounded(path: Path, filename: str) -> bytes:
    with path.open("rb") as file:
        content = file.read(MAX_CONTROL + 1)
    if len(content) > MAX_CONTROL:
        raise SourceInvalid(f"{filename} has more than {MAX_CONTROL >> 20} MiB")
    return content


def _payload(content: bytes) -> bytes:
    """What a .dsc says, without a signature around it."""
    try:
        _, lines, _ = Dsc.split_gpg_and_payload(iter(content.splitlines()))
    except EOFError:
        return b""
    return b"\n".join(lines)


def _paragraph(content: bytes, filename: str) -> Deb822:
    """The one paragraph of a control file; a second one would become a package of its own in the index."""
    try:
        text = content.decode("utf-8").strip("\n")
    except UnicodeDecodeError as error:
        raise SourceInvalid(f"the control data of {filename} is not UTF-8", cause=str(error)) from error
    if _FORBIDDEN.search(text) or any(not line.strip() for line in text.split("\n")):
        raise SourceInvalid(f"the control data of {filename} has control characters or empty lines")
    return Deb822(text)


def _lines(dsc: Deb822, field: str, pattern: re.Pattern[str], artifact: Artifact) -> list[str]:
    lines = [line.strip() for line in dsc.get(field, "").split("\n") if line.strip()]
    if not lines or not all(pattern.fullmatch(line) for line in lines):
        raise SourceInvalid(f"{artifact.filename} has no valid {field}")
    return lines


def _text(control: Deb822, withheld: Iterable[str], own: Mapping[str, str]) -> str:
    kept = {field: control[field] for field in control if field.lower() not in withheld}
    return "".join(
        f"{field}:{'' if value.startswith(chr(10)) else ' '}{value}\n" for field, value in {**kept, **own}.items()
    )
