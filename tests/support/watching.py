"""A site whose packages are watched: upstreams and packaging of the test's own, and a store in memory."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from conveyor.model.build import Build, Outcome, State
from conveyor.model.event import Event, EventKind
from conveyor.model.package import Following, Package, PackagingFolder, PackagingRepository, VersionScheme
from conveyor.model.queue import Priority, Relations
from conveyor.model.watch import Polling
from conveyor.pipeline.polling.watching import Watched, Watcher
from conveyor.ports import Events, Git, PackagingSource, Queue, Store, Watch
from conveyor.upstream.tags import package_of, version_of_tag
from tests.fakes.clock import FakeClock
from tests.fakes.git import FakeGit, FakeUpstream
from tests.fakes.packaging import FakePackaging
from tests.fakes.queue import MemoryQueue
from tests.fakes.store import MemoryStore
from tests.fakes.store_samples import claim
from tests.fakes.watch import MemoryWatch

DEB, RPM = "debian-13-amd64", "centos-10-x86_64"
POLLING = Polling(interval=300, at_once=4, per_host=2, retry_start=60, retry_limit=3600)
EVERY_COMMIT = Following()
LATER = timedelta(seconds=2 * POLLING.interval)
LONG_AFTER = timedelta(seconds=3 * POLLING.retry_limit)


def url_of(name: str) -> str:
    """Where a package's upstream is, in tests that have no server."""
    return f"https://git.example.org/{name}"


def package(
    name: str = "nova",
    *,
    url: str = "",
    branch: str = "master",
    packaging: PackagingRepository | PackagingFolder | None = None,
    targets: Sequence[str] = (DEB,),
    following: Following = EVERY_COMMIT,
) -> Package:
    """A package."""
    return Package(
        name=name,
        distribution=name,
        upstream=url or url_of(name),
        branch=branch,
        packaging=packaging or PackagingFolder(path=Path("/specs") / name),
        archetype=None,
        targets=tuple(targets),
        version_scheme=VersionScheme.PBR,
        maintainers=(),
        component="common",
        following=following,
    )


class Kept(Protocol):
    """What outlives a process."""

    @property
    def store(self) -> Store: ...

    @property
    def queue(self) -> Queue: ...

    @property
    def watch(self) -> Watch: ...

    @property
    def events(self) -> Events: ...


class InMemory:
    """The ports of a store, in memory."""

    def __init__(self, clock: FakeClock) -> None:
        self.store = MemoryStore(clock.now)
        self.watch = MemoryWatch()
        self.queue = MemoryQueue(self.store, self.watch)
        self.events = self.store.events


class Site:
    """What is watched, and by whom.

    Args:
        packages: the packages.
        git: the mirrors.
        packaging: where templates come from.
        kept: the store.
        clock: the time.
        polling: how often and how gently.
    """

    def __init__(
        self,
        packages: Sequence[Package],
        git: Git,
        packaging: PackagingSource,
        *,
        kept: Kept,
        clock: FakeClock,
        polling: Polling = POLLING,
    ) -> None:
        self.clock = clock
        self.store, self.queue, self.watch, self.events = kept.store, kept.queue, kept.watch, kept.events
        self.packages = {each.name: each for each in packages}
        self._git = git
        self._packaging = packaging
        self._polling = polling
        self._told = 0
        self.watcher = self.started()

    def started(self, *, stop: threading.Event | None = None, patience: float | None = None) -> Watcher:
        """A watcher, as a process has it that was just started."""
        watched = Watched(
            git=self._git,
            packaging=self._packaging,
            queue=self.queue,
            watch=self.watch,
            store=self.store,
            clock=self.clock,
            tag_version=lambda url, name: version_of_tag(name, package_of(url)),
            host_of=lambda url: urlsplit(url).netloc,
            foresee=lambda package, commit: {
                target: Relations(requires=(commit.upstream.subject,), provides=()) for target in package.targets
            },
        )
        return Watcher(watched, dict(self.packages), self._polling, stop=stop, patience=patience, chance=lambda: 0.5)

    def restart(self) -> None:
        """Go on with another process."""
        self.watcher.close()
        self.watcher = self.started()

    def poll(self, after: timedelta = LATER) -> list[Event]:
        """Poll after some time; what happened meanwhile."""
        self.clock.advance(after)
        self.watcher.poll(self.clock.now())
        return self.news()

    def news(self) -> list[Event]:
        """Events since this was last asked for."""
        new = self.events.after(self._told, limit=100_000)
        self._told += len(new)
        return list(new)

    def kinds(self, after: timedelta = LATER) -> list[EventKind]:
        """The kinds of events that a poll brings."""
        return [event.kind for event in self.poll(after)]

    def change(self, name: str = "nova", **values: object) -> None:
        """Have repos.yaml say something else of a package."""
        self.packages[name] = replace(self.packages[name], **values)  # type: ignore[arg-type]
        self.watcher.follow(dict(self.packages))

    def builds(self, package_name: str = "nova", target: str = DEB) -> list[Build]:
        """A package's builds for a target, the oldest first."""
        return list(reversed(self.store.builds(package=package_name, target=target, limit=100_000)))

    def waiting(self, package_name: str = "nova", target: str = DEB) -> list[str]:
        """Shas of the commits that wait, in the order of their builds."""
        return [build.commit.upstream.sha for build in self.builds(package_name, target) if build.outcome is None]

    def superseded(self, package_name: str = "nova", target: str = DEB) -> dict[str, str]:
        """Commits that are superseded, and why."""
        return {
            build.commit.upstream.sha: build.ended
            for build in self.builds(package_name, target)
            if build.outcome is Outcome.SUPERSEDED
        }

    def run(self, build: Build) -> None:
        """Have a worker take a build."""
        assert self.store.claim(build.id, claim(f"{build.id}", self.clock.now()))

    def end(self, outcome: Outcome = Outcome.FAILED) -> None:
        """Have workers end all builds that wait or run."""
        for build in self.store.builds(limit=100_000):
            if build.state is State.QUEUED:
                self.run(build)
            if build.state is not State.FINISHED:
                self.store.finish(
                    build.id,
                    f"{build.id}",
                    outcome=outcome,
                    at=self.clock.now(),
                    version=None,
                    cause=None,
                    stages=(),
                    entry=None,
                )

    def priorities(self, package_name: str = "nova") -> list[Priority]:
        """The priorities of builds that wait, in the order of their numbers."""
        return [self.store.reason(build.id)[0] for build in self.builds(package_name) if build.outcome is None]


class FakeSite(Site):
    """A site without git.

    Args:
        packages: packages with a branch "master" of one commit each, and a folder with packaging.
        polling: how often and how gently.
    """

    def __init__(self, *packages: Package, polling: Polling = POLLING) -> None:
        self.git = FakeGit({})
        self.folders = FakePackaging()
        for each in packages:
            self.add(each)
        clock = FakeClock()
        super().__init__(packages, self.git, self.folders, kept=InMemory(clock), clock=clock, polling=polling)

    def add(self, new: Package) -> FakeUpstream:
        """Make a package's repositories and folder."""
        for url in self._repositories(new):
            if url not in self.git.upstreams:
                self.git.upstreams[url] = FakeUpstream()
                self.git.upstreams[url].commit("First")
        self.folders.recipes[new.name] = "first"
        return self.git.upstreams[new.upstream]

    def upstream(self, name: str = "nova") -> FakeUpstream:
        """A package's upstream."""
        return self.git.upstreams[self.packages[name].upstream]

    def distgit(self, name: str = "nova") -> FakeUpstream:
        """A package's packaging repository."""
        packaging = self.packages[name].packaging
        assert isinstance(packaging, PackagingRepository)
        return self.git.upstreams[packaging.url]

    def _repositories(self, new: Package) -> Collection[str]:
        packaging = [new.packaging.url] if isinstance(new.packaging, PackagingRepository) else []
        return [new.upstream, *packaging]
