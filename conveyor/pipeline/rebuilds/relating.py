"""What packaging declares, brought into the store: which packages are built with which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from conveyor.errors import ConveyorError
from conveyor.model.commit import Commit
from conveyor.model.package import Package
from conveyor.model.packaging import PackagingFile
from conveyor.model.queue import Relations
from conveyor.model.target import Format, Target
from conveyor.pipeline.parts import Parts
from conveyor.pipeline.render import render
from conveyor.ports import Queue, Toolchain


class Declarations:
    """Records what rendered packaging declares.

    Args:
        queue: where that is recorded.
        toolchains: what reads it, by format.
    """

    def __init__(self, queue: Queue, toolchains: Mapping[Format, Toolchain]) -> None:
        self._queue = queue
        self._toolchains = toolchains
        self._known: set[tuple[str, str]] = set()

    def record_first(self, package: Package, target: Target, files: Sequence[PackagingFile]) -> None:
        """Record what a package declares unless that is known: an older commit's must not replace a newer one's."""
        if (target.name, package.name) in self._known:
            return
        self._known.update((target.name, name) for name in self._queue.relations(target.name))
        if (target.name, package.name) not in self._known:
            relations = self._toolchains[target.format].relations(files)
            self._queue.set_relations(target.name, package.name, relations)
            self._known.add((target.name, package.name))


class Foresight:
    """Tells what commits declare before they are built, so that they are built in the right order the first time.

    Args:
        parts: renders packaging. Nothing of it is run.
        targets: the targets, by name.
    """

    def __init__(self, parts: Parts, targets: Mapping[str, Target]) -> None:
        self._parts = parts
        self._targets = targets

    def foresee(self, package: Package, commit: Commit) -> dict[str, Relations]:
        """What a commit declares, by target. Packaging that has mistakes declares nothing: its build tells them."""
        found: dict[str, Relations] = {}
        for name in package.targets:
            target = self._targets[name]
            with suppress(ConveyorError):
                files = render(self._parts, package, target, commit).files
                found[name] = self._parts.toolchains[target.format].relations(files)
        return found
