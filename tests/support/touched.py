"""Layers made by a package manager that only copies busybox and touches files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from conveyor.buildroot.isolation.sandbox import Sandbox, ScratchKind
from conveyor.buildroot.jobs import Jobs
from conveyor.buildroot.overlay.builder import OverlayBuilder
from conveyor.buildroot.overlay.eviction import Eviction
from conveyor.buildroot.overlay.layers import LayerStore, Stack
from conveyor.buildroot.overlay.roots import Roots
from conveyor.errors import BuildDependencyMissing, ConveyorError
from conveyor.model.health import Program
from conveyor.model.target import Format, Target
from conveyor.ports import Changes, InstalledPackage, Place, RootCommand, Trunk
from tests.support.roots import UID
from tests.support.workshop import TARGET

HOUR = 3600.0


class TouchManager:
    """The port PackageManager: a package is a file in /packages; each one but "missing-*" can be installed.

    Attributes:
        installs: the requirements of each call of `install`.
        additions: the packages of each call of `install_exactly`.
        resolvable: whether `resolve` tells anything.
        bootstraps: how often `bootstrap` was called.
        listing: the script that lists what is installed.
        error: what a failed step means; None for a missing dependency.
        file_steps: what installs files; None for copying them.
    """

    programs: tuple[Program, ...] = ()

    def __init__(self, root: Path) -> None:
        self._root = root
        self.installs: list[tuple[str, ...]] = []
        self.additions: list[tuple[str, ...]] = []
        self.resolvable = True
        self.listing = "cd /packages 2>/dev/null && ls || true"
        self.bootstraps = 0
        self.error: ConveyorError | None = None
        self.file_steps: tuple[RootCommand, ...] | None = None

    def bootstrap(self, target: Target) -> tuple[RootCommand, ...]:
        del target
        self.bootstraps += 1
        return (RootCommand(place=Place.HOST, argv=("cp", "-a", f"{self._root}/.", "{root}")),)

    def install(self, target: Target, requirements: Sequence[str], trunk: Trunk | None) -> tuple[RootCommand, ...]:
        del target, trunk
        self.installs.append(tuple(requirements))
        return self._touch(requirements)

    def _touch(self, names: Sequence[str]) -> tuple[RootCommand, ...]:
        text = (
            'mkdir -p /packages; for name in "$@"; do '
            'case $name in missing-*) echo "no $name"; exit 1;; esac; : > "/packages/$name"; done'
        )
        return (RootCommand(place=Place.ROOT, argv=("/bin/sh", "-c", text, "sh", *names)),)

    def resolve(self, target: Target, requirements: Sequence[str], trunk: Trunk | None) -> tuple[RootCommand, ...]:
        del target, trunk
        text = 'for name in "$@"; do test -e "/packages/$name" || echo "would install $name"; done'
        return (RootCommand(place=Place.ROOT, argv=("/bin/sh", "-c", text, "sh", *requirements)),)

    def parse_changes(self, output: str) -> Changes | None:
        if not self.resolvable:
            return None
        names = sorted(line.rpartition(" ")[2] for line in output.splitlines())
        packages = (InstalledPackage(name=name, version="1", architecture="all") for name in names)
        return Changes(installed=tuple(packages), removed=())

    def install_exactly(
        self, target: Target, packages: Sequence[InstalledPackage], trunk: Trunk | None
    ) -> tuple[RootCommand, ...]:
        del target, trunk
        self.additions.append(tuple(package.name for package in packages))
        return self._touch(self.additions[-1])

    def install_files(self, target: Target, filenames: Sequence[str]) -> tuple[RootCommand, ...]:
        del target
        paths = [f"/conveyor/packages/{name}" for name in filenames]
        return self.file_steps or (RootCommand(place=Place.ROOT, argv=("cp", *paths, "/packages/")),)

    def list_installed(self, target: Target) -> RootCommand:
        del target
        return RootCommand(place=Place.ROOT, argv=("/bin/sh", "-c", self.listing))

    def parse_installed(self, output: str) -> tuple[InstalledPackage, ...]:
        return tuple(InstalledPackage(name=name, version="1", architecture="all") for name in sorted(output.split()))

    def failure(self, target: Target, log: Sequence[str]) -> ConveyorError:
        return self.error or BuildDependencyMissing(f"not on {target.name}", cause=log[-1] if log else "")


class Site:
    """Everything below one folder, as one process has it."""

    def __init__(self, data: Path, *, age: float = HOUR, now: float = 0.0, limit: int = 10**12) -> None:
        self.now = now
        self.log = data / "log"
        self.jobs_folder = data / "jobs"
        self.jobs = Jobs(self.jobs_folder)
        self.store = LayerStore(data / "buildroots")
        self.sandbox = Sandbox(jobs=self.jobs, layers=self.store.layers, uid=UID, scratch=ScratchKind.MEMORY)
        self.manager = TouchManager(data / "root")
        self.roots = Roots(
            store=self.store,
            sandbox=self.sandbox,
            jobs=self.jobs,
            managers={Format.DEB: self.manager},
            base_max_age=age,
            make_room=Eviction(self.store, self.jobs, limit),
            now=lambda: self.now,
        )

        self.builder = OverlayBuilder(roots=self.roots, sandbox=self.sandbox, jobs=self.jobs)

    def satisfy(self, *requirements: str, trunk: Trunk | None = None, target: Target = TARGET) -> Stack:
        return self.roots.satisfy(target, self.roots.base(target, self.log), requirements, trunk, self.log)

    def root_of(self, stack: Stack) -> Path:
        return self.store.layers / stack.layers[0] / "root"
