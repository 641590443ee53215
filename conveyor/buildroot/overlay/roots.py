"""Roots out of layers: a base, what every buildroot holds, and what one build asks for."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from conveyor.buildroot import limits
from conveyor.buildroot.isolation.sandbox import Bind, Call, Finished, Sandbox
from conveyor.buildroot.jobs import Jobs
from conveyor.buildroot.overlay import images
from conveyor.buildroot.overlay.images import Images
from conveyor.buildroot.overlay.layers import LayerStore, Offer, Purpose, Resolution, Stack, hash_of, salt_of
from conveyor.buildroot.overlay.nearest import Start, after, nearest
from conveyor.buildroot.stock import StockKind
from conveyor.command import last_lines, run
from conveyor.errors import (
    BuildDependencyMissing,
    CommandFailed,
    CommandTimedOut,
    ConveyorError,
    Fault,
    MirrorUnreachable,
    UserError,
)
from conveyor.model.target import Format, Target
from conveyor.ports import Changes, InstalledPackage, PackageManager, Place, RootCommand, Trunk

# A base that is so many times as old as one should be is not used any more. Until then a build takes it as it is, and
# it is made anew aside.
TOO_OLD = 4
NOT_OF_THE_FORMAT = "it must be of the target's distribution; for RPMs, 'database' says where it has its packages"
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
        fetching: the layers that steps with the network run on instead, where something of a build is in the others.
    """

    target: Target
    layers: tuple[str, ...]
    upper: Path | None
    trunk: Trunk | None = None
    packages: tuple[Path, ...] = ()
    fetching: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a stack is to hold.

    Attributes:
        target: whose it is.
        below: what it stands on.
        requirements: what it satisfies.
        trunk: the repository of earlier builds.
        kind: what its layers are listed as.
    """

    target: Target
    below: Stack
    requirements: tuple[str, ...]
    trunk: Trunk | None
    kind: StockKind

    def setting(self, below: Stack) -> Setting:
        """What a package manager's step runs on, on top of these layers."""
        return Setting(target=self.target, layers=below.layers, upper=None, trunk=self.trunk)


class Roots:
    """Makes and finds the layers for a target.

    Args:
        store: where layers are kept.
        sandbox: runs the package managers.
        jobs: temporary folders on the file system of the layers.
        managers: the package manager of each format.
        base_max_age: seconds after which a base should be made anew.
        base_images: the images that bases come from.
        make_room: called after layers were made.
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
        base_images: Images | None = None,
        make_room: Callable[[], object] = lambda: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._sandbox = sandbox
        self._jobs = jobs
        self._managers = managers
        self._base_max_age = base_max_age
        self._images = base_images or Images()
        self._make_room = make_room
        self._now = now

    def base(self, target: Target, log: Path) -> Stack:
        """The smallest root of a target. One that is due is used all the same, until it is far too old."""
        stack = self._usable_base(target)
        if stack is None:
            with self._store.making(target.name):
                stack = self._usable_base(target)
                if stack is None:
                    stack = replace(self._make_base(target, log), made=True)
                    self._store.set_base(self._base_key(target), stack.layers[0], self._now())
            self._make_room()
        return stack

    def known_base(self, target: Target) -> tuple[str, float] | None:
        """Id of the target's base layer, which may be gone, and when it was made; None where there is none yet.

        Raises:
            UserError: the image that it comes from is not there.
        """
        return self._store.base(self._base_key(target))

    def is_due(self, target: Target) -> bool:
        """Whether there is a base, and it should be made anew."""
        found = self.known_base(target)
        return found is not None and self._now() - found[1] > self._base_max_age

    def refresh(self, target: Target, log: Path) -> bool:
        """Make the base and the layer of common build packages anew, aside; False where another process is at it.

        Builds go on with the old ones meanwhile, and get the new ones once both are there.

        Raises:
            MirrorUnreachable: the packages cannot be fetched.
        """
        with self._store.alone(f"{target.name}.refreshing") as held:
            if not held:
                return False
            began = self._now()
            with self._downloads(target):
                base = self._make_base(target, log)
            self._satisfy(target, base, _build_packages(target), None, log, since=began, kind=StockKind.BUILD_PACKAGES)
            self._store.set_base(self._base_key(target), base.layers[0], began)
        self._make_room()
        return True

    def buildroot(self, target: Target, log: Path) -> Stack:
        """The base and what every buildroot of the target holds."""
        base = self.base(target, log)
        stack = self._satisfy(
            target,
            base,
            _build_packages(target),
            None,
            log,
            since=self._since(target, base),
            kind=StockKind.BUILD_PACKAGES,
        )
        return replace(stack, made=stack.made or base.made)

    def satisfy(
        self, target: Target, below: Stack, requirements: Sequence[str], trunk: Trunk | None, log: Path
    ) -> Stack:
        """A stack that satisfies the requirements, without running a package manager when they were met before.

        Raises:
            BuildDependencyMissing: a requirement cannot be satisfied.
            MirrorUnreachable: the packages cannot be fetched.
        """
        since = self._since(target, below)
        return self._satisfy(target, below, requirements, trunk, log, since=since, kind=StockKind.DEPENDENCIES)

    def _satisfy(
        self,
        target: Target,
        below: Stack,
        requirements: Sequence[str],
        trunk: Trunk | None,
        log: Path,
        *,
        since: float,
        kind: StockKind,
    ) -> Stack:
        if not requirements:
            return below
        key = hash_of([*below.layers, *sorted(requirements)])
        stack = self._known(key, trunk, since)
        if stack is None:
            with self._store.making(target.name):
                stack = self._known(key, trunk, since)
                if stack is None:
                    began = self._now()
                    wish = Wish(target=target, below=below, requirements=tuple(requirements), trunk=trunk, kind=kind)
                    stack = self._make(wish, log)
                    names = frozenset(package.name for package in stack.packages)
                    resolution = Resolution(
                        layers=stack.layers, names=names, trunk=trunk_hash(trunk, names), made_at=began
                    )
                    self._store.remember(key, resolution)
            self._make_room()
        return stack

    def exactly(
        self, target: Target, packages: Collection[InstalledPackage], trunk: Trunk | None, log: Path
    ) -> Stack | None:
        """A stack with just these packages: ready layers, or some with what is missing installed; None without one.

        Mirrors drop versions, and a package manager removes nothing here, so an old root cannot always be had again.
        """
        wanted = frozenset(packages)
        # For what stands on an earlier base, too.
        self.buildroot(target, log)
        offer = offered(trunk, {package.name for package in wanted})
        # What was not written down of an old layer is nothing, where there is nothing that could have been in it.
        known = [layer for layer in self._store.known() if layer.trunk is not None or not offer]
        layers = [replace(layer, trunk=layer.trunk or {}) for layer in known]
        start = nearest(layers, wanted, offer)
        ready = self._store.load(start.layers) if start is not None else None
        if start is None or ready is None or not start.missing:
            return ready
        base = replace(ready, layers=ready.layers[-1:])
        names = tuple(package.name for package in start.missing)
        wish = Wish(target=target, below=base, requirements=names, trunk=trunk, kind=StockKind.DEPENDENCIES)
        with self._store.making(target.name):
            try:
                # Not for the answer: what repositories hold now must be known before versions are asked of them.
                self._resolve(wish, log)
                stack = self._extend(wish, ready, start, log)
            except MirrorUnreachable as error:
                _tell(log, f"the packages of the recorded root cannot be fetched: {error.summary}")
                return None
        self._make_room()
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

    def load(self, layers: Sequence[str]) -> Stack | None:
        """The stack of these layers, used from now on; None when one of them is gone."""
        return self._store.load(layers)

    def _usable_base(self, target: Target) -> Stack | None:
        found = self.known_base(target)
        if found is None or self._now() - found[1] > TOO_OLD * self._base_max_age:
            return None
        return self._store.load([found[0]])

    def _since(self, target: Target, stack: Stack) -> float:
        """When the base of a stack was made: what was resolved before does not know the distribution's new packages."""
        found = self.known_base(target)
        return found[1] if found is not None and found[0] == stack.layers[-1] else 0.0

    def _base_key(self, target: Target) -> str:
        return base_key(target, self._images.identity(target.base_image) if target.base_image else "")

    @contextmanager
    def _downloads(self, target: Target) -> Iterator[None]:
        """Have the target's downloads alone, where making a base needs them: nobody makes layers meanwhile."""
        if target.base_image is not None or all(
            step.place is Place.HOST for step in self._managers[target.format].bootstrap(target)
        ):
            yield
        else:
            with self._store.making(target.name):
                yield

    def _make_base(self, target: Target, log: Path) -> Stack:
        if target.base_image is not None:
            return self._unpack_base(target, target.base_image, log)
        steps = self._managers[target.format].bootstrap(target)
        return self._make_layer(steps, Setting(target=target, layers=(), upper=None), StockKind.BASE, log)

    def _unpack_base(self, target: Target, image: str, log: Path) -> Stack:
        """A base out of an image, with the target's base packages on top."""
        manager = self._managers[target.format]
        identity = self._images.identity(image)
        with self._jobs.folder() as job:
            root = job / "root"
            root.mkdir()
            setting = Setting(target=target, layers=(), upper=root)
            start = log.stat().st_size if log.exists() else 0
            if self._run(images.unpack(image), setting, log) != 0:
                raise images.failure(image, last_lines(log, start))
            if target.base_packages:
                self._run_all(manager.install(target, target.base_packages, None), setting, log)
            packages = self._installed(setting)
            if not packages:
                raise UserError(f"the image {image} holds no {target.format} packages", hint=NOT_OF_THE_FORMAT)
            return self._add(setting, packages, StockKind.BASE, identity)

    def _make(self, wish: Wish, log: Path) -> Stack:
        """Layers that hold what a package manager installs from scratch: ready ones, or as little more as possible."""
        start = self._start(wish, log)
        if start is not None:
            ready = self._store.load(start.layers)
            if ready is not None and not start.missing:
                return ready
            stack = None if ready is None else self._extend(wish, ready, start, log)
            if stack is not None:
                return replace(stack, made=True)
        steps = self._managers[wish.target.format].install(wish.target, wish.requirements, wish.trunk)
        return replace(self._make_layer(steps, wish.setting(wish.below), wish.kind, log), made=True)

    def _start(self, wish: Wish, log: Path) -> Start | None:
        """Which layers can be built upon. The package manager is asked only where there are any on the same ones."""
        below = wish.below.layers
        layers = [layer for layer in self._store.known() if layer.below[-len(below) :] == below]
        changes = self._resolve(wish, log) if layers else None
        if changes is None:
            return None
        wanted = after(wish.below.packages, changes)
        return nearest(layers, wanted, offered(wish.trunk, {package.name for package in wanted}))

    def _resolve(self, wish: Wish, log: Path) -> Changes | None:
        """What the package manager would change; None where it cannot be told, for whatever reason."""
        manager = self._managers[wish.target.format]
        *first, last = manager.resolve(wish.target, wish.requirements, wish.trunk)
        with self._jobs.folder() as job:
            root = job / "root"
            root.mkdir()
            setting = replace(wish.setting(wish.below), upper=root)
            self._run_all(first, setting, log)
            with self._jobs.folder() as files:
                finished = self._sandbox.run(_call(last, setting, self._shown(last, setting, files)))
        with log.open("a") as file:
            file.write(finished.output)
        return manager.parse_changes(finished.output)

    def _extend(self, wish: Wish, ready: Stack, start: Start, log: Path) -> Stack | None:
        """Install what is missing on ready layers; None where that does not give what was wanted."""
        steps = self._managers[wish.target.format].install_exactly(wish.target, start.missing, wish.trunk)
        replaced = {package.name for package in start.missing}
        wanted = {package for package in ready.packages if package.name not in replaced} | {*start.missing}
        try:
            # What was built may be in these layers, and have hooks in the package manager's way: not in those below.
            fetching = None if ready.layers == wish.below.layers else wish.below.layers
            setting = replace(wish.setting(ready), fetching=fetching)
            with self._filled(steps, setting, log) as (setting, packages):
                if {*packages} == wanted:
                    return self._add(setting, packages, wish.kind)
                cause = "other packages would be in it"
        except (BuildDependencyMissing, CommandFailed) as error:
            cause = error.summary
        _tell(log, f"ready layers cannot be used, new ones are made: {cause}")
        return None

    def _make_layer(self, steps: Iterable[RootCommand], base: Setting, kind: StockKind, log: Path) -> Stack:
        with self._filled(steps, base, log) as (setting, packages):
            return self._add(setting, packages, kind)

    @contextmanager
    def _filled(
        self, steps: Iterable[RootCommand], base: Setting, log: Path
    ) -> Iterator[tuple[Setting, tuple[InstalledPackage, ...]]]:
        """Run steps in a new upper folder; gives the setting with it, and what is installed then."""
        with self._jobs.folder() as job:
            root = job / "root"
            root.mkdir()
            setting = replace(base, upper=root)
            self._run_all(steps, setting, log)
            yield setting, self._installed(setting)

    def _add(self, setting: Setting, packages: tuple[InstalledPackage, ...], kind: StockKind, image: str = "") -> Stack:
        if setting.upper is None:
            raise AssertionError("a throw-away layer cannot be kept")
        trunk = offered(setting.trunk, {package.name for package in packages})
        purpose = Purpose(target=setting.target.name, kind=kind)
        return self._store.add(setting.upper, setting.layers, packages, trunk, purpose, image)

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
        if step.network and setting.fetching is not None:
            setting = replace(setting, layers=setting.fetching, upper=None)
        with log.open("ab") as file, self._jobs.folder() as job:
            if step.place is Place.HOST:
                _write(step.files, job)
                places = {"{root}": str(setting.upper), "{files}": str(job)}
                argv = [_filled(argument, places) for argument in step.argv]
                return run(
                    [*IN_NAMESPACES, *argv],
                    env={"TMPDIR": str(job)},
                    timeout=limits.MAKING.seconds,
                    log=file,
                    check=False,
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

    def _known(self, key: str, trunk: Trunk | None, since: float) -> Stack | None:
        found = self._store.resolution(key)
        if found is None or found.made_at < since or found.trunk != trunk_hash(trunk, found.names):
            return None
        return self._store.load(found.layers)

    def _shown(self, step: RootCommand, setting: Setting, job: Path) -> tuple[Bind, ...]:
        """Lay out /conveyor in a folder, and say what is bound where."""
        top = job / "conveyor"
        for name in ("cache", "trunk", "packages"):
            (top / name).mkdir(parents=True)
        _write(step.files, top)
        binds = [Bind(source=top, target="/conveyor")]
        if not setting.packages:
            cache = self._store.cache(setting.target.name)
            # What is installed has scripts, and every later build reads this: only what downloads may write to it.
            binds.append(Bind(source=cache, target="/conveyor/cache", writable=step.network))
        if setting.trunk is not None:
            binds.append(Bind(source=setting.trunk.folder, target="/conveyor/trunk"))
        for package in setting.packages:
            (top / "packages" / package.name).touch()
            binds.append(Bind(source=package, target=f"/conveyor/packages/{package.name}"))
        return (*binds, *(Bind(source=path, target=str(path)) for path in step.shared))


def _tell(log: Path, line: str) -> None:
    with log.open("a") as file:
        file.write(f"conveyor: {line}\n")


def base_key(target: Target, image: str = "") -> str:
    """What tells bases apart: targets with the same one share it. `image` is the identity of the one it comes from."""
    words = [repr((target.origin, target.architecture, target.base_packages))]
    return hash_of([*words, image] if image else words)


def _build_packages(target: Target) -> tuple[str, ...]:
    return (*target.build_packages, *(("ccache",) if target.ccache else ()))


def offered(trunk: Trunk | None, names: Collection[str]) -> Offer:
    """What the trunk offers under these names."""
    hashes: dict[str, list[str]] = {}
    for binary in trunk.binaries if trunk else ():
        if binary.name in names:
            hashes.setdefault(binary.name, []).append(binary.sha256)
    return {name: " ".join(sorted(found)) for name, found in sorted(hashes.items())}


def trunk_hash(trunk: Trunk | None, names: frozenset[str]) -> str:
    """What the trunk offers under these names: an answer stays right while it does not change.

    A trunk package with a name that no part of the answer has can only matter by providing or conflicting with
    something in it; it is then taken up when the base is renewed.
    """
    return salt_of(offered(trunk, names))


def _packages_own(failure: ConveyorError) -> ConveyorError:
    """What the log of installing packages tells, with the fault left to them.

    There was no network, and the sandbox itself tells of a full disk: scripts that speak of these may say anything.
    """
    if failure.fault is Fault.PACKAGE:
        return failure
    return CommandFailed(failure.what, cause=failure.cause, details=failure.details)


def _write(files: Mapping[str, str], folder: Path) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def _filled(argument: str, places: Mapping[str, str]) -> str:
    for name, path in places.items():
        argument = argument.replace(name, path)
    return argument


def _call(step: RootCommand, setting: Setting, binds: tuple[Bind, ...]) -> Call:
    return Call(
        argv=step.argv,
        layers=setting.layers,
        limits=limits.MAKING,
        upper=setting.upper,
        privileged=True,
        host_tools=step.place is Place.HOST_TOOLS,
        network=step.network,
        binds=binds,
        environment=step.environment,
    )
