"""A Conveyor of the bench's own, whose builds are warm and new each time."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from bench.upstream import Upstream
from conveyor.cli.progress import SilentProgress
from conveyor.config import load_repos, load_settings
from conveyor.errors import ConveyorError
from conveyor.model.build import Build, Outcome, Stage
from conveyor.model.target import Target
from conveyor.pipeline.poll import Wanted
from conveyor.wiring import open_conveyor

PACKAGE = "oslo.utils"
UPSTREAM_URLS = "https://opendev.org/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Warm:
    """One warm build.

    Attributes:
        build: the build.
        seconds: from its place in the queue to its published snapshot, the install check left out.
        stages: seconds of each stage, the install check among them.
    """

    build: Build
    seconds: float
    stages: dict[str, float]


class Workshop:
    """A data directory of its own, and an upstream that gets a commit for each build.

    Args:
        project: the project's folder.
        cache: keeps all of it between runs.

    Attributes:
        conveyor: the Conveyor; the caller closes its store.
    """

    def __init__(self, project: Path, cache: Path) -> None:
        self._upstream = Upstream(
            project=project, releases=project / ".cache/upstreams", clones=cache / "upstreams", name=PACKAGE
        )
        variables = {
            "CONVEYOR_DATA_DIR": str(cache / "data"),
            "CONVEYOR_REPOS": str(project / "repos.yaml"),
            "CONVEYOR_REWRITES": json.dumps({UPSTREAM_URLS: f"{self._upstream.clones.as_uri()}/"}),
        }
        settings = load_settings(None, variables)
        repos = load_repos(settings.repos, limits=settings.limits)
        self.conveyor = open_conveyor(settings, repos, SilentProgress())

    def build(self, target: Target) -> Warm:
        """Build and publish a new commit.

        Raises:
            ConveyorError: the build did not succeed.
        """
        self._upstream.commit()
        package = self.conveyor.repos.package(PACKAGE)
        commit = self.conveyor.poll.find(package, Wanted())
        started = time.monotonic()
        build = self.conveyor.orders.build(package, target, commit, keep_root=False).build
        seconds = time.monotonic() - started
        if build.outcome is not Outcome.SUCCEEDED:
            cause = build.cause.summary if build.cause else ""
            raise ConveyorError(f"{PACKAGE} could not be built for {target.name}", cause=cause)
        stages = {each.stage.value: each.seconds for each in build.stages}
        return Warm(build=build, seconds=seconds - stages.get(Stage.INSTALL, 0.0), stages=stages)
