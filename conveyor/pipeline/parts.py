"""What the stages work with, put together by the wiring."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from conveyor.model.commit import History
from conveyor.model.package import Package, VersionScheme
from conveyor.model.packaging import PackagingFile
from conveyor.model.target import BuilderKind, Format, Target
from conveyor.model.version import SchemeVersion
from conveyor.ports import (
    Builder,
    Clock,
    Describer,
    Git,
    PackagingSource,
    Progress,
    Renderer,
    Repository,
    Store,
    Toolchain,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The implementations behind the ports.

    Attributes:
        git: upstream mirrors.
        packaging: where templates come from.
        upstream_version: the version that a scheme makes of a history.
        renderer: turns templates into packaging.
        toolchains: what is particular to each format.
        describers: tells what packages of each format are.
        builders: what runs builds.
        repository: the published tree.
        store: what happened.
        clock: the time.
        progress: hears of stages.
        configured: names of the packages that are built for each target, by its name.
        builds: folder with a folder for each attempt: log, packaging, results.
        declared: hears what packaging was rendered for a package and target.
        lacking: what a package is built without for now on a target, by name: what it needs of its circle and is not
            there yet.
    """

    git: Git
    packaging: PackagingSource
    upstream_version: Callable[[History, VersionScheme], SchemeVersion]
    renderer: Renderer
    toolchains: Mapping[Format, Toolchain]
    describers: Mapping[Format, Describer]
    builders: Mapping[BuilderKind, Builder]
    repository: Repository
    store: Store
    clock: Clock
    progress: Progress
    configured: Mapping[str, Collection[str]]
    builds: Path
    declared: Callable[[Package, Target, Sequence[PackagingFile]], None] = lambda *_: None
    lacking: Callable[[Package, str], tuple[str, ...]] = lambda *_: ()
