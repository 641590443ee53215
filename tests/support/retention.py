"""A tree that retention works on: many small builds of a fake format, published by the pipeline on real folders."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from conveyor.model.build import Build
from conveyor.model.published import Removal, Retention
from conveyor.pipeline.keeping.collect import Collect
from conveyor.pipeline.keeping.scrub import Scrub
from conveyor.ports import Ledger, Store
from conveyor.repository.collector import TreeCollector
from conveyor.repository.scrub import TreePoolReader
from conveyor.repository.tree import PublishedTree
from tests.fakes.clock import FakeClock
from tests.fakes.index_writer import FakeIndexWriter
from tests.support.workshop import TARGET, Workshop, new_world

NOTHING_BUT_THE_NEWEST = Retention(newest=1, grace=0)


class Trunk:
    """Packages that are built and published one commit after the other, an hour apart, and what retention does to them.

    Args:
        data: the data directory.
        packages: their names.
        store: what happened; in memory unless given.
        ledger: what moved pointers; in memory unless given.
        clock: the time of everything; that of the store in memory unless given.

    Attributes:
        root: the target's tree.
        policies: retention, by the target's name.
    """

    def __init__(
        self,
        data: Path,
        *packages: str,
        store: Store | None = None,
        ledger: Ledger | None = None,
        clock: FakeClock | None = None,
    ) -> None:
        self.data = data
        self.root = data / "repos" / TARGET.name
        self.writer = FakeIndexWriter()
        self.tree = PublishedTree(data / "repos", writers={TARGET.name: self.writer}, base_url="https://trunk.example")
        self.collector = TreeCollector(data / "repos", {TARGET.name: self.writer})
        self.policies = {TARGET.name: NOTHING_BUT_THE_NEWEST}
        self.world = new_world(data, *packages)
        for name in packages:
            self.world.packaging.recipes[name] = f"make {name}_{{version}}.fake {name} {{version}}\n"
        if clock is not None:
            self.world = replace(self.world, clock=clock)
        self.world = replace(
            self.world, repository=self.tree, store=store or self.world.store, ledger=ledger or self.world.ledger
        )
        self.store, self.ledger = self.world.store, self.world.ledger
        self.workshop = Workshop(self.world)
        self._commits = 0

    def publish(self, package: str) -> Build:
        """One more commit of a package, an hour after the last one."""
        self._commits += 1
        self.pass_hours(1)
        self.workshop.push(package, f"Commit {self._commits}")
        build = self.workshop.build(package).build
        assert build.published, build.cause
        return build

    def pass_hours(self, hours: float) -> None:
        self.world.clock.advance(timedelta(hours=hours))

    def collect(self) -> Collect:
        return Collect(
            store=self.store,
            ledger=self.ledger,
            repository=self.tree,
            collector=self.collector,
            clock=self.world.clock,
            policies=self.policies,
            builds=self.data / "builds",
        )

    def run(self, *, dry_run: bool = False) -> Removal:
        removal = self.collect().run(TARGET.name, dry_run=dry_run)
        assert removal is not None
        return removal

    def scrub(self) -> Scrub:
        return Scrub(self.store, self.tree, self.collector, TreePoolReader(self.data / "repos"))

    def in_tree(self) -> set[str]:
        """Ids of the commits whose snapshots are there."""
        return {path.name for path in self.root.glob("??/??/*_*")}

    def pool(self) -> set[str]:
        """The files of the pool, links included."""
        pool = self.root / "pool"
        return {str(path.relative_to(pool)) for path in pool.rglob("*") if path.is_symlink() or path.is_file()}


def listed(root: Path) -> set[str]:
    """What the snapshots of a target's tree list, as paths in its pool: read by hand, not by our own reader."""
    return {
        f"{artifact['sha256'][:2]}/{artifact['sha256']}/{artifact['filename']}"
        for manifest in root.glob("??/??/*_*/manifest.json")
        for package in json.loads(manifest.read_bytes())["packages"]
        for artifact in package["artifacts"]
    }


def broken(root: Path) -> list[str]:
    """What clients would find wrong with a target's tree; empty where nothing is."""
    found = [f"{path} is listed and not there" for path in listed(root) if not (root / "pool" / path).is_file()]
    links = [path for path in (*root.iterdir(), *(root / "pool").rglob("*")) if path.is_symlink()]
    found += [f"{link} leads nowhere" for link in links if not link.exists()]
    for index in root.glob("??/??/*_*/metadata/index"):
        if not (index.parent / index.read_text()).is_file():
            found.append(f"{index} names a file that is not there")
    return found
