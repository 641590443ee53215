"""A builder for each target: its tool may run on the host, or in an image of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from conveyor.model.target import Target
from conveyor.ports import Builder, BuildPlan, PreparedRoot, SourcePlan, Trunk


class PerTarget:
    """The port Builder by builders that each serve one target.

    Args:
        make: makes the builder of a target, when it is first needed.
    """

    def __init__(self, make: Callable[[Target], Builder]) -> None:
        self._make = make
        self._made: dict[str, Builder] = {}

    def bootstrap(self, target: Target, log: Path) -> None:
        """Have ready what every build of the target starts from."""
        self._of(target).bootstrap(target, log)

    def make_source(
        self, target: Target, plan: SourcePlan, archive: Path, results: Path, log: Path
    ) -> tuple[Path, ...]:
        """Make the source package."""
        return self._of(target).make_source(target, plan, archive, results, log)

    def prepare(self, target: Target, requirements: Sequence[str], trunk: Trunk | None, log: Path) -> PreparedRoot:
        """Have a root ready."""
        return self._of(target).prepare(target, requirements, trunk, log)

    def build(
        self, root: PreparedRoot, plan: BuildPlan, source: Sequence[Path], results: Path, log: Path, keep: Path | None
    ) -> tuple[Path, ...]:
        """Build."""
        return self._of(root.target).build(root, plan, source, results, log, keep)

    def check_install(
        self, target: Target, packages: Sequence[Path], requirements: Sequence[str], trunk: Trunk | None, log: Path
    ) -> None:
        """Install packages in a fresh root."""
        self._of(target).check_install(target, packages, requirements, trunk, log)

    def shell(self, target: Target, keep: Path, argv: Sequence[str]) -> int:
        """Run a command in a root that was kept."""
        return self._of(target).shell(target, keep, argv)

    def _of(self, target: Target) -> Builder:
        if target.name not in self._made:
            self._made[target.name] = self._make(target)
        return self._made[target.name]
