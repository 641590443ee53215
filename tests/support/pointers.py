"""Two targets with snapshots of three commits each, on fakes, and their pointers."""

from __future__ import annotations

from pathlib import Path

from conveyor.model.artifact import SnapshotEntry
from conveyor.model.build import Build, Claim, Outcome
from conveyor.model.commit import Commit, CommitInfo
from conveyor.model.promotion import LedgerEntry, MoveKind
from conveyor.pipeline.pointing.pointers import Pointers
from tests.fakes.clock import NOON, FakeClock
from tests.fakes.ledger import MemoryLedger
from tests.fakes.repository import FakeRepository
from tests.fakes.store import MemoryStore
from tests.support.published import PACKAGING_SHA, commit_id_of, entry_of, sha_of, snapshot_of

ONE, TWO = "centos-10-x86_64", "debian-13-amd64"
A, B, C = (commit_id_of(number) for number in range(3))


class Site:
    """What there is before any pointer."""

    def __init__(self, folder: Path) -> None:
        self.ledger = MemoryLedger()
        self.repository = FakeRepository(folder / "repos")
        self.pointers = Pointers(self.ledger, self.repository, FakeClock())
        self.store = MemoryStore()
        for target in (ONE, TWO):
            for number in range(3):
                entry = entry_of("nova", number, ())
                self.repository.publish(snapshot_of(target, "amd64", number, entry), {})
                self.store.mark_published(self._built(target, number, entry).id, 0.1)

    def _built(self, target: str, number: int, entry: SnapshotEntry) -> Build:
        info = CommitInfo(sha=sha_of(number), committed_at=NOON, author="Ada", subject="A change")
        commit = Commit(package="nova", upstream=info, packaging_sha=PACKAGING_SHA, extended="", trunk=True)
        build = self.store.queue(commit, target, retry=False)
        token = f"{target} {number}"
        self.store.claim(
            build.id, Claim(token=token, host="builder", pid=1, process_started=1, heartbeat_at=entry.succeeded_at)
        )
        return self.store.finish(
            build.id,
            token,
            outcome=Outcome.SUCCEEDED,
            at=entry.succeeded_at,
            version=None,
            cause=None,
            stages=(),
            entry=entry,
        )

    def promote(self, commit_id: str, *targets: str, pointer: str = "tested") -> tuple[LedgerEntry, ...]:
        steps = [(target, pointer, commit_id) for target in targets or (ONE, TWO)]
        return self.pointers.move(MoveKind.PROMOTED, steps, actor="ada")

    def at(self, pointer: str = "tested") -> tuple[str | None, str | None]:
        return self.repository.pointed(ONE, pointer), self.repository.pointed(TWO, pointer)

    def remove(self, target: str, commit_id: str) -> None:
        folder = self.repository.snapshot_folder(target, commit_id)
        (folder / "pool").unlink()
        folder.rmdir()
