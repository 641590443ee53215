"""RPM repository metadata (repodata/), through createrepo_c."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from conveyor.errors import ConveyorError, SourceInvalid
from conveyor.formats.chunk_cache import ChunkCache
from conveyor.formats.rpm.createrepo import library as cr
from conveyor.model.artifact import Artifact, ArtifactKind, Snapshot
from conveyor.model.target import Format
from conveyor.ports import ClientKeys, EntryFile

CACHE_SCHEMA = "rpm-1"
_CHANGELOG_ENTRIES = 10
_GZIP_LEVEL = 6
# What XML 1.0 cannot hold; createrepo_c writes it all the same.
NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
MAX_METADATA = 64 << 20  # bytes of one package's; every snapshot and every client has it, too
_XML_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_SPACES = "http://linux.duke.edu/metadata"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """What stands around the packages in one of the files; the start has a place for their number."""

    start: str
    end: str


_FRAMES = {
    "primary": _Frame(
        start=f'<metadata xmlns="{_SPACES}/common" xmlns:rpm="{_SPACES}/rpm" packages="%d">\n', end="</metadata>\n"
    ),
    "filelists": _Frame(start=f'<filelists xmlns="{_SPACES}/filelists" packages="%d">\n', end="</filelists>\n"),
    "other": _Frame(start=f'<otherdata xmlns="{_SPACES}/other" packages="%d">\n', end="</otherdata>\n"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chunks:
    """One package's part of the three files, as XML."""

    primary: str
    filelists: str
    other: str


class RpmIndexWriter:
    """The port IndexWriter for RPM. See there.

    Source packages are left out: a build's SRPM is in the pool and in manifest.json.

    Args:
        cache: folder for each package's XML; safe to delete.
    """

    format = Format.RPM

    def __init__(self, cache: Path) -> None:
        self._cache = ChunkCache(cache, CACHE_SCHEMA)

    def write(self, folder: Path, snapshot: Snapshot, pool: Path) -> None:
        """Write repodata/: gzip, which every client reads, and no sqlite, which none needs.

        Raises:
            SourceInvalid: a package cannot be read, or is not what it was said to be.
        """
        repodata = folder / "repodata"
        repodata.mkdir()
        chunks = [self._chunks(artifact, pool / artifact.pool_path) for artifact in _binaries(snapshot)]
        moment = int(snapshot.updated_at.timestamp())
        repomd = cr.Repomd()
        repomd.set_revision(str(moment))
        for kind, frame in _FRAMES.items():
            parts = [getattr(each, kind) for each in chunks]
            repomd.set_record(_write_file(repodata, kind, frame, parts, moment))
        (repodata / "repomd.xml").write_text(repomd.xml_dump(), encoding="utf-8")

    def check(self, files: Sequence[tuple[Path, Artifact]]) -> None:
        """See IndexWriter.check. What is worked out for it is kept for `write`."""
        for path, artifact in files:
            if artifact.kind is ArtifactKind.BINARY:
                self._chunks(artifact, path)

    def checksummed(self, folder: Path) -> tuple[str, ...]:
        """See IndexWriter.checksummed."""
        return tuple(sorted(record.location_href for record in cr.Repomd(str(folder / "repodata/repomd.xml"))))

    def to_sign(self, folder: Path) -> tuple[EntryFile, ...]:
        """See IndexWriter.to_sign."""
        found = sorted(folder.glob("repodata/repomd.xml"))
        return tuple(EntryFile(path=str(path.relative_to(folder)), detached=f"{path.name}.asc") for path in found)

    def dated(self, folder: Path) -> datetime | None:  # noqa: ARG002
        """See IndexWriter.dated: dnf and zypper take any repomd.xml whose content is another than what they have."""
        return None

    def redated(self, folder: Path, date: datetime) -> Mapping[str, bytes]:  # noqa: ARG002
        """See IndexWriter.redated: these have no date."""
        return {entry.path: (folder / entry.path).read_bytes() for entry in self.to_sign(folder)}

    def client_file(self, *, name: str, title: str, url: str, keys: ClientKeys | None = None) -> tuple[str, str]:
        """A .repo file for dnf, yum and zypper (dnf.conf(5)); ahead of the distribution, as DLRN's is."""
        lines = (
            f"[{name}]",
            f"name={title}",
            f"baseurl={url}",
            "enabled=1",
            *_signatures(keys),
            "priority=1",
            "skip_if_unavailable=0",
            "metadata_expire=60",
        )
        return f"{name}.repo", "".join(f"{line}\n" for line in lines)

    def client_lines(self, client_file: tuple[str, str], packages: Sequence[str]) -> str:
        """See IndexWriter.client_lines."""
        name, content = client_file
        place = f"cat > /etc/yum.repos.d/{name} <<'END'\n{content}END\n"
        return f"{place}dnf install --assumeyes {' '.join(packages)}\n"

    def forget(self, paths: Collection[str]) -> None:
        """See IndexWriter.forget."""
        self._cache.forget(paths)

    def _chunks(self, artifact: Artifact, path: Path) -> _Chunks:
        kept = self._cache.get(artifact, lambda: _read_package(path, artifact))
        return _Chunks(**json.loads(kept))


def _signatures(keys: ClientKeys | None) -> tuple[str, ...]:
    if keys is None:
        return (
            "# This repository is not signed: use it over a connection that you trust.",
            "gpgcheck=0",
            "repo_gpgcheck=0",
        )
    if keys.packages:
        return "gpgcheck=1", "repo_gpgcheck=1", f"gpgkey={keys.url}"
    return (
        "# Some packages were built before packages were signed. The signed metadata has the checksums of all.",
        "gpgcheck=0",
        "repo_gpgcheck=1",
        f"gpgkey={keys.url}",
    )


def _binaries(snapshot: Snapshot) -> list[Artifact]:
    """The binary packages, each once, in an order that depends on nothing else."""
    found = {
        artifact.pool_path: artifact
        for entry in snapshot.entries
        for artifact in entry.artifacts
        if artifact.kind is ArtifactKind.BINARY
    }
    return sorted(found.values(), key=lambda artifact: (artifact.filename, artifact.sha256))


def _read_package(path: Path, artifact: Artifact) -> bytes:
    """The package's XML. Its file time is its build time, so that the same package gives the same XML anywhere."""
    try:
        package = cr.package_from_rpm(
            str(path), cr.SHA256, f"pool/{artifact.pool_path}", changelog_limit=_CHANGELOG_ENTRIES
        )
        _check_identity(package, artifact)
        package.time_file = package.time_build
        chunks = {
            "primary": cr.xml_dump_primary(package),
            "filelists": cr.xml_dump_filelists(package),
            "other": cr.xml_dump_other(package),
        }
    except (cr.CreaterepoCError, OSError, UnicodeError) as error:
        raise SourceInvalid(f"{artifact.filename} is not a package that a repository can hold: {error}") from error
    if any(NOT_IN_XML.search(chunk) for chunk in chunks.values()):
        raise SourceInvalid(
            f"{artifact.filename} is not a package that a repository can hold",
            cause="its metadata has control characters, which would make the whole index unreadable",
            hint="look into summary, description, changelog and file names",
        )
    kept = json.dumps(chunks).encode()
    if len(kept) > MAX_METADATA:
        raise SourceInvalid(
            f"{artifact.filename} is not a package that a repository can hold",
            cause=f"its metadata has {len(kept) >> 20} MiB, {MAX_METADATA >> 20} are allowed",
        )
    return kept


def _check_identity(package: cr.Package, artifact: Artifact) -> None:
    if package.pkgId != artifact.sha256:
        raise ConveyorError(f"{artifact.filename} has changed in the pool", cause=f"its sha256 is {package.pkgId} now")
    epoch = f"{package.epoch}:" if package.epoch not in (None, "", "0") else ""
    found = (package.name, f"{epoch}{package.version}-{package.release}", package.arch)
    if found != (artifact.name, artifact.version, artifact.architecture):
        raise SourceInvalid(f"{artifact.filename} is {' '.join(map(str, found))} inside")


def _write_file(repodata: Path, kind: str, frame: _Frame, parts: Sequence[str], moment: int) -> cr.RepomdRecord:
    """Write one file under a name that holds its checksum; returns its record for repomd.xml.

    Not through createrepo_c's XmlFile: on a full disk it says no more than "file operation error".
    """
    text = "".join([_XML_HEAD, frame.start % len(parts), *parts, frame.end])
    content = gzip.compress(text.encode(), compresslevel=_GZIP_LEVEL, mtime=0)
    path = repodata / f"{hashlib.sha256(content).hexdigest()}-{kind}.xml.gz"
    path.write_bytes(content)
    record = cr.RepomdRecord(kind, str(path))
    record.fill(cr.SHA256)
    record.timestamp = moment
    return record
