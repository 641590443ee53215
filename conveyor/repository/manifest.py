"""Reads what a snapshot says of itself: manifest.json, as records.py wrote it, now or in an earlier version. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from conveyor.errors import ConveyorError, SnapshotDamaged
from conveyor.model.artifact import Artifact, ArtifactKind
from conveyor.model.manifest import Manifest, ManifestPackage
from conveyor.repository import names
from conveyor.repository.records import MANIFEST_VERSION

_Record = dict[str, Any]
_FLAT_VERSION = 1  # artifacts beside each other, each with its package's name, and nothing on commits
_NEWER = "it was written by a newer Conveyor: use that one"
_DAMAGED = "the file is not as it was published: restore it from a backup or a mirror"


class _Odd(Exception):
    """Something is not as it has to be."""


def read(content: bytes, *, where: str) -> Manifest:
    """What a manifest.json says.

    Args:
        content: the file's bytes.
        where: its path, for the message.

    Raises:
        SnapshotDamaged: it is cut off or changed, or of a version that this Conveyor does not know.
    """
    try:
        return _manifest(json.loads(content), where)
    except (ValueError, RecursionError, _Odd) as error:
        raise SnapshotDamaged(f"{where} cannot be read", cause=str(error), hint=_DAMAGED) from error


def _manifest(document: object, where: str) -> Manifest:
    head = _record(document)
    version = _number(head, "format_version")
    if not _FLAT_VERSION <= version <= MANIFEST_VERSION:
        raise SnapshotDamaged(
            f"{where} is of version {version}",
            cause=f"this Conveyor reads versions {_FLAT_VERSION} to {MANIFEST_VERSION}",
            hint=_NEWER if version > MANIFEST_VERSION else _DAMAGED,
        )
    commit, package = _commit(head), _text(head, "package")
    if version == _FLAT_VERSION:
        packages = _flat_packages(_records(head, "artifacts"), package, commit)
    else:
        packages = tuple(_package(record) for record in _records(head, "packages"))
    if package not in {each.package for each in packages}:
        raise _Odd(f"nothing is said of the package that it is of, {package!r}")
    return Manifest(
        target=_text(head, "target"),
        architecture=_text(head, "architecture"),
        commit=commit,
        package=package,
        created_at=_moment(head, "created_at"),
        updated_at=_moment(head, "updated_at"),
        packages=packages,
    )


def _package(record: _Record) -> ManifestPackage:
    return ManifestPackage(
        package=_text(record, "package"),
        commit=_commit(record),
        upstream_url=_text(record, "upstream_url"),
        upstream_sha=_text(record, "upstream_sha"),
        packaging_url=_text_or_nothing(record, "packaging_url"),
        packaging_sha=_text(record, "packaging_sha"),
        extended=_text_or_nothing(record, "extended"),
        component=_text(record, "component"),
        version=_text(record, "version"),
        artifacts=tuple(_artifact(each) for each in _records(record, "artifacts")),
    )


def _flat_packages(records: Sequence[_Record], own: str, commit: str) -> tuple[ManifestPackage, ...]:
    """The packages of a manifest of version 1: which files each has, and of the own one also the commit."""
    grouped = groupby(sorted(records, key=_package_name), _package_name)
    files: dict[str, tuple[Artifact, ...]] = {own: ()}
    files.update((package, tuple(_artifact(each) for each in group)) for package, group in grouped)
    return tuple(
        ManifestPackage(
            package=package,
            commit=commit if package == own else None,
            upstream_url="",
            upstream_sha=commit.partition("_")[0] if package == own else "",
            packaging_url="",
            packaging_sha="",
            extended="",
            component="",
            version=_source_version(artifacts),
            artifacts=artifacts,
        )
        for package, artifacts in sorted(files.items())
    )


def _package_name(record: _Record) -> str:
    return _text(record, "package")


def _source_version(artifacts: Sequence[Artifact]) -> str:
    """The version of the source package, or of the first package where none is there."""
    sources = [artifact for artifact in artifacts if artifact.kind is ArtifactKind.SOURCE]
    return next((artifact.version for artifact in [*sources, *artifacts] if artifact.version), "")


def _artifact(record: _Record) -> Artifact:
    artifact = Artifact(
        filename=_text(record, "filename"),
        sha256=_text(record, "sha256"),
        size=_number(record, "size"),
        kind=ArtifactKind(_text(record, "kind")),
        name=_text(record, "name"),
        version=_text(record, "version"),
        architecture=_text(record, "architecture"),
    )
    try:
        return names.check_artifact(artifact)
    except ConveyorError as error:
        raise _Odd(error.what) from error


def _commit(record: _Record) -> str:
    try:
        return names.check_commit_id(_text(record, "commit"))
    except ConveyorError as error:
        raise _Odd(error.what) from error


def _record(value: object) -> _Record:
    if not isinstance(value, dict):
        raise _Odd("it is not a JSON object")
    return value


def _records(record: _Record, key: str) -> list[_Record]:
    value = record.get(key)
    if not isinstance(value, list):
        raise _Odd(f"{key!r} is not a list")
    return [_record(each) for each in value]


def _text(record: _Record, key: str) -> str:
    value = record.get(key)
    if not isinstance(value, str):
        raise _Odd(f"{key!r} is not a text")
    return value


def _text_or_nothing(record: _Record, key: str) -> str:
    return "" if record.get(key) is None else _text(record, key)


def _number(record: _Record, key: str) -> int:
    value = record.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _Odd(f"{key!r} is not a number")
    return value


def _moment(record: _Record, key: str) -> datetime:
    return datetime.fromisoformat(_text(record, key))
