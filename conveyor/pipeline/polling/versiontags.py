"""Which tags of an upstream count, and which commits they lead to. Reads the mirror, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from packaging.version import Version

from conveyor.model.commit import CommitInfo
from conveyor.model.package import Package
from conveyor.ports import Git

# How many of a repository's version tags count, the highest; and how many new ones are looked at in one poll.
MOST_TAGS, MOST_NEW_TAGS = 5000, 200

TagVersion = Callable[[str, str], str | None]


class VersionTags:
    """Tags that stand for versions.

    Args:
        git: the mirrors, up to date.
        tag_version: the version that a tag stands for, given the upstream's URL and the tag's name.
    """

    def __init__(self, git: Git, tag_version: TagVersion) -> None:
        self._git = git
        self._tag_version = tag_version

    def of(self, package: Package, tags: Mapping[str, str]) -> Mapping[str, str]:
        """Those of a repository's tags that count for a package: sha by name, in the order of their names."""
        return {name: tags[name] for name in sorted(self._highest(package, tags, MOST_TAGS))}

    def mirrored(self, package: Package) -> Mapping[str, str]:
        """The same of what was fetched last: what versions are worked out from."""
        return self.of(package, self._git.tags(package.upstream))

    def newest(self, package: Package, tags: Mapping[str, str], tip: str) -> CommitInfo | None:
        """What the highest version of those leads to that are in the ancestry of `tip`; None for none."""
        for name in self._highest(package, tags, MOST_NEW_TAGS):
            if self._git.contains(package.upstream, tip=tip, sha=tags[name]):
                return self.commit(package, tags[name])
        return None

    def new(
        self,
        package: Package,
        tags: Mapping[str, str],
        tip: str,
        before: Mapping[str, str],
        arrived: Collection[str],
    ) -> Sequence[str]:
        """Names of the tags that lead to commits to build, the lowest version first.

        A tag may be there before its commit is on the branch.

        Args:
            package: whose tags.
            tags: sha by name.
            tip: the newest commit of the branch.
            before: what the tags were.
            arrived: shas of commits that are new on the branch.
        """
        versions = self._versions(package, tags)
        changed = [name for name, sha in tags.items() if before.get(name) != sha]
        highest = self._highest(package, changed, MOST_NEW_TAGS)
        url = package.upstream
        on_branch = {name for name in highest if self._git.contains(url, tip=tip, sha=tags[name])}
        waited = {name for name, sha in tags.items() if sha in arrived}
        return sorted(on_branch | waited, key=lambda name: (versions[name], name))

    def commit(self, package: Package, sha: str) -> CommitInfo:
        """The commit that a tag on the branch leads to."""
        (commit,) = self._git.commits(package.upstream, tip=sha, after=None, limit=1)
        return commit

    def _highest(self, package: Package, names: Collection[str], most: int) -> list[str]:
        """Those that stand for the highest versions, these first."""
        versions = self._versions(package, names)
        return sorted(versions, key=lambda name: (versions[name], name), reverse=True)[:most]

    def _versions(self, package: Package, names: Collection[str]) -> Mapping[str, Version]:
        told = {name: self._tag_version(package.upstream, name) for name in names}
        return {name: Version(version) for name, version in told.items() if version is not None}
