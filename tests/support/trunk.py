"""A published trunk with a real store and a real tree: builds come ready-made, all that follows them is Conveyor's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from conveyor.model.artifact import Artifact, SnapshotEntry
from conveyor.model.build import Build, Claim, Outcome
from conveyor.model.commit import Commit, CommitInfo
from conveyor.model.target import Target
from conveyor.pipeline.pointing.pointers import Pointers
from conveyor.pipeline.publish import Publisher
from conveyor.ports import IndexWriter
from conveyor.repository.tree import PublishedTree
from conveyor.store import Books, open_books
from tests.support.published import PACKAGING_SHA, sha_of
from tests.support.workshop import TARGET


class RealClock:
    """The port Clock on this machine's time."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(kw_only=True)
class Trunk:
    """One target's trunk.

    Attributes:
        data: the data directory; the tree is its "repos", the store its "conveyor.db".
        writer: writes the metadata.
        target: the target.
        base_url: where the tree is served.
    """

    data: Path
    writer: IndexWriter
    target: Target = TARGET
    base_url: str = "https://trunk.example.org/repos"
    books: Books = field(init=False)
    tree: PublishedTree = field(init=False)
    pointers: Pointers = field(init=False)
    publisher: Publisher = field(init=False)

    def __post_init__(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        self.books = open_books(f"sqlite:///{self.data}/conveyor.db")
        self.tree = PublishedTree(self.data / "repos", writers={self.target.name: self.writer}, base_url=self.base_url)
        self.pointers = Pointers(self.books.ledger, self.tree, RealClock())
        self.publisher = Publisher(self.books.store, self.tree, self.pointers, self.data, {})
        self._numbers = count(1)

    @property
    def root(self) -> Path:
        """The target's tree."""
        return self.data / "repos" / self.target.name

    def publish(
        self,
        files: Sequence[tuple[Path, Artifact]],
        *,
        package: str = "nova",
        version: str = "1-1",
        sha: str | None = None,
        upstream_url: str = "https://git.example.org/nova",
    ) -> Build:
        """Publish a build that made these files."""
        store, now = self.books.store, datetime.now(UTC)
        info = CommitInfo(sha=sha or sha_of(next(self._numbers)), committed_at=now, author="Ada", subject="Do it")
        commit = Commit(package=package, upstream=info, packaging_sha=PACKAGING_SHA)
        artifacts = self.publisher.keep(self.target, files)
        build = store.queue(commit, self.target.name, retry=True)
        token = f"{package} {info.sha}"
        store.claim(build.id, Claim(token=token, host="here", pid=1, process_started=1, heartbeat_at=now))
        entry = SnapshotEntry(
            package=package,
            upstream_url=upstream_url,
            upstream_sha=info.sha,
            packaging_url="",
            packaging_sha=PACKAGING_SHA,
            extended="",
            component="common",
            version=version,
            succeeded_at=now,
            latest_succeeded=True,
            artifacts=artifacts,
        )
        finished = store.finish(
            build.id,
            token,
            outcome=Outcome.SUCCEEDED,
            at=now,
            version=version,
            cause=None,
            stages=(),
            entry=entry,
        )
        self.publisher.publish(finished, self.target)
        return store.build(build.id)

    def close(self) -> None:
        """Let go of the store."""
        self.books.store.close()
