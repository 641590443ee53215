"""Bit rot: the pool read from end to end, and what is wrong in it named with the package that it belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from conveyor.errors import SnapshotDamaged, UnknownName
from conveyor.model.published import Flaw, PoolFinding, PoolReport
from conveyor.ports import Collector, PoolReader, Repository, Store

POOL = "pool/"
# Package and commit of each file, by its path in the pool.
_Owners = Mapping[str, tuple[str, str]]


class Scrub:
    """Reads the pools; changes nothing but what is remembered of damaged files.

    Args:
        store: what happened.
        repository: the published tree.
        collector: knows the snapshots in it.
        reader: reads the files of its pools.
    """

    def __init__(self, store: Store, repository: Repository, collector: Collector, reader: PoolReader) -> None:
        self._store = store
        self._repository = repository
        self._collector = collector
        self._reader = reader

    def run(self, target: str, *, bytes_per_second: int | None = None) -> PoolReport:
        """Read every file of a target's pool. What is published, or removed by retention, meanwhile is no matter.

        Args:
            target: the target's name.
            bytes_per_second: how fast to read, on average; None for as fast as it goes.
        """
        owners, unreadable = self._owners(target)
        findings = [PoolFinding(target=target, path=path, flaw=Flaw.DAMAGED, package="") for path in unreadable]
        seen: set[str] = set()
        size = 0
        for found in self._reader.read(target, bytes_per_second):
            seen.add(found.path)
            size += found.size
            if found.flaw is not None:
                findings.append(_finding(target, found.path, found.flaw, owners))
        findings += self._missing(target, owners, seen)
        return PoolReport(
            target=target, files=len(seen), size=size, findings=tuple(sorted(findings, key=lambda each: each.path))
        )

    def _missing(self, target: str, owners: _Owners, seen: set[str]) -> Iterator[PoolFinding]:
        if owners.keys() <= seen:
            return
        # What was brought meanwhile was not seen, and what was removed is listed no more.
        still_listed, _ = self._owners(target)
        for path in sorted((owners.keys() & still_listed.keys()) - seen):
            if not self._reader.has(target, path):
                yield _finding(target, path, Flaw.MISSING, owners)

    def _owners(self, target: str) -> tuple[_Owners, list[str]]:
        """Package and commit of each file of the pool that is listed; and the manifests that cannot be read."""
        owners: dict[str, tuple[str, str]] = {}
        unreadable: list[str] = []
        for commit in self._collector.snapshots(target):
            try:
                packages = self._repository.manifest(target, commit).packages
            except SnapshotDamaged:
                unreadable.append(f"{commit[:2]}/{commit[2:4]}/{commit}/manifest.json")
            except UnknownName:
                continue  # removed meanwhile
            else:
                owners.update(
                    (artifact.pool_path, (each.package, each.commit or ""))
                    for each in packages
                    for artifact in each.artifacts
                )
        for entry in self._store.entries(target):
            owners.update((artifact.pool_path, (entry.package, entry.commit_id)) for artifact in entry.artifacts)
        return owners, unreadable


def _finding(target: str, path: str, flaw: Flaw, owners: _Owners) -> PoolFinding:
    package, commit = owners.get(path, ("", ""))
    return PoolFinding(target=target, path=f"{POOL}{path}", flaw=flaw, package=package, commit=commit)
