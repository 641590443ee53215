"""The composition root: settings in, a running Conveyor out."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.buildroot import health
from conveyor.buildroot.isolation import cgroup, rootless
from conveyor.buildroot.isolation.sandbox import Sandbox, ScratchKind
from conveyor.buildroot.jobs import Jobs
from conveyor.buildroot.mock import health as mock_health
from conveyor.buildroot.mock.builder import MockBuilder
from conveyor.buildroot.mock.configuration import LAYOUT as MOCK_LAYOUT
from conveyor.buildroot.overlay import images
from conveyor.buildroot.overlay.builder import OverlayBuilder
from conveyor.buildroot.overlay.buildroots import OverlayBuildroots
from conveyor.buildroot.overlay.compilations import Compilations
from conveyor.buildroot.overlay.eviction import Eviction
from conveyor.buildroot.overlay.layers import LayerStore, hash_of
from conveyor.buildroot.overlay.roots import Roots
from conveyor.buildroot.pbuilder.builder import PROGRAMS as PBUILDER_PROGRAMS
from conveyor.buildroot.pbuilder.builder import PbuilderBuilder
from conveyor.buildroot.pbuilder.configuration import LAYOUT as PBUILDER_LAYOUT
from conveyor.buildroot.stock import Buildroots
from conveyor.buildroot.tools import containerhealth
from conveyor.buildroot.tools.buildroots import ToolBuildroots
from conveyor.buildroot.tools.containerruntime import Runtimes
from conveyor.buildroot.tools.containertool import ContainerTools
from conveyor.buildroot.tools.hosttool import HostTools
from conveyor.buildroot.tools.keeper import Keeper, Layout
from conveyor.buildroot.tools.pertarget import PerTarget
from conveyor.buildroot.tools.toolhost import ToolHost
from conveyor.errors import CommandMissing, DiskFull, PermissionMissing, UserError
from conveyor.formats.deb.apt import AptManager
from conveyor.formats.deb.metadata import DebIndexWriter
from conveyor.formats.deb.mirror import host_mirror
from conveyor.formats.deb.toolchain import DebToolchain
from conveyor.formats.rpm.dnf import DnfManager
from conveyor.model.health import Finding, Program
from conveyor.model.target import BuilderKind, Format, Target
from conveyor.pipeline.orders import Orders, disk_full
from conveyor.pipeline.parts import Parts
from conveyor.pipeline.poll import Poll
from conveyor.pipeline.publish import Publisher
from conveyor.pipeline.recover import Recovery
from conveyor.ports import IndexWriter, PackageManager, Progress, Store
from conveyor.repository.tree import PublishedTree
from conveyor.upstream.mirror import GitMirrors
from conveyor.upstream.packaging import PackagingSources
from conveyor.upstream.versions import upstream_version

if TYPE_CHECKING:
    from conveyor.config import Repos, Settings

SITE_DIGITS = 8  # of a hash that tells the containers of one data directory from those of another

# Pydantic, SQLAlchemy, Jinja2, createrepo_c and rpm are imported where they are needed: together they take longer than
# most commands that look at something.


class SystemClock:
    """The port Clock on the system's clock."""

    def now(self) -> datetime:
        """The current time in UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conveyor:
    """Everything put together.

    Attributes:
        settings: the site's settings.
        repos: packages and targets.
        parts: the implementations behind the ports.
        tree: the published tree.
        sandbox: runs commands in roots.
        roots: makes and finds roots.
        buildroots: what each kind of builder keeps between builds.
        managers: the package manager of each format.
        containers: how containers run here.
        poll: finds commits.
        orders: carries out builds.
        recovery: brings everything to the state it would have had without a kill.
        jobs: its temporary folders.
    """

    settings: Settings
    repos: Repos
    parts: Parts
    tree: PublishedTree
    sandbox: Sandbox
    roots: Roots
    buildroots: Mapping[BuilderKind, Buildroots]
    managers: Mapping[Format, PackageManager]
    containers: Runtimes
    poll: Poll
    orders: Orders
    recovery: Recovery
    jobs: Jobs

    def close(self) -> None:
        """Let go of the store, and of whatever else this process holds."""
        self.parts.store.close()
        self.jobs.clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What is needed to look at what happened.

    Attributes:
        store: what happened.
        tree: the published tree, for reading.
    """

    store: Store
    tree: PublishedTree


def open_records(settings: Settings) -> Records:
    """Open what has been recorded, without what builds. The caller closes the store.

    Raises:
        UserError: the data directory cannot be made.
        StoreUnusable: the store cannot be opened.
    """
    _make(settings.data_dir)
    return Records(store=_store(settings), tree=_tree(settings, {}))


def open_conveyor(settings: Settings, repos: Repos, progress: Progress) -> Conveyor:
    """Put a Conveyor together. The caller closes it.

    Raises:
        UserError: the data directory cannot be made.
        StoreUnusable: the store cannot be opened.
    """
    from conveyor.formats.rpm.toolchain import RpmToolchain  # noqa: PLC0415
    from conveyor.formats.templates.renderer import JinjaRenderer  # noqa: PLC0415

    data = settings.data_dir
    _make(data)
    # The caller's umask decides who enters the data directory. Below it, builds as their own user and a web
    # server must read what is there.
    os.umask(0o022)
    jobs = Jobs(data / "jobs")
    layers = LayerStore(data / "buildroots")
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
    containers = Runtimes(
        jobs=jobs,
        site=hash_of([str(data)])[:SITE_DIGITS],
        command=settings.container_command,
        flags=settings.container_run_flags,
    )
    host = HostTools(jobs=jobs, folder=(data / "buildroots/tools").resolve(), scratch=ScratchKind(settings.scratch))

    def tools(target: Target) -> ToolHost:
        return (
            host if target.container is None else ContainerTools(jobs=jobs, image=target.container, runtimes=containers)
        )

    def pbuilder(target: Target) -> PbuilderBuilder:
        return PbuilderBuilder(
            tools=tools(target), jobs=jobs, apt=apt, uid=settings.sandbox_uid, base_max_age=settings.base_max_age
        )

    def mock(target: Target) -> MockBuilder:
        return MockBuilder(
            tools=tools(target), jobs=jobs, dnf=dnf, user=settings.mock_user, max_age=settings.base_max_age
        )

    def stock(kind: BuilderKind, layout: Layout, builder: Callable[[Target], Keeper]) -> Buildroots:
        return ToolBuildroots(
            kind=kind,
            layout=layout,
            targets=[target for target in repos.targets.values() if target.builder is kind],
            tools=tools,
            host=host,
            builder=builder,
            max_age=settings.base_max_age,
        )

    overlay = OverlayBuilder(roots=roots, sandbox=sandbox, jobs=jobs, compilations=Compilations(layers.compilations))
    tree = _tree(settings, _writers(settings, repos))
    store = _store(settings)
    git = GitMirrors(data / "mirrors", rewrites=settings.rewrites, fetch_limit=settings.git_timeout)
    parts = Parts(
        git=git,
        packaging=PackagingSources(git),
        upstream_version=upstream_version,
        renderer=JinjaRenderer(),
        toolchains={Format.DEB: DebToolchain(), Format.RPM: RpmToolchain()},
        builders={
            BuilderKind.OVERLAY: overlay,
            BuilderKind.MOCK: PerTarget(mock),
            BuilderKind.PBUILDER: PerTarget(pbuilder),
        },
        repository=tree,
        store=store,
        clock=SystemClock(),
        progress=progress,
        configured=_configured(repos),
        builds=data / "builds",
    )
    # Asking podman takes a moment, which only those need to spend who have containers.
    sweep_containers = (containers.sweep,) if any(target.container for target in repos.targets.values()) else ()
    publisher = Publisher(store, tree, data, frozenset(repos.packages))
    orders = Orders(parts, publisher, data)
    return Conveyor(
        settings=settings,
        repos=repos,
        parts=parts,
        tree=tree,
        sandbox=sandbox,
        roots=roots,
        buildroots={
            BuilderKind.OVERLAY: OverlayBuildroots(store=layers, roots=roots, sandbox=sandbox, eviction=eviction),
            BuilderKind.MOCK: stock(BuilderKind.MOCK, MOCK_LAYOUT, mock),
            BuilderKind.PBUILDER: stock(BuilderKind.PBUILDER, PBUILDER_LAYOUT, pbuilder),
        },
        managers=managers,
        containers=containers,
        poll=Poll(git, parts.packaging),
        orders=orders,
        recovery=Recovery(
            orders=orders,
            publisher=publisher,
            store=store,
            repository=tree,
            targets=repos.targets,
            sweepers=(*sweep_containers, cgroup.sweep, jobs.sweep),
        ),
        jobs=jobs,
    )


def disk_full_error(error: OSError, data: Path | None = None) -> DiskFull | None:
    """The intended error for a full disk; None for any other."""
    return disk_full(data or Path(error.filename or "/")) if error.errno == errno.ENOSPC else None


def examine(conveyor: Conveyor) -> Iterator[Finding]:
    """What `conveyor doctor` tells of the machine, then of each target."""
    settings = conveyor.settings
    yield from health.machine(
        conveyor.sandbox, Jobs(settings.data_dir / "jobs"), settings.data_dir, settings.min_free_disk
    )
    for target in conveyor.repos.targets.values():
        missing = health.missing_programs(_programs(conveyor, target))
        names = ", ".join(program.name for program in missing)
        yield Finding(
            subject=target.name,
            good=not missing,
            detail=f"{names} missing" if missing else f"{target.format} by {target.builder}",
            remedy=health.install_command(missing),
        )
        yield from _tool_findings(conveyor, target)


def _tool_findings(conveyor: Conveyor, target: Target) -> Iterator[Finding]:
    """What a target's builder needs of a tool that is not one of our programs."""
    if target.base_image is not None:
        yield containerhealth.look_at_base(images.Images(), target.name, target.base_image)
    if target.container is not None:
        yield containerhealth.look(conveyor.containers, target.name, target.container)
    elif target.builder is BuilderKind.MOCK:
        yield from mock_health.findings(target, conveyor.settings.mock_user)


def require_root() -> None:
    """Building mounts layers and enters namespaces.

    Raises:
        PermissionMissing: this process does not run as root.
    """
    if os.geteuid() != 0:
        raise PermissionMissing("building needs root, to mount layers", hint="run the same command with sudo")


def gain_root(settings: Settings) -> None:
    """Have the rights that building needs: root's, or those of root of a user namespace.

    An ordinary user's command begins again in such a namespace: then this does not return.

    Raises:
        PermissionMissing: this process does not run as root, and can have no such namespace.
    """
    if os.geteuid() == 0:
        return
    found = rootless.obstacle()
    if found is not None:
        raise PermissionMissing(
            "building needs root, or a user namespace with subordinate ids",
            cause=found.cause,
            hint=f"run the same command with sudo, or once as root: {found.remedy}",
        )
    rootless.begin_again(settings.data_dir)


def require_programs(conveyor: Conveyor, targets: Collection[Target]) -> None:
    """Refuse to begin what would fail half-way.

    Raises:
        CommandMissing: a program that building for one of the targets needs is not installed.
    """
    needed = {*health.PROGRAMS, *(program for target in targets for program in _programs(conveyor, target))}
    missing = health.missing_programs(sorted(needed, key=lambda program: program.name))
    if missing:
        names = ", ".join(program.name for program in missing)
        raise CommandMissing(f"not installed on this machine: {names}", hint=health.install_command(missing))
    for finding in (found for target in targets for found in _tool_findings(conveyor, target)):
        if not finding.good:
            raise CommandMissing(f"{finding.subject} cannot be built for: {finding.detail}", hint=finding.remedy)


def require_room(settings: Settings) -> None:
    """Refuse to begin on a disk that is all but full.

    Raises:
        DiskFull: less is free than the settings ask for.
    """
    free = shutil.disk_usage(settings.data_dir).free
    if free < settings.min_free_disk:
        mib = 1024**2
        raise DiskFull(
            f"only {free // mib} MiB are free below {settings.data_dir}, {settings.min_free_disk // mib} are needed",
            hint="free some room, or set another 'min_free_disk' in conveyor.toml",
        )


def _programs(conveyor: Conveyor, target: Target) -> tuple[Program, ...]:
    """What building for a target needs of the machine, beside what every target needs."""
    if target.container is not None:
        return ()
    own = PBUILDER_PROGRAMS if target.builder is BuilderKind.PBUILDER else ()
    image = images.PROGRAMS if target.base_image is not None else ()
    return tuple(dict.fromkeys([*conveyor.managers[target.format].programs, *own, *image]))


def _make(data: Path) -> None:
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise UserError(
            f"the data directory {data} cannot be made",
            cause=error.strerror or "",
            hint="name another with --data-dir, or 'data_dir' in conveyor.toml",
        ) from error


def _configured(repos: Repos) -> Mapping[str, frozenset[str]]:
    return {
        target: frozenset(name for name, package in repos.packages.items() if target in package.targets)
        for target in repos.targets
    }


def _mirror(settings: Settings) -> Callable[[], str]:
    mirror = settings.mirror
    return host_mirror if mirror is None else lambda: mirror


def _store(settings: Settings) -> Store:
    from conveyor.store import open_store  # noqa: PLC0415

    return open_store(settings.database)


def _writers(settings: Settings, repos: Repos) -> Mapping[str, IndexWriter]:
    from conveyor.formats.rpm.metadata import RpmIndexWriter  # noqa: PLC0415

    cache = settings.data_dir / "metadata"
    by_format: dict[Format, IndexWriter] = {
        Format.DEB: DebIndexWriter(cache / "deb"),
        Format.RPM: RpmIndexWriter(cache / "rpm"),
    }
    return {name: by_format[target.format] for name, target in repos.targets.items()}


def _tree(settings: Settings, writers: Mapping[str, IndexWriter]) -> PublishedTree:
    root: Path = settings.data_dir / "repos"
    return PublishedTree(root, writers=writers, base_url=settings.base_url, client_name=settings.repository_name)
