"""First stage: which commit is to be built."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from conveyor.model.commit import Commit, CommitInfo
from conveyor.model.package import Package
from conveyor.ports import Git, PackagingSource

# What tells a build that is never published from one of the same commit that is.
UNPUBLISHED = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody asks to be built.

    Attributes:
        revision: branch, tag or sha; None for the newest commit of the followed branch.
        local: a working copy to build instead, uncommitted changes included; None for the upstream.
        publish: whether a good build is published; never for a working copy.
    """

    revision: str | None = None
    local: Path | None = None
    publish: bool = True


class Poll:
    """Finds commits.

    Args:
        git: upstream mirrors.
        packaging: where templates come from.
    """

    def __init__(self, git: Git, packaging: PackagingSource) -> None:
        self._git = git
        self._packaging = packaging

    def find(self, package: Package, wanted: Wanted) -> Commit:
        """The commit that is wanted, with the packaging as it is now.

        Raises:
            UpstreamUnreachable: a repository cannot be fetched.
            UpstreamEmpty: the upstream has no commit.
            RevisionMissing: the branch or revision does not exist.
        """
        return self.commit(package, wanted, self.upstream(package, wanted))

    def upstream(self, package: Package, wanted: Wanted) -> CommitInfo:
        """The upstream's commit that is wanted.

        Raises:
            UpstreamUnreachable, UpstreamEmpty, RevisionMissing: as `find`.
        """
        if wanted.local is not None:
            return self._git.import_worktree(package.upstream, wanted.local)
        self._git.update(package.upstream)
        sha = self._git.resolve(package.upstream, wanted.revision or package.branch)
        return self._git.commits(package.upstream, tip=sha, after=None, limit=1)[0]

    def commit(self, package: Package, wanted: Wanted, upstream: CommitInfo) -> Commit:
        """The upstream's commit with the packaging as it is now.

        Raises:
            UpstreamUnreachable, RevisionMissing: the packaging's repository cannot be fetched, or lacks the branch.
        """
        trunk = wanted.publish and wanted.local is None
        return Commit(
            package=package.name,
            upstream=upstream,
            packaging_sha=self._packaging.load(package).sha,
            extended="" if trunk else UNPUBLISHED,
            trunk=trunk,
        )
