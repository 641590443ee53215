"""What a snapshot says of how it was made: an in-toto statement with SLSA provenance, and an SBOM. docs/provenance.md.

Both are a function of what the store and the pool hold: the same build gives the same bytes, whenever it is published.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from conveyor.model.addresses import public_url
from conveyor.model.artifact import Artifact, ArtifactKind, Snapshot, SnapshotEntry
from conveyor.model.build import Build
from conveyor.model.contents import PackageFacts
from conveyor.model.provenance import InstalledPackage, Provenance
from conveyor.model.target import Format, Target
from conveyor.ports import Describer, Repository, Signer

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:conveyor:build:1"
FOLDER = "provenance"
SIGNATURE = ".asc"
NOT_RECORDED = "not recorded"
CYCLONEDX_VERSION = "1.6"
# Packages may say whatever they like of themselves, and every snapshot has a copy.
MAX_TEXT = 500
MAX_REQUIREMENTS = 1000
_SCP_LIKE = re.compile(r"(?:(?P<user>[\w.-]+)@)?(?P<host>[\w.-]+):(?P<path>[^:]+)")
_WEB = re.compile(r"https?://[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]{1,400}")
_NAME = re.compile(r"[^\s(:<>=]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What there is to tell of one build.

    Attributes:
        build: the build.
        target: its target.
        entry: what it brought.
        provenance: how it was made; None where that was not recorded.
        describer: tells what its format's packages are.
        site: the URL that the published tree is served at.
        trunk: the sha256 of earlier builds' packages that may be in the root, by their URL.
    """

    build: Build
    target: Target
    entry: SnapshotEntry
    provenance: Provenance | None
    describer: Describer
    site: str
    trunk: Mapping[str, str] = field(default_factory=dict)

    @property
    def products(self) -> tuple[Artifact, ...]:
        """What was built, by name: all but what tells of the build itself."""
        return tuple(sorted((one for one in self.entry.artifacts if not self._is_record(one)), key=_filename))

    @property
    def records(self) -> tuple[Artifact, ...]:
        """What tells of the build itself, by name."""
        return tuple(sorted(filter(self._is_record, self.entry.artifacts), key=_filename))

    def purl(self, artifact: Artifact) -> str:
        """The URL of a package that was built."""
        return self.describer.purl(_installed(artifact), self.target)

    def _is_record(self, artifact: Artifact) -> bool:
        return self.describer.is_record(artifact.filename)


class Statements:
    """Makes the files of a snapshot's folder `provenance`.

    Args:
        repository: where the packages lie.
        describers: what tells of each format's packages.
        site: the URL that the published tree is served at.
        signer: signs each file, if there is one.
    """

    def __init__(
        self, repository: Repository, describers: Mapping[Format, Describer], site: str, signer: Signer | None = None
    ) -> None:
        self._repository = repository
        self._describers = describers
        self._site = site
        self._signer = signer

    def files(self, build: Build, target: Target, snapshot: Snapshot) -> dict[str, bytes]:
        """The files by their path in the snapshot.

        Raises:
            SourceInvalid: a package cannot be read.
            SigningFailed: they cannot be signed.
        """
        describer, entry = self._describers[target.format], snapshot.own
        told = Told(
            build=build,
            target=target,
            entry=entry,
            provenance=snapshot.provenance,
            describer=describer,
            site=self._site,
            trunk=_trunk(describer, target, snapshot),
        )
        facts = {
            one.sha256: _facts(describer, self._repository.artifact_path(target.name, one))
            for one in entry.artifacts
            if one.kind is ArtifactKind.BINARY
        }
        made = {
            statement_path(entry.package): statement(told),
            f"{FOLDER}/{entry.package}.cdx.json": bill_of_materials(told, facts),
        }
        if self._signer is None:
            return made
        return made | {f"{path}{SIGNATURE}": self._signer.sign(content) for path, content in made.items()}


def _facts(describer: Describer, path: Path) -> PackageFacts | None:
    # A snapshot with a package that the pool lacks is refused a moment later, in words that help.
    return describer.facts(path) if path.exists() else None


def _trunk(describer: Describer, target: Target, snapshot: Snapshot) -> dict[str, str]:
    """The sha256 of what came from earlier builds, by its URL."""
    made = snapshot.provenance
    names = {package.name for package in made.buildroot or ()} if made is not None else frozenset()
    return {
        describer.purl(_installed(one), target): one.sha256
        for entry in snapshot.entries
        for one in entry.artifacts
        if one.name in names and one.kind is ArtifactKind.BINARY
    }


def _installed(artifact: Artifact) -> InstalledPackage:
    return InstalledPackage(
        name=artifact.name, version=artifact.version, architecture=artifact.architecture or "source"
    )


def statement_path(package: str) -> str:
    """The statement's path in a snapshot."""
    return f"{FOLDER}/{package}.intoto.json"


def statement(told: Told) -> bytes:
    """The in-toto statement (v1) with SLSA provenance (v1)."""
    predicate = {"buildDefinition": _definition(told), "runDetails": _run(told)}
    return _json(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": one.filename, "digest": {"sha256": one.sha256}} for one in told.products],
            "predicateType": PREDICATE_TYPE,
            "predicate": predicate,
        }
    )


def _definition(told: Told) -> dict[str, object]:
    entry, made = told.entry, told.provenance
    external = {
        "package": entry.package,
        "target": told.target.name,
        "upstream": {"repository": public_url(entry.upstream_url), "branch": made.upstream_branch if made else ""},
        "packaging": {"repository": public_url(entry.packaging_url), "branch": made.packaging_branch if made else ""},
    }
    internal: dict[str, object] = {
        "commit": told.build.commit.id,
        "version": entry.version,
        "format": told.target.format.value,
        "architecture": told.target.architecture,
        "sourceDateEpoch": int(told.build.commit.upstream.committed_at.timestamp()),
        "buildroot": NOT_RECORDED if made is None or made.buildroot is None else "recorded",
    }
    if made is not None and made.bootstrap:
        internal["bootstrap"] = True
    return {
        "buildType": BUILD_TYPE,
        "externalParameters": external,
        "internalParameters": internal,
        "resolvedDependencies": list(_dependencies(told)),
    }


def _dependencies(told: Told) -> Iterator[dict[str, object]]:
    entry, made = told.entry, told.provenance
    yield _git("upstream", entry.upstream_url, entry.upstream_sha)
    if made is not None and made.packaging_commit:
        yield _git("packaging", entry.packaging_url, made.packaging_commit)
    # The hash of the templates as they were, which is part of the commit's id.
    yield {"name": "packaging templates", "digest": {"conveyorPackaging": entry.packaging_sha}}
    for package in (made.buildroot or ()) if made is not None else ():
        address = told.describer.purl(package, told.target)
        digest = {"digest": {"sha256": told.trunk[address]}} if address in told.trunk else {}
        yield {"name": _bounded(package.name), "uri": address, **digest}


def _git(name: str, url: str, sha: str) -> dict[str, object]:
    address = git_uri(url)
    found: dict[str, object] = {"name": name}
    if address:
        found["uri"] = f"{address}@{sha}"
    return {**found, "digest": {"gitCommit": sha}}


def git_uri(url: str) -> str:
    """A repository's address as SPDX and SLSA write it, `git+https://...`; empty for one on this machine."""
    public = public_url(url)
    if "://" in public:
        return f"git+{public}"
    short = _SCP_LIKE.fullmatch(public)
    if short is None:
        return ""
    user = f"{short['user']}@" if short["user"] else ""
    return f"git+ssh://{user}{short['host']}/{short['path'].lstrip('/')}"


def _run(told: Told) -> dict[str, object]:
    build, made = told.build, told.provenance
    version = {"conveyor": made.conveyor_version, **_tool(told)} if made else {}
    records = [
        {"name": one.filename, "uri": f"pool/{one.pool_path}", "digest": {"sha256": one.sha256}} for one in told.records
    ]
    return {
        "builder": {"id": _builder_id(told), "version": version},
        "metadata": {
            "invocationId": f"{build.id}/{build.attempt}",
            "startedOn": _moment(build.started_at),
            "finishedOn": _moment(build.finished_at),
        },
        "byproducts": records,
    }


def _builder_id(told: Told) -> str:
    """The site is what is trusted; one that is served from nowhere has no name."""
    builder = told.provenance.builder.value if told.provenance else NOT_RECORDED.replace(" ", "-")
    web = told.site.startswith(("http://", "https://"))
    return f"{told.site}#{builder}" if web else f"urn:conveyor:builder:{builder}"


def _tool(told: Told) -> dict[str, str]:
    """The tool that builds packages of the format in a root, with its version."""
    packages = (told.provenance.buildroot or ()) if told.provenance else ()
    return {one.name: one.version for one in packages if one.name == told.describer.tool}


def bill_of_materials(told: Told, facts: Mapping[str, PackageFacts | None]) -> bytes:
    """The SBOM: CycloneDX in JSON.

    Args:
        told: the build.
        facts: what the binary packages say of themselves, by their sha256.
    """
    binaries = [one for one in told.products if one.kind is ArtifactKind.BINARY]
    own = {one.name: told.purl(one) for one in binaries}
    identity = " ".join([told.target.name, told.build.commit.id, *(one.sha256 for one in told.products)])
    tool = {"type": "application", "name": "conveyor"}
    if told.provenance is not None:
        tool["version"] = told.provenance.conveyor_version
    source = _source(told)
    return _json(
        {
            "$schema": f"http://cyclonedx.org/schema/bom-{CYCLONEDX_VERSION}.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": CYCLONEDX_VERSION,
            "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, identity)}",
            "version": 1,
            "metadata": {
                "timestamp": _moment(told.build.finished_at),
                "tools": {"components": [tool]},
                "component": source,
            },
            "components": [_component(told, one, facts.get(one.sha256)) for one in binaries],
            "dependencies": [
                {"ref": source["bom-ref"], "dependsOn": sorted({told.purl(one) for one in binaries})},
                *(_depends(told, one, facts.get(one.sha256), own) for one in binaries),
            ],
        }
    )


def _source(told: Told) -> dict[str, object]:
    """The source package, or what stands for it where there is none."""
    found = next((one for one in told.products if one.kind is ArtifactKind.SOURCE), None)
    name, version = (found.name, found.version) if found else (told.entry.package, told.entry.version)
    package = InstalledPackage(name=name, version=version, architecture="source")
    address = told.describer.purl(package, told.target)
    component: dict[str, object] = {
        "type": "application",
        "bom-ref": address,
        "name": name,
        "version": version,
        "purl": address,
    }
    return {**component, "hashes": [_hash(found)]} if found else component


def _component(told: Told, artifact: Artifact, facts: PackageFacts | None) -> dict[str, object]:
    address = told.purl(artifact)
    component: dict[str, object] = {
        "type": "library",
        "bom-ref": address,
        "name": artifact.name,
        "version": artifact.version,
        "purl": address,
        "hashes": [_hash(artifact)],
    }
    if facts is None:
        return component
    if facts.summary:
        component["description"] = _bounded(facts.summary)
    if facts.licence:
        # As the package has it: whether that is an SPDX expression is the packager's affair.
        component["licenses"] = [{"license": {"name": _bounded(facts.licence)}}]
    if _WEB.fullmatch(facts.homepage):
        component["externalReferences"] = [{"type": "website", "url": facts.homepage}]
    component["properties"] = [
        {"name": "conveyor:requires", "value": _bounded(text)} for text in facts.requires[:MAX_REQUIREMENTS]
    ]
    return component


def _depends(told: Told, artifact: Artifact, facts: PackageFacts | None, own: Mapping[str, str]) -> dict[str, object]:
    """Which of the build's other packages it needs; what else it needs is told with its component, as declared."""
    named = {match[0] for text in (facts.requires if facts else ()) if (match := _NAME.match(text))}
    address = told.purl(artifact)
    return {"ref": address, "dependsOn": sorted({own[name] for name in named & own.keys()} - {address})}


def _bounded(text: str) -> str:
    """Text of a package, without the halves of surrogate pairs, which strict readers of JSON refuse."""
    return text[:MAX_TEXT].encode("utf-8", "replace").decode()


def _hash(artifact: Artifact) -> dict[str, str]:
    return {"alg": "SHA-256", "content": artifact.sha256}


def _filename(artifact: Artifact) -> str:
    return artifact.filename


def _moment(moment: datetime | None) -> str:
    """As RFC 3339 writes it, in UTC and whole seconds; a finished build has both of its moments."""
    return "" if moment is None else f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def _json(document: Mapping[str, object]) -> bytes:
    """ASCII, whatever is in it: no reader can be led astray by what upstreams write."""
    return f"{json.dumps(document, separators=(',', ':'))}\n".encode()
