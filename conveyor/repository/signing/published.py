"""Where signatures come into what is published: packages before the pool, metadata before it gets its name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from conveyor.errors import SigningFailed
from conveyor.model.artifact import Artifact, ArtifactKind
from conveyor.model.target import Format
from conveyor.ports import EntryFile, PackageSigner, Signer
from conveyor.repository import files as disk
from conveyor.repository import pool
from conveyor.repository.signing.lead import content_digest

_Files = Sequence[tuple[Path, Artifact]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """What signs.

    Attributes:
        signer: signs metadata.
        packages: what signs packages, for the formats whose packages carry signatures.
    """

    signer: Signer
    packages: Mapping[Format, PackageSigner]


def signed_copies(files: _Files, folder: Path, signer: PackageSigner) -> tuple[tuple[Path, Artifact], ...]:
    """The files of a build, packages as signed copies in `folder`.

    Raises:
        SigningFailed: a package was not signed, or changed in more than its signature.
    """
    copies = [(path, _copied(path, folder, artifact), artifact) for path, artifact in files]
    signer.sign([copy for path, copy, _ in copies if copy != path])
    return tuple(_described(path, copy, artifact) for path, copy, artifact in copies)


def _copied(path: Path, folder: Path, artifact: Artifact) -> Path:
    if artifact.kind is ArtifactKind.SUPPORT:
        return path
    copy = folder / artifact.filename
    pool.copy_checked(path, copy, artifact)
    return copy


def _described(path: Path, copy: Path, artifact: Artifact) -> tuple[Path, Artifact]:
    """A copy with the artifact that it has become."""
    if copy == path:
        return path, artifact
    if content_digest(copy) != content_digest(path):
        raise SigningFailed(f"signing changed more of {artifact.filename} than its signature")
    with copy.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return copy, replace(artifact, sha256=sha256, size=copy.stat().st_size)


def seal(folder: Path, entries: Sequence[EntryFile], signer: Signer) -> None:
    """Put the signatures of a snapshot's entry files beside them."""
    for entry in entries:
        path = folder / entry.path
        for name, signature in _signatures(path.read_bytes(), entry, signer):
            path.with_name(name).write_bytes(signature)


def _signatures(content: bytes, entry: EntryFile, signer: Signer) -> Iterator[tuple[str, bytes]]:
    yield entry.detached, signer.sign(content)
    if entry.inline:
        yield entry.inline, signer.clear_sign(content)


def put(path: Path, text: str) -> None:
    """Give a published file another content, in one step."""
    if path.exists() and path.read_text(encoding="ascii") == text:
        return
    with disk.temporary_folder(path.parent) as temporary:
        new = temporary / path.name
        new.write_text(text, encoding="ascii")
        disk.settle(temporary)
        new.rename(path)
    disk.sync_folder(path.parent)
