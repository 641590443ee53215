"""Is a published build what it says it is? Look at its files, then build it again and compare. docs/provenance.md.

Nothing here writes to the store, the pool or a snapshot.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from conveyor.errors import ConveyorError, UserError
from conveyor.model.artifact import Artifact, SnapshotEntry
from conveyor.model.build import Build, Outcome
from conveyor.model.package import Package
from conveyor.model.target import Target
from conveyor.pipeline.parts import Parts
from conveyor.pipeline.provenance import SIGNATURE, statement_path
from conveyor.pipeline.verifying.compare import Comparison, Likeness
from conveyor.pipeline.verifying.rebuild import Rebuild, Rebuilding, Replaced
from conveyor.ports import SignatureChecker

MAX_STATEMENT = 16 << 20  # bytes
SHOWN = 5


class Verdict(StrEnum):
    """What a verification comes to."""

    REPRODUCIBLE = "reproducible"
    DIFFERS = "differs"
    DAMAGED = "damaged"  # what is published is not what was built
    NOT_REBUILT = "not rebuilt"


class Subject(StrEnum):
    """What is looked at before anything is built."""

    FILES = "files"
    STATEMENT = "statement"
    SIGNATURE = "signature"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        subject: what.
        good: what came of it; None where there is nothing to look at.
        detail: what was found.
    """

    subject: Subject
    good: bool | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What came of verifying a build.

    Attributes:
        build: the build.
        checks: what was looked at first.
        notes: what a reader should know of the rebuild.
        replaced: how its root differs from the recorded one; None where no root was recorded, or none was made.
        files: its files, compared; none where it was not rebuilt.
        error: why it could not be rebuilt; None where it was, or was not tried.
    """

    build: Build
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()
    replaced: tuple[Replaced, ...] | None = None
    files: tuple[Comparison, ...] = ()
    error: ConveyorError | None = None

    @property
    def verdict(self) -> Verdict:
        """All of it in one word."""
        if any(check.good is False for check in self.checks):
            return Verdict.DAMAGED
        if self.error is not None:
            return Verdict.NOT_REBUILT
        bad = {Likeness.DIFFERS, Likeness.MISSING, Likeness.NEW}
        return Verdict.DIFFERS if any(file.likeness in bad for file in self.files) else Verdict.REPRODUCIBLE


class Verifier:
    """Verifies builds.

    Args:
        parts: the implementations.
        rebuilding: what rebuilding needs beside them.
        signatures: checks signatures; None where the site signs nothing.
    """

    def __init__(self, parts: Parts, rebuilding: Rebuilding, signatures: SignatureChecker | None) -> None:
        self._parts = parts
        self._rebuilding = rebuilding
        self._signatures = signatures

    def verify(self, build: Build, package: Package, target: Target) -> Verification:
        """Verify a successful build of the trunk.

        Args:
            build: the build.
            package: its package, as it is configured now.
            target: its target, likewise.

        Raises:
            UserError: it is no such build.
        """
        check_verifiable(build)
        entry = self._parts.store.entry(build.id)
        self._check_not_collected(build, target, entry)
        done = Verification(build=build, checks=tuple(self._checks(build, target, entry)))
        if done.verdict is Verdict.DAMAGED:
            return done
        with self._rebuilding.scratch() as folder:
            # The upstream's address may have changed since.
            package = replace(package, upstream=entry.upstream_url)
            rebuild = Rebuild(self._parts, self._rebuilding, build, package, target, entry, folder)
            try:
                files = rebuild.run()
            except ConveyorError as error:
                return replace(done, notes=tuple(rebuild.notes), error=rebuild.explained(error))
            return replace(done, notes=tuple(rebuild.notes), replaced=rebuild.replaced, files=files)

    def _check_not_collected(self, build: Build, target: Target, entry: SnapshotEntry) -> None:
        """Tell files that retention took from files that were lost."""
        paths = [self._parts.repository.artifact_path(target.name, one) for one in entry.artifacts]
        if all(path.exists() for path in paths):
            return
        published = self._parts.store.published(target.name, commit=build.commit.id)
        if any(one.build == build.id and one.collected_at is not None for one in published):
            raise UserError(
                f"build {build.id} cannot be verified",
                cause="retention has removed its snapshot, and files that only this needed",
                hint="'retention:' in repos.yaml says what stays",
            )

    def _checks(self, build: Build, target: Target, entry: SnapshotEntry) -> Iterator[Check]:
        yield self._check_files(target, entry)
        snapshot = self._parts.repository.snapshot_folder(build.target, build.commit.id)
        path = snapshot / statement_path(entry.package)
        content = _read(path)
        if content is None:
            yield Check(subject=Subject.STATEMENT, good=None, detail="there is none: not recorded, or collected")
            return
        wrong = _wrong(content, self._products(target, entry), entry.upstream_sha)
        yield Check(subject=Subject.STATEMENT, good=not wrong, detail=wrong or "it names these files and this commit")
        yield self._check_signature(content, _read(path.with_name(path.name + SIGNATURE)))

    def _check_files(self, target: Target, entry: SnapshotEntry) -> Check:
        bad = [reason for one in entry.artifacts if (reason := self._damage(target, one))]
        more = f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        good = f"{len(entry.artifacts)} files have the bytes that the build made"
        return Check(subject=Subject.FILES, good=not bad, detail=", ".join(bad[:SHOWN]) + more if bad else good)

    def _damage(self, target: Target, artifact: Artifact) -> str:
        try:
            with self._parts.repository.artifact_path(target.name, artifact).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return f"{artifact.filename} is not in the pool"
        if digest == artifact.sha256:
            return ""
        return f"{artifact.filename} has sha256 {digest[:12]}, not {artifact.sha256[:12]}"

    def _products(self, target: Target, entry: SnapshotEntry) -> dict[str, str]:
        is_record = self._parts.describers[target.format].is_record
        return {one.filename: one.sha256 for one in entry.artifacts if not is_record(one.filename)}

    def _check_signature(self, content: bytes, signature: bytes | None) -> Check:
        if signature is None:
            return Check(subject=Subject.SIGNATURE, good=None, detail="it is not signed")
        if self._signatures is None:
            return Check(subject=Subject.SIGNATURE, good=None, detail="it is signed, and no key is configured")
        wrong = self._signatures.check(content, signature)
        return Check(subject=Subject.SIGNATURE, good=not wrong, detail=wrong or "it is signed by a key of this site")


def check_verifiable(build: Build) -> None:
    """Refuse what there is nothing to verify of.

    Raises:
        UserError: it is not a successful build of the trunk.
    """
    if not build.commit.trunk:
        raise UserError(
            f"build {build.id} cannot be verified",
            cause="it was made with --local or --no-publish: nothing of it is kept that could be compared",
            hint="build a commit of the upstream without these, and verify that",
        )
    if build.outcome is not Outcome.SUCCEEDED:
        raise UserError(
            f"build {build.id} cannot be verified",
            cause=f"it has not succeeded, but is {build.outcome or build.state}",
            hint=f"conveyor log {build.id}",
        )


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(MAX_STATEMENT)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _wrong(content: bytes, products: Mapping[str, str], upstream_sha: str) -> str:
    """What a statement says wrongly; empty where nothing is. Whoever can write to the tree may have written it."""
    try:
        document = json.loads(content)
        named = {one["name"]: one["digest"]["sha256"] for one in document["subject"]}
        commits = {_commit(one) for one in document["predicate"]["buildDefinition"]["resolvedDependencies"]}
    except (ValueError, LookupError, TypeError, RecursionError):
        return "it cannot be read"
    if upstream_sha not in commits:
        return "it names another commit of the upstream"
    for name in sorted({*named, *products}, key=str):
        if name not in products:
            return f"it names {str(name)[:80]!r}, which the build did not make"
        if named.get(name) != products[name]:
            return f"it names another content of {name}, or none"
    return ""


def _commit(dependency: Any) -> str:  # noqa: ANN401 - parsed JSON
    return str(dependency.get("digest", {}).get("gitCommit", "")) if isinstance(dependency, dict) else ""
