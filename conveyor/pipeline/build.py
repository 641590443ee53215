"""The stages of a build: render, source, buildroot, build, check, install. Each takes what the one before returned."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from conveyor.errors import (
    BuildFailed,
    CommitSuperseded,
    ContentChanged,
    RevisionMissing,
    SourceInvalid,
    VersionWentBackwards,
)
from conveyor.model.artifact import Artifact, ArtifactKind
from conveyor.model.build import Stage
from conveyor.model.commit import Commit
from conveyor.model.package import Package
from conveyor.model.provenance import buildroot_sha256
from conveyor.model.target import Target
from conveyor.pipeline import check
from conveyor.pipeline.attempt import ROOT, Attempt
from conveyor.pipeline.parts import Parts
from conveyor.pipeline.render import Rendered, render, write
from conveyor.ports import Builder, InstalledPackage, PreparedRoot, Toolchain, Trunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one attempt works on.

    Attributes:
        package: the package.
        target: the target.
        commit: what is built.
        keep_root: whether the root of the build is kept.
    """

    package: Package
    target: Target
    commit: Commit
    keep_root: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a successful build made.

    Attributes:
        rendered: its packaging.
        files: path and artifact of each file.
        buildroot: what was installed in its root; None where nobody tells.
    """

    rendered: Rendered
    files: tuple[tuple[Path, Artifact], ...]
    buildroot: tuple[InstalledPackage, ...] | None


class BuildStages:
    """Runs the stages of one attempt.

    Args:
        parts: the implementations.
        attempt: the attempt.
        job: what it works on.

    Attributes:
        version: EVR string, once it is known.
    """

    def __init__(self, parts: Parts, attempt: Attempt, job: Job) -> None:
        self._parts = parts
        self._attempt = attempt
        self._job = job
        self._toolchain: Toolchain = parts.toolchains[job.target.format]
        self._builder: Builder = parts.builders[job.target.builder]
        self.version: str | None = None

    @property
    def kept(self) -> Path:
        """Folder of the kept root."""
        return self._attempt.folder / ROOT

    def run(self) -> Made:
        """All stages up to publishing.

        Raises:
            ConveyorError: a stage failed; its fault says whose it was.
        """
        running = self._attempt.running
        with running(Stage.RENDER):
            rendered = self._render()
        with running(Stage.BASE):
            self._builder.bootstrap(self._job.target, self._attempt.log)
        with running(Stage.SOURCE):
            source = self._source(rendered)
        trunk = self._trunk()
        with running(Stage.BUILDROOT):
            root = self._buildroot(source, trunk)
        self._remember(root)
        with running(Stage.BUILD):
            results = self._build(rendered, source, root)
        with running(Stage.CHECK):
            # Again: a newer commit may have been built meanwhile.
            self._check_order(rendered.render_input.version.evr)
            files = self._check(source, results)
        if self._job.target.install_check:
            with running(Stage.INSTALL):
                self._install(files, trunk)
        return Made(rendered=rendered, files=files, buildroot=root.packages or self._described(results))

    def _described(self, results: tuple[Path, ...]) -> tuple[InstalledPackage, ...] | None:
        """What was in the root, as its results tell it where the builder does not."""
        return self._parts.describers[self._job.target.format].buildroot(results)

    def _render(self) -> Rendered:
        job = self._job
        lacking = self._parts.lacking(job.package, job.target.name)
        rendered = render(self._parts, job.package, job.target, job.commit, bootstrap=bool(lacking))
        write(rendered.files, self._folder("packaging"))
        if lacking:
            self._attempt.write(f"conveyor: bootstrap: it is built without {', '.join(lacking)}")
        else:
            self._parts.declared(job.package, job.target, rendered.files)
        self.version = rendered.render_input.version.evr
        if rendered.note:
            self._attempt.write(f"conveyor: {rendered.note}")
        self._attempt.write(f"conveyor: {job.package.name} {self.version} of {job.commit.upstream.sha}")
        self._check_order(self.version)
        return rendered

    def _source(self, rendered: Rendered) -> tuple[Path, ...]:
        job = self._job
        plan = self._toolchain.source_plan(rendered.render_input, rendered.files)
        archive = self._attempt.folder / "archive"
        url, sha = job.package.upstream, job.commit.upstream.sha
        self._parts.git.archive(url, sha, prefix=plan.archive_prefix, extra=plan.extra, into=archive)
        try:
            return self._builder.make_source(job.target, plan, archive, self._folder("source"), self._attempt.log)
        except SourceInvalid as error:
            cause, lines = self._toolchain.explain_source_failure(self._attempt.stage_log())
            raise SourceInvalid(error.what, cause=cause, hint=self._render_hint(), details=lines) from error
        finally:
            archive.unlink(missing_ok=True)

    def _trunk(self) -> Trunk | None:
        entries = self._parts.store.entries(self._job.target.name)
        binaries = [artifact for entry in entries for artifact in entry.artifacts if _is_binary(artifact)]
        return self._parts.repository.trunk(self._job.target.name, binaries)

    def _buildroot(self, source: tuple[Path, ...], trunk: Trunk | None) -> PreparedRoot:
        requirements = self._toolchain.build_requirements(source)
        root = self._builder.prepare(self._job.target, requirements, trunk, self._attempt.log)
        if root.ready is not None:
            self._parts.progress.found_root(self._attempt.build, ready=root.ready)
        return root

    def _remember(self, root: PreparedRoot) -> None:
        """What was in the root of an attempt that fails is asked for, too: has anything changed since it succeeded?"""
        claim = self._attempt.build.claim
        if root.packages and claim is not None:
            sha256 = buildroot_sha256(root.packages)
            self._parts.store.set_buildroot(self._attempt.build.id, claim.token, sha256)

    def _build(self, rendered: Rendered, source: tuple[Path, ...], root: PreparedRoot) -> tuple[Path, ...]:
        epoch = int(self._job.commit.upstream.committed_at.timestamp())
        plan = self._toolchain.build_plan(self._job.target, rendered.render_input.version, epoch)
        plan = replace(plan, package=self._job.package.name)
        keep = self.kept if self._job.keep_root else None
        try:
            results = self._builder.build(root, plan, source, self._folder("results"), self._attempt.log, keep)
        except BuildFailed as error:
            cause, lines = self._toolchain.explain_build_failure(self._attempt.stage_log())
            hint = f"conveyor build {self._job.package.name} --target {self._job.target.name} --shell"
            raise BuildFailed(error.what, cause=cause, hint=f"look into its root: {hint}", details=lines) from error
        if not results:
            raise BuildFailed("the build made no package", hint=self._render_hint())
        return results

    def _check_order(self, version: str) -> None:
        if not self._job.commit.trunk:
            return
        published = self._parts.store.published_versions(self._job.target.name, self._job.package.name)
        try:
            check.check_order(version, published, self._toolchain.compare)
        except VersionWentBackwards as error:
            if self._is_newest():
                raise
            raise CommitSuperseded(
                error.what,
                cause="the commit is not the newest of its branch",
                hint="build an older commit with --no-publish",
            ) from error

    def _is_newest(self) -> bool:
        """Whether the commit is its branch's newest: only then does a refusal say something about the package."""
        package = self._job.package
        try:
            return self._parts.git.resolve(package.upstream, package.branch) == self._job.commit.upstream.sha
        except RevisionMissing:
            return True

    def _check(self, source: tuple[Path, ...], results: tuple[Path, ...]) -> tuple[tuple[Path, Artifact], ...]:
        check.check_count(results)
        made = tuple((path, self._toolchain.inspect(path)) for path in results)
        check.check_kinds([artifact for _, artifact in made])
        files = (*((path, self._toolchain.inspect(path)) for path in source), *made)
        check.check_names([artifact for _, artifact in files])
        binaries = tuple(path for path, artifact in made if _is_binary(artifact))
        check.check_own(self._toolchain.foreign(source, binaries))
        self._check_rights(binaries)
        self._parts.repository.check(self._job.target.name, files)
        if self._job.commit.trunk:
            self._check_publishers([artifact for _, artifact in made if _is_binary(artifact)])
            for path, artifact in files:
                self._check_content(path, artifact)
        return files

    def _check_rights(self, binaries: tuple[Path, ...]) -> None:
        """Tell of files that run with rights of their owner: a packager may want them, an upstream may hide them."""
        for path in binaries:
            found = self._toolchain.risky_files(path)
            check.check_devices(path.name, found)
            for line in check.notes(path.name, found):
                self._attempt.write(f"conveyor: note: {line}")

    def _check_publishers(self, binaries: list[Artifact]) -> None:
        job = self._job
        names = {artifact.name for artifact in binaries}
        others = self._parts.store.publishers(job.target.name, names)
        check.check_publishers(job.package.name, others, self._parts.configured[job.target.name])

    def _check_content(self, path: Path, artifact: Artifact) -> None:
        if not _is_binary(artifact):
            return
        target = self._job.target.name
        known = self._parts.store.published_artifact(target, artifact.name, artifact.version, artifact.architecture)
        if known is None or known.sha256 == artifact.sha256:
            return
        if not self._parts.repository.artifact_path(target, known).is_file():
            raise ContentChanged(
                f"{artifact.filename} was published before, and what it was cannot be looked at any more",
                cause=f"retention has removed it; it had sha256 {known.sha256[:12]}, this one has "
                f"{artifact.sha256[:12]}: another content, or the same and a signature",
                hint="a version has one content for ever: commit a change of the packaging (each commit raises the "
                "release), or use --no-publish",
            )
        if not self._parts.repository.holds(target, path, known):
            raise ContentChanged(
                f"{artifact.filename} is already published with other content",
                cause="the same version was built from other packaging or with other build dependencies",
                hint="commit the change of the packaging (each commit raises the release), or use --no-publish",
            )

    def _install(self, files: tuple[tuple[Path, Artifact], ...], trunk: Trunk | None) -> None:
        packages = [path for path, artifact in files if _is_binary(artifact)]
        requirements = self._toolchain.runtime_requirements(packages)
        self._builder.check_install(self._job.target, packages, requirements, trunk, self._attempt.log)

    def _folder(self, name: str) -> Path:
        folder = self._attempt.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def _render_hint(self) -> str:
        job = self._job
        return f"see the packaging as it is built: conveyor render {job.package.name} --target {job.target.name}"


def _is_binary(artifact: Artifact) -> bool:
    return artifact.kind is ArtifactKind.BINARY
