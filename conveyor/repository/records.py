"""What a snapshot says of itself: commit.yaml and versions.csv as DLRN's users know them, and manifest.json. Pure."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence

from conveyor.model.addresses import public_url
from conveyor.model.artifact import ArtifactKind, Snapshot, SnapshotEntry
from conveyor.model.target import Format

MANIFEST_VERSION = 2
VERSIONS_COLUMNS = (
    "Project",
    "Source Repo",
    "Source Sha",
    "Dist Repo",
    "Dist Sha",
    "Status",
    "Last Success Timestamp",
    "Component",
    "Extended Sha",
    "Pkg NVR",
)
_NOTHING = "None"  # how DLRN writes a missing extended hash, and its clients compare
_COMPACT = json.JSONEncoder(separators=(",", ":"))


def source_nvr(entry: SnapshotEntry) -> str:
    """Name, version and release of an entry's source package, without the epoch: `nova-1.0-1.el10`."""
    sources = [artifact for artifact in entry.artifacts if artifact.kind is ArtifactKind.SOURCE]
    name, version = (sources[0].name, sources[0].version) if sources else (entry.package, entry.version)
    return f"{name}-{version.rpartition(':')[2]}"


def versions_csv(rows: Iterable[bytes]) -> bytes:
    """A heading, and one row for each package."""
    return b"".join([_csv(VERSIONS_COLUMNS), *rows])


def versions_row(entry: SnapshotEntry) -> bytes:
    """A package's row; "Status" is that of its latest build, which may be newer than the one that is here."""
    fields = (
        entry.package,
        public_url(entry.upstream_url),
        entry.upstream_sha,
        public_url(entry.packaging_url),
        entry.packaging_sha,
        "SUCCESS" if entry.latest_succeeded else "FAILED",
        str(int(entry.succeeded_at.timestamp())),
        entry.component,
        entry.extended or _NOTHING,
        source_nvr(entry),
    )
    return _csv(fields)


def _csv(fields: Sequence[str]) -> bytes:
    line: str = csv.writer(_Line(), lineterminator="\n").writerow(fields)
    return line.encode()


class _Line:
    """What csv writes to: it gives the line back, as a file gives the number of characters."""

    @staticmethod
    def write(line: str) -> str:
        return line


def commit_yaml(snapshot: Snapshot, package_format: Format, folder: str) -> bytes:
    """DLRN's description of the commit: times in seconds since 1970, every value a string.

    What DLRN fills with folders of its host (repo_dir, distgit_dir) holds URLs here; what is not known of a published
    build (its branches, the packaging's date) is empty or "0".

    Args:
        snapshot: whose commit.
        package_format: its target's.
        folder: the snapshot's path below the tree's root, which the paths of the artifacts start with.
    """
    own, made = snapshot.own, snapshot.provenance
    packaged_at = made.packaged_at if made else None
    commit = {
        "artifacts": ",".join(sorted(f"{folder}/pool/{artifact.pool_path}" for artifact in own.artifacts)),
        "commit_branch": made.upstream_branch if made else "",
        "commit_hash": own.upstream_sha,
        "component": own.component,
        "distgit_dir": public_url(own.packaging_url),
        "distro_branch": made.packaging_branch if made else "",
        "distro_hash": own.packaging_sha,
        "dt_build": str(int(own.succeeded_at.timestamp())),
        "dt_commit": str(int(snapshot.created_at.timestamp())),
        "dt_distro": str(int(packaged_at.timestamp())) if packaged_at else "0",
        "dt_extended": "0",
        "extended_hash": own.extended or _NOTHING,
        "flags": "0",
        "notes": "OK",
        "project_name": own.package,
        "repo_dir": public_url(own.upstream_url),
        "status": "SUCCESS",
        "type": package_format.value,
    }
    lines = "\n  ".join(f"{key}: {_yaml_text(value)}" for key, value in commit.items())
    return f"commits:\n- {lines}\n".encode("ascii")


def _yaml_text(text: str) -> str:
    """A double-quoted scalar (YAML 1.1, 5.6); Python's escapes are all among those of YAML.

    A library that writes any YAML takes as long for these twenty lines as all other records of 500 packages.
    """
    escaped = text.encode("unicode_escape").decode("ascii").replace('"', '\\"')
    return f'"{escaped}"'


def manifest_json(snapshot: Snapshot, lines: Iterable[bytes]) -> bytes:
    """What the snapshot holds. docs/json.md describes it, manifest.py reads it.

    Args:
        snapshot: the snapshot.
        lines: that of each of its entries.
    """
    head = {
        "format_version": MANIFEST_VERSION,
        "commit": snapshot.commit_id,
        "target": snapshot.target,
        "architecture": snapshot.architecture,
        "package": snapshot.package,
        "created_at": snapshot.created_at.isoformat(),
        "updated_at": snapshot.updated_at.isoformat(),
    }
    start = f'{json.dumps(head)[:-1]}, "packages": [\n'
    return b"".join([start.encode(), b",\n".join(lines), b"\n]}\n"])


def manifest_line(entry: SnapshotEntry) -> bytes:
    """What one package brings into every snapshot that has this build of it: a function of the build alone."""
    line = {
        "package": entry.package,
        "commit": entry.commit_id,
        "upstream_url": public_url(entry.upstream_url),
        "upstream_sha": entry.upstream_sha,
        "packaging_url": public_url(entry.packaging_url) or None,
        "packaging_sha": entry.packaging_sha,
        "extended": entry.extended or None,
        "component": entry.component,
        "version": entry.version,
        "artifacts": [
            {
                "filename": artifact.filename,
                "sha256": artifact.sha256,
                "size": artifact.size,
                "kind": artifact.kind.value,
                "name": artifact.name,
                "version": artifact.version,
                "architecture": artifact.architecture,
            }
            for artifact in sorted(entry.artifacts, key=lambda artifact: (artifact.filename, artifact.sha256))
        ],
    }
    return _COMPACT.encode(line).encode()
