"""Roots out of layers: a base, what every buildroot holds, and what one build asks for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from conveyor.buildroot import limits
from conveyor.buildroot.jobs import Jobs
from conveyor.buildroot.layers import LayerStore, Resolution, Stack, hash_of
from conveyor.buildroot.sandbox import Bind, Call, Finished, Sandbox
from conveyor.command import last_lines, run
from conveyor.errors import CommandFailed, CommandTimedOut, ConveyorError, Fault
from conveyor.model.target import Format, Limits, Target
from conveyor.ports import InstalledPackage, PackageManager, Place, RootCommand, Trunk

# Making a layer is the distribution's work, not the package's: it has limits of its own, far from any real use.
MAKING = Limits(seconds=3600, memory=8 * 1024**3, disk=16 * 1024**3, processes=4096)
IN_NAMESPACES = ("setpriv", "--pdeathsig", "KILL", "--", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a step of a package manager runs on.

    Attributes:
        target: whose root it is.
        layers: the layers below.
        upper: folder that keeps what the step writes; None for a throw-away layer.
        trunk: the repository of earlier builds.
        packages: package files that the step sees.
    """

    target: Target
    layers: tuple[str, ...]
    upper: Path | None
    trunk: Trunk | None = None
    packages: tuple[Path, ...] = ()


class Roots:
    """Makes and finds the layers for a target.

    Args:
        store: where layers are kept.
        sandbox: runs the package managers.
        jobs: temporary folders on the file system of the layers.
        managers: the package manager of each format.
        base_max_age: seconds after which a base is made anew when it is next asked for.
        now: gives seconds since the epoch.
    """

    def __init__(
        self,
        *,
        store: LayerStore,
        sandbox: Sandbox,
        jobs: Jobs,
        managers: Mapping[Format, PackageManager],
        base_max_age: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._sandbox = sandbox
        self._jobs = jobs
        self._managers = managers
        self._base_max_age = base_max_age
        self._now = now

    def base(self, target: Target, log: Path) -> Stack:
        """The smallest root of a target."""
        key = hash_of([repr((target.origin, target.architecture, target.base_packages))])
        stack = self._fresh_base(key)
        if stack is None:
            with self._store.making(target.name):
                stack = self._fresh_base(key) or self._make_base(target, key, log)
        return stack

    def buildroot(self, target: Target, log: Path) -> Stack:
        """The base and what every buildroot of the target holds."""
        return self.satisfy(target, self.base(target, log), target.build_packages, None, log)

    def satisfy(
        self, target: Target, below: Stack, requirements: Sequence[str], trunk: Trunk | None, log: Path
    ) -> Stack:
        """A stack that satisfies the requirements, without running a package manager when they were met before.

        Raises:
            BuildDependencyMissing: a requirement cannot be satisfied.
            MirrorUnreachable: the packages cannot be fetched.
        """
        if not requirements:
            return below
        key = hash_of([*below.layers, *sorted(requirements)])
        stack = self._known(key, below, trunk)
        if stack is None:
            with self._store.making(target.name):
                stack = self._known(key, below, trunk) or self._make(target, below, requirements, trunk, log)
                names = frozenset(package.name for package in stack.packages)
                resolution = Resolution(layer=stack.layers[0], names=names, trunk=trunk_hash(trunk, names))
                self._store.remember(key, resolution)
        return stack

    def install_files(self, target: Target, below: Stack, files: Sequence[Path], log: Path) -> None:
        """Install package files in a throw-away layer, with the limits of a build: their scripts run.

        Raises:
            BuildDependencyMissing: they lack a dependency.
            LimitExceeded: they used more than their target allows.
            CommandFailed: they cannot be installed for another reason, such as a failing script of theirs.
        """
        setting = Setting(target=target, layers=below.layers, upper=None, packages=tuple(files))
        for step in self._managers[target.format].install_files(target, [file.name for file in files]):
            start = log.stat().st_size if log.exists() else 0
            finished = self._run_untrusted(step, setting, log)
            if finished.exit_code != 0:
                failure = self._managers[target.format].failure(target, last_lines(log, start))
                raise limits.exceeded(target, finished) or _packages_own(failure)

    def known(self, layers: Sequence[str]) -> bool:
        """Whether all of these layers are there."""
        return self._store.load(layers) is not None

    def _fresh_base(self, key: str) -> Stack | None:
        found = self._store.base(key)
        if found is None or self._now() - found[1] > self._base_max_age:
            return None
        return self._store.load([found[0]])

    def _make_base(self, target: Target, key: str, log: Path) -> Stack:
        steps = self._managers[target.format].bootstrap(target)
        stack = self._make_layer(steps, Setting(target=target, layers=(), upper=None), log)
        self._store.set_base(key, stack.layers[0], self._now())
        return stack

    def _make(self, target: Target, below: Stack, requirements: Sequence[str], trunk: Trunk | None, log: Path) -> Stack:
        steps = self._managers[target.format].install(target, requirements, trunk)
        return self._make_layer(steps, Setting(target=target, layers=below.layers, upper=None, trunk=trunk), log)

    def _make_layer(self, steps: Iterable[RootCommand], base: Setting, log: Path) -> Stack:
        with self._jobs.folder() as job:
            root = job / "root"
            root.mkdir()
            setting = Setting(target=base.target, layers=base.layers, upper=root, trunk=base.trunk)
            self._run_all(steps, setting, log)
            packages = self._installed(setting)
            salt = trunk_hash(base.trunk, frozenset(package.name for package in packages))
            return self._store.add(root, base.layers, packages, salt)

    def _installed(self, setting: Setting) -> tuple[InstalledPackage, ...]:
        manager = self._managers[setting.target.format]
        step = manager.list_installed(setting.target)
        with self._jobs.folder() as job:
            finished = self._sandbox.run(_call(step, setting, self._shown(step, setting, job)))
        if finished.exit_code != 0:
            raise manager.failure(setting.target, finished.output.splitlines())
        return manager.parse_installed(finished.output)

    def _run_all(self, steps: Iterable[RootCommand], setting: Setting, log: Path) -> None:
        for step in steps:
            start = log.stat().st_size if log.exists() else 0
            if self._run(step, setting, log) != 0:
                raise self._managers[setting.target.format].failure(setting.target, last_lines(log, start))

    def _run(self, step: RootCommand, setting: Setting, log: Path) -> int:
        with log.open("ab") as file, self._jobs.folder() as job:
            if step.place is Place.HOST:
                argv = [argument.replace("{root}", str(setting.upper)) for argument in step.argv]
                return run(
                    [*IN_NAMESPACES, *argv], env={"TMPDIR": str(job)}, timeout=MAKING.seconds, log=file, check=False
                ).returncode
            try:
                return self._sandbox.run(_call(step, setting, self._shown(step, setting, job)), file).exit_code
            except CommandTimedOut:
                file.write(b"conveyor: the package manager took too long: timed out\n")
                return 1

    def _run_untrusted(self, step: RootCommand, setting: Setting, log: Path) -> Finished:
        with log.open("ab") as file, self._jobs.folder() as job:
            call = _call(step, setting, self._shown(step, setting, job))
            try:
                return self._sandbox.run(replace(call, limits=setting.target.limits), file)
            except CommandTimedOut as error:
                raise limits.timed_out(setting.target) from error

    def _known(self, key: str, below: Stack, trunk: Trunk | None) -> Stack | None:
        found = self._store.resolution(key)
        if found is None or found.trunk != trunk_hash(trunk, found.names):
            return None
        return self._store.load([found.layer, *below.layers])

    def _shown(self, step: RootCommand, setting: Setting, job: Path) -> tuple[Bind, ...]:
        """Lay out /conveyor in a folder, and say what is bound where."""
        top = job / "conveyor"
        for name in ("cache", "trunk", "packages"):
            (top / name).mkdir(parents=True)
        for path, text in step.files.items():
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            (top / path).write_text(text)
        binds = [Bind(source=top, target="/conveyor")]
        if not setting.packages:
            cache = self._store.cache(setting.target.name)
            binds.append(Bind(source=cache, target="/conveyor/cache", writable=True))
        if setting.trunk is not None:
            binds.append(Bind(source=setting.trunk.folder, target="/conveyor/trunk"))
        for package in setting.packages:
            (top / "packages" / package.name).touch()
            binds.append(Bind(source=package, target=f"/conveyor/packages/{package.name}"))
        return (*binds, *(Bind(source=path, target=str(path)) for path in step.shared))


def trunk_hash(trunk: Trunk | None, names: frozenset[str]) -> str:
    """What the trunk offers under these names: an answer stays right while it does not change.

    A trunk package with a name that no part of the answer has can only matter by providing or conflicting with
    something in it; it is then taken up when the base is renewed.
    """
    binaries = trunk.binaries if trunk else ()
    return hash_of(sorted(f"{binary.name} {binary.sha256}" for binary in binaries if binary.name in names))


def _packages_own(failure: ConveyorError) -> ConveyorError:
    """What the log of installing packages tells, with the fault left to them.

    There was no network, and the sandbox itself tells of a full disk: scripts that speak of these may say anything.
    """
    if failure.fault is Fault.PACKAGE:
        return failure
    return CommandFailed(failure.what, cause=failure.cause, details=failure.details)


def _call(step: RootCommand, setting: Setting, binds: tuple[Bind, ...]) -> Call:
    return Call(
        argv=step.argv,
        layers=setting.layers,
        limits=MAKING,
        upper=setting.upper,
        privileged=True,
        host_tools=step.place is Place.HOST_TOOLS,
        network=step.network,
        binds=binds,
        environment=step.environment,
    )
