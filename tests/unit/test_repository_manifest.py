"""manifest.json is read as it was written, in each of its versions; a damaged one is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from conveyor.errors import SnapshotDamaged
from conveyor.model.artifact import Artifact, ArtifactKind
from conveyor.repository.manifest import read
from conveyor.repository.records import manifest_json, manifest_line
from tests.support.published import commit_id_of, entry_of, sha_of, snapshot_of

WHERE = "ab/cd/id/manifest.json"
HOSTILE = '\u202eevil\n"</script>'


def artifact(filename: str, kind: ArtifactKind, version: str = "2:1.0-1.el10") -> Artifact:
    return Artifact(
        filename=filename,
        sha256=filename[0] * 64,
        size=10,
        kind=kind,
        name="openstack-nova",
        version=version,
        architecture="noarch",
    )


FILES = (artifact("a.src.rpm", ArtifactKind.SOURCE), artifact("b.noarch.rpm", ArtifactKind.BINARY))
NOVA = replace(entry_of("nova", 1, FILES), component=HOSTILE)
GLANCE = replace(entry_of("glance", 2, ()), packaging_url="https://user:secret@example.org/x", extended="abcd")
SNAPSHOT = snapshot_of("centos-10-x86_64", "x86_64", 1, NOVA, GLANCE)
CONTENT = manifest_json(SNAPSHOT, map(manifest_line, SNAPSHOT.entries))
# As version 1 was written.
FLAT_FILES = [("nova", "1-2", "binary"), ("glance", "4-1", "binary"), ("nova", "1-1", "source")]
FLAT = {
    "format_version": 1,
    "commit": commit_id_of(1),
    "target": "debian-13-amd64",
    "architecture": "amd64",
    "package": "nova",
    "created_at": "2024-01-01T12:00:00+00:00",
    "updated_at": "2024-01-02T12:00:00+00:00",
    "artifacts": [
        {
            "package": package,
            "name": package,
            "version": version,
            "architecture": "all",
            "kind": kind,
            "filename": f"a{package}.{kind}",
            "sha256": "a" * 64,
            "size": 10,
            "path": f"pool/aa/{'a' * 64}/a{package}.{kind}",
        }
        for package, version, kind in [
            ("nova", "1-2", "binary"),
            ("glance", "4-1", "binary"),
            ("nova", "1-1", "source"),
        ]
    ],
}


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(CONTENT)
    change(document)
    return json.dumps(document).encode()


def test_what_was_written_is_read() -> None:
    manifest = read(CONTENT, where=WHERE)
    assert (manifest.target, manifest.architecture) == ("centos-10-x86_64", "x86_64")
    assert (manifest.commit, manifest.package) == (SNAPSHOT.commit_id, "nova")
    assert (manifest.created_at, manifest.updated_at) == (SNAPSHOT.created_at, SNAPSHOT.updated_at)
    glance, nova = manifest.packages
    assert nova == manifest.own
    assert (nova.commit, nova.upstream_sha, nova.packaging_sha) == (NOVA.commit_id, sha_of(1), "c" * 40)
    assert (nova.upstream_url, nova.packaging_url, nova.extended) == (NOVA.upstream_url, "", "")
    assert (nova.component, nova.version, nova.artifacts) == (HOSTILE, "2:1.0-1.el10", FILES)
    assert (glance.commit, glance.extended) == (GLANCE.commit_id, "abcd")
    assert glance.packaging_url == "https://example.org/x"
    assert tuple(manifest.artifacts) == FILES


def test_version_1_is_read_as_far_as_it_tells() -> None:
    manifest = read(json.dumps(FLAT).encode(), where=WHERE)
    glance, nova = manifest.packages
    assert (nova.package, nova.commit, nova.upstream_sha) == ("nova", commit_id_of(1), sha_of(1))
    assert (nova.version, len(nova.artifacts)) == ("1-1", 2)
    assert (glance.package, glance.commit, glance.upstream_sha, glance.version) == ("glance", None, "", "4-1")


def test_version_1_without_any_file_is_read() -> None:
    manifest = read(json.dumps({**FLAT, "artifacts": []}).encode(), where=WHERE)
    assert (manifest.own.package, manifest.own.artifacts) == ("nova", ())


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "Expecting value"),
        (CONTENT[:-4], "delimiter"),
        (b"\xff", "utf-8"),
        (b"[]", "not a JSON object"),
        (b"[" * 100_000, "recursion"),
        (changed(lambda head: head.pop("format_version")), "'format_version' is not a number"),
        (changed(lambda head: head.update(format_version=True)), "'format_version' is not a number"),
        (changed(lambda head: head.update(commit="../../etc")), "not the id of a commit"),
        (changed(lambda head: head.update(package="cinder")), "nothing is said of the package"),
        (changed(lambda head: head.update(packages={})), "'packages' is not a list"),
        (changed(lambda head: head["packages"].append(7)), "not a JSON object"),
        (changed(lambda head: head["packages"][1].update(version=None)), "'version' is not a text"),
        (changed(lambda head: head["packages"][1]["artifacts"][0].update(filename="../x")), "cannot be published"),
        (changed(lambda head: head["packages"][1]["artifacts"][0].update(kind="other")), "'other' is not a valid"),
        (changed(lambda head: head.update(created_at="yesterday")), "Invalid isoformat"),
    ],
)
def test_a_damaged_one_is_named(content: bytes, why: str) -> None:
    with pytest.raises(SnapshotDamaged, match=WHERE) as raised:
        read(content, where=WHERE)
    assert why in raised.value.summary
    assert "restore it" in raised.value.hint


@pytest.mark.parametrize(("version", "hint"), [(3, "newer Conveyor"), (0, "restore it")])
def test_another_version_is_named(version: int, hint: str) -> None:
    with pytest.raises(
        SnapshotDamaged, match=f"is of version {version}: this Conveyor reads versions 1 to 2"
    ) as raised:
        read(changed(lambda head: head.update(format_version=version)), where=WHERE)
    assert hint in raised.value.hint
