"""What builds make and repositories hold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from conveyor.model.commit import commit_id
from conveyor.model.provenance import Provenance

# Where the repositories of single components lie, in a snapshot and beside the pointers.
COMPONENT_FOLDER = "component"


class ArtifactKind(StrEnum):
    """What a file is to a repository."""

    BINARY = "binary"  # an installable package
    SOURCE = "source"  # an SRPM, or a .dsc
    SUPPORT = "support"  # part of a source package (tarballs), .changes, .buildinfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file that a build made, known by its content.

    Attributes:
        filename: its name, without a folder.
        sha256: 64 hex digits.
        size: bytes.
        kind: what it is to a repository.
        name: the package's name in the format; the file's name for SUPPORT.
        version: EVR string; empty for SUPPORT.
        architecture: in the format's words ("all", "noarch", "source"); empty for SUPPORT.
    """

    filename: str
    sha256: str
    size: int
    kind: ArtifactKind
    name: str
    version: str
    architecture: str

    @property
    def pool_path(self) -> str:
        """Where it lies in a pool: `<first two digits>/<sha256>/<filename>`."""
        return f"{self.sha256[:2]}/{self.sha256}/{self.filename}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotEntry:
    """What one package brings into a snapshot.

    Attributes:
        package: the package's name.
        upstream_url: where its source comes from.
        upstream_sha: 40 hex digits.
        packaging_url: where its packaging comes from; empty for a folder.
        packaging_sha: 40 hex digits.
        extended: the extended hash, or empty.
        component: its component.
        version: EVR string of the source package.
        succeeded_at: when the build that made these artifacts finished.
        latest_succeeded: whether that build is also the package's latest; False while a newer one failed.
        artifacts: all files of that build.
    """

    package: str
    upstream_url: str
    upstream_sha: str
    packaging_url: str
    packaging_sha: str
    extended: str
    component: str
    version: str
    succeeded_at: datetime
    latest_succeeded: bool
    artifacts: tuple[Artifact, ...]

    @property
    def commit_id(self) -> str:
        """Id of the commit that was built."""
        return commit_id(self.upstream_sha, self.packaging_sha, self.extended)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The immutable repository of one commit and target, before it is written.

    Attributes:
        target: the target's name.
        architecture: the target's architecture.
        commit_id: whose snapshot it is.
        package: the package whose build caused it.
        created_at: the upstream commit's date: a snapshot is a pure function of its content.
        entries: own artifacts and the newest good build of every other package, sorted by package.
        provenance: how the build that caused it was made; None where an older Conveyor did not record it.
    """

    target: str
    architecture: str
    commit_id: str
    package: str
    created_at: datetime
    entries: tuple[SnapshotEntry, ...]
    provenance: Provenance | None = None

    @property
    def own(self) -> SnapshotEntry:
        """The entry of the package whose build caused the snapshot."""
        return next(entry for entry in self.entries if entry.package == self.package)

    @property
    def updated_at(self) -> datetime:
        """When the newest build in it finished: the date of its metadata.

        A function of its content too, and never earlier than that of the snapshots before it, which `created_at` can
        be: apt ignores, without a word, a Release file that is older than the one it has.
        """
        return max(entry.succeeded_at for entry in self.entries)
