"""A published build, made again in a scratch folder: the same commit, packaging and root, as far as they can be had."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from conveyor.command import last_lines
from conveyor.errors import BuildFailed, CommitSuperseded, ConveyorError, SnapshotDamaged, UnknownName, UserError
from conveyor.model.artifact import Artifact, ArtifactKind, SnapshotEntry
from conveyor.model.build import Build, Stage
from conveyor.model.package import Package
from conveyor.model.packaging import Packaging, PackagingFile, RenderInput
from conveyor.model.provenance import InstalledPackage, Provenance
from conveyor.model.target import BuilderKind, Target
from conveyor.model.version import PackageVersion
from conveyor.pipeline.parts import Parts
from conveyor.pipeline.render import render
from conveyor.pipeline.verifying.compare import Comparison, Likeness, compare_all
from conveyor.ports import PreparedRoot, Recreator, Trunk

LAST_LINES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilding:
    """What rebuilding needs beside the parts of the pipeline.

    Attributes:
        recreators: the builders that make a root again as it was.
        scratch: gives a folder that is gone at the end.
        look_closer: says more about two files that differ; None where nobody asked.
    """

    recreators: Mapping[BuilderKind, Recreator]
    scratch: Callable[[], AbstractContextManager[Path]]
    look_closer: Callable[[Path, Path], str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """A package that the root of a rebuild has otherwise than the recorded one.

    Attributes:
        name: its name.
        recorded: its version then; None where it was not there.
        used: its version now; None where it is not there.
    """

    name: str
    recorded: str | None
    used: str | None


class Rebuild:
    """One build, made again.

    Args:
        parts: the implementations.
        rebuilding: what else is needed.
        build: the build.
        package: its package.
        target: its target.
        entry: what it brought.
        folder: an empty folder.

    Attributes:
        notes: what a reader should know of it.
        replaced: how its root differs from the recorded one; None where that is not known.
    """

    def __init__(
        self,
        parts: Parts,
        rebuilding: Rebuilding,
        build: Build,
        package: Package,
        target: Target,
        entry: SnapshotEntry,
        folder: Path,
    ) -> None:
        self.notes: list[str] = []
        self.replaced: tuple[Replaced, ...] | None = None
        self._parts = parts
        self._with = rebuilding
        self._build = build
        self._package = package
        self._target = target
        self._entry = entry
        self._folder = folder
        self._log = folder / "log"
        self._toolchain = parts.toolchains[target.format]
        self._describer = parts.describers[target.format]
        self._builder = parts.builders[target.builder]

    def run(self) -> tuple[Comparison, ...]:
        """Build it, and compare.

        Raises:
            ConveyorError: it cannot be built.
        """
        return self._compare(self._of_kind(source=True), *self._made(self._of_kind(source=True)))

    def files(self, *, of_source: bool) -> dict[str, Path]:
        """Build it; returns what was made, by name, and stays in the folder.

        Args:
            of_source: whether to build the published source package; else it is made of the commit again.

        Raises:
            ConveyorError: it cannot be built.
        """
        source, results = self._made(self._of_kind(source=True) if of_source else None)
        return {**(source or {}), **results}

    def _made(self, published: Mapping[str, Path] | None) -> tuple[dict[str, Path] | None, dict[str, Path]]:
        """The source package, None where it cannot be made again, and what was built of it, or of the published one."""
        made = self._parts.store.provenance(self._build.id)
        if made is not None and made.builder is not self._target.builder:
            self.notes.append(f"it was built by {made.builder}, and is now by {self._target.builder}")
        with self._running(Stage.BASE):
            self._builder.bootstrap(self._target, self._log)
        with self._running(Stage.SOURCE):
            source_again = self._source(bootstrap=made is not None and made.bootstrap)
        source = published if published is not None else source_again
        if source is None:
            raise ConveyorError(
                f"build {self._build.id} cannot be made again",
                cause="its source package is damaged, and its packaging cannot be had any more",
                hint="bring the source package back from a backup or a mirror",
            )
        with self._running(Stage.BUILDROOT):
            root = self._root(tuple(source.values()), made)
        with self._running(Stage.BUILD):
            results = self._results(root, tuple(source.values()))
        self._compare_roots(root, tuple(results.values()), made)
        return source_again, results

    def explained(self, error: ConveyorError) -> ConveyorError:
        """Why it could not be built, with the lines of its log that matter: the log is gone with the folder."""
        lines = last_lines(self._log) if self._log.exists() else []
        if isinstance(error, BuildFailed):
            cause, details = self._toolchain.explain_build_failure(lines)
            return BuildFailed(error.what, cause=cause, details=details)
        if not error.details:
            error.details = tuple(lines[-LAST_LINES:])
        return error

    @contextmanager
    def _running(self, stage: Stage) -> Iterator[None]:
        self._parts.progress.started(self._build, stage)
        started, failed = time.monotonic(), True
        try:
            yield
            failed = False
        finally:
            self._parts.progress.ended(self._build, stage, time.monotonic() - started, failed)

    def _of_kind(self, *, source: bool) -> dict[str, Path]:
        """The published files, by name: the source package's, or all others."""
        return {
            one.filename: self._parts.repository.artifact_path(self._target.name, one)
            for one in self._entry.artifacts
            if self.is_source(one) is source
        }

    def is_source(self, artifact: Artifact) -> bool:
        """Whether a file of the build is a part of its source package."""
        support = artifact.kind is ArtifactKind.SUPPORT and not self._describer.is_record(artifact.filename)
        return artifact.kind is ArtifactKind.SOURCE or support

    def _source(self, *, bootstrap: bool) -> dict[str, Path] | None:
        """The source package, made again of the commit; None where its packaging cannot be had any more."""
        render_input, files = self._packaging(bootstrap=bootstrap) or (None, ())
        if render_input is None:
            return None
        plan = self._toolchain.source_plan(render_input, files)
        archive, results = self._folder / "archive", self._folder / "source"
        results.mkdir()
        url, sha = self._package.upstream, self._build.commit.upstream.sha
        self._parts.git.archive(url, sha, prefix=plan.archive_prefix, extra=plan.extra, into=archive)
        made = self._builder.make_source(self._target, plan, archive, results, self._log)
        return {path.name: path for path in made}

    def _packaging(self, *, bootstrap: bool) -> tuple[RenderInput, tuple[PackagingFile, ...]] | None:
        """The packaging that was built: rendered anew, else as its attempt kept it."""
        self._have_commit()
        try:
            rendered = render(self._parts, self._package, self._target, self._build.commit, bootstrap=bootstrap)
        except (UserError, CommitSuperseded) as error:
            self.notes.append(f"its templates are not rendered again: {error.summary}")
        else:
            version = rendered.render_input.version.evr
            if version == self._entry.version:
                return rendered.render_input, rendered.files
            self.notes.append(f"by the upstream's tags of now, its version would be {version}")
        return self._kept()

    def _have_commit(self) -> None:
        url, sha = self._package.upstream, self._build.commit.upstream.sha
        try:
            self._parts.git.resolve(url, sha)
        except ConveyorError:
            self._parts.git.update(url)
            self._parts.git.resolve(url, sha)

    def _kept(self) -> tuple[RenderInput, tuple[PackagingFile, ...]] | None:
        kept = self._parts.builds / str(self._build.id) / str(self._build.attempt) / "packaging"
        upstream = self._upstream_version()
        if not kept.is_dir() or upstream is None:
            self.notes.append("the source package is taken as it was published, and not made again of the commit")
            return None
        self.notes.append("the packaging is taken as the build kept it")
        files = tuple(_packaging_file(kept, path) for path in sorted(kept.rglob("*")) if path.is_file())
        render_input = RenderInput(
            package=self._package,
            target=self._target,
            commit=self._build.commit,
            version=replace(self._version(), upstream=upstream),
            packaging=Packaging(sha=self._build.commit.packaging_sha, release=0, files=(), shared=()),
            source_files=self._parts.git.files(self._package.upstream, self._build.commit.upstream.sha),
            changelog_at=self._build.commit.upstream.committed_at,
        )
        return render_input, files

    def _upstream_version(self) -> str | None:
        """The upstream's own version of the commit; None where its tags give another one by now."""
        history = self._parts.git.history(self._package.upstream, self._build.commit.upstream.sha)
        version = self._parts.upstream_version(history, self._package.version_scheme)
        now = self._toolchain.version(version.upstream, version.release, 1, self._target)
        return version.upstream if now.version == self._version().version else None

    def _version(self) -> PackageVersion:
        """What the EVR string says."""
        rest, _, release = self._entry.version.rpartition("-")
        epoch, _, version = rest.rpartition(":")
        return PackageVersion(upstream="", epoch=int(epoch or 0), version=version, release=release)

    def _root(self, source: tuple[Path, ...], made: Provenance | None) -> PreparedRoot:
        trunk = self._trunk()
        recreator = self._with.recreators.get(self._target.builder)
        if made is None or made.buildroot is None:
            self.notes.append("what its root held was not recorded: build dependencies are resolved anew")
        elif recreator is not None:
            root = recreator.recreate(self._target, made.buildroot, trunk, self._log)
            if root is not None:
                return root
            self.notes.append("the recorded root cannot be had any more: build dependencies are resolved anew")
        requirements = self._toolchain.build_requirements(source)
        return self._builder.prepare(self._target, requirements, trunk, self._log)

    def _trunk(self) -> Trunk | None:
        """The trunk as it was when the build began: the newest snapshot of then; None where there was none.

        Where that is gone, the build's own snapshot has much the same, and else the current one something like it.
        """
        store, repository, target = self._parts.store, self._parts.repository, self._target.name
        earlier = store.published(target, until=self._build.started_at, limit=1)
        if not earlier:
            return None
        for commit_id in (earlier[0].commit, self._build.commit.id):
            try:
                packages = repository.manifest(target, commit_id).packages
            except (UnknownName, SnapshotDamaged):
                self.notes.append(f"the snapshot of {commit_id} is gone: the trunk is taken as it was later")
            else:
                return repository.trunk(target, _binaries(one.artifacts for one in packages), commit_id)
        return repository.trunk(target, _binaries(one.artifacts for one in store.entries(target)))

    def _results(self, root: PreparedRoot, source: tuple[Path, ...]) -> dict[str, Path]:
        epoch = int(self._build.commit.upstream.committed_at.timestamp())
        plan = self._toolchain.build_plan(self._target, self._version(), epoch)
        results = self._folder / "results"
        results.mkdir()
        made = self._builder.build(root, plan, source, results, self._log, None)
        return {path.name: path for path in made}

    def _compare_roots(self, root: PreparedRoot, results: tuple[Path, ...], made: Provenance | None) -> None:
        used = root.packages or self._describer.buildroot(results)
        if made is not None and made.buildroot is not None and used is not None:
            then, now = _versions(made.buildroot), _versions(used)
            self.replaced = tuple(
                Replaced(name=name, recorded=then.get(name), used=now.get(name))
                for name in sorted({*then, *now})
                if then.get(name) != now.get(name)
            )

    def _compare(
        self, source: Mapping[str, Path], source_again: Mapping[str, Path] | None, results: Mapping[str, Path]
    ) -> tuple[Comparison, ...]:
        if source_again is None:
            sources = tuple(Comparison(filename=name, likeness=Likeness.SKIPPED) for name in sorted(source))
        else:
            sources = compare_all(self._describer, source, source_again)
        files = (*sources, *compare_all(self._describer, self._of_kind(source=False), results))
        if self._with.look_closer is None:
            return files
        pairs = {**source, **self._of_kind(source=False)}, {**(source_again or {}), **results}
        return tuple(self._closer(file, *pairs) for file in files)

    def _closer(self, file: Comparison, recorded: Mapping[str, Path], rebuilt: Mapping[str, Path]) -> Comparison:
        if file.likeness is not Likeness.DIFFERS or self._with.look_closer is None:
            return file
        return replace(file, details=self._with.look_closer(recorded[file.filename], rebuilt[file.filename]))


def _packaging_file(folder: Path, path: Path) -> PackagingFile:
    return PackagingFile(
        path=str(path.relative_to(folder)), content=path.read_bytes(), executable=os.access(path, os.X_OK)
    )


def _binaries(files: Iterable[Iterable[Artifact]]) -> tuple[Artifact, ...]:
    return tuple(one for each in files for one in each if one.kind is ArtifactKind.BINARY)


def _versions(packages: Iterable[InstalledPackage]) -> dict[str, str]:
    """Versions by name; of several, all. A .buildinfo does not tell each architecture."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for package in packages:
        found[package.name].add(package.version)
    return {name: ", ".join(sorted(versions)) for name, versions in found.items()}
