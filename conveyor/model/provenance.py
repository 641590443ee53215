"""How a build was made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from conveyor.model.target import BuilderKind


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class InstalledPackage:
    """A package in a root, as the format's package manager names it."""

    name: str
    version: str
    architecture: str

    def __str__(self) -> str:
        return f"{self.name}={self.version}:{self.architecture}"


def buildroot_sha256(packages: Iterable[InstalledPackage]) -> str:
    """The hash of what a root holds: the same for the same packages in any order."""
    listed = [[one.name, one.version, one.architecture] for one in sorted(packages)]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """How a successful build of a trunk commit was made: what nobody could tell later.

    Attributes:
        builder: what ran it.
        conveyor_version: the version of the Conveyor that did.
        buildroot: what was installed in its root, sorted; None where the builder did not tell.
        upstream_branch: the upstream branch that was followed.
        packaging_branch: the packaging repository's branch; empty for a folder.
        packaging_commit: the packaging repository's commit, 40 hex digits; empty for a folder.
        packaged_at: that commit's date, with zone; None for a folder.
        bootstrap: whether it was built without packages that build-depend on it in turn, which were not there yet.
    """

    builder: BuilderKind
    conveyor_version: str
    buildroot: tuple[InstalledPackage, ...] | None
    upstream_branch: str
    packaging_branch: str
    packaging_commit: str
    packaged_at: datetime | None
    bootstrap: bool = False
