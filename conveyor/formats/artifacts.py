"""A file that a build made, as an artifact: shared by the formats."""

from __future__ import annotations

import hashlib
from pathlib import Path

from conveyor.formats.filenames import safe_name
from conveyor.model.artifact import Artifact, ArtifactKind


def artifact_of(path: Path, kind: ArtifactKind, name: str = "", version: str = "", architecture: str = "") -> Artifact:
    """The artifact of a file, its digest and size read from it.

    Raises:
        SourceInvalid: its name is none for a package file.
    """
    return Artifact(
        filename=safe_name(path),
        sha256=digest_of(path),
        size=path.stat().st_size,
        kind=kind,
        name=name,
        version=version,
        architecture=architecture,
    )


def digest_of(path: Path) -> str:
    """Hex sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
