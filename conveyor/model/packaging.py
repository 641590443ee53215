"""Packaging: templates before rendering, files after it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from conveyor.model.commit import Commit, CommitInfo
from conveyor.model.package import Package
from conveyor.model.target import Target
from conveyor.model.version import PackageVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagingFile:
    """One file of a package's packaging.

    Attributes:
        path: relative, with "/" between parts, such as "debian/rules"; never absolute, never with "..".
        content: its bytes.
        executable: whether the executable bit is set.
    """

    path: str
    content: bytes
    executable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Packaging:
    """The templates of one package at one moment.

    Attributes:
        sha: 40 hex digits that change whenever a byte of `files` changes.
        release: counts the packaging's changes, from 1, so that a packaging-only change raises the release.
        files: the package's own templates.
        shared: the archetype's templates, which the package's own replace or include.
        commit: the packaging repository's commit; None for a folder.
    """

    sha: str
    release: int
    files: tuple[PackagingFile, ...]
    shared: tuple[PackagingFile, ...]
    commit: CommitInfo | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderInput:
    """All that rendering depends on: the same input gives the same bytes.

    Attributes:
        package: the package.
        target: the target.
        commit: what is built; its date is SOURCE_DATE_EPOCH.
        version: its version on the target.
        packaging: the templates.
        source_files: paths of the upstream tree, as git has them; names that are not UTF-8 are left out.
        changelog_at: date of the generated changelog entry: the upstream commit's.
        bootstrap: whether it is built before packages that it build-depends on, and that build-depend on it.
    """

    package: Package
    target: Target
    commit: Commit
    version: PackageVersion
    packaging: Packaging
    source_files: tuple[str, ...]
    changelog_at: datetime
    bootstrap: bool = False
