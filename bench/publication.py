"""Publishes new builds of a kept history in a process of its own: FOLDER FORMAT COUNT BUILDS FILE."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from bench import history, manypackages
from bench.history import History
from bench.manypackages import Package
from conveyor.formats.deb.describe import DebDescriber
from conveyor.formats.deb.metadata import DebIndexWriter
from conveyor.formats.rpm.describe import RpmDescriber
from conveyor.formats.rpm.metadata import RpmIndexWriter
from conveyor.model.artifact import SnapshotEntry
from conveyor.model.build import Build, Claim, Outcome
from conveyor.model.commit import Commit, CommitInfo
from conveyor.model.target import BuilderKind, Format, Limits, RpmDistribution, Target
from conveyor.pipeline.pointing.pointers import Pointers
from conveyor.pipeline.provenance import Statements
from conveyor.pipeline.publish import Publisher
from conveyor.ports import Describer, IndexWriter, Store
from conveyor.repository.tree import PublishedTree
from conveyor.store import Books, open_books

TARGET = "target"
SITE = "https://example.org/repos"
WRITERS: Mapping[Format, Callable[[Path], IndexWriter]] = {Format.DEB: DebIndexWriter, Format.RPM: RpmIndexWriter}
ARCHITECTURES = {Format.DEB: "amd64", Format.RPM: "x86_64"}
DESCRIBERS: Mapping[Format, Describer] = {Format.DEB: DebDescriber(), Format.RPM: RpmDescriber()}
BLOCK = 512  # bytes, what st_blocks counts: stat(2)


class SystemClock:
    """The port Clock on the system's clock."""

    def now(self) -> datetime:
        """The current time in UTC."""
        return datetime.now(UTC)


def main() -> int:
    """Publish, and write down what it took."""
    folder, word, count, builds, figures = sys.argv[1:]
    package_format = Format(word)
    made = history.kept(Path(folder), package_format, TARGET, int(count), int(builds))
    Path(figures).write_text(json.dumps(publish(made, package_format)), encoding="utf-8")
    return 0


def publish(kept: History, package_format: Format) -> dict[str, float]:
    """Publish new versions of two packages, one after the other.

    Seconds of the second, what it added outside of the pool, and the seconds of the first.
    """
    books = open_books(kept.database)
    try:
        trunk = _Trunk(kept, package_format, books)
        first = trunk.publish()
        before = _inodes(kept)
        seconds = trunk.publish()
        after = _inodes(kept)
    finally:
        books.store.close()
    return {
        "first": first,
        "seconds": seconds,
        "inodes": len(after) - len(before),
        "kibibytes": (sum(after.values()) - sum(before.values())) / 1024,
    }


class _Trunk:
    """What publishes into a history, as it is put together in a process of Conveyor's."""

    def __init__(self, kept: History, package_format: Format, books: Books) -> None:
        self._kept = kept
        self._store = books.store
        writers = {TARGET: WRITERS[package_format](kept.folder / "data/metadata")}
        self._tree = PublishedTree(kept.repos, writers=writers, base_url=SITE)
        self._publisher = Publisher(
            books.store,
            self._tree,
            Pointers(books.ledger, self._tree, SystemClock()),
            kept.folder / "data",
            {TARGET: dict.fromkeys((each.name for each in kept.packages), "main")},
            Statements(self._tree, DESCRIBERS, SITE),
        )
        self._target = _target(package_format)

    def publish(self) -> float:
        """Publish a new version of one package; returns the seconds that it takes after the build."""
        number = time.time_ns()
        name = self._kept.packages[number // 1000 % len(self._kept.packages)].name
        scratch = self._kept.folder / "new"
        shutil.rmtree(scratch, ignore_errors=True)
        (package,) = manypackages.make(self._target.format, scratch, [name], f"2.{number}")
        self._tree.check(TARGET, package.files)
        build = _built(self._store, self._publisher, self._target, package, number)
        self._store.entries(TARGET)  # as the build stage does
        started = time.perf_counter()
        self._publisher.publish(build, self._target)
        return time.perf_counter() - started


def _built(store: Store, publisher: Publisher, target: Target, package: Package, number: int) -> Build:
    now = datetime.now(UTC)
    info = CommitInfo(sha=history.sha_of(package.name, number), committed_at=now, author="Ada", subject="Change it")
    commit = Commit(package=package.name, upstream=info, packaging_sha=history.PACKAGING_SHA, extended="", trunk=True)
    token = str(number)
    queued = store.queue(commit, TARGET, retry=False)
    store.claim(queued.id, Claim(token=token, host="bench", pid=1, process_started=1, heartbeat_at=now))
    entry = SnapshotEntry(
        package=package.name,
        upstream_url=history.UPSTREAM.format(name=package.name),
        upstream_sha=info.sha,
        packaging_url="",
        packaging_sha=commit.packaging_sha,
        extended="",
        component="common",
        version=package.version,
        succeeded_at=now,
        latest_succeeded=True,
        artifacts=publisher.keep(target, package.files),
    )
    return store.finish(
        queued.id,
        token,
        outcome=Outcome.SUCCEEDED,
        at=now,
        version=package.version,
        cause=None,
        stages=(),
        entry=entry,
    )


def _target(package_format: Format) -> Target:
    return Target(
        name=TARGET,
        format=package_format,
        architecture=ARCHITECTURES[package_format],
        builder=BuilderKind.OVERLAY,
        origin=RpmDistribution(repositories=(), release="1", database="/"),
        base_packages=(),
        build_packages=(),
        dist="bench1",
        naming="fedora",
        limits=Limits(seconds=1, memory=1, disk=1, processes=1),
        install_check=False,
    )


def _inodes(kept: History) -> dict[int, int]:
    """Bytes on the disk of each inode of the published tree that is not the pool's."""
    root = kept.repos / TARGET
    found: dict[int, int] = {}
    for folder, folders, files in os.walk(root):
        if Path(folder) == root and "pool" in folders:
            folders.remove("pool")
        for name in (*folders, *files):
            status = os.lstat(os.path.join(folder, name))  # noqa: PTH118 - tens of thousands
            found[status.st_ino] = status.st_blocks * BLOCK
    return found
