"""Retention that is killed at each of its steps, and that runs while others build, publish, promote and read."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conveyor.errors import UnknownName
from conveyor.model.promotion import MoveKind
from conveyor.model.published import Removal, Retention
from conveyor.pipeline.keeping.collect import Collect
from conveyor.pipeline.pointing.pointers import Pointers
from conveyor.repository.collector import TreeCollector
from conveyor.repository.tree import PublishedTree
from conveyor.store import Books, open_books
from conveyor.wiring.conveyor import SystemClock
from tests.fakes.index_writer import FakeIndexWriter
from tests.fakes.processes import ended, spawn, wait_for
from tests.support.retention import NOTHING_BUT_THE_NEWEST, Trunk, broken, listed
from tests.support.workshop import TARGET, tree_of

# What changes a disk, as Python's audit events name it.
CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink")
KEPT_POLICY = Retention(newest=2, grace=1)
SECONDS = 6.0


@contextmanager
def books_of(data: Path) -> Iterator[Books]:
    books = open_books(f"sqlite:///{data}/conveyor.db")
    try:
        yield books
    finally:
        books.store.close()


def tree_at(data: Path) -> PublishedTree:
    return PublishedTree(data / "repos", writers={TARGET.name: FakeIndexWriter()}, base_url="https://trunk.example")


def collect_at(data: Path, books: Books, policy: Retention = NOTHING_BUT_THE_NEWEST) -> Callable[[], Removal | None]:
    """The next process's retention on what a data directory holds."""
    collect = Collect(
        store=books.store,
        ledger=books.ledger,
        repository=tree_at(data),
        collector=TreeCollector(data / "repos", {TARGET.name: FakeIndexWriter()}),
        clock=SystemClock(),
        policies={TARGET.name: policy},
        builds=data / "builds",
    )
    return lambda: collect.run(TARGET.name, dry_run=False)


def end_at(step: int) -> list[int]:
    """Be killed right before the change of the disk with this number; returns where they are counted."""
    counted = [0]

    def count(event: str, _arguments: object) -> None:
        if event in CHANGES:
            if counted[0] == step:
                os.kill(os.getpid(), signal.SIGKILL)
            counted[0] += 1

    sys.addaudithook(count)
    return counted


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four published builds, three of which retention takes, and what the first of them left in the pool."""
    data = tmp_path_factory.mktemp("site")
    with books_of(data) as books:
        trunk = Trunk(data, "nova", "oslo", store=books.store, ledger=books.ledger)
        for name in ("nova", "oslo", "nova", "nova"):
            trunk.publish(name)
        old = min(path for path in listed(trunk.root) if Path(path).name.startswith("nova"))
        (trunk.root / "pool" / old).with_name("tarball.gz").symlink_to(f"../../{old}")
    for packaging in data.glob("builds/*/*/packaging"):
        shutil.rmtree(packaging)
    return data


def state(data: Path, books: Books) -> tuple[dict[str, str], dict[str, str], dict[int, bool]]:
    marks = {each.build: each.collected_at is not None for each in books.store.published(TARGET.name)}
    return tree_of(data / "repos"), tree_of(data / "builds"), marks


def test_killed_at_any_step_nothing_dangles_and_the_next_run_ends_it(site: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(site, whole, symlinks=True)
    steps = tmp_path / "steps"

    def counted() -> None:
        with books_of(whole) as books:
            run = collect_at(whole, books)
            count = end_at(-1)
            run()
            steps.write_text(str(count[0]))

    assert ended(spawn(counted)) == 0
    with books_of(whole) as books:
        expected = state(whole, books)
    assert list(expected[2].values()) == [False, True, True, True]
    total = int(steps.read_text())
    assert total > 12
    for step in range(total):
        data = tmp_path / str(step)
        shutil.copytree(site, data, symlinks=True)

        def killed(data: Path = data, step: int = step) -> None:
            with books_of(data) as books:
                run = collect_at(data, books)
                end_at(step)
                run()

        assert ended(spawn(killed)) == -signal.SIGKILL
        assert broken(data / "repos" / TARGET.name) == [], f"after {step} changes"
        with books_of(data) as books:
            tree = tree_at(data)
            assert Pointers(books.ledger, tree, SystemClock()).recover([TARGET.name]) == ()
            assert books.store.unpublished() == ()
            tree.clean()
            collect_at(data, books)()
            assert state(data, books) == expected, f"after {step} changes"


class TestRaces:
    """What waits for what, each with the other stopped at the worst moment."""

    def _while_stopped(
        self, trunk: Trunk, monkeypatch: pytest.MonkeyPatch, place: object, name: str
    ) -> tuple[set[str], list[Removal]]:
        """Stop a build of nova at a call, start retention, and let both end; the pool at that moment, and what went."""
        stopped, go_on = threading.Event(), threading.Event()
        real = getattr(place, name)

        def stop(*arguments: object, **named: object) -> object:
            stopped.set()
            assert go_on.wait(60)
            return real(*arguments, **named)

        trunk.workshop.push("nova", "Slow")
        monkeypatch.setattr(place, name, stop)
        builder = threading.Thread(target=trunk.workshop.build, args=("nova",))
        builder.start()
        assert stopped.wait(60)
        gone: list[Removal] = []
        collector = threading.Thread(target=lambda: gone.append(trunk.run()))
        collector.start()
        collector.join(0.3)
        assert collector.is_alive(), "it did not wait"
        pool = trunk.pool()
        go_on.set()
        builder.join(60)
        collector.join(60)
        assert not builder.is_alive()
        assert not collector.is_alive()
        return pool, gone

    @pytest.fixture
    def trunk(self, tmp_path: Path) -> Trunk:
        trunk = Trunk(tmp_path, "nova")
        trunk.publish("nova")
        trunk.publish("nova")
        return trunk

    def test_files_of_a_build_that_the_store_does_not_know_yet_stay(
        self, trunk: Trunk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = trunk.pool()
        pool, _ = self._while_stopped(trunk, monkeypatch, trunk.store, "finish")
        brought = pool - before
        assert len(brought) == 2
        assert brought <= trunk.pool()
        assert broken(trunk.root) == []

    def test_a_snapshot_in_the_making_loses_nothing(self, trunk: Trunk, monkeypatch: pytest.MonkeyPatch) -> None:
        _, (gone,) = self._while_stopped(trunk, monkeypatch, trunk.store, "mark_published")
        # What was the newest one when it began stays for this time.
        assert len(gone.snapshots) == 1
        assert len(trunk.in_tree()) == 2
        assert broken(trunk.root) == []

    def test_what_is_in_the_pool_already_and_comes_again_is_not_lost_in_between(
        self, trunk: Trunk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Bringing finds an old file, so brings nothing; the file goes; the store is told of it: that must not be."""
        shared_recipe, own_recipe = "make shared.fake of all versions\n", trunk.world.packaging.recipes["nova"]
        trunk.world.packaging.recipes["nova"] = shared_recipe
        first = trunk.publish("nova")
        trunk.world.packaging.recipes["nova"] = own_recipe
        trunk.publish("nova")
        trunk.world.packaging.recipes["nova"] = shared_recipe
        shared = {path for path in trunk.pool() if path.endswith("shared.fake")}
        assert len(shared) == 1
        self._while_stopped(trunk, monkeypatch, trunk.store, "finish")
        assert first.commit.id not in trunk.in_tree()
        assert shared <= trunk.pool()
        assert shared <= listed(trunk.root)
        assert broken(trunk.root) == []


def test_two_retentions_at_once_do_not_remove_the_same_folders(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, removing = tmp_path / "data", tmp_path / "removing"
    shutil.copytree(site, data, symlinks=True)
    remove: Callable[..., None] = shutil.rmtree

    def slowly(folder: Path, **options: object) -> None:
        if folder.parent.name == "builds":
            removing.touch()
            time.sleep(0.3)
        remove(folder, **options)

    def collect() -> None:
        with books_of(data) as books:
            collect_at(data, books)()

    with monkeypatch.context() as slowed:
        slowed.setattr(shutil, "rmtree", slowly)
        first = spawn(collect)
        wait_for(removing)
        second = spawn(collect)
    assert [ended(first), ended(second)] == [0, 0]
    assert {folder.name for folder in (data / "builds").iterdir()} == {"4"}


def test_builds_promotions_and_retention_at_once_never_break_what_pointers_lead_to(tmp_path: Path) -> None:
    with books_of(tmp_path) as books:
        for name in ("nova", "oslo"):
            trunk = Trunk(tmp_path, name, store=books.store, ledger=books.ledger)
            trunk.workshop.build(name)
    until = time.monotonic() + SECONDS
    works = [lambda: _build(tmp_path, "nova", until), lambda: _build(tmp_path, "oslo", until)]
    works += [lambda: _promote(tmp_path, until), lambda: _collect(tmp_path, until), lambda: _collect(tmp_path, until)]
    processes = [spawn(work) for work in works]
    read, failures = 0, []
    root = tmp_path / "repos" / TARGET.name
    while time.monotonic() < until:
        for pointer in ("current", "tested"):
            found = _read(root, pointer)
            read += found == ""
            failures += [found] if found else []
    assert [ended(process) for process in processes] == [0] * len(processes)
    assert failures == []
    assert read > 0
    assert broken(root) == []
    with books_of(tmp_path) as books:
        time.sleep(KEPT_POLICY.grace)
        assert collect_at(tmp_path, books, KEPT_POLICY)() is not None
        published = books.store.published(TARGET.name)
        assert books.store.unpublished() == ()
        assert books.ledger.broken() is None
    assert len(published) > 4
    in_tree = {path.name for path in root.glob("??/??/*_*")}
    assert {each.commit for each in published if each.collected_at is None} <= in_tree
    assert len(in_tree) <= 5
    assert broken(root) == []


def _build(data: Path, package: str, until: float) -> None:
    with books_of(data) as books:
        trunk = Trunk(data, package, store=books.store, ledger=books.ledger)
        while time.monotonic() < until:
            trunk.workshop.push(package, f"Commit at {time.monotonic()}")
            assert trunk.workshop.build(package).build.published


def _collect(data: Path, until: float) -> None:
    with books_of(data) as books:
        run = collect_at(data, books, KEPT_POLICY)
        while time.monotonic() < until:
            run()


def _promote(data: Path, until: float) -> None:
    with books_of(data) as books:
        pointers = Pointers(books.ledger, tree_at(data), SystemClock())
        while time.monotonic() < until:
            there = [each.commit for each in books.store.published(TARGET.name, limit=4) if each.collected_at is None]
            try:
                pointers.move(MoveKind.PROMOTED, [(TARGET.name, "tested", random.choice(there))], actor="ada")
            except UnknownName:
                continue  # it was collected a moment ago, and was not moved to


def _read(root: Path, pointer: str) -> str:
    """What a client that follows a pointer finds wrong; empty where all is well, or the client was too slow."""
    began = time.monotonic()
    try:
        folder = root / (root / pointer).readlink()
        manifest = json.loads((folder / "manifest.json").read_bytes())
        index = (folder / "metadata/index").read_text()
        (folder / "metadata" / index).read_bytes()
        for package in manifest["packages"]:
            for made in package["artifacts"]:
                (folder / "pool" / made["sha256"][:2] / made["sha256"] / made["filename"]).read_bytes()
    except FileNotFoundError as error:
        slow = time.monotonic() - began > KEPT_POLICY.grace / 2
        not_made_yet = error.filename is not None and Path(error.filename) == root / "tested"
        return "" if slow or not_made_yet else f"{pointer}: {error}"
    return ""
