"""RPM repository metadata (repodata/), through createrepo_c."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from conveyor.errors import ConveyorError, SourceInvalid
from conveyor.formats.chunk_cache import ChunkCache
from conveyor.formats.compression import Bytes, Codec, Gzip, Zstd
from conveyor.formats.merged import Merger, Piece
from conveyor.formats.rpm.createrepo import library as cr
from conveyor.model.artifact import COMPONENT_FOLDER, Artifact, ArtifactKind, Snapshot
from conveyor.model.target import DEFAULT_INDEXES, Compression, Format, IndexOptions, SourcePackages
from conveyor.ports import ClientKeys, EntryFile

CACHE_SCHEMA = "rpm-1"
SOURCE_FOLDER = "source"
MIRROR_LIST = "mirrorlist"
_CHANGELOG_ENTRIES = 10
# What XML 1.0 cannot hold; createrepo_c writes it all the same.
NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
MAX_METADATA = 64 << 20  # bytes of one package's; every snapshot and every client has it, too
_XML_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_BASE_URL = re.compile(r"^baseurl=(.*)$", re.MULTILINE)
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


class RpmIndexWriter:
    """The port IndexWriter for RPM. See there.

    A build's SRPM is in the pool and in manifest.json, whatever the options say.

    Args:
        cache: folder for each package's XML and what is merged of it; safe to delete.
        options: what the target's repositories have.
    """

    format = Format.RPM

    def __init__(self, cache: Path, options: IndexOptions = DEFAULT_INDEXES) -> None:
        self._cache = ChunkCache(cache, CACHE_SCHEMA)
        self._codec: Codec = Zstd() if options.compression is Compression.ZSTD else Gzip()
        self._merger = Merger(cache, CACHE_SCHEMA, [self._codec])
        self._sources = options.source_packages
        self._by_component = options.by_component

    def write(self, folder: Path, snapshot: Snapshot, pool: Path) -> None:
        """Write repodata/, without sqlite, which no client needs.

        Raises:
            SourceInvalid: a package cannot be read, or is not what it was said to be.
        """
        binary = {ArtifactKind.BINARY}
        listed = binary | {ArtifactKind.SOURCE} if self._sources is SourcePackages.INSIDE else binary
        self._write_repository(folder, snapshot, listed, pool)
        if self._sources is SourcePackages.BESIDE:
            source = folder / SOURCE_FOLDER
            source.mkdir()
            (source / "pool").symlink_to("../pool")
            self._write_repository(source, snapshot, {ArtifactKind.SOURCE}, pool)
        if self._by_component:
            self._write_components(folder, snapshot, listed, pool)

    def _write_components(self, folder: Path, snapshot: Snapshot, kinds: Collection[ArtifactKind], pool: Path) -> None:
        for component in sorted({entry.component for entry in snapshot.entries}):
            place = f"{COMPONENT_FOLDER}/{component}"
            part = folder / place
            part.mkdir(parents=True)
            (part / "pool").symlink_to("../../pool")
            self._write_repository(part, _only(snapshot, component), kinds, pool, f"{place}/")

    def _write_repository(
        self, folder: Path, snapshot: Snapshot, kinds: Collection[ArtifactKind], pool: Path, part: str = ""
    ) -> None:
        repodata = folder / "repodata"
        repodata.mkdir()
        listed = _listed(snapshot, kinds)
        groups = self._merger.merge(
            f"{snapshot.target}/{part}{'-'.join(sorted(kinds))}",
            listed,
            lambda artifact: self._chunks(artifact, pool / artifact.pool_path),
            self._cache.forget,
        )
        moment = int(snapshot.updated_at.timestamp())
        repomd = cr.Repomd()
        repomd.set_revision(str(moment))
        for number, (kind, frame) in enumerate(_FRAMES.items()):
            head = self._merger.piece(f"{_XML_HEAD}{frame.start % len(listed)}".encode())
            pieces = [head, *(group[number] for group in groups), self._merger.piece(frame.end.encode())]
            repomd.set_record(self._write_file(repodata, kind, pieces, moment))
        (repodata / "repomd.xml").write_text(repomd.xml_dump(), encoding="utf-8")

    def _write_file(self, repodata: Path, kind: str, pieces: Sequence[Piece], moment: int) -> cr.RepomdRecord:
        """Write one file under a name that holds its checksum; returns its record for repomd.xml.

        Not through createrepo_c's XmlFile: on a full disk it says no more than "file operation error".
        """
        content = self._merger.whole(0, pieces)
        path = repodata / f"{_sha256(content)}-{kind}.xml{self._codec.suffix}"
        with path.open("wb") as file:
            file.writelines(content)
        record = cr.RepomdRecord(kind, None)
        record.location_href = f"repodata/{path.name}"
        record.checksum_type = record.checksum_open_type = "sha256"
        record.checksum, record.checksum_open = _sha256(content), _sha256(piece.raw for piece in pieces)
        record.size, record.size_open = sum(map(len, content)), sum(len(piece.raw) for piece in pieces)
        record.timestamp = moment
        return record

    def check(self, files: Sequence[tuple[Path, Artifact]]) -> None:
        """See IndexWriter.check. What is worked out for it is kept for `write`."""
        for path, artifact in files:
            if artifact.kind is ArtifactKind.BINARY or self._lists_source(artifact):
                self._chunks(artifact, path)

    def _lists_source(self, artifact: Artifact) -> bool:
        return artifact.kind is ArtifactKind.SOURCE and self._sources is not SourcePackages.NONE

    def checksummed(self, folder: Path) -> tuple[str, ...]:
        """See IndexWriter.checksummed."""
        return tuple(
            sorted(
                f"{place}{record.location_href}"
                for place in _repositories(folder)
                for record in cr.Repomd(str(folder / place / "repodata/repomd.xml"))
            )
        )

    def components(self, folder: Path) -> tuple[str, ...]:
        """See IndexWriter.components: those that have a repository of their own."""
        return tuple(sorted(path.name for path in (folder / COMPONENT_FOLDER).glob("*")))

    def aggregates(self) -> bool:
        """See IndexWriter.aggregates."""
        return self._by_component

    def to_sign(self, folder: Path) -> tuple[EntryFile, ...]:
        """See IndexWriter.to_sign."""
        paths = (f"{place}repodata/repomd.xml" for place in _repositories(folder))
        return tuple(EntryFile(path=path, detached="repomd.xml.asc") for path in paths)

    def dated(self, folder: Path) -> datetime | None:  # noqa: ARG002
        """See IndexWriter.dated: dnf and zypper take any repomd.xml whose content is another than what they have."""
        return None

    def redated(self, folder: Path, date: datetime) -> Mapping[str, bytes]:  # noqa: ARG002
        """See IndexWriter.redated: these have no date."""
        return {entry.path: (folder / entry.path).read_bytes() for entry in self.to_sign(folder)}

    def client_file(
        self,
        *,
        name: str,
        title: str,
        url: str,
        keys: ClientKeys | None = None,
        components: Sequence[str] = (),
        lasting: bool = False,
    ) -> tuple[str, str]:
        """A .repo file for dnf, yum and zypper (dnf.conf(5)); ahead of the distribution, as DLRN's is.

        Where components have repositories of their own, it names these, as DLRN's aggregated files do. What does not
        last is a pointer's, and is read through its mirror list.
        """
        apart = components if self._by_component else ()
        repositories = [
            _section(
                f"{name}-component-{component}",
                f"{title}, component {component}",
                f"{url}/{COMPONENT_FOLDER}/{component}",
                keys,
                enabled=True,
            )
            for component in apart
        ] or [_section(name, title, url, keys, enabled=True)]
        if self._sources is SourcePackages.BESIDE:
            beside = f"{url}/{SOURCE_FOLDER}"
            repositories.append(_section(f"{name}-source", f"{title}, sources", beside, keys, enabled=False))
        text = "\n".join(repositories)
        return f"{name}.repo", text if lasting else _by_mirror_list(text)

    def mirror_lists(self, folder: Path, url: str) -> Mapping[str, str]:
        """See IndexWriter.mirror_lists: one for each repository, as repomd.xml and its signature are two files."""
        return {f"{place}{MIRROR_LIST}": f"{url}/{place}\n" for place in _repositories(folder)}

    def moving(self, text: str, folder: Path) -> str:
        """See IndexWriter.moving. A snapshot from before there were mirror lists is read through the pointer."""
        return _by_mirror_list(text) if (folder / MIRROR_LIST).is_file() else text

    def client_lines(self, client_file: tuple[str, str], packages: Sequence[str]) -> str:
        """See IndexWriter.client_lines."""
        name, content = client_file
        place = f"cat > /etc/yum.repos.d/{name} <<'END'\n{content}END\n"
        return f"{place}dnf install --assumeyes {' '.join(packages)}\n"

    def forget(self, paths: Collection[str]) -> None:
        """See IndexWriter.forget."""
        self._cache.forget(paths)

    def _chunks(self, artifact: Artifact, path: Path) -> tuple[bytes, ...]:
        """The package's part of each file."""
        kept = json.loads(self._cache.get(artifact, lambda: _read_package(path, artifact)))
        return tuple(kept[kind].encode() for kind in _FRAMES)


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


def _by_mirror_list(text: str) -> str:
    """A client file whose repositories are found by what lies at their URL."""
    return _BASE_URL.sub(rf"mirrorlist=\1/{MIRROR_LIST}", text)


def _repositories(folder: Path) -> list[str]:
    """Paths of the repositories of a written snapshot: what it has, whatever the target's options are now."""
    components = sorted((folder / COMPONENT_FOLDER).glob("*"))
    places = ("", f"{SOURCE_FOLDER}/", *(f"{COMPONENT_FOLDER}/{path.name}/" for path in components))
    return [place for place in places if (folder / place / "repodata").is_dir()]


def _only(snapshot: Snapshot, component: str) -> Snapshot:
    """What a snapshot has of a component."""
    return replace(snapshot, entries=tuple(entry for entry in snapshot.entries if entry.component == component))


def _section(name: str, title: str, url: str, keys: ClientKeys | None, *, enabled: bool) -> str:
    lines = (
        f"[{name}]",
        f"name={title}",
        f"baseurl={url}",
        f"enabled={enabled:d}",
        *_signatures(keys),
        "priority=1",
        "skip_if_unavailable=0",
        "metadata_expire=60",
    )
    return "".join(f"{line}\n" for line in lines)


def _listed(snapshot: Snapshot, kinds: Collection[ArtifactKind]) -> list[Artifact]:
    """The packages, each once, in an order that depends on nothing else."""
    found = {
        artifact.pool_path: artifact
        for entry in snapshot.entries
        for artifact in entry.artifacts
        if artifact.kind in kinds
    }
    return sorted(found.values(), key=lambda artifact: (artifact.filename, artifact.sha256))


def _sha256(pieces: Iterable[Bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


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
