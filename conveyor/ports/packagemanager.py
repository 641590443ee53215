"""How roots of one format are filled: command lines and what they print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from conveyor.errors import ConveyorError
from conveyor.model.artifact import Artifact
from conveyor.model.health import Program
from conveyor.model.provenance import InstalledPackage
from conveyor.model.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunk:
    """The repository of earlier builds, as a source of dependencies.

    Attributes:
        folder: root of the target's published tree on this machine.
        snapshot: path of the current snapshot below it.
        binaries: its binary packages.
        components: what it is parted into, where the format knows such a thing.
    """

    folder: Path
    snapshot: str
    binaries: tuple[Artifact, ...]
    components: tuple[str, ...] = ()


class Place(StrEnum):
    """Where a package manager's command runs."""

    ROOT = "root"  # inside the root, with the root's own programs
    HOST_TOOLS = "host-tools"  # in the sandbox, with the host's programs; the root is at /target
    # On the host, in namespaces of its own; "{root}" and "{files}" in an argument stand for the root's path and for the
    # folder with the command's files.
    HOST = "host"


@dataclass(frozen=True, slots=True, kw_only=True)
class RootCommand:
    """One step that changes a root.

    Attributes:
        place: where it runs.
        argv: the command.
        network: whether it needs the network.
        files: configuration files by path below /conveyor. There, "cache" is a folder that lasts, "trunk" is the
            published tree of the target, and "packages" holds the packages of `install_files`.
        environment: variables to set.
        shared: paths of the host that it sees, read-only, in the same place.
    """

    place: Place
    argv: tuple[str, ...]
    network: bool = False
    files: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    shared: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a package manager would do to a root.

    Attributes:
        installed: packages that would be there in the end and are not now, those of another version included.
        removed: names of packages that would go.
    """

    installed: tuple[InstalledPackage, ...]
    removed: tuple[str, ...]


class PackageManager(Protocol):
    """How roots of one format are made and filled: command lines, nothing is run here."""

    @property
    def programs(self) -> tuple[Program, ...]:
        """What it needs of the host."""

    def bootstrap(self, target: Target) -> tuple[RootCommand, ...]:
        """Make the smallest root in an empty folder."""

    def install(self, target: Target, requirements: Sequence[str], trunk: Trunk | None) -> tuple[RootCommand, ...]:
        """Install what satisfies the requirements: the last step needs no network."""

    def resolve(self, target: Target, requirements: Sequence[str], trunk: Trunk | None) -> tuple[RootCommand, ...]:
        """Have the last step print what `install` would do, and do nothing. That step's exit code means nothing."""

    def parse_changes(self, output: str) -> Changes | None:
        """What the last step of `resolve` printed; None where it tells nothing, or not all."""

    def install_exactly(
        self, target: Target, packages: Sequence[InstalledPackage], trunk: Trunk | None
    ) -> tuple[RootCommand, ...]:
        """Install packages in exactly these versions: the last step needs no network."""

    def install_files(self, target: Target, filenames: Sequence[str]) -> tuple[RootCommand, ...]:
        """Install package files that lie in /conveyor/packages, whose dependencies are there already."""

    def list_installed(self, target: Target) -> RootCommand:
        """Print what is installed."""

    def parse_installed(self, output: str) -> tuple[InstalledPackage, ...]:
        """What `list_installed` printed, sorted."""

    def failure(self, target: Target, log: Sequence[str]) -> ConveyorError:
        """What the log of a failed step tells: a requirement that cannot be satisfied, or an unreachable mirror."""
