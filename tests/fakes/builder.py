"""The port Builder for tests of the pipeline: carries out the recipes of the fake toolchain, in no root at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from conveyor.errors import (
    BuildDependencyMissing,
    BuildFailed,
    LimitExceeded,
    NotInstallable,
    SourceInvalid,
    UnknownName,
)
from conveyor.model.target import Target
from conveyor.ports import BuildPlan, InstalledPackage, PreparedRoot, SourcePlan, Trunk
from tests.fakes.toolchain import RECIPE, steps


class FakeBuilder:
    """See `conveyor.ports.Builder`.

    Attributes:
        available: packages that requirements can name.
        calls: the methods that were called, in order.
        trunks: the trunk of each call of `prepare`.
        hooks: by a method's name, what it does first: tests raise errors there.
        versions: what is installed of packages; "1" of the others.
    """

    def __init__(self, available: Sequence[str] = ()) -> None:
        self.available = set(available)
        self.calls: list[str] = []
        self.trunks: list[Trunk | None] = []
        self.hooks: dict[str, Callable[[], None]] = {}
        self.versions: dict[str, str] = {}

    def bootstrap(self, target: Target, log: Path) -> None:
        del target, log
        self._called("bootstrap")

    def make_source(
        self, target: Target, plan: SourcePlan, archive: Path, results: Path, log: Path
    ) -> tuple[Path, ...]:
        del target
        self._called("make_source")
        if any(word == "broken" for word, _ in steps(plan.script)):
            _say(log, "recipe: it is broken")
            raise SourceInvalid(f"the source package of {plan.archive_prefix} cannot be made")
        (results / RECIPE).write_bytes(plan.script)
        (results / plan.archive).write_bytes(archive.read_bytes())
        return tuple(sorted(results.iterdir()))

    def prepare(self, target: Target, requirements: Sequence[str], trunk: Trunk | None, log: Path) -> PreparedRoot:
        del log
        self._called("prepare")
        self.trunks.append(trunk)
        missing = self._missing(requirements)
        if missing:
            raise BuildDependencyMissing(f"a dependency cannot be satisfied on {target.name}", cause=missing)
        packages = tuple(
            InstalledPackage(name=name, version=self.versions.get(name, "1"), architecture="all")
            for name in sorted(requirements)
        )
        return PreparedRoot(target=target, layers=("top", "base"), packages=packages)

    def build(
        self, root: PreparedRoot, plan: BuildPlan, source: Sequence[Path], results: Path, log: Path, keep: Path | None
    ) -> tuple[Path, ...]:
        self._called("build")
        if keep is not None:
            keep.mkdir(parents=True)
            (keep / "changed").write_text("by the build")
        recipe = list(steps(next(path for path in source if path.name == RECIPE).read_bytes()))
        depends = "".join(f"depends {rest}\n" for word, rest in recipe if word == "depends")
        for word, rest in recipe:
            self._step(root, word, rest, log)
            if word in {"make", "smuggle"}:
                name, _, content = rest.replace("{version}", plan.arguments[0]).partition(" ")
                (results / name).write_text(f"{content}\n{depends}")
        return tuple(sorted(results.iterdir()))

    def check_install(
        self, target: Target, packages: Sequence[Path], requirements: Sequence[str], trunk: Trunk | None, log: Path
    ) -> None:
        del packages, trunk, log
        self._called("check_install")
        missing = self._missing(requirements)
        if missing:
            raise NotInstallable(f"the packages cannot be installed on {target.name}", cause=missing)

    def shell(self, target: Target, keep: Path, argv: Sequence[str]) -> int:
        del target
        self._called("shell")
        if not keep.exists():
            raise UnknownName("the root of this build was not kept")
        return len(argv)

    def _step(self, root: PreparedRoot, word: str, rest: str, log: Path) -> None:
        if word == "say":
            _say(log, rest)
        if word == "sleep" and float(rest) > root.target.limits.seconds:
            raise LimitExceeded(f"it took longer than {root.target.limits.seconds} s and was killed")
        if word == "exit":
            raise BuildFailed(f"the build failed with code {rest}")

    def _missing(self, requirements: Sequence[str]) -> str:
        missing = sorted(set(requirements) - self.available)
        return f"{missing[0]}: no repository of the target has it" if missing else ""

    def _called(self, method: str) -> None:
        self.calls.append(method)
        self.hooks.get(method, lambda: None)()


def _say(log: Path, line: str) -> None:
    with log.open("a") as file:
        file.write(f"{line}\n")
