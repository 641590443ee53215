"""What a published snapshot holds, as its manifest.json says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from conveyor.model.artifact import Artifact


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestPackage:
    """What one package brings into a snapshot.

    What a manifest of version 1 does not tell is empty, or None.

    Attributes:
        package: the package's name.
        commit: id of the commit that was built; None where the manifest does not tell.
        upstream_url: where its source comes from, as the world may see it: without credentials; of a path on the
            publishing machine only the last part.
        upstream_sha: 40 hex digits.
        packaging_url: where its packaging comes from, likewise; empty for a folder.
        packaging_sha: 40 hex digits.
        extended: the extended hash, or empty.
        component: its component.
        version: EVR string of the source package.
        artifacts: all files of that build, by filename.
    """

    package: str
    commit: str | None
    upstream_url: str
    upstream_sha: str
    packaging_url: str
    packaging_sha: str
    extended: str
    component: str
    version: str
    artifacts: tuple[Artifact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a snapshot says it holds.

    Attributes:
        target: the target's name.
        architecture: the target's architecture.
        commit: id of the commit whose snapshot it is.
        package: the package whose build caused it.
        created_at: the upstream commit's date.
        updated_at: when the newest build in it finished.
        packages: what each package brings, sorted by package.
    """

    target: str
    architecture: str
    commit: str
    package: str
    created_at: datetime
    updated_at: datetime
    packages: tuple[ManifestPackage, ...]

    @property
    def own(self) -> ManifestPackage:
        """What the package brings whose build caused the snapshot."""
        return next(each for each in self.packages if each.package == self.package)

    @property
    def artifacts(self) -> Iterator[Artifact]:
        """All files of all packages."""
        return (artifact for each in self.packages for artifact in each.artifacts)
