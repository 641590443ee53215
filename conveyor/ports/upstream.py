"""Upstream repositories, packaging, and what is rendered from both."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Protocol

from conveyor.model.commit import CommitInfo, History
from conveyor.model.package import Package
from conveyor.model.packaging import Packaging, PackagingFile, RenderInput
from conveyor.model.watch import RemoteRefs


class Git(Protocol):
    """Upstream repositories, mirrored. Nothing in them is ever executed; every call has a time limit."""

    def refs(self, url: str, *, branches: Collection[str] | None = None, tags: bool = True) -> RemoteRefs:
        """What the repository has at this moment, as its server says. The mirror is neither needed nor changed.

        Args:
            url: the repository.
            branches: leaves out all other branches; None for all.
            tags: whether tags are told, too.

        Raises:
            HostUnreachable: its server does not answer.
            UpstreamUnreachable: there is no such repository, or what it answers makes no sense.
        """

    def update(self, url: str) -> None:
        """Bring the mirror of `url` up to date, making it when missing.

        Raises:
            UpstreamUnreachable: the repository cannot be fetched.
        """

    def resolve(self, url: str, revision: str) -> str:
        """The sha of a branch, tag or (abbreviated) sha in the mirror of `url`; a branch wins over a tag.

        Raises:
            UpstreamEmpty: the repository has no commit.
            RevisionMissing: nothing there has that name.
        """

    def commits(self, url: str, *, tip: str, after: str | None, limit: int) -> tuple[CommitInfo, ...]:
        """Commits from `tip` back along the first parent, at most `limit`, down to `after` (left out); oldest first.

        An `after` that is not in the ancestry of `tip` (a force push) bounds nothing.
        """

    def contains(self, url: str, *, tip: str, sha: str) -> bool | None:
        """Whether `sha` is `tip` or in its ancestry, by what was fetched before; False where it is not known at all.

        None where there is no mirror of `url`, or no `tip` in it: this makes and fetches none.
        """

    def merge_base(self, url: str, *, one: str, other: str) -> str | None:
        """The best commit that is in the ancestry of two; None where there is none, or one of them is not known."""

    def tags(self, url: str) -> Mapping[str, str]:
        """What each tag in the mirror of `url` leads to in the end: the sha of a commit, or of another object, by name.

        Names are upstream's text, and need not be UTF-8.
        """

    def history(self, url: str, sha: str) -> History:
        """What version schemes need to know of the past of `sha`."""

    def files(self, url: str, sha: str) -> tuple[str, ...]:
        """Paths of the files of `sha`, sorted; those that are not UTF-8 are left out."""

    def archive(self, url: str, sha: str, *, prefix: str, extra: Mapping[str, bytes], into: Path) -> None:
        """Write the tree of exactly `sha` as a gzip-compressed tar file: the same input gives the same bytes.

        Args:
            url: whose mirror.
            sha: the commit.
            prefix: top folder of the tar file, without "/".
            extra: files to add, by path below the prefix.
            into: the file to write.
        """

    def read(self, url: str, sha: str) -> tuple[PackagingFile, ...]:
        """The files of a small tree, such as a packaging repository's, sorted by path; symbolic links are followed.

        Raises:
            UserError: a symbolic link leads outside of the tree.
        """

    def import_worktree(self, url: str, folder: Path) -> CommitInfo:
        """Store a working copy, uncommitted changes included, as a commit in the mirror of `url`.

        Neither the working copy nor its repository is changed, and none of its hooks and filters run. The same
        content on the same HEAD gives the same sha.

        Raises:
            RevisionMissing: the folder is no git working copy, or has no commit.
        """


class PackagingSource(Protocol):
    """Where packaging templates come from."""

    def load(self, package: Package) -> Packaging:
        """The package's templates as they are now.

        Raises:
            UserError: the folder or branch does not exist.
            UpstreamUnreachable: the packaging repository cannot be fetched.
        """

    def sha(self, package: Package, commit: str) -> str | None:
        """The sha that `load` would give; quick where nothing changed. None where files are being changed just now.

        Args:
            package: the package.
            commit: the newest commit of its packaging repository; empty where its packaging is a folder.

        Raises:
            UserError: the folder does not exist, or holds what is no packaging.
        """

    def at(self, package: Package, sha: str) -> Packaging | None:
        """The package's templates as they were when `load` gave them this sha; None where that state is gone.

        A repository keeps its past, a folder only what it holds now.

        Raises:
            UserError, UpstreamUnreachable: as `load`.
        """


class Renderer(Protocol):
    """Turns templates into packaging files. Pure: the same input gives the same bytes."""

    def render(self, render_input: RenderInput) -> tuple[PackagingFile, ...]:
        """The packaging for one commit and target, sorted by path.

        Raises:
            TemplateInvalid: an undefined variable or a syntax error; names file and line.
        """
