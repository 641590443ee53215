"""The builder of those who want exactly mock: its roots, its configurations, its way to install and build.

One call of mock makes the source package, one installs the build dependencies and builds, one tries the installation.
Each call has a root of its own, in a scratch folder that goes with it; what is kept is mock's root cache, a tar file.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from conveyor.buildroot import limits
from conveyor.buildroot.jobs import Jobs
from conveyor.buildroot.mock import configuration as mock_config
from conveyor.buildroot.mock import log as mock_log
from conveyor.buildroot.mock.configuration import Places, Root
from conveyor.buildroot.outcome import not_installable
from conveyor.buildroot.tools.toolhost import ToolCall, ToolEnd, ToolHost
from conveyor.command import last_lines
from conveyor.errors import (
    BuildDependencyMissing,
    BuildFailed,
    CommandFailed,
    CommandTimedOut,
    ConveyorError,
    SourceInvalid,
    UnknownName,
)
from conveyor.model.target import Limits, Target
from conveyor.ports import BuildPlan, PreparedRoot, SourcePlan, Trunk

SCRIPT = Path(__file__).with_name("mock.sh")
KEPT_CONFIGURATION = "root.cfg"
KEPT_NAME = "uniqueext"


class RpmRepositories(Protocol):
    """What a builder must know of dnf."""

    def repositories(self, target: Target) -> str:
        """The target's repositories, in dnf's notation."""

    def trunk_repository(self, url: str) -> str:
        """The repository of earlier builds, in the same; a line can be added to it."""

    def local_paths(self, target: Target) -> tuple[Path, ...]:
        """Repositories and keys of the target that lie on this machine."""

    def failure(self, target: Target, log: Sequence[str]) -> ConveyorError:
        """What the output of a failed package manager tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One call of mock.

    Attributes:
        target: whose root it works in.
        root: that root.
        limits: what it may use.
        job: folder of the input and the output.
        trunk: the repository of earlier builds.
        keep: folder that keeps the root.
        old: seconds that make a kept root old; mock is not called while it is younger. None to call it, 0 to have the
            kept root made anew.
    """

    target: Target
    root: Root
    limits: Limits
    job: Path
    trunk: Trunk | None = None
    keep: Path | None = None
    old: float | None = None

    @property
    def unique(self) -> str:
        """What sets its root apart from all others."""
        return self.job.name

    @property
    def input(self) -> Path:
        """What mock is given."""
        return self.job / "input"

    @property
    def output(self) -> Path:
        """What it leaves."""
        return self.job / "output"

    @property
    def results(self) -> Path:
        """The packages among it."""
        return self.output / "results"

    def lines(self, name: str) -> Sequence[str]:
        """The lines of a log of mock's own; none where it did not come so far."""
        return last_lines(self.output / name)


class MockBuilder:
    """The port Builder on mock.

    Args:
        tools: runs mock.
        jobs: temporary folders.
        dnf: the package manager of RPM targets.
        user: the user that mock works as where it needs not be root, a member of the group mock.
        max_age: seconds after which a root is made anew.
    """

    def __init__(self, *, tools: ToolHost, jobs: Jobs, dnf: RpmRepositories, user: str, max_age: float) -> None:
        self._tools = tools
        self._jobs = jobs
        self._dnf = dnf
        self._user = user
        self._max_age = max_age

    def bootstrap(self, target: Target, log: Path) -> None:
        """Have mock's root cache ready."""
        self._init(target, self._buildroot(target), log, old=self._max_age)

    def refresh(self, target: Target, log: Path) -> bool:
        """Make mock's root caches anew; False where another process is at it."""
        roots = (self._buildroot(target), self._base_root(target))
        return all(self._init(target, root, log, old=0) for root in roots)

    def current(self, target: Target) -> frozenset[str]:
        """The names in the target's cache that its builds use as it is configured now."""
        return frozenset({self._buildroot(target).name, self._base_root(target).name})

    def visit(self, target: Target, argv: Sequence[str], log: Path, *, as_root: bool) -> int:
        """Run a command on the terminal in a new root, as the user of builds or as a root with less power than mock."""
        self.bootstrap(target, log)
        arguments = mock_config.visit_arguments if as_root else mock_config.shell_arguments
        with self._run(target, self._buildroot(target), target.limits) as run:
            given = arguments(target, self._places(target), run.unique, argv)
            return self._tools.attach(self._tool_call(run, given, terminal=True, enter=as_root))

    def _init(self, target: Target, root: Root, log: Path, *, old: float) -> bool:
        """Have a root cache ready that is not so old; False where another process makes it anew."""
        with self._run(target, root, limits.MAKING, old=old) as run:
            end = self._call(run, mock_config.init_arguments(target, self._places(target), run.unique), log)
            if old == 0 and end.exit_code == mock_config.BUSY:
                return False
            if end.exit_code != 0:
                raise self._own_failure(run, end) or CommandFailed(f"mock ended with code {end.exit_code}")
            return True

    def make_source(
        self, target: Target, plan: SourcePlan, archive: Path, results: Path, log: Path
    ) -> tuple[Path, ...]:
        """Have mock make the source package of the spec, the archive and the rest of the packaging."""
        places = self._places(target)
        with self._run(target, self._buildroot(target), target.limits) as run:
            spec = _lay_out(plan, archive, run.input / "sources")
            sources = places.scratch / "input/sources"
            arguments = mock_config.source_arguments(
                target, places, run.unique, spec=sources / spec, sources=sources, epoch=plan.source_date_epoch
            )
            end = self._timed(run, arguments, log)
            if end.exit_code != 0:
                raise self._failure(run, end) or SourceInvalid(
                    f"the source package of {plan.archive_prefix} cannot be made"
                )
            return _collect(run, results)

    def prepare(self, target: Target, requirements: Sequence[str], trunk: Trunk | None, log: Path) -> PreparedRoot:
        """Nothing yet: mock installs build dependencies when it builds."""
        del requirements, log
        return PreparedRoot(target=target, trunk=trunk)

    def build(
        self, root: PreparedRoot, plan: BuildPlan, source: Sequence[Path], results: Path, log: Path, keep: Path | None
    ) -> tuple[Path, ...]:
        """Have mock install the build dependencies and build, the latter without network."""
        target, places = root.target, self._places(root.target)
        with self._run(target, self._buildroot(target), target.limits, trunk=root.trunk, keep=keep) as run:
            for path in source:
                shutil.copyfile(path, run.input / path.name)
            (package,) = [places.scratch / "input" / path.name for path in source if path.name.endswith(".src.rpm")]
            arguments = mock_config.build_arguments(
                target,
                places,
                run.unique,
                source=package,
                epoch=plan.source_date_epoch,
                trunk=root.trunk is not None,
                keep=keep is not None,
            )
            end = self._timed(run, arguments, log)
            if end.exit_code != 0:
                raise self._failure(run, end) or BuildFailed(f"the build failed with code {end.exit_code}")
            # mock leaves the source package that it was given, too; the stages have it already.
            for path in run.results.glob("*.src.rpm"):
                path.unlink()
            return _collect(run, results)

    def check_install(
        self, target: Target, packages: Sequence[Path], requirements: Sequence[str], trunk: Trunk | None, log: Path
    ) -> None:
        """Have mock make a root with the dependencies; what runs scripts of the packages has less power than mock."""
        for requirement in requirements:
            if requirement.startswith("-"):
                raise not_installable(target, BuildDependencyMissing(f"{requirement} is no requirement"))
        with self._run(target, self._base_root(target), target.limits, trunk=trunk) as run:
            folder = run.input / "packages"
            folder.mkdir()
            for path in packages:
                shutil.copyfile(path, folder / path.name)
            arguments = mock_config.install_arguments(
                target, self._places(target), run.unique, requirements=requirements, trunk=trunk is not None
            )
            end = self._timed(run, arguments, log, install=True)
            if end.exit_code != 0:
                raise limits.exceeded(target, end) or self._install_failure(run, end)

    def shell(self, target: Target, keep: Path, argv: Sequence[str]) -> int:
        """Run a command on the terminal in the root that `build` kept, as the user of the build."""
        configuration, name = keep / KEPT_CONFIGURATION, keep / KEPT_NAME
        if not configuration.exists():
            raise UnknownName("the root of this build was not kept", hint="build it again with --keep-root, or --shell")
        root = Root(name=target.name, text=configuration.read_text())
        with self._run(target, root, target.limits, keep=keep) as run:
            arguments = mock_config.shell_arguments(target, self._places(target), name.read_text(), argv)
            return self._tools.attach(self._tool_call(run, arguments, terminal=True))

    def _places(self, target: Target) -> Places:
        return Places(scratch=self._tools.scratch(), cache=self._tools.cache(f"mock-{target.name}"))

    def _buildroot(self, target: Target) -> Root:
        return self._root(target, base=False)

    def _base_root(self, target: Target) -> Root:
        return self._root(target, base=True)

    def _root(self, target: Target, *, base: bool) -> Root:
        places = self._places(target)
        make = mock_config.base_root if base else mock_config.buildroot
        trunk = self._dnf.trunk_repository(places.trunk.as_uri())
        return make(target, self._dnf.repositories(target), trunk, places, self._max_age)

    @contextmanager
    def _run(
        self,
        target: Target,
        root: Root,
        limits: Limits,
        *,
        trunk: Trunk | None = None,
        keep: Path | None = None,
        old: float | None = None,
    ) -> Iterator[Run]:
        with self._jobs.folder() as job:
            run = Run(target=target, root=root, limits=limits, job=job, trunk=trunk, keep=keep, old=old)
            run.input.mkdir()
            run.results.mkdir(parents=True)
            configuration = run.input / mock_config.CONFIGURATION
            configuration.write_text(root.text)
            # mock makes roots anew that are older than their configuration. The name tells configurations apart.
            os.utime(configuration, (0, 0))
            if trunk is not None:
                _show_trunk(trunk, run.input / "trunk")
            yield run

    def _timed(self, run: Run, arguments: Sequence[str], log: Path, *, install: bool = False) -> ToolEnd:
        try:
            return self._call(run, arguments, log, install=install)
        except CommandTimedOut as error:
            raise limits.timed_out(run.target) from error

    def _call(self, run: Run, arguments: Sequence[str], log: Path, *, install: bool = False) -> ToolEnd:
        if run.keep is not None:
            run.keep.mkdir(parents=True)
            (run.keep / KEPT_CONFIGURATION).write_text(run.root.text)
            (run.keep / KEPT_NAME).write_text(run.unique)
        return self._tools.run(self._tool_call(run, arguments, enter=install), log)

    def _tool_call(
        self, run: Run, arguments: Sequence[str], *, terminal: bool = False, enter: bool = False
    ) -> ToolCall:
        places = self._places(run.target)
        minutes = "" if run.old is None else str(math.ceil(run.old / 60))
        config = run.target.mock.config or ""
        root = str(places.base / f"{run.root.name}-{run.unique}" / "root") if enter else ""
        return ToolCall(
            argv=(
                *("/bin/sh", "-c", SCRIPT.read_text(), "mock.sh", self._user, str(places.scratch)),
                *(str(places.root_cache(run.root.name)), str(run.input), "" if terminal else str(run.output)),
                *("" if run.keep is None else str(run.keep), minutes, root, str(mock_config.INSTALLER), *arguments),
            ),
            limits=run.limits,
            reads=(
                *(run.input, mock_config.PLUGINS, *self._dnf.local_paths(run.target)),
                *((Path(config),) if config.startswith("/") else ()),
                *((run.trunk.folder,) if run.trunk else ()),
            ),
            writes=(run.output, *((run.keep,) if run.keep else ())),
            network=not terminal,
        )

    def _failure(self, run: Run, end: ToolEnd) -> ConveyorError | None:
        return limits.exceeded(run.target, end) or self._own_failure(run, end)

    def _own_failure(self, run: Run, end: ToolEnd) -> ConveyorError | None:
        return mock_log.own_failure(
            run.target.name,
            end.exit_code,
            run.lines("root.log"),
            run.lines("state.log"),
            lambda lines: self._dnf.failure(run.target, lines),
        )

    def _install_failure(self, run: Run, end: ToolEnd) -> ConveyorError:
        """Once the packages themselves are installed, their scripts run: what they print decides no more than words."""
        said = run.lines("install.log")
        if said:
            return not_installable(run.target, self._dnf.failure(run.target, said))
        error = self._own_failure(run, end) or CommandFailed(f"mock ended with code {end.exit_code}")
        return not_installable(run.target, error) if isinstance(error, BuildDependencyMissing) else error


def _lay_out(plan: SourcePlan, archive: Path, folder: Path) -> str:
    """Lay out what a source package is made of, with the times that the format's own script gives; returns the spec."""
    folder.mkdir()
    shutil.copyfile(archive, folder / plan.archive)
    for file in plan.files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        path.chmod(0o755 if file.executable else 0o644)
    for path in folder.iterdir():
        os.utime(path, (plan.source_date_epoch, plan.source_date_epoch))
    (spec,) = [file.path for file in plan.files if file.path.endswith(".spec") and "/" not in file.path]
    return spec


def _show_trunk(trunk: Trunk, folder: Path) -> None:
    """A folder like the snapshot's, of which only the pool is elsewhere."""
    shutil.copytree(trunk.folder / trunk.snapshot / "repodata", folder / "repodata")
    (folder / "pool").symlink_to(trunk.folder / "pool")


def _collect(run: Run, results: Path) -> tuple[Path, ...]:
    """Copy the packages, which are regular files, to where they are expected."""
    for path in sorted(run.results.iterdir()):
        if path.is_file() and not path.is_symlink():
            shutil.copyfile(path, results / path.name)
    return tuple(sorted(results.iterdir()))
