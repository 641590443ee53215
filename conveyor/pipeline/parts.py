"""What the stages work with, put together by the wiring."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from conveyor.model.commit import History
from conveyor.model.package import VersionScheme
from conveyor.model.target import BuilderKind, Format
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
