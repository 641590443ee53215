"""Second stage: the packaging of one commit for one target. Pure but for reading the mirror."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from conveyor.errors import CommitSuperseded
from conveyor.model.commit import Commit
from conveyor.model.package import Package
from conveyor.model.packaging import PackagingFile, RenderInput
from conveyor.model.target import Target
from conveyor.pipeline.parts import Parts
from conveyor.pipeline.poll import UNPUBLISHED


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """Packaging as it will be built.

    Attributes:
        render_input: what it was rendered from.
        files: the files, sorted by path.
        note: what a packager should know of the version; may be empty.
    """

    render_input: RenderInput
    files: tuple[PackagingFile, ...]
    note: str


def render(parts: Parts, package: Package, target: Target, commit: Commit, *, bootstrap: bool = False) -> Rendered:
    """Render a package's templates for a commit.

    Args:
        parts: the implementations.
        package: the package.
        target: the target.
        commit: the commit.
        bootstrap: whether it is built before packages that it build-depends on, and that build-depend on it.

    Raises:
        TemplateInvalid: a template has a mistake.
        VersionInvalid: the target's format cannot express the version.
        CommitSuperseded: the packaging that the commit came with is gone.
    """
    packaging = parts.packaging.at(package, commit.packaging_sha)
    if packaging is None:
        raise CommitSuperseded(
            f"the packaging of {package.name} was changed since this build was asked for",
            cause="what it was then is not kept",
            hint=f"build it as it is now: conveyor build {package.name}",
        )
    history = parts.git.history(package.upstream, commit.upstream.sha)
    version = parts.upstream_version(history, package.version_scheme)
    toolchain = parts.toolchains[target.format]
    numbered = toolchain.version(version.upstream, version.release, packaging.release, target, commit.rebuild)
    # The same commit may be published later: what is not for the trunk must not pass for that.
    release = numbered.release if commit.trunk else f"{numbered.release}.{UNPUBLISHED}"
    epoch = numbered.epoch + package.epochs.get(target.format, 0)
    render_input = RenderInput(
        package=package,
        target=target,
        commit=commit,
        version=replace(numbered, epoch=epoch, release=release),
        packaging=packaging,
        source_files=parts.git.files(package.upstream, commit.upstream.sha),
        changelog_at=commit.upstream.committed_at,
        bootstrap=bootstrap,
    )
    return Rendered(render_input=render_input, files=parts.renderer.render(render_input), note=version.note)


def write(files: tuple[PackagingFile, ...], folder: Path) -> None:
    """Write packaging files below a folder."""
    for file in files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        path.chmod(0o755 if file.executable else 0o644)
