"""The overlay builder: warm layers below, one throw-away layer for each build."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from conveyor.buildroot import limits
from conveyor.buildroot.isolation.sandbox import SCRIPT, Bind, Call, Finished, Sandbox
from conveyor.buildroot.jobs import Jobs
from conveyor.buildroot.outcome import not_installable
from conveyor.buildroot.overlay.compilations import Compilations
from conveyor.buildroot.overlay.roots import Roots
from conveyor.errors import (
    BuildDependencyMissing,
    BuildFailed,
    CommandFailed,
    CommandTimedOut,
    SourceInvalid,
    UnknownName,
)
from conveyor.model.target import Target
from conveyor.ports import BuildPlan, InstalledPackage, PreparedRoot, SourcePlan, Trunk

ENVIRONMENT = {"HOME": "/build/home", "RESULTS": "/build/results", "TERM": "dumb", "USER": "build", "LOGNAME": "build"}

KEPT = "root.json"


class OverlayBuilder:
    """The port Builder on overlayfs layers.

    Args:
        roots: makes and finds layers.
        sandbox: runs scripts in them.
        jobs: temporary folders.
        compilations: what compilers made, for the targets that want it kept.
    """

    def __init__(self, *, roots: Roots, sandbox: Sandbox, jobs: Jobs, compilations: Compilations | None = None) -> None:
        self._compilations = compilations
        self._roots = roots
        self._sandbox = sandbox
        self._jobs = jobs

    def bootstrap(self, target: Target, log: Path) -> None:
        """Have the base and the layer of common build packages ready."""
        self._roots.buildroot(target, log)

    def make_source(
        self, target: Target, plan: SourcePlan, archive: Path, results: Path, log: Path
    ) -> tuple[Path, ...]:
        """Make the source package in the target's buildroot."""
        stack = self._roots.buildroot(target, log)
        with self._jobs.folder() as job:
            files = job / "input"
            packaging = files / "packaging"
            packaging.mkdir(parents=True)
            shutil.copyfile(archive, files / plan.archive)
            for file in plan.files:
                path = packaging / file.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(file.content)
                path.chmod(0o755 if file.executable else 0o644)
            finished = self._run_script(target, stack.layers, plan.script, plan.arguments, files, results, log, job)
        if finished.exit_code != 0:
            raise limits.exceeded(target, finished) or SourceInvalid(
                f"the source package of {plan.archive_prefix} cannot be made"
            )
        return tuple(sorted(results.iterdir()))

    def prepare(self, target: Target, requirements: Sequence[str], trunk: Trunk | None, log: Path) -> PreparedRoot:
        """Have the layers ready that satisfy the build dependencies."""
        below = self._roots.buildroot(target, log)
        stack = self._roots.satisfy(target, below, requirements, trunk, log)
        return PreparedRoot(
            target=target,
            layers=stack.layers,
            packages=stack.packages,
            trunk=trunk,
            ready=not (below.made or stack.made),
            lease=stack.lease,
        )

    def recreate(
        self, target: Target, packages: Sequence[InstalledPackage], trunk: Trunk | None, log: Path
    ) -> PreparedRoot | None:
        """See Recreator."""
        stack = self._roots.exactly(target, packages, trunk, log)
        if stack is None:
            return None
        return PreparedRoot(target=target, layers=stack.layers, packages=stack.packages, trunk=trunk, lease=stack.lease)

    def build(
        self, root: PreparedRoot, plan: BuildPlan, source: Sequence[Path], results: Path, log: Path, keep: Path | None
    ) -> tuple[Path, ...]:
        """Build in a throw-away layer, without network and unprivileged."""
        with self._jobs.folder() as job:
            files = job / "input"
            files.mkdir()
            for path in source:
                shutil.copyfile(path, files / path.name)
            kept = self._compilations if root.target.ccache and plan.package else None
            binds = kept.shown(root.target.name, plan.package, job) if kept else ()
            finished = self._run_script(
                root.target, root.layers, plan.script, plan.arguments, files, results, log, job, keep, binds
            )
        if finished.exit_code != 0:
            raise limits.exceeded(root.target, finished) or BuildFailed(
                f"the build failed with code {finished.exit_code}"
            )
        if kept:
            kept.take(root.target.name, plan.package, results)
        return tuple(sorted(results.iterdir()))

    def check_install(
        self, target: Target, packages: Sequence[Path], requirements: Sequence[str], trunk: Trunk | None, log: Path
    ) -> None:
        """Install on the smallest root, so that nothing of a buildroot hides a missing dependency."""
        base = self._roots.base(target, log)
        try:
            # Here nothing of the package runs: what fails for another reason than a dependency is not its fault.
            stack = self._roots.satisfy(target, base, requirements, trunk, log)
        except BuildDependencyMissing as error:
            raise not_installable(target, error) from error
        try:
            self._roots.install_files(target, stack, packages, log)
        except (BuildDependencyMissing, CommandFailed) as error:
            raise not_installable(target, error) from error

    def shell(self, target: Target, keep: Path, argv: Sequence[str]) -> int:
        """Run a command on the terminal in the root that `build` kept."""
        record = keep / KEPT
        if not record.exists():
            raise UnknownName("the root of this build was not kept", hint="build it again with --keep-root, or --shell")
        layers = json.loads(record.read_text())["layers"]
        stack = self._roots.load(layers)
        if stack is None:
            raise UnknownName("the layers below the kept root are gone", hint="build it again with --shell")
        environment = {**ENVIRONMENT, "TERM": "xterm"}
        return self._sandbox.attach(
            Call(
                argv=tuple(argv),
                layers=stack.layers,
                limits=target.limits,
                upper=keep / "upper",
                environment=environment,
            )
        )

    def _run_script(
        self,
        target: Target,
        layers: tuple[str, ...],
        script: bytes,
        arguments: tuple[str, ...],
        files: Path,
        results: Path,
        log: Path,
        job: Path,
        keep: Path | None = None,
        wrapped: tuple[Bind, ...] = (),
    ) -> Finished:
        script_file = job / "script.sh"
        script_file.write_bytes(script)
        if keep is not None:
            (keep / "upper").mkdir(parents=True)
            (keep / KEPT).write_text(json.dumps({"layers": layers}))
        call = Call(
            argv=("/bin/sh", *(bind.target for bind in wrapped[:1]), SCRIPT, *arguments),
            layers=layers,
            limits=target.limits,
            upper=None if keep is None else keep / "upper",
            binds=(Bind(source=script_file, target=SCRIPT), *wrapped),
            input=files,
            results=results,
            environment=ENVIRONMENT,
        )
        with log.open("ab") as file:
            try:
                return self._sandbox.run(call, file)
            except CommandTimedOut as error:
                raise limits.timed_out(target) from error
