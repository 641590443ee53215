"""What a snapshot says of how it was made: by the specifications' own schemas, and against golden files.

After a change that is meant: python -m pytest tests/unit/test_provenance.py --update-goldens, then read the diff.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from google.protobuf.json_format import ParseDict
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance as SlsaProvenance
from in_toto_attestation.v1.statement_pb2 import Statement

from conveyor.formats.deb.describe import DebDescriber
from conveyor.formats.rpm.describe import RpmDescriber
from conveyor.model.artifact import Artifact, ArtifactKind, Snapshot, SnapshotEntry
from conveyor.model.build import Build, Outcome, State
from conveyor.model.commit import Commit, CommitInfo
from conveyor.model.contents import PackageFacts
from conveyor.model.provenance import InstalledPackage, Provenance
from conveyor.model.target import BuilderKind, Format, RpmDistribution, Target
from conveyor.pipeline.provenance import Statements, Told, bill_of_materials, git_uri, statement
from tests.support.workshop import TARGET, Workshop, new_world

GOLDEN = Path(__file__).parents[1] / "data/golden/provenance"
AT = datetime(2026, 3, 7, 9, 5, 2, tzinfo=UTC)
SITE = "https://trunk.example.org"
RPM_TARGET = replace(
    TARGET,
    name="centos-10-x86_64",
    format=Format.RPM,
    architecture="x86_64",
    naming="rdo",
    origin=RpmDistribution(repositories=(), release="10", database="/usr/lib/sysimage/rpm"),
)
HOSTILE = 'x"}],\n\x1b[31m</script>\ud800\u202e'


def artifact(
    filename: str, digit: str, kind: ArtifactKind, name: str = "", version: str = "", arch: str = ""
) -> Artifact:
    return Artifact(
        filename=filename, sha256=digit * 64, size=1, kind=kind, name=name, version=version, architecture=arch
    )


DEBS = (
    artifact("nova_1-1.dsc", "a", ArtifactKind.SOURCE, "nova", "1:1-1", "source"),
    artifact("nova_1.orig.tar.gz", "b", ArtifactKind.SUPPORT),
    artifact("nova-api_1-1_all.deb", "c", ArtifactKind.BINARY, "nova-api", "1:1-1", "all"),
    artifact("python3-nova_1-1_all.deb", "d", ArtifactKind.BINARY, "python3-nova", "1:1-1", "all"),
    artifact("nova_1-1_amd64.buildinfo", "e", ArtifactKind.SUPPORT),
)
RPMS = (
    artifact("nova-1~rc1-1.el10.src.rpm", "a", ArtifactKind.SOURCE, "nova", "1:1~rc1-1.el10", "source"),
    artifact("nova-1~rc1-1.el10.noarch.rpm", "b", ArtifactKind.BINARY, "nova", "1:1~rc1-1.el10", "noarch"),
)
FACTS = PackageFacts(
    summary="Compute",
    licence="Apache-2.0",
    homepage="https://nova.example.org/",
    requires=("python3-nova (= 1:1-1)", "python3:any", "libc6 (>= 2) | musl"),
)
DEB_ROOT = (
    InstalledPackage(name="dpkg-dev", version="1.22.6", architecture="all"),
    InstalledPackage(name="libstdc++6", version="14.2.0-19", architecture="amd64"),
    InstalledPackage(name="python3-oslo", version="2:1.0~~dev3-1", architecture="all"),
)
RPM_ROOT = (
    InstalledPackage(name="libstdc++", version="0:14.2-1", architecture="x86_64"),
    InstalledPackage(name="rpm-build", version="0:4.19^git1-1", architecture="x86_64"),
    InstalledPackage(name="shadow-utils", version="2:4.15-1", architecture="x86_64"),
)


def made(target: Target, root: tuple[InstalledPackage, ...] | None) -> Provenance:
    return Provenance(
        builder=target.builder,
        conveyor_version="0.1.0",
        buildroot=root,
        upstream_branch="master",
        packaging_branch="rpm-master",
        packaging_commit="f" * 40,
        packaged_at=AT,
    )


def told(target: Target, artifacts: tuple[Artifact, ...], provenance: Provenance | None) -> Told:
    upstream = CommitInfo(sha="1" * 40, committed_at=AT, author=HOSTILE, subject=HOSTILE)
    commit = Commit(package="nova", upstream=upstream, packaging_sha="2" * 40)
    build = Build(
        id=7,
        commit=commit,
        target=target.name,
        state=State.FINISHED,
        outcome=Outcome.SUCCEEDED,
        attempt=2,
        version="1:1-1",
        cause=None,
        stages=(),
        queued_at=AT,
        started_at=AT,
        finished_at=AT.replace(minute=6, microsecond=9),
        log=None,
        claim=None,
        published=False,
    )
    entry = SnapshotEntry(
        package="nova",
        upstream_url="https://user:secret@opendev.org/openstack/nova",
        upstream_sha=commit.upstream.sha,
        packaging_url="git@git.example.org:packaging/nova",
        packaging_sha=commit.packaging_sha,
        extended="",
        component="compute",
        version="1:1-1",
        succeeded_at=AT,
        latest_succeeded=True,
        artifacts=artifacts,
    )
    describer = DebDescriber() if target.format is Format.DEB else RpmDescriber()
    trunk = {describer.purl(DEB_ROOT[2], target): "9" * 64}
    return Told(
        build=build, target=target, entry=entry, provenance=provenance, describer=describer, site=SITE, trunk=trunk
    )


DEB = told(TARGET, DEBS, made(TARGET, DEB_ROOT))
RPM = told(RPM_TARGET, RPMS, made(RPM_TARGET, RPM_ROOT))
UNRECORDED = told(TARGET, DEBS, None)
CASES = {"deb": DEB, "rpm": RPM, "unrecorded": UNRECORDED}


def facts_of(one: Told, facts: PackageFacts | None = FACTS) -> dict[str, PackageFacts | None]:
    return {artifact.sha256: facts for artifact in one.entry.artifacts if artifact.kind is ArtifactKind.BINARY}


def checked_statement(content: bytes) -> dict[str, Any]:
    """A statement that the specifications' own messages can hold: a name that they do not know is refused."""
    document: dict[str, Any] = json.loads(content)
    predicate = document["predicate"]
    parsed = ParseDict(document, Statement())
    assert parsed.predicate_type == "https://slsa.dev/provenance/v1"
    ParseDict(predicate, SlsaProvenance())
    assert predicate["buildDefinition"]["buildType"]
    assert predicate["runDetails"]["builder"]["id"]
    return document


def checked_bom(content: bytes) -> dict[str, Any]:
    """A bill of materials that CycloneDX's own schema takes."""
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(content.decode())
    assert wrong is None, wrong
    document: dict[str, Any] = json.loads(content)
    return document


@pytest.mark.parametrize("case", CASES)
def test_they_are_what_the_specifications_say_and_as_they_were(case: str, request: pytest.FixtureRequest) -> None:
    one = CASES[case]
    documents = {
        f"{case}.intoto.json": checked_statement(statement(one)),
        f"{case}.cdx.json": checked_bom(bill_of_materials(one, facts_of(one))),
    }
    for name, document in documents.items():
        text = json.dumps(document, indent=1) + "\n"
        if request.config.getoption("--update-goldens"):
            GOLDEN.mkdir(parents=True, exist_ok=True)
            (GOLDEN / name).write_text(text)
        assert (GOLDEN / name).read_text() == text


def test_a_bootstrap_is_told() -> None:
    one = replace(DEB, provenance=replace(made(TARGET, DEB_ROOT), bootstrap=True))
    document = checked_statement(statement(one))
    assert document["predicate"]["buildDefinition"]["internalParameters"]["bootstrap"] is True


def test_nothing_secret_or_local_is_told() -> None:
    local = replace(DEB, entry=replace(DEB.entry, upstream_url="file:///home/ada/nova"), site="file:///srv/repos")
    for one in (DEB, local):
        text = statement(one).decode()
        assert "secret" not in text
        assert "/home" not in text
        assert "/srv" not in text
    document = checked_statement(statement(local))
    assert document["predicate"]["runDetails"]["builder"]["id"] == "urn:conveyor:builder:overlay"
    upstream = document["predicate"]["buildDefinition"]["resolvedDependencies"][0]
    assert upstream == {"name": "upstream", "digest": {"gitCommit": "1" * 40}}


@pytest.mark.parametrize(
    ("url", "uri"),
    [
        ("https://opendev.org/openstack/nova", "git+https://opendev.org/openstack/nova"),
        ("https://ada:secret@opendev.org/openstack/nova", "git+https://opendev.org/openstack/nova"),
        ("ssh://git@git.example.org:29418/nova", "git+ssh://git@git.example.org:29418/nova"),
        ("git@git.example.org:nova", "git+ssh://git@git.example.org/nova"),
        ("git@git.example.org:/srv/nova", "git+ssh://git@git.example.org/srv/nova"),
        ("file:///srv/git/nova", ""),
        ("/srv/git/nova", ""),
    ],
)
def test_a_repository_has_an_address_for_everybody_or_none(url: str, uri: str) -> None:
    assert git_uri(url) == uri


def test_hostile_text_stays_text_and_is_bounded() -> None:
    facts = PackageFacts(
        summary=HOSTILE * 1000,
        licence=HOSTILE,
        homepage="javascript:alert(1)",
        requires=tuple(f"{HOSTILE}{number}" for number in range(5000)),
    )
    hostile = replace(
        DEB, provenance=made(TARGET, (InstalledPackage(name=HOSTILE, version=HOSTILE, architecture="x"),))
    )
    content = bill_of_materials(hostile, facts_of(hostile, facts))
    assert content.isascii()
    assert statement(hostile).isascii()
    checked_statement(statement(hostile))
    component = checked_bom(content)["components"][0]
    assert len(component["description"]) == 500
    assert len(component["properties"]) == 1000
    assert "externalReferences" not in component


def test_a_package_of_another_build_has_its_content() -> None:
    dependencies = checked_statement(statement(DEB))["predicate"]["buildDefinition"]["resolvedDependencies"]
    digests = {one["name"]: one.get("digest") for one in dependencies}
    assert digests["python3-oslo"] == {"sha256": "9" * 64}
    assert digests["dpkg-dev"] is None


def test_what_packages_need_of_each_other_is_a_dependency() -> None:
    document = checked_bom(bill_of_materials(DEB, facts_of(DEB)))
    depends = {one["ref"].partition("?")[0]: one["dependsOn"] for one in document["dependencies"]}
    (needed,) = depends["pkg:deb/debian/nova-api@1:1-1"]
    assert needed.startswith("pkg:deb/debian/python3-nova@")
    assert depends["pkg:deb/debian/python3-nova@1:1-1"] == []


def test_packages_that_cannot_be_looked_at_are_named_all_the_same() -> None:
    document = checked_bom(bill_of_materials(DEB, {}))
    assert [component["name"] for component in document["components"]] == ["nova-api", "python3-nova"]


class CountingSigner:
    public_keys = b""

    def clear_sign(self, content: bytes) -> bytes:
        raise AssertionError(content)

    def sign(self, content: bytes) -> bytes:
        return b"signed %d bytes" % len(content)


def published(workshop: Workshop) -> Mapping[str, bytes]:
    commit_id = workshop.pointed("current")
    assert commit_id is not None
    folder = workshop.parts.repository.snapshot_folder(TARGET.name, commit_id) / "provenance"
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_snapshot_has_them_beside_its_packages(tmp_path: Path) -> None:
    workshop = Workshop(new_world(tmp_path, "nova"))
    workshop.world.packaging.recipes["nova"] += "needs python3\n"
    build = workshop.build("nova").build
    found = published(workshop)
    assert set(found) == {"nova.intoto.json", "nova.cdx.json"}
    document = checked_statement(found["nova.intoto.json"])
    entry = workshop.parts.store.entry(build.id)
    assert {one["name"]: one["digest"]["sha256"] for one in document["subject"]} == {
        one.filename: one.sha256 for one in entry.artifacts
    }
    uris = [one.get("uri") for one in document["predicate"]["buildDefinition"]["resolvedDependencies"]]
    assert "pkg:fake/debian/python3@1?arch=all" in uris
    assert document["predicate"]["runDetails"]["metadata"]["invocationId"] == f"{build.id}/1"
    checked_bom(found["nova.cdx.json"])


def snapshot_of(workshop: Workshop, build: Build) -> Snapshot:
    return Snapshot(
        target=TARGET.name,
        architecture=TARGET.architecture,
        commit_id=build.commit.id,
        package="nova",
        created_at=AT,
        entries=(workshop.parts.store.entry(build.id),),
        provenance=workshop.parts.store.provenance(build.id),
    )


def test_they_are_the_same_whenever_they_are_published(tmp_path: Path) -> None:
    workshop = Workshop(new_world(tmp_path, "nova"))
    build = workshop.build("nova").build
    again = Statements(workshop.parts.repository, workshop.parts.describers, SITE)
    files = again.files(build, TARGET, snapshot_of(workshop, build))
    assert {name.removeprefix("provenance/"): content for name, content in files.items()} == published(workshop)


def test_each_file_is_signed_where_there_is_a_signer(tmp_path: Path) -> None:
    workshop = Workshop(new_world(tmp_path, "nova"))
    build = workshop.build("nova").build
    statements = Statements(workshop.parts.repository, workshop.parts.describers, SITE, CountingSigner())
    files = statements.files(build, TARGET, snapshot_of(workshop, build))
    for name in ("provenance/nova.intoto.json", "provenance/nova.cdx.json"):
        assert files[f"{name}.asc"] == b"signed %d bytes" % len(files[name])


def test_what_a_builder_does_not_tell_is_taken_from_its_results(tmp_path: Path) -> None:
    workshop = Workshop(new_world(tmp_path, "nova"))
    workshop.world.packaging.recipes["nova"] += "make record libfromrecord\n"
    build = workshop.build("nova").build
    recorded = workshop.parts.store.provenance(build.id)
    assert recorded is not None
    assert recorded.builder is BuilderKind.OVERLAY
    assert [package.name for package in recorded.buildroot or ()] == ["libfromrecord"]
    byproducts = checked_statement(published(workshop)["nova.intoto.json"])["predicate"]["runDetails"]["byproducts"]
    assert [one["name"] for one in byproducts] == ["record"]
