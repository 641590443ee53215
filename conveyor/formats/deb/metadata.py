"""Debian repository metadata (dists/), with by-hash."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import partial
from pathlib import Path

from debian.deb822 import Deb822

from conveyor.formats.chunk_cache import ChunkCache
from conveyor.formats.deb.keys import signed_by
from conveyor.formats.deb.stanza import binary_stanza, files_of, find, source_stanza
from conveyor.model.artifact import Artifact, ArtifactKind, Snapshot, SnapshotEntry
from conveyor.model.target import Format
from conveyor.ports import ClientKeys, EntryFile

CACHE_SCHEMA = "deb-1"
SUITE = "trunk"
COMPONENT = "main"
_DATE = re.compile("^Date: *(.*)$", re.MULTILINE)
_XZ_PRESET = 1  # six times as fast as the default, for files that are a fifth larger
_Found = tuple[SnapshotEntry, Artifact]


class DebIndexWriter:
    """The port IndexWriter for Debian packages. See there.

    Args:
        cache: folder for each package's stanza; safe to delete.
    """

    format = Format.DEB

    def __init__(self, cache: Path) -> None:
        self._cache = ChunkCache(cache, CACHE_SCHEMA)

    def write(self, folder: Path, snapshot: Snapshot, pool: Path) -> None:
        """Write dists/trunk/.

        The tarballs of a source package become visible beside its .dsc in the pool, as symlinks: a stanza of Sources
        has one Directory for all its files. The .dsc's content says what these files are, so its folder in the pool
        is still known by its content.

        Raises:
            SourceInvalid: a package cannot be read, or is not what it was said to be.
        """
        suite = folder / "dists" / SUITE
        packages = suite / COMPONENT / f"binary-{snapshot.architecture}"
        sources = suite / COMPONENT / "source"
        _write_index(packages, "Packages", self._packages(snapshot, pool))
        _write_index(sources, "Sources", self._sources(snapshot, pool))
        (suite / "Release").write_text(_release(snapshot, suite), encoding="utf-8")

    def check(self, files: Sequence[tuple[Path, Artifact]]) -> None:
        """See IndexWriter.check. What is worked out for it is kept for `write`."""
        for path, artifact in files:
            if artifact.kind is ArtifactKind.BINARY:
                self._binary(artifact, path)
            elif artifact.kind is ArtifactKind.SOURCE:
                stanza = self._cache.get(artifact, partial(_source_stanza, path, artifact))
                for file in files_of(stanza.decode(), artifact):
                    find(file, [each for _, each in files], artifact)

    def checksummed(self, folder: Path) -> tuple[str, ...]:
        """See IndexWriter.checksummed."""
        suite = Path("dists", SUITE)
        with (folder / suite / "Release").open(encoding="utf-8") as file:
            lines = Deb822(file)["SHA256"].split("\n")
        named = (line.split() for line in lines if line.strip())
        return tuple(sorted(str(_by_hash(suite / path, sha256)) for sha256, _, path in named))

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
        found = _DATE.search(release)
        return parsedate_to_datetime(found[1]) if found else None

    def redated(self, folder: Path, date: datetime) -> Mapping[str, bytes]:
        """See IndexWriter.redated."""
        release = (folder / "dists" / SUITE / "Release").read_text(encoding="utf-8")
        changed = _DATE.sub(f"Date: {_rfc_date(date)}", release, count=1)
        return {f"dists/{SUITE}/Release": changed.encode()}

    def client_file(self, *, name: str, title: str, url: str, keys: ClientKeys | None = None) -> tuple[str, str]:
        """A deb822 .sources file for apt 1.1 and newer (sources.list(5)); 2.3.10 and newer where it holds keys."""
        lines = (
            f"# {title}",
            "Types: deb",
            f"URIs: {url}",
            f"Suites: {SUITE}",
            f"Components: {COMPONENT}",
            *_signatures(keys),
        )
        return f"{name}.sources", "".join(f"{line}\n" for line in lines)

    def client_lines(self, client_file: tuple[str, str], packages: Sequence[str]) -> str:
        """See IndexWriter.client_lines."""
        name, content = client_file
        place = f"cat > /etc/apt/sources.list.d/{name} <<'END'\n{content}END\n"
        return f"{place}apt-get update\napt-get install --yes {' '.join(packages)}\n"

    def forget(self, paths: Collection[str]) -> None:
        """See IndexWriter.forget."""
        self._cache.forget(paths)

    def _packages(self, snapshot: Snapshot, pool: Path) -> list[bytes]:
        found = _found(snapshot, ArtifactKind.BINARY)
        return [self._binary(artifact, pool / artifact.pool_path) for _, artifact in found]

    def _binary(self, deb: Artifact, path: Path) -> bytes:
        return self._cache.get(deb, lambda: binary_stanza(path, deb).encode())

    def _sources(self, snapshot: Snapshot, pool: Path) -> list[bytes]:
        return [self._source(entry, dsc, pool) for entry, dsc in _found(snapshot, ArtifactKind.SOURCE)]

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


def _found(snapshot: Snapshot, kind: ArtifactKind) -> list[_Found]:
    """The artifacts of a kind, each once, in an order that depends on nothing else."""
    found = {
        artifact.pool_path: (entry, artifact)
        for entry in snapshot.entries
        for artifact in entry.artifacts
        if artifact.kind is kind
    }
    return sorted(found.values(), key=lambda each: (each[1].filename, each[1].sha256))


def _show_beside(pool: Path, dsc: Artifact, file: Artifact) -> None:
    link = (pool / dsc.pool_path).with_name(file.filename)
    if not link.is_symlink():
        with suppress(FileExistsError):  # by another writer, with the same content
            link.symlink_to(f"../../{file.pool_path}")


def _write_index(folder: Path, name: str, stanzas: Sequence[bytes]) -> None:
    """Write an index plain and compressed, the same bytes for the same stanzas, each by its hash too."""
    content = b"\n".join(stanzas)
    folder.mkdir(parents=True)
    (folder / name).write_bytes(content)
    (folder / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
    (folder / f"{name}.xz").write_bytes(lzma.compress(content, preset=_XZ_PRESET))
    for path in (folder / name, folder / f"{name}.gz", folder / f"{name}.xz"):
        by_hash = _by_hash(path, hashlib.sha256(path.read_bytes()).hexdigest())
        by_hash.parent.mkdir(parents=True, exist_ok=True)
        by_hash.hardlink_to(path)


def _by_hash(path: Path, sha256: str) -> Path:
    return path.parent / "by-hash" / "SHA256" / sha256


def _release(snapshot: Snapshot, suite: Path) -> str:
    fields = {
        "Origin": "Conveyor",
        "Label": "Conveyor",
        "Suite": SUITE,
        "Codename": SUITE,
        "Date": _rfc_date(snapshot.updated_at),
        "Acquire-By-Hash": "yes",
        "Architectures": snapshot.architecture,
        "Components": COMPONENT,
        "Description": f"{snapshot.package} {snapshot.commit_id} for {snapshot.target}",
        "SHA256": "".join(f"\n {line}" for line in _checksums(suite)),
    }
    return "".join(f"{field}:{'' if value.startswith(chr(10)) else ' '}{value}\n" for field, value in fields.items())


def _rfc_date(moment: datetime) -> str:
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def _checksums(suite: Path) -> Iterable[str]:
    for path in sorted(path for path in suite.rglob("*") if path.is_file() and "by-hash" not in path.parts):
        content = path.read_bytes()
        yield f"{hashlib.sha256(content).hexdigest()} {len(content):>16} {path.relative_to(suite).as_posix()}"
