"""Clean roots, and the stages that run in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from conveyor.model.provenance import InstalledPackage
from conveyor.model.target import Target
from conveyor.ports.formats import BuildPlan, SourcePlan
from conveyor.ports.packagemanager import Trunk


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRoot:
    """A root that is ready for a build.

    Attributes:
        target: whose.
        layers: ids of its layers, the topmost first; none where the builder has no layers.
        packages: what is installed, sorted: the resolved buildroot; none where the build itself installs it.
        trunk: the repository of earlier builds that it was made with.
        ready: whether all its layers were there already; None where the builder has no layers.
        lease: keeps what it is made of from being removed for as long as the root is referred to.
    """

    target: Target
    layers: tuple[str, ...] = ()
    packages: tuple[InstalledPackage, ...] = ()
    trunk: Trunk | None = None
    ready: bool | None = field(default=None, compare=False)
    lease: object = field(default=None, compare=False, repr=False)


class Builder(Protocol):
    """Makes clean roots for a target and runs the stages in them.

    Everything it writes to `log` is what a packager reads. It leaves no mount, process or temporary folder behind,
    however it ends.
    """

    def bootstrap(self, target: Target, log: Path) -> None:
        """Have ready what every build of the target starts from, making it when it is missing or too old.

        Raises:
            MirrorUnreachable: the distribution's packages cannot be fetched.
        """

    def make_source(
        self, target: Target, plan: SourcePlan, archive: Path, results: Path, log: Path
    ) -> tuple[Path, ...]:
        """Make the source package in a clean root; returns its files, in `results`.

        Raises:
            SourceInvalid, LimitExceeded: the package's fault.
        """

    def prepare(self, target: Target, requirements: Sequence[str], trunk: Trunk | None, log: Path) -> PreparedRoot:
        """Have a root ready that satisfies the requirements.

        A builder whose tool installs build dependencies as the first part of a build leaves it to `build`, which then
        raises these.

        Raises:
            BuildDependencyMissing: a requirement cannot be satisfied.
            MirrorUnreachable: the distribution's packages cannot be fetched.
        """

    def build(
        self, root: PreparedRoot, plan: BuildPlan, source: Sequence[Path], results: Path, log: Path, keep: Path | None
    ) -> tuple[Path, ...]:
        """Build in a throw-away copy of the root, without network; returns the files made, in `results`.

        Args:
            root: from `prepare`.
            plan: how to build.
            source: the source package's files.
            results: an existing, empty folder.
            log: the build's log, appended to.
            keep: folder that keeps what the build changed in the root, for `shell`; None to throw it away.

        Raises:
            BuildFailed, LimitExceeded: the package's fault.
            BuildDependencyMissing, MirrorUnreachable: where `prepare` leaves build dependencies to this.
        """

    def check_install(
        self, target: Target, packages: Sequence[Path], requirements: Sequence[str], trunk: Trunk | None, log: Path
    ) -> None:
        """Install packages in a fresh root, with their dependencies.

        Raises:
            NotInstallable: they cannot be installed.
            MirrorUnreachable: the distribution's packages cannot be fetched.
        """

    def shell(self, target: Target, keep: Path, argv: Sequence[str]) -> int:
        """Run a command on the caller's terminal in the root that `build` kept; returns its exit code.

        Raises:
            UnknownName: no root is kept there, or its layers are gone.
        """


class Recreator(Protocol):
    """A builder that can make a root again as it was."""

    def recreate(
        self, target: Target, packages: Sequence[InstalledPackage], trunk: Trunk | None, log: Path
    ) -> PreparedRoot | None:
        """A root that holds just these packages; None where that cannot be had any more.

        Args:
            target: whose root.
            packages: what an earlier root of the target held.
            trunk: the repository of earlier builds that it was made with.
            log: is appended to.

        Raises:
            MirrorUnreachable: what every root of the target starts from cannot be fetched.
        """
