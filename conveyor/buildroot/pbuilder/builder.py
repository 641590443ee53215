"""The builder of those who want exactly pbuilder: its base tarball, its way to install and build.

A run is given a folder, the order, and leaves what comes of it in another: `results`, and `state`, where empty files
tell how far it came. What it says is in the log. The root that it works in ends with it.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from conveyor.buildroot import limits
from conveyor.buildroot.isolation.enter import collect
from conveyor.buildroot.jobs import Jobs
from conveyor.buildroot.outcome import not_installable
from conveyor.buildroot.pbuilder import configuration as config
from conveyor.buildroot.pbuilder.configuration import Configuration, Places
from conveyor.buildroot.tools.toolhost import ToolCall, ToolEnd, ToolHost
from conveyor.errors import (
    BuildFailed,
    CommandFailed,
    CommandTimedOut,
    ConveyorError,
    DiskFull,
    LimitExceeded,
    MirrorUnreachable,
    SandboxUnusable,
    SourceInvalid,
    UnknownName,
    UserError,
)
from conveyor.model.health import Program
from conveyor.model.target import DebianSuite, Limits, Target
from conveyor.ports import BuildPlan, PreparedRoot, SourcePlan, Trunk

SCRIPTS = Path(__file__).with_name("scripts")
PROGRAMS = (
    Program(name="pbuilder", package="pbuilder"),
    Program(name="mmdebstrap", package="mmdebstrap"),
    Program(name="zstd", package="zstd"),
    # Without it pbuilder cannot take the network from a build.
    Program(name="ip", package="iproute2"),
)
# What a run may use beyond the build's own limits: the root lies in the same file system, and installing what a build
# needs takes time.
ROOT_ROOM = 4 * 1024**3  # bytes
PREPARING = 30 * 60  # seconds
KEPT = "root"
FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~_-]*")
# What pbuilder and our scripts say before the package managers' own words.
STAGES = ("I: Installing the build-deps", "I: Installing the packages")


class Apt(Protocol):
    """What a builder must know of apt."""

    def mirror(self, target: Target) -> str:
        """URL of the target's mirror."""

    def bootstrap_options(self, target: Target) -> tuple[str, ...]:
        """The options of mmdebstrap for the smallest root."""

    def repositories(self, target: Target) -> str:
        """The target's further repositories as a .sources file."""

    def local_paths(self, target: Target) -> tuple[Path, ...]:
        """Further repositories of the target that lie on this machine."""

    def settings(self, trunk: Trunk | None) -> Mapping[str, str]:
        """Files by path below /etc/apt; the trunk's tree is at /conveyor/trunk."""

    def failure(self, target: Target, log: Sequence[str]) -> ConveyorError:
        """What the output of a failed package manager tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a run is given.

    Attributes:
        target: whose root it works in.
        job: folder for it on this machine.
        limits: what it may use.
        trunk: the repository of earlier builds.
        keep: folder that keeps the root.
        variables: what the build finds in its environment.
    """

    target: Target
    job: Path
    limits: Limits
    trunk: Trunk | None = None
    keep: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """What the run sees, read-only."""
        return self.job / "order"

    @property
    def input(self) -> Path:
        """The package's files."""
        return self.folder / "input"

    @property
    def out(self) -> Path:
        """What comes out of it."""
        return self.job / "out"

    def reached(self, state: str) -> bool:
        """Whether it came that far."""
        return (self.out / "state" / state).exists()


class PbuilderBuilder:
    """The port Builder on pbuilder.

    Args:
        tools: runs pbuilder.
        jobs: temporary folders.
        apt: what is to be known of apt.
        uid: the user id that builds run as; no account of the machine may have it.
        base_max_age: seconds after which a base is made anew when a build begins.
        now: gives seconds since the epoch.
    """

    def __init__(
        self,
        *,
        tools: ToolHost,
        jobs: Jobs,
        apt: Apt,
        uid: int,
        base_max_age: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._tools = tools
        self._jobs = jobs
        self._apt = apt
        self._uid = uid
        self._base_max_age = base_max_age
        self._now = now
        self._ready: set[tuple[str, str]] = set()

    def bootstrap(self, target: Target, log: Path) -> None:
        """Have the base ready, made by `pbuilder create`."""
        self._make_base(target, log, oldest=self._now() - self._base_max_age, wait=True)

    def refresh(self, target: Target, log: Path) -> bool:
        """Make the base anew; False where another process is at it."""
        return self._make_base(target, log, oldest=self._now(), wait=False)

    def current(self, target: Target) -> frozenset[str]:
        """The names in the target's cache that its builds use as it is configured now."""
        return frozenset({config.base_name(target), config.ARCHIVES})

    def _make_base(self, target: Target, log: Path, *, oldest: float, wait: bool) -> bool:
        name = config.base_name(target)
        with self._order(target, limits.MAKING) as order:
            places = self._places(order)
            (order.folder / "repositories.sources").write_text(self._apt.repositories(target))
            settings = config.creation(
                _suite(target),
                self._apt.mirror(target),
                self._apt.bootstrap_options(target),
                target.build_packages,
                places,
            )
            self._configure(order, settings)
            unused = self._now() - self._base_max_age
            argv = config.base_argv(places, name, oldest=oldest, unused=unused, wait=wait)
            end, said = self._run(order, argv, log, network=True)
        if end.exit_code == config.BUSY and not wait:
            return False
        if end.exit_code != 0:
            raise self._apt.failure(target, said)
        self._ready.add((target.name, name))
        return True

    def make_source(
        self, target: Target, plan: SourcePlan, archive: Path, results: Path, log: Path
    ) -> tuple[Path, ...]:
        """Make the source package by `pbuilder execute`, without network and unprivileged."""
        base = self._base(target, log)
        with self._order(target, _with_root(target.limits)) as order:
            shutil.copyfile(archive, order.input / plan.archive)
            for file in plan.files:
                path = order.input / "packaging" / file.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(file.content)
                path.chmod(0o755 if file.executable else 0o644)
            (order.folder / "script.sh").write_bytes(plan.script)
            self._configure(order)
            argv = config.source_argv(self._places(order), base, plan.arguments)
            end, _ = self._run_on_base(order, argv, log, network=False)
            if end.exit_code == 0:
                return _collected(order, results)
            _check_started(order, end)
            raise _limit(order, end) or SourceInvalid(f"the source package of {plan.archive_prefix} cannot be made")

    def prepare(self, target: Target, requirements: Sequence[str], trunk: Trunk | None, log: Path) -> PreparedRoot:
        """Have the base ready: pbuilder installs build dependencies as the first part of a build."""
        del requirements
        self._base(target, log)
        return PreparedRoot(target=target, trunk=trunk)

    def build(
        self, root: PreparedRoot, plan: BuildPlan, source: Sequence[Path], results: Path, log: Path, keep: Path | None
    ) -> tuple[Path, ...]:
        """Build by `pbuilder build`. Its plan's script is pbuilder's part; the plan's argument is SOURCE_DATE_EPOCH."""
        target = root.target
        base = self._base(target, log)
        dsc = _dsc(source)
        with self._order(target, _with_root(target.limits)) as prepared:
            variables = config.build_variables(plan.arguments[0], os.cpu_count() or 1)
            order = replace(prepared, trunk=root.trunk, keep=keep, variables=variables)
            for path in source:
                shutil.copyfile(path, order.input / path.name)
            if keep is not None:
                keep.mkdir(mode=0o700, parents=True)
            self._configure(order)
            argv = config.build_argv(self._places(order), base, dsc)
            end, said = self._run_on_base(order, argv, log, network=True)
            if end.exit_code == 0 and order.reached("built"):
                return _collected(order, results)
            raise self._build_failure(order, end, said)

    def check_install(
        self, target: Target, packages: Sequence[Path], requirements: Sequence[str], trunk: Trunk | None, log: Path
    ) -> None:
        """Install by apt and dpkg in `pbuilder execute`, on the root from before build packages were added."""
        base = self._base(target, log)
        with self._order(target, limits.MAKING) as prepared:
            order = replace(prepared, trunk=trunk)
            for path in packages:
                shutil.copyfile(path, order.input / path.name)
            self._configure(order)
            argv = config.install_argv(self._places(order), base, requirements)
            end, said = self._run_on_base(order, argv, log, network=True)
            if end.exit_code == 0:
                return
            _check_started(order, end)
            error = self._apt.failure(target, said)
            # Once packages are installed, their scripts may print anything.
            theirs = order.reached("installing") and not isinstance(error, DiskFull)
            if theirs or not isinstance(error, (CommandFailed, DiskFull, MirrorUnreachable)):
                raise not_installable(target, error) from error
            raise error

    def shell(self, target: Target, keep: Path, argv: Sequence[str]) -> int:
        """Run a command by `pbuilder execute` in the root that `build` kept, without network and unprivileged."""
        if not (keep / KEPT).is_dir():
            raise UnknownName("the root of this build was not kept", hint="build it again with --keep-root, or --shell")
        with self._order(target, _with_root(target.limits)) as prepared:
            order = replace(prepared, keep=keep)
            self._configure(order, {"LOGLEVEL": "E"})
            return self._attach(order, config.shell_argv(self._places(order), argv), "build it again with --shell")

    def visit(self, target: Target, argv: Sequence[str], log: Path, *, as_root: bool) -> int:
        """Run a command by `pbuilder execute` in a new root, without network, unprivileged if not said otherwise."""
        base = self._base(target, log)
        with self._order(target, _with_root(target.limits)) as order:
            self._configure(order, {"LOGLEVEL": "E"})
            command = config.visit_argv(self._places(order), base, argv, as_root=as_root)
            return self._attach(order, command, "'conveyor doctor' tells what this machine lacks")

    def _attach(self, order: Order, argv: Sequence[str], hint: str) -> int:
        """Run a script on the caller's terminal that leaves the exit code of the person's command."""
        call = self._call(order, argv, network=False)
        self._tools.attach(replace(call, environment={**call.environment, "TERM": "xterm"}))
        code = order.out / "state/code"
        if not code.exists():
            raise SandboxUnusable("the root could not be entered", hint=hint)
        return int(code.read_text())

    def _base(self, target: Target, log: Path) -> str:
        """The name of the target's base, which is there."""
        name = config.base_name(target)
        if (target.name, name) not in self._ready:
            self.bootstrap(target, log)
        return name

    @contextmanager
    def _order(self, target: Target, allowed: Limits) -> Iterator[Order]:
        with self._jobs.folder() as job:
            order = Order(target=target, job=job, limits=allowed)
            shutil.copytree(SCRIPTS, order.folder / "bin", ignore=shutil.ignore_patterns("hooks"))
            shutil.copytree(SCRIPTS / "hooks", order.folder / "hooks")
            for script in order.folder.rglob("*.sh"):
                script.chmod(0o755)
            for name in ("input", "etc", "conf"):
                (order.folder / name).mkdir()
            order.out.mkdir(mode=0o700)
            for name in ("results", "state"):
                (order.out / name).mkdir()
            yield order

    def _places(self, order: Order) -> Places:
        scratch = self._tools.scratch()
        return Places(
            order=order.folder,
            out=order.out,
            root=(order.keep or scratch) / KEPT,
            scratch=scratch,
            cache=self._tools.cache(f"pbuilder-{order.target.name}"),
        )

    def _configure(self, order: Order, settings: Mapping[str, str | Sequence[str]] | None = None) -> None:
        """Write all but the package's files."""
        places = self._places(order)
        target = order.target
        binds = {
            places.order: "/conveyor/in",
            places.out: "/conveyor/out",
            places.cache / config.ARCHIVES: "/conveyor/archives",
        }
        binds |= {path: str(path) for path in self._apt.local_paths(target)}
        if order.trunk is not None:
            binds[order.trunk.folder] = "/conveyor/trunk"
        for path in (*binds, places.root, places.scratch):
            if config.SEPARATORS.search(str(path)):
                raise UserError(
                    f"pbuilder cannot work with the path {path}",
                    cause="it holds a blank or a colon",
                    hint="choose another 'data_dir', or 'builder: overlay' for the target",
                )
        told = Configuration(
            places=places, uid=self._uid, binds=binds, variables=order.variables, settings=settings or {}
        )
        files = {
            "pbuilderrc": config.configuration(told),
            "unmount": "IGNORE_UMOUNT=\n",
            "etc/pbuilderrc": "",
            "conf/hostname": "build\n",
            "conf/mailname": "build\n",
            "uid": f"{self._uid}\n",
            "seconds": f"{target.limits.seconds}\n",
            **{f"apt/{name}": text for name, text in self._apt.settings(order.trunk).items()},
        }
        for name, text in files.items():
            path = order.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def _call(self, order: Order, argv: Sequence[str], *, network: bool) -> ToolCall:
        reads = [order.folder, *self._apt.local_paths(order.target)]
        if order.trunk is not None:
            reads.append(order.trunk.folder)
        writes = [order.out] if order.keep is None else [order.out, order.keep]
        return ToolCall(
            argv=tuple(argv),
            limits=order.limits,
            reads=tuple(reads),
            writes=tuple(writes),
            network=network,
            environment=config.environment(self._places(order)),
        )

    def _run_on_base(self, order: Order, argv: Sequence[str], log: Path, *, network: bool) -> tuple[ToolEnd, list[str]]:
        """Run a script that unpacks the base, which may have been removed since it was found."""
        end, said = self._run(order, argv, log, network=network)
        if end.exit_code != config.GONE or order.reached("unpacked"):
            return end, said
        self.bootstrap(order.target, log)
        return self._run(order, argv, log, network=network)

    def _run(self, order: Order, argv: Sequence[str], log: Path, *, network: bool) -> tuple[ToolEnd, list[str]]:
        """Run a script; returns how it ended, and what was said from the last stage on."""
        start = log.stat().st_size if log.exists() else 0
        try:
            end = self._tools.run(self._call(order, argv, network=network), log)
        except CommandTimedOut as error:
            raise limits.timed_out(order.target) from error
        with log.open("rb") as file:
            file.seek(start)
            said = file.read().decode("utf-8", "replace").splitlines()
        begin = max((number for number, line in enumerate(said) if line in STAGES), default=0)
        return end, said[begin:]

    def _build_failure(self, order: Order, end: ToolEnd, said: Sequence[str]) -> ConveyorError:
        _check_started(order, end)
        limit = _limit(order, end)
        if limit is not None:
            return limit
        if order.reached("collecting"):
            return CommandFailed("the results of the build could not be collected", details=said[-20:])
        if order.reached("building"):
            return BuildFailed(f"the build failed with code {end.exit_code}")
        # Nothing of the package has run so far: what was said is the package manager's.
        if order.reached("dependencies"):
            return self._apt.failure(order.target, said)
        return BuildFailed("the source package cannot be unpacked", details=said[-20:])


def _with_root(allowed: Limits) -> Limits:
    return replace(allowed, seconds=allowed.seconds + PREPARING, disk=allowed.disk + ROOT_ROOM)


def _suite(target: Target) -> DebianSuite:
    if not isinstance(target.origin, DebianSuite):
        raise TypeError(f"{target.name} is no deb target")
    return target.origin


def _dsc(source: Sequence[Path]) -> str:
    """The name of the .dsc, which pbuilder can be trusted to read.

    Raises:
        SourceInvalid: a file's name is none of a source package, or the .dsc names files that are not there: pbuilder
            would copy them from wherever they are.
    """
    names = {path.name for path in source}
    described = [path for path in source if path.name.endswith(".dsc")]
    if len(described) != 1 or not all(map(FILENAME.fullmatch, names)):
        raise SourceInvalid("the source package has not exactly one .dsc, or a file with a name that none may have")
    strange = sorted(set(config.listed_files(described[0].read_bytes())) - names)
    if strange:
        raise SourceInvalid(f"{described[0].name} names a file that is not there", cause=repr(strange[0]))
    return described[0].name


def _check_started(order: Order, end: ToolEnd) -> None:
    """Raise what has kept a run from beginning with the package."""
    if order.reached("unpacked"):
        return
    raise _limit(order, end) or CommandFailed(
        f"the base of {order.target.name} could not be unpacked",
        cause=f"code {end.exit_code}",
        hint="the log has the tools' own words; 'conveyor doctor' tells what this machine lacks",
    )


def _limit(order: Order, end: ToolEnd) -> LimitExceeded | None:
    return limits.timed_out(order.target) if order.reached("time") else limits.exceeded(order.target, end)


def _collected(order: Order, results: Path) -> tuple[Path, ...]:
    """Copy the regular files that came out.

    Raises:
        LimitExceeded: they are larger than the target's disk limit.
    """
    if not collect(order.out / "results", results, order.target.limits.disk):
        for path in results.iterdir():
            path.unlink()
        full = ToolEnd(exit_code=0, disk_full=True, out_of_memory=False, out_of_processes=False)
        error = limits.exceeded(order.target, full)
        if error is not None:
            raise error
    return tuple(sorted(results.iterdir()))
