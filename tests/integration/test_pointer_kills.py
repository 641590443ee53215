"""kill -9 at each step of a move across two targets of both formats, in the real tree with the real store."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from conveyor.formats.deb.metadata import DebIndexWriter
from conveyor.formats.rpm.metadata import RpmIndexWriter
from conveyor.model.event import NewEvent
from conveyor.model.promotion import LedgerEntry, Move, MoveKind
from conveyor.pipeline.pointing.pointers import Pointers
from conveyor.ports import IndexWriter, Ledger
from conveyor.repository.tree import PublishedTree
from conveyor.store import SqlLedger, open_books
from tests.fakes.processes import ended, spawn
from tests.support.published import commit_id_of, entry_of, plain_artifact, snapshot_of

pytestmark = pytest.mark.integration

DEB, RPM = "debian-13-amd64", "fedora-44-x86_64"
ENTRY_FILES = {DEB: "dists/trunk/Release", RPM: "repodata/repomd.xml"}
# What Python tells its audit hooks before it changes something on the disk.
CHANGES = {"os.rename", "os.symlink", "os.link", "os.mkdir", "os.remove", "os.rmdir", "os.utime", "os.chmod"}
SURELY_MORE_THAN = 30


class TellingLedger(SqlLedger):
    """Tells the hooks what it does, as the database tells them nothing.

    What is killed within its transactions: test_ledger_processes.py.
    """

    def begin(self, move: Move) -> int:
        sys.audit("conveyor.begin")
        number = super().begin(move)
        sys.audit("conveyor.begun")
        return number

    def complete(self, number: int, at: datetime, *, events: Sequence[NewEvent] = ()) -> tuple[LedgerEntry, ...]:
        sys.audit("conveyor.complete")
        entries = super().complete(number, at, events=events)
        sys.audit("conveyor.completed")
        return entries


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Opened:
    """One process's view."""

    tree: PublishedTree
    ledger: Ledger
    pointers: Pointers


@dataclass(frozen=True, kw_only=True)
class Site:
    folder: Path

    @contextmanager
    def opened(self) -> Iterator[Opened]:
        books = open_books(f"sqlite:///{self.folder}/conveyor.db")
        ledger = TellingLedger(books.ledger._database)
        writers: dict[str, IndexWriter] = {
            DEB: DebIndexWriter(self.folder / "deb"),
            RPM: RpmIndexWriter(self.folder / "rpm"),
        }
        tree = PublishedTree(self.folder / "repos", writers=writers, base_url="https://trunk.example.org")
        try:
            yield Opened(tree=tree, ledger=ledger, pointers=Pointers(ledger, tree, SystemClock()))
        finally:
            books.store.close()

    def move(self, number: int) -> tuple[LedgerEntry, ...]:
        steps = [(target, "tested", commit_id_of(number)) for target in (DEB, RPM)]
        with self.opened() as opened:
            return opened.pointers.move(MoveKind.PROMOTED, steps, actor="ada")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Both targets have two snapshots, and the pointer leads to the newer."""
    site = Site(folder=tmp_path)
    with site.opened() as opened:
        for target in (DEB, RPM):
            for number in (0, 1):
                path, artifact = plain_artifact(tmp_path, f"nova-{number}.txt", str(number).encode())
                opened.tree.add(target, path, artifact)
                opened.tree.publish(snapshot_of(target, "amd64", number, entry_of("nova", number, (artifact,))), {})
    site.move(1)
    return site


def killed(site: Site, number: int, *, step: int) -> bool:
    """Move the pointer in a process that is killed before its so manieth change; whether it was, before it ended."""

    def work() -> None:
        left = [None] * step

        def count(event: str, arguments: tuple[object, ...]) -> None:
            writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            if writes or event in CHANGES or event.startswith("conveyor."):
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)
                left.pop()

        sys.addaudithook(count)
        with site.opened() as opened:
            steps = [(target, "tested", commit_id_of(number)) for target in (DEB, RPM)]
            opened.pointers.move(MoveKind.PROMOTED, steps, actor="ada")

    code = ended(spawn(work))
    assert code in {0, -signal.SIGKILL}
    return code != 0


def assert_readable(site: Site, target: str) -> None:
    """A client reads: the pointer, its entry file, and what that names."""
    place = site.folder / "repos" / target / "tested"
    assert (place / ENTRY_FILES[target]).read_bytes()
    assert (place / "manifest.json").read_bytes()
    assert (place / "pool").is_dir()
    with site.opened() as opened:
        for path in opened.tree._writer(target).checksummed(place):
            assert (place / path).is_file()
        assert opened.tree.pointed(target, "tested") in {commit_id_of(0), commit_id_of(1)}


def test_a_kill_at_any_step_is_put_right_by_the_next_start(site: Site) -> None:
    step, at, moved = 0, 1, set()
    while True:
        to = 1 - at
        was_killed = killed(site, to, step=step)
        for target in (DEB, RPM):
            assert_readable(site, target)
        with site.opened() as opened:
            opened.tree.clean()
            assert opened.pointers.recover([DEB, RPM]) == ()
            now = {opened.tree.pointed(target, "tested") for target in (DEB, RPM)}
            assert len(now) == 1
            assert opened.ledger.pending() == ()
            assert opened.ledger.broken() is None
            last = opened.ledger.entries(limit=2)
            assert {entry.step.after for entry in last} == now
            assert len({entry.move for entry in last}) == 1
            assert {entry.kind for entry in opened.ledger.entries()} == {MoveKind.PROMOTED}
        for target in (DEB, RPM):
            assert_readable(site, target)
            assert list((site.folder / "repos" / target).glob(".tmp-*")) == []
        moved.add(now == {commit_id_of(to)})
        at = to if now == {commit_id_of(to)} else at
        if not was_killed:
            break
        step += 1
    assert moved == {True, False}
    assert step > SURELY_MORE_THAN


def test_a_move_that_was_killed_is_carried_out_by_whoever_writes_next(site: Site) -> None:
    step = 0
    while True:
        assert killed(site, 0, step=step)
        with site.opened() as opened:
            if opened.ledger.pending():
                break
        step += 1
    with site.opened() as opened, opened.pointers.writing([RPM]):
        assert opened.ledger.pending() == ()
        assert [opened.tree.pointed(target, "tested") for target in (DEB, RPM)] == [commit_id_of(0)] * 2
