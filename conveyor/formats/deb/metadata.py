"""Debian repository metadata (dists/), with by-hash."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from functools import partial
from pathlib import Path

from debian.deb822 import Deb822

from conveyor.errors import SourceInvalid
from conveyor.formats.chunk_cache import ChunkCache
from conveyor.formats.compression import Bytes, Gzip, Xz
from conveyor.formats.deb.contents import Contents
from conveyor.formats.deb.keys import signed_by
from conveyor.formats.deb.stanza import binary_stanza, files_of, find, source_stanza
from conveyor.formats.merged import Merger, Piece
from conveyor.model.artifact import Artifact, ArtifactKind, Snapshot, SnapshotEntry
from conveyor.model.target import DEFAULT_INDEXES, Format, IndexOptions
from conveyor.ports import ClientKeys, EntryFile

CACHE_SCHEMA = "deb-2"
SUITE = "trunk"
_SHA256 = re.compile("^SHA256:\\n((?: .*\\n)*)", re.MULTILINE)  # the whole file is slow to parse
_DATE = re.compile("^Date: *(.*)$", re.MULTILINE)
_VALID_UNTIL = re.compile("^Valid-Until: *(.*)$", re.MULTILINE)
DEFAULT_COMPONENT = "main"
EVERY_ARCHITECTURE = "all"
# A snapshot stays what it is, and can be used for ever.
_LASTING = "Check-Valid-Until: no"
_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9-]*")
_Found = tuple[SnapshotEntry, Artifact]


class DebIndexWriter:
    """The port IndexWriter for Debian packages. See there.

    Args:
        cache: folder for each package's stanza and what is merged of them; safe to delete.
        options: what the target's repositories have.
    """

    format = Format.DEB

    def __init__(self, cache: Path, options: IndexOptions = DEFAULT_INDEXES) -> None:
        codecs = (Gzip(), Xz())
        self._suffixes = tuple(codec.suffix for codec in codecs)
        self._cache = ChunkCache(cache, CACHE_SCHEMA)
        self._merger = Merger(cache, CACHE_SCHEMA, codecs)
        self._contents = Contents(cache) if options.contents else None
        self._valid_for = None if options.valid_until is None else timedelta(seconds=options.valid_until)

    def write(self, folder: Path, snapshot: Snapshot, pool: Path) -> None:
        """Write dists/trunk/: for each component an index for each architecture, and one of source packages.

        The tarballs of a source package become visible beside its .dsc in the pool, as symlinks: a stanza of Sources
        has one Directory for all its files. The .dsc's content says what these files are, so its folder in the pool
        is still known by its content.

        Raises:
            SourceInvalid: a package cannot be read, or is not what it was said to be.
        """
        suite = folder / "dists" / SUITE
        components = _by_component(snapshot)
        architectures = _architectures(snapshot)
        written: list[_File] = []
        for component, entries in components.items():
            for architecture in architectures:
                written += self._write_packages(suite, snapshot.target, component, architecture, entries, pool)
            written += self._write_sources(suite, snapshot.target, component, entries, pool)
        release = _release(snapshot, tuple(components), architectures, self._valid_for, _checksums(suite, written))
        (suite / "Release").write_text(release, encoding="utf-8")

    def _write_packages(
        self, suite: Path, target: str, component: str, architecture: str, entries: Sequence[SnapshotEntry], pool: Path
    ) -> list[_File]:
        listed = [artifact for _, artifact in _found(entries, ArtifactKind.BINARY)]
        listed = [artifact for artifact in listed if artifact.architecture in {architecture, EVERY_ARCHITECTURE}]
        place = f"{component}/binary-{architecture}"

        def stanza(deb: Artifact) -> tuple[bytes]:
            return (_ended(self._binary(deb, pool / deb.pool_path)),)

        groups = self._merger.merge(f"{target}/{place}", listed, stanza, self._cache.forget)
        written = self._write_index(suite / place, "Packages", [piece for (piece,) in groups])
        if self._contents is not None:
            place = f"{component}/Contents-{architecture}"
            content = self._contents.merged(f"{target}/{place}", listed, pool)
            written += _write_file(suite / f"{place}.gz", [content])
        return written

    def _write_sources(
        self, suite: Path, target: str, component: str, entries: Sequence[SnapshotEntry], pool: Path
    ) -> list[_File]:
        sources = {dsc: entry for entry, dsc in _found(entries, ArtifactKind.SOURCE)}
        place = f"{component}/source"

        def stanza(dsc: Artifact) -> tuple[bytes]:
            return (_ended(self._source(sources[dsc], dsc, pool)),)

        groups = self._merger.merge(f"{target}/{place}", sources, stanza, self._cache.forget)
        return self._write_index(suite / place, "Sources", [piece for (piece,) in groups])

    def _write_index(self, folder: Path, name: str, pieces: Sequence[Piece]) -> list[_File]:
        """Write an index plain and compressed, the same bytes for the same pieces, each by its hash too."""
        folder.mkdir(parents=True)
        written = _write_file(folder / name, [piece.raw for piece in pieces])
        for number, suffix in enumerate(self._suffixes):
            written += _write_file(folder / f"{name}{suffix}", self._merger.whole(number, pieces))
        return written

    def check(self, files: Sequence[tuple[Path, Artifact]]) -> None:
        """See IndexWriter.check. What is worked out for it is kept for `write`."""
        for path, artifact in files:
            if artifact.kind is ArtifactKind.BINARY:
                self._binary(artifact, path)
                if self._contents is not None:
                    self._contents.of(artifact, path)
            elif artifact.kind is ArtifactKind.SOURCE:
                stanza = self._cache.get(artifact, partial(_source_stanza, path, artifact))
                for file in files_of(stanza.decode(), artifact):
                    find(file, [each for _, each in files], artifact)

    def checksummed(self, folder: Path) -> tuple[str, ...]:
        """See IndexWriter.checksummed."""
        suite = f"dists/{SUITE}"
        release = (folder / suite / "Release").read_text(encoding="utf-8")
        lines = _SHA256.search(release)
        named = (line.split() for line in lines[1].splitlines()) if lines else ()
        return tuple(sorted(f"{suite}/{path.rpartition('/')[0]}/by-hash/SHA256/{sha256}" for sha256, _, path in named))

    def components(self, folder: Path) -> tuple[str, ...]:
        """See IndexWriter.components."""
        with (folder / "dists" / SUITE / "Release").open(encoding="utf-8") as file:
            return tuple(Deb822(file)["Components"].split())

    def to_sign(self, folder: Path) -> tuple[EntryFile, ...]:
        """See IndexWriter.to_sign."""
        del folder
        return (EntryFile(path=f"dists/{SUITE}/Release", detached="Release.gpg", inline="InRelease"),)

    def dated(self, folder: Path) -> datetime | None:
        """See IndexWriter.dated: apt keeps a Release file, without a word, if the new one's Date is earlier."""
        try:
            release = (folder / "dists" / SUITE / "Release").read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        return _found_date(_DATE, release)

    def redated(self, folder: Path, date: datetime) -> Mapping[str, bytes]:
        """See IndexWriter.redated. It is valid for as long as it was, whatever the target's options are now."""
        release = (folder / "dists" / SUITE / "Release").read_text(encoding="utf-8")
        before, until = _found_date(_DATE, release), _found_date(_VALID_UNTIL, release)
        changed = _DATE.sub(f"Date: {_rfc_date(date)}", release, count=1)
        if before is not None and until is not None:
            changed = _VALID_UNTIL.sub(f"Valid-Until: {_rfc_date(date + (until - before))}", changed, count=1)
        return {f"dists/{SUITE}/Release": changed.encode()}

    def aggregates(self) -> bool:
        """See IndexWriter.aggregates: a deb repository has its components in itself."""
        return False

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
        """A deb822 .sources file for apt 1.1 and newer (sources.list(5)); 2.3.10 and newer where it holds keys."""
        check = (_LASTING,) if lasting and self._valid_for is not None else ()
        lines = (
            f"# {title}",
            "Types: deb",
            f"URIs: {url}",
            f"Suites: {SUITE}",
            f"Components: {' '.join(components or [DEFAULT_COMPONENT])}",
            *check,
            *_signatures(keys),
        )
        return f"{name}.sources", "".join(f"{line}\n" for line in lines)

    def mirror_lists(self, folder: Path, url: str) -> Mapping[str, str]:
        """See IndexWriter.mirror_lists: none, as InRelease holds its signature, and names the rest by checksums."""
        del folder, url
        return {}

    def moving(self, text: str, folder: Path) -> str:
        """See IndexWriter.moving."""
        del folder
        return text.replace(f"{_LASTING}\n", "")

    def client_lines(self, client_file: tuple[str, str], packages: Sequence[str]) -> str:
        """See IndexWriter.client_lines."""
        name, content = client_file
        place = f"cat > /etc/apt/sources.list.d/{name} <<'END'\n{content}END\n"
        return f"{place}apt-get update\napt-get install --yes {' '.join(packages)}\n"

    def forget(self, paths: Collection[str]) -> None:
        """See IndexWriter.forget."""
        self._cache.forget(paths)
        if self._contents is not None:
            self._contents.forget(paths)

    def _binary(self, deb: Artifact, path: Path) -> bytes:
        if not _ARCHITECTURE.fullmatch(deb.architecture):
            raise SourceInvalid(f"{deb.filename} is for an architecture that cannot be: {deb.architecture!r}")
        return self._cache.get(deb, lambda: binary_stanza(path, deb).encode())

    def _source(self, entry: SnapshotEntry, dsc: Artifact, pool: Path) -> bytes:
        stanza = self._cache.get(dsc, partial(_source_stanza, pool / dsc.pool_path, dsc))
        for file in files_of(stanza.decode(), dsc):
            _show_beside(pool, dsc, find(file, entry.artifacts, dsc))
        return stanza


def _signatures(keys: ClientKeys | None) -> tuple[str, ...]:
    if keys is None:
        return "# This repository is not signed: use it over a connection that you trust.", "Trusted: yes"
    return f"# For apt before 2.3.10: Signed-By names a file with what is at {keys.url}", signed_by(keys.armoured)


def _source_stanza(path: Path, dsc: Artifact) -> bytes:
    return source_stanza(path, dsc).encode()


def _ended(stanza: bytes) -> bytes:
    """With the empty line that parts it from the next."""
    return stanza + b"\n"


def _by_component(snapshot: Snapshot) -> dict[str, list[SnapshotEntry]]:
    """The entries of each component, sorted by component; one at least, so that every snapshot has an index."""
    found: dict[str, list[SnapshotEntry]] = {}
    for entry in snapshot.entries:
        found.setdefault(entry.component, []).append(entry)
    return {component: found[component] for component in sorted(found)}


def _architectures(snapshot: Snapshot) -> tuple[str, ...]:
    """The target's architecture and those that packages have; what is for all of them is in the index of each."""
    found = {
        artifact.architecture
        for entry in snapshot.entries
        for artifact in entry.artifacts
        if artifact.kind is ArtifactKind.BINARY
    }
    return tuple(sorted({*found, snapshot.architecture} - {EVERY_ARCHITECTURE}))


def _found(entries: Sequence[SnapshotEntry], kind: ArtifactKind) -> list[_Found]:
    """The artifacts of a kind, each once, in an order that depends on nothing else."""
    found = {
        artifact.pool_path: (entry, artifact)
        for entry in entries
        for artifact in entry.artifacts
        if artifact.kind is kind
    }
    return sorted(found.values(), key=lambda each: (each[1].filename, each[1].sha256))


def _show_beside(pool: Path, dsc: Artifact, file: Artifact) -> None:
    link = (pool / dsc.pool_path).with_name(file.filename)
    if not link.is_symlink():
        with suppress(FileExistsError):  # by another writer, with the same content
            link.symlink_to(f"../../{file.pool_path}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """A file that Release names."""

    path: Path
    sha256: str
    size: int


def _write_file(path: Path, pieces: Sequence[Bytes]) -> list[_File]:
    """Write a file, under its hash too."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    with path.open("wb") as file:
        file.writelines(pieces)
    by_hash = _by_hash(path, digest.hexdigest())
    by_hash.parent.mkdir(parents=True, exist_ok=True)
    by_hash.hardlink_to(path)
    return [_File(path=path, sha256=digest.hexdigest(), size=sum(map(len, pieces)))]


def _by_hash(path: Path, sha256: str) -> Path:
    return path.parent / "by-hash" / "SHA256" / sha256


def _release(
    snapshot: Snapshot,
    components: Sequence[str],
    architectures: Sequence[str],
    valid_for: timedelta | None,
    checksums: Iterable[str],
) -> str:
    updated_at = snapshot.updated_at.astimezone(UTC)
    limited = {} if valid_for is None else {"Valid-Until": _rfc_date(updated_at + valid_for)}
    fields = {
        "Origin": "Conveyor",
        "Label": "Conveyor",
        "Suite": SUITE,
        "Codename": SUITE,
        "Date": _rfc_date(updated_at),
        **limited,
        "Acquire-By-Hash": "yes",
        "Architectures": " ".join(architectures),
        "Components": " ".join(components),
        "Description": f"{snapshot.package} {snapshot.commit_id} for {snapshot.target}",
        "SHA256": "".join(f"\n {line}" for line in checksums),
    }
    return "".join(f"{field}:{'' if value.startswith(chr(10)) else ' '}{value}\n" for field, value in fields.items())


def _found_date(field: re.Pattern[str], release: str) -> datetime | None:
    found = field.search(release)
    return parsedate_to_datetime(found[1]) if found else None


def _rfc_date(moment: datetime) -> str:
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def _checksums(suite: Path, written: Iterable[_File]) -> Iterable[str]:
    for file in sorted(written, key=lambda file: file.path):
        yield f"{file.sha256} {file.size:>16} {file.path.relative_to(suite).as_posix()}"
