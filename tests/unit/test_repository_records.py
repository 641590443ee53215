"""commit.yaml, versions.csv and manifest.json."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import pytest
from ruamel.yaml import YAML

from conveyor.model.addresses import public_url
from conveyor.model.artifact import Artifact, ArtifactKind
from conveyor.model.target import Format
from conveyor.repository.records import (
    commit_yaml,
    manifest_json,
    manifest_line,
    source_nvr,
    versions_csv,
    versions_row,
)
from tests.support.published import DAY_ONE, entry_of, sha_of, snapshot_of


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


BINARY = artifact("b.noarch.rpm", ArtifactKind.BINARY)
SOURCE = artifact("a.src.rpm", ArtifactKind.SOURCE)
NOVA = replace(entry_of("nova", 1, (BINARY, SOURCE)), extended="abcd")
GLANCE = replace(entry_of("glance, the", 2, (), succeeded=False), packaging_url="https://user:secret@example.org/x")
SNAPSHOT = snapshot_of("centos-10-x86_64", "x86_64", 1, NOVA, GLANCE)


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("https://opendev.org/openstack/nova", "https://opendev.org/openstack/nova"),
        ("https://user:secret@example.org:8443/x.git", "https://example.org:8443/x.git"),
        ("https://token@example.org/x", "https://example.org/x"),
        ("ssh://git:secret@example.org/x", "ssh://git@example.org/x"),
        ("git@example.org:openstack/nova.git", "git@example.org:openstack/nova.git"),
        ("file:///home/builder/nova", "nova"),
        ("/home/builder/nova/", "nova"),
        ("../nova", "nova"),
        ("", ""),
    ],
)
def test_only_what_the_world_may_see_of_a_url(url: str, public: str) -> None:
    assert public_url(url) == public


def test_commit_yaml_has_what_clients_of_dlrn_read() -> None:
    folder = "centos-10-x86_64/ab/cd/id"
    loaded = YAML(typ="safe", pure=True).load(commit_yaml(SNAPSHOT, Format.RPM, folder))
    (commit,) = loaded["commits"]
    assert all(isinstance(value, str) for value in commit.values())
    assert commit["commit_hash"] == sha_of(1)
    assert commit["distro_hash"] == "c" * 40
    assert commit["extended_hash"] == "abcd"
    assert commit["project_name"] == "nova"
    assert commit["component"] == "common"
    assert commit["dt_build"] == str(int(NOVA.succeeded_at.timestamp()))
    assert commit["dt_commit"] == str(int(SNAPSHOT.created_at.timestamp()))
    assert commit["status"] == "SUCCESS"
    assert commit["type"] == "rpm"
    assert commit["artifacts"].split(",") == [
        f"{folder}/pool/aa/{'a' * 64}/a.src.rpm",
        f"{folder}/pool/bb/{'b' * 64}/b.noarch.rpm",
    ]


def test_a_missing_extended_hash_is_none_in_words() -> None:
    snapshot = snapshot_of("t", "x86_64", 2, GLANCE)
    loaded = YAML(typ="safe", pure=True).load(commit_yaml(snapshot, Format.DEB, "t"))
    assert loaded["commits"][0]["extended_hash"] == "None"


@pytest.mark.parametrize(
    "text", ["", "no", "1", "a: b # c", "'\"\\", "\n\t\r\0\x7f\x85\xa0", "n\u00fcva\u2028\ufeff\U0001f600"]
)
def test_commit_yaml_holds_any_text(text: str) -> None:
    entry = replace(NOVA, component=text)
    snapshot = snapshot_of("centos-10-x86_64", "x86_64", 1, entry)
    loaded = YAML(typ="safe", pure=True).load(commit_yaml(snapshot, Format.RPM, "t"))
    assert loaded["commits"][0]["component"] == text


def test_versions_csv_has_a_row_for_each_package() -> None:
    header, glance, nova = csv.reader(versions_csv(map(versions_row, SNAPSHOT.entries)).decode().splitlines())
    assert ",".join(header) == (
        "Project,Source Repo,Source Sha,Dist Repo,Dist Sha,Status,Last Success Timestamp,Component,Extended Sha,Pkg NVR"
    )
    assert glance[0] == "glance, the"
    assert glance[3] == "https://example.org/x"
    assert glance[5] == "FAILED"
    assert nova == [
        "nova",
        "https://opendev.org/openstack/nova",
        sha_of(1),
        "",
        "c" * 40,
        "SUCCESS",
        str(int(DAY_ONE.timestamp()) + 60),
        "common",
        "abcd",
        "openstack-nova-1.0-1.el10",
    ]


def test_the_nvr_without_a_source_package() -> None:
    assert source_nvr(replace(NOVA, artifacts=(BINARY,), version="3:2-1")) == "nova-2-1"


def test_the_manifest_has_a_line_for_each_package() -> None:
    content = manifest_json(SNAPSHOT, map(manifest_line, SNAPSHOT.entries))
    manifest = json.loads(content)
    assert (manifest["format_version"], manifest["commit"], manifest["package"]) == (2, SNAPSHOT.commit_id, "nova")
    assert manifest["target"] == "centos-10-x86_64"
    glance, nova = manifest["packages"]
    assert [json.loads(line.rstrip(b",")) for line in content.splitlines()[1:-1]] == [glance, nova]
    assert {**nova, "artifacts": ()} == {
        "package": "nova",
        "commit": f"{sha_of(1)}_cccccccc_abcd",
        "upstream_url": "https://opendev.org/openstack/nova",
        "upstream_sha": sha_of(1),
        "packaging_url": None,
        "packaging_sha": "c" * 40,
        "extended": "abcd",
        "component": "common",
        "version": "2:1.0-1.el10",
        "artifacts": (),
    }
    assert [each["filename"] for each in nova["artifacts"]] == ["a.src.rpm", "b.noarch.rpm"]
    assert nova["artifacts"][0] == {
        "filename": "a.src.rpm",
        "sha256": "a" * 64,
        "size": 10,
        "kind": "source",
        "name": "openstack-nova",
        "version": "2:1.0-1.el10",
        "architecture": "noarch",
    }
    assert (glance["packaging_url"], glance["extended"], glance["artifacts"]) == ("https://example.org/x", None, [])
