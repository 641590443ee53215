"""A Conveyor of the bench's own, whose commits are new each time."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.site import Site
from bench.upstream import Upstreams
from conveyor.cli.progress import SilentProgress
from conveyor.config import load_repos, load_settings
from conveyor.errors import ConveyorError
from conveyor.model.artifact import ArtifactKind
from conveyor.model.build import Build, Outcome, Stage
from conveyor.model.target import Target
from conveyor.pipeline.poll import Wanted
from conveyor.wiring import Conveyor, open_conveyor

UPSTREAM_URLS = "https://opendev.org/"
# What a buildroot is found by: new ones of these are forgotten together.
LAYER_FOLDERS = ("layers", "resolutions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One build.

    Attributes:
        build: the build.
        seconds: from its place in the queue to its published snapshot, the install check left out.
        stages: seconds of each stage, the install check among them.
        source: the files of its source package, in the pool.
    """

    build: Build
    seconds: float
    stages: dict[str, float]
    source: tuple[Path, ...]


class Workshop:
    """A data directory of its own, and upstreams that get a commit for each build.

    Args:
        project: the project's folder.
        cache: keeps all of it between runs.
        builders: names of targets, and the builder that each is also to have.
        data: name of the data directory in the cache.

    Attributes:
        conveyor: the Conveyor.
        site: its repos.yaml and packaging.
        environment: the variables that make a `conveyor` of the command line the same one.
    """

    def __init__(self, project: Path, cache: Path, builders: Mapping[str, str], data: str = "data") -> None:
        self._again = (project, cache, builders)
        self._data = cache / data
        self._upstreams = Upstreams(project=project, releases=project / ".cache/upstreams", clones=cache / "upstreams")
        self.site = Site(project, cache / "site", builders)
        self.environment = {
            "CONVEYOR_DATA_DIR": str(self._data),
            "CONVEYOR_REPOS": str(self.site.repos),
            "CONVEYOR_SIGNING_UNSIGNED": "true",
            "CONVEYOR_REWRITES": json.dumps({UPSTREAM_URLS: f"{self._upstreams.clones.as_uri()}/"}),
        }
        settings = load_settings(None, self.environment)
        repos = load_repos(settings.repos, limits=settings.limits)
        self.conveyor: Conveyor = open_conveyor(settings, repos, SilentProgress())
        self.conveyor.recovery.run()

    def close(self) -> None:
        """Let go of what it holds."""
        self.conveyor.close()

    def commit(self, package: str) -> str:
        """Sha of a new commit of a package's upstream."""
        return self._upstreams.commit(package)

    def build(self, target: Target, package: str) -> Made:
        """Build and publish a new commit.

        Raises:
            ConveyorError: the build did not succeed.
        """
        self.commit(package)
        entry = self.conveyor.repos.package(package)
        commit = self.conveyor.poll.find(entry, Wanted())
        started = time.monotonic()
        build = self.conveyor.orders.build(entry, target, commit, keep_root=False).build
        seconds = time.monotonic() - started
        if build.outcome is not Outcome.SUCCEEDED:
            cause = build.cause.summary if build.cause else ""
            raise ConveyorError(f"{package} could not be built for {target.name}", cause=cause)
        stages = {each.stage.value: each.seconds for each in build.stages}
        return Made(
            build=build,
            seconds=seconds - stages.get(Stage.INSTALL, 0.0),
            stages=stages,
            source=self.source_files(build),
        )

    def build_first(self, target: Target, package: str) -> Made:
        """The same where nothing has ever been built: no root, no layer, nothing downloaded."""
        project, cache, builders = self._again
        data, kept = cache / "empty", cache / "empty-source"
        for folder in (data, kept):
            shutil.rmtree(folder, ignore_errors=True)
        kept.mkdir()
        fresh = Workshop(project, cache, builders, data=data.name)
        try:
            made = fresh.build(target, package)
            return replace(made, source=tuple(Path(shutil.copy(path, kept)) for path in made.source))
        finally:
            fresh.close()
            shutil.rmtree(data)

    def clone(self, package: str) -> Path:
        """The clone of a package's upstream that commits are added to."""
        return self._upstreams.clone(package)

    def packaging(self, build: Build) -> Path:
        """Folder with the packaging of a build, as it was rendered."""
        return self.conveyor.parts.builds / str(build.id) / str(build.attempt) / "packaging"

    def newest(self, target: Target, package: str) -> Build:
        """The newest build of a package."""
        return self.conveyor.parts.store.builds(package=package, target=target.name, limit=1)[0]

    def source_files(self, build: Build) -> tuple[Path, ...]:
        """The files of the source package that a build made, in the pool."""
        entry = self.conveyor.parts.store.entry(build.id)
        made = (artifact for artifact in entry.artifacts if artifact.kind is not ArtifactKind.BINARY)
        return tuple(self.conveyor.tree.artifact_path(build.target, artifact) for artifact in made)

    @contextmanager
    def forgetting_layers(self) -> Iterator[None]:
        """Layers that are made meanwhile are deleted at the end, so that they have to be made again."""
        before = self._layer_paths()
        try:
            yield
        finally:
            for path in self._layer_paths() - before:
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()

    def _layer_paths(self) -> set[Path]:
        return {path for name in LAYER_FOLDERS for path in (self._data / "buildroots" / name).glob("*")}
