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
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Artifact(
        filename=safe_name(path),
        sha256=digest,
        size=path.stat().st_size,
        kind=kind,
        name=name,
        version=version,
        architecture=architecture,
    )
