"""What is built: a commit of an upstream together with a state of its packaging."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime

SHORT_SHA_DIGITS = 7
PACKAGING_SHA_DIGITS = 8
REBUILD = re.compile(r"r([1-9][0-9]{0,8})")


def commit_id(upstream_sha: str, packaging_sha: str, extended: str) -> str:
    """`<upstream sha>_<packaging sha, 8 digits>[_<extended>]`, as DLRN names its repositories."""
    parts = [upstream_sha, packaging_sha[:PACKAGING_SHA_DIGITS]]
    return "_".join([*parts, extended] if extended else parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitInfo:
    """One commit of a git repository. Subject and author are upstream's text: hostile, never trusted.

    Attributes:
        sha: 40 hex digits.
        committed_at: the committer's date, with zone.
        author: name of the author.
        subject: first line of the message.
    """

    sha: str
    committed_at: datetime
    author: str
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What a version scheme needs to know of a commit's past, and nothing else.

    Attributes:
        commit: the commit itself.
        tag: name of the nearest tag in its ancestry that is a version, prefix included; None without one.
        tag_version: that version in PEP 440's normal form, or as it stands where the tag is a version in another
            notation; None without a tag.
        commits_since: commits after that tag, merged ones included; all commits where there is no tag.
        footers: values of the "Sem-Ver:" footers of these commits, lower case, such as "feature".
        ignored_tags: tags at or after the nearest version tag that are no versions.
    """

    commit: CommitInfo
    tag: str | None
    tag_version: str | None
    commits_since: int
    footers: tuple[str, ...]
    ignored_tags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """An upstream commit and the packaging it is built with.

    Attributes:
        package: the package's name.
        upstream: the upstream commit.
        packaging_sha: 40 hex digits: the packaging repository's commit, or the hash of the packaging folder's content.
        extended: what else the build depends on, where DLRN has an extended hash: "r1" for the first rebuild of the
            same for changed build dependencies, "r2" for the next; empty for nothing.
        trunk: whether it is part of the followed branch. A working copy is not, and is never published.
    """

    package: str
    upstream: CommitInfo
    packaging_sha: str
    extended: str = ""
    trunk: bool = True

    @property
    def id(self) -> str:
        """`<upstream sha>_<packaging sha, 8 digits>[_<extended>]`, as DLRN names its repositories."""
        return commit_id(self.upstream.sha, self.packaging_sha, self.extended)

    @property
    def rebuild(self) -> int:
        """Which rebuild of the same upstream commit and packaging it is; 0 for what is no rebuild."""
        found = REBUILD.fullmatch(self.extended)
        return int(found[1]) if found else 0

    def rebuilt(self, number: int) -> Commit:
        """The same upstream commit and packaging, to be built once more: its `number`th rebuild, from 1."""
        return replace(self, extended=f"r{number}")

    @property
    def short(self) -> str:
        """The first seven digits of the upstream sha."""
        return self.upstream.sha[:SHORT_SHA_DIGITS]
