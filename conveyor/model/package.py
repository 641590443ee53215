"""What is built: a package, as repos.yaml has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from conveyor.model.target import Format


class VersionScheme(StrEnum):
    """How a version follows from git history."""

    PBR = "pbr"  # OpenStack: the next version by Sem-Ver footers, then .devN
    TAG = "tag"  # the last tag plus the commits since
    PEP440 = "pep440"  # the last tag's next patch version, .devN, with the commit as local part
    DLRN = "dlrn"  # DLRN's numbering, with the commit's date instead of the build's


class CommitPolicy(StrEnum):
    """Which commits of the followed branch are built."""

    EVERY = "every"
    NEWEST = "newest"  # those that are the newest when they are looked for; a newer one supersedes those that wait
    TAGS = "tags"  # those that a tag with a version leads to


class RebuildPolicy(StrEnum):
    """When a package is built anew without a commit of its own."""

    NEVER = "never"
    ABI = "abi"  # when what others link to or depend on by version changed in a build dependency
    ALWAYS = "always"  # on each new build of a build dependency


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """How a package is followed by the daemon.

    Attributes:
        commits: which commits are built.
        max_waiting: how many builds of it may wait on each target; older ones are superseded. None for any number.
        interval: seconds between two polls; None for the site's.
        cancel_superseded: whether a running build is cancelled when it is superseded.
        rebuild: when it is built anew for its build dependencies.
        bootstrap: whether it is built first, and then once more, where packages build-depend on each other.
    """

    commits: CommitPolicy = CommitPolicy.EVERY
    max_waiting: int | None = None
    interval: int | None = None
    cancel_superseded: bool = False
    rebuild: RebuildPolicy = RebuildPolicy.NEVER
    bootstrap: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagingFolder:
    """Packaging that lives in a folder of its own, usually specs/<package>.

    Attributes:
        path: the folder, absolute.
    """

    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagingRepository:
    """Packaging that lives in a git repository (a distgit).

    Attributes:
        url: the repository's URL.
        branch: its branch.
    """

    url: str
    branch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One entry of repos.yaml.

    Attributes:
        name: the package's name, unique in repos.yaml; also the source package's name in both formats.
        distribution: the Python distribution's name on PyPI, such as "oslo.utils"; the package's name by default.
        upstream: URL of the upstream git repository.
        branch: the upstream branch that is followed.
        packaging: where the spec and debian/ templates live.
        archetype: folder of shared templates that the packaging builds on, such as "python"; None for none.
        targets: names of the targets it is built for.
        version_scheme: how its versions follow from git.
        maintainers: who is told about failures, as "Name <address>" or an address.
        component: the part of the distribution that it belongs to.
        epochs: the epoch of its versions, by format, where a distribution's own package has one; 0 for the others.
        following: how the daemon follows it.
    """

    name: str
    distribution: str
    upstream: str
    branch: str
    packaging: PackagingFolder | PackagingRepository
    archetype: Path | None
    targets: tuple[str, ...]
    version_scheme: VersionScheme
    maintainers: tuple[str, ...]
    component: str
    epochs: Mapping[Format, int] = field(default_factory=dict)
    following: Following = Following()
