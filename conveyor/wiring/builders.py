"""The builders of a site, and what they stand on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conveyor.buildroot.isolation import cgroup
from conveyor.buildroot.isolation.sandbox import Sandbox, ScratchKind
from conveyor.buildroot.jobs import Jobs
from conveyor.buildroot.mock.builder import MockBuilder
from conveyor.buildroot.mock.configuration import LAYOUT as MOCK_LAYOUT
from conveyor.buildroot.overlay.builder import OverlayBuilder
from conveyor.buildroot.overlay.buildroots import OverlayBuildroots
from conveyor.buildroot.overlay.compilations import Compilations
from conveyor.buildroot.overlay.eviction import Eviction
from conveyor.buildroot.overlay.layers import LayerStore, hash_of
from conveyor.buildroot.overlay.roots import Roots
from conveyor.buildroot.pbuilder.builder import PbuilderBuilder
from conveyor.buildroot.pbuilder.configuration import LAYOUT as PBUILDER_LAYOUT
from conveyor.buildroot.stock import Buildroots
from conveyor.buildroot.tools.buildroots import ToolBuildroots
from conveyor.buildroot.tools.containerruntime import Runtimes
from conveyor.buildroot.tools.containertool import ContainerTools
from conveyor.buildroot.tools.hosttool import HostTools
from conveyor.buildroot.tools.keeper import Keeper, Layout
from conveyor.buildroot.tools.pertarget import PerTarget
from conveyor.buildroot.tools.toolhost import ToolHost
from conveyor.formats.deb.apt import AptManager
from conveyor.formats.deb.mirror import host_mirror
from conveyor.formats.rpm.dnf import DnfManager
from conveyor.model.target import BuilderKind, Format, Target
from conveyor.ports import Builder, PackageManager

if TYPE_CHECKING:
    from conveyor.config import Repos, Settings

# Hexadecimal digits that tell one data directory's containers from another's.
SITE_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Builders:
    """What builds, put together.

    Attributes:
        by_kind: the builders.
        overlay: the one that can make a root again as it was.
        stocks: what each kind of builder keeps between builds.
        managers: the package manager of each format.
        jobs: temporary folders.
        sandbox: runs commands in roots.
        roots: makes and finds the overlay builder's roots.
        containers: how containers run here.
        sweepers: each removes what killed processes left.
    """

    by_kind: Mapping[BuilderKind, Builder]
    overlay: OverlayBuilder
    stocks: Mapping[BuilderKind, Buildroots]
    managers: Mapping[Format, PackageManager]
    jobs: Jobs
    sandbox: Sandbox
    roots: Roots
    containers: Runtimes
    sweepers: tuple[Callable[[], None], ...]


class _Tools:
    """Makes the builders that call a tool of their own.

    Args:
        settings: the site's settings.
        repos: its targets.
        jobs: temporary folders.
    """

    def __init__(self, settings: Settings, repos: Repos, jobs: Jobs) -> None:
        data = settings.data_dir
        self._settings = settings
        self._repos = repos
        self._jobs = jobs
        self._host = HostTools(
            jobs=jobs, folder=(data / "buildroots/tools").resolve(), scratch=ScratchKind(settings.scratch)
        )
        self.containers = Runtimes(
            jobs=jobs,
            site=hash_of([str(data)])[:SITE_DIGITS],
            command=settings.container_command,
            flags=settings.container_run_flags,
        )

    def host(self, target: Target) -> ToolHost:
        """Where the tool of a target runs."""
        if target.container is None:
            return self._host
        return ContainerTools(jobs=self._jobs, image=target.container, runtimes=self.containers)

    def pbuilder(self, target: Target, apt: AptManager) -> PbuilderBuilder:
        """The builder of a target with pbuilder."""
        settings = self._settings
        return PbuilderBuilder(
            tools=self.host(target),
            jobs=self._jobs,
            apt=apt,
            uid=settings.sandbox_uid,
            base_max_age=settings.base_max_age,
        )

    def mock(self, target: Target, dnf: DnfManager) -> MockBuilder:
        """The builder of a target with mock."""
        settings = self._settings
        return MockBuilder(
            tools=self.host(target),
            jobs=self._jobs,
            dnf=dnf,
            user=settings.mock_user,
            max_age=settings.base_max_age,
        )

    def stock(self, kind: BuilderKind, layout: Layout, builder: Callable[[Target], Keeper]) -> Buildroots:
        """What a kind of builder keeps."""
        return ToolBuildroots(
            kind=kind,
            layout=layout,
            targets=[target for target in self._repos.targets.values() if target.builder is kind],
            tools=self.host,
            host=self._host,
            builder=builder,
            max_age=self._settings.base_max_age,
        )


def make_builders(settings: Settings, repos: Repos) -> Builders:
    """Put the builders of a site together."""
    jobs = Jobs(settings.data_dir / "jobs")
    layers = LayerStore(settings.data_dir / "buildroots")
    sandbox = Sandbox(jobs=jobs, layers=layers.layers, uid=settings.sandbox_uid, scratch=ScratchKind(settings.scratch))
    eviction = Eviction(layers, jobs, settings.buildroot_limit)
    apt, dnf = AptManager(_mirror(settings)), DnfManager()
    managers: dict[Format, PackageManager] = {Format.DEB: apt, Format.RPM: dnf}
    roots = Roots(
        store=layers,
        sandbox=sandbox,
        jobs=jobs,
        managers=managers,
        base_max_age=settings.base_max_age,
        make_room=eviction,
    )
    tools = _Tools(settings, repos, jobs)

    def pbuilder(target: Target) -> PbuilderBuilder:
        return tools.pbuilder(target, apt)

    def mock(target: Target) -> MockBuilder:
        return tools.mock(target, dnf)

    compilations = Compilations(layers.compilations)
    overlay = OverlayBuilder(roots=roots, sandbox=sandbox, jobs=jobs, compilations=compilations)
    return Builders(
        by_kind={
            BuilderKind.OVERLAY: overlay,
            BuilderKind.MOCK: PerTarget(mock),
            BuilderKind.PBUILDER: PerTarget(pbuilder),
        },
        overlay=overlay,
        stocks={
            BuilderKind.OVERLAY: OverlayBuildroots(store=layers, roots=roots, sandbox=sandbox, eviction=eviction),
            BuilderKind.MOCK: tools.stock(BuilderKind.MOCK, MOCK_LAYOUT, mock),
            BuilderKind.PBUILDER: tools.stock(BuilderKind.PBUILDER, PBUILDER_LAYOUT, pbuilder),
        },
        managers=managers,
        jobs=jobs,
        sandbox=sandbox,
        roots=roots,
        containers=tools.containers,
        sweepers=(*_container_sweepers(tools.containers, repos), cgroup.sweep, jobs.sweep),
    )


def _container_sweepers(containers: Runtimes, repos: Repos) -> tuple[Callable[[], None], ...]:
    """Asking podman takes a moment, which only those need to spend who have containers."""
    return (containers.sweep,) if any(target.container for target in repos.targets.values()) else ()


def _mirror(settings: Settings) -> Callable[[], str]:
    mirror = settings.mirror
    return host_mirror if mirror is None else lambda: mirror
