"""One poll of many packages with nothing new, in a process of its own: FOLDER URL COUNT HEAD FILE.

Each package has two repositories, below the URL. The store in FOLDER knows all of them, and that each was built.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from bench.gitserver import WORKERS, name_of
from conveyor.model.commit import Commit, CommitInfo
from conveyor.model.package import Package, PackagingRepository, VersionScheme
from conveyor.model.queue import Change, NewBuild, Priority, Reason, ReasonKind
from conveyor.model.watch import Head, Polling, Side
from conveyor.pipeline.polling.places import place_of
from conveyor.pipeline.polling.watching import Watched, Watcher
from conveyor.store import Books, open_books
from conveyor.upstream.hardening import host_of
from conveyor.upstream.mirror import GitMirrors
from conveyor.upstream.packaging import PackagingSources

TARGET = "target"
AT = datetime(2026, 1, 1, tzinfo=UTC)


class SystemClock:
    """The port Clock on the system's clock."""

    def now(self) -> datetime:
        """The current time in UTC."""
        return datetime.now(UTC)


def main() -> int:
    """Poll, and write down what it took."""
    folder, url, count, head, figures = sys.argv[1:]
    packages = [_package(url, number) for number in range(int(count))]
    books = open_books(f"sqlite:///{folder}/conveyor-{count}.db")
    try:
        _remember(books, packages, head)
        seconds, processor, asked = _poll(books, packages, Path(folder))
    finally:
        books.store.close()
    told = {"seconds": seconds, "processor": processor, "asked": asked}
    Path(figures).write_text(json.dumps(told), encoding="utf-8")
    return 0


def _poll(books: Books, packages: list[Package], folder: Path) -> tuple[float, float, int]:
    """Seconds, processor seconds of this process alone, and how many repositories were asked."""
    git = GitMirrors(folder / "mirrors")
    watched = Watched(
        git=git,
        packaging=PackagingSources(git),
        queue=books.queue,
        watch=books.watch,
        store=books.store,
        clock=SystemClock(),
        tag_version=lambda _url, _name: None,
        host_of=host_of,
    )
    polling = Polling(at_once=WORKERS, per_host=WORKERS)
    watcher = Watcher(
        watched, {package.name: package for package in packages}, polling, stop=threading.Event(), patience=None
    )
    began, used = time.perf_counter(), time.process_time()
    asked = watcher.poll(datetime.now(UTC))
    figures = time.perf_counter() - began, time.process_time() - used, asked
    watcher.close()
    return figures


def _package(url: str, number: int) -> Package:
    return Package(
        name=f"package-{number}",
        distribution=f"package-{number}",
        upstream=f"{url}{name_of(2 * number)}.git",
        branch="master",
        packaging=PackagingRepository(url=f"{url}{name_of(2 * number + 1)}.git", branch="master"),
        archetype=None,
        targets=(TARGET,),
        version_scheme=VersionScheme.PBR,
        maintainers=(),
        component="common",
    )


def _remember(books: Books, packages: list[Package], sha: str) -> None:
    """Have everything seen before, and all of it due: servers have another port each time."""
    info = CommitInfo(sha=sha, committed_at=AT, author="Ada", subject="x")
    reason = Reason(kind=ReasonKind.NEW_PACKAGE)
    commits = (Commit(package=package.name, upstream=info, packaging_sha=sha) for package in packages)
    builds = tuple(NewBuild(commit=each, target=TARGET, priority=Priority.FRESH, reason=reason) for each in commits)
    heads = tuple(_head(package, side, sha) for package in packages for side in Side)
    books.queue.apply(Change(builds=builds, heads=heads), AT)
    books.watch.forget([], list(books.watch.remotes()))


def _head(package: Package, side: Side, sha: str) -> Head:
    return Head(
        package=package.name,
        side=side,
        url=place_of(package, side),
        ref="master",
        sha=sha,
        packaging_sha=sha if side is Side.PACKAGING else "",
        at=AT,
    )
