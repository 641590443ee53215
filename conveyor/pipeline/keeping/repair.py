"""Damaged and missing files of the pool, made again by building what made them: put back where they are the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from conveyor.errors import ConveyorError, Interrupted
from conveyor.model.artifact import Artifact
from conveyor.model.build import Build
from conveyor.model.package import Package
from conveyor.model.published import Flaw, PoolFinding
from conveyor.model.target import Target
from conveyor.pipeline.keeping.scrub import POOL
from conveyor.pipeline.parts import Parts
from conveyor.pipeline.verifying.rebuild import Rebuild, Rebuilding
from conveyor.ports import PoolMender


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """What came of repairing one file.

    Attributes:
        finding: what was wrong.
        build: the build that was made again; None where none was.
        good: whether the file is what it was.
        detail: why it is not; empty where it is.
    """

    finding: PoolFinding
    build: int | None
    good: bool
    detail: str = ""


class Repair:
    """Repairs pools.

    Args:
        parts: the implementations.
        rebuilding: what rebuilding needs beside them.
        mender: puts files back.
        packages: the configured packages, by name.
        targets: the configured targets, by name.
    """

    def __init__(
        self,
        parts: Parts,
        rebuilding: Rebuilding,
        mender: PoolMender,
        packages: Mapping[str, Package],
        targets: Mapping[str, Target],
    ) -> None:
        self._parts = parts
        self._rebuilding = rebuilding
        self._mender = mender
        self._packages = packages
        self._targets = targets

    def run(self, findings: Sequence[PoolFinding]) -> tuple[Repaired, ...]:
        """Build once more what made these files, each build once, and put back what comes out the same."""
        by_build: dict[int, Build] = {}
        wanted: defaultdict[int, list[PoolFinding]] = defaultdict(list)
        done = []
        for finding in findings:
            found = self._build_of(finding)
            if isinstance(found, str):
                done.append(Repaired(finding=finding, build=None, good=False, detail=found))
            else:
                by_build[found.id] = found
                wanted[found.id].append(finding)
        for number, build in sorted(by_build.items()):
            done += self._of_build(build, wanted[number])
        return tuple(sorted(done, key=lambda each: (each.finding.target, each.finding.path)))

    def _build_of(self, finding: PoolFinding) -> Build | str:
        """The build that made a file, or why there is none to make again."""
        if finding.flaw is Flaw.FOREIGN or not finding.path.startswith(POOL):
            return "no build made it"
        if not finding.package:
            return "no snapshot and no newest build lists it"
        if finding.package not in self._packages:
            return f"{finding.package} is not in repos.yaml any more"
        published = self._parts.store.published(finding.target, package=finding.package, commit=finding.commit)
        builds = [each.build for each in published if each.commit == finding.commit]
        return self._parts.store.build(builds[0]) if builds else "it is not known which build made it"

    def _of_build(self, build: Build, findings: Sequence[PoolFinding]) -> Iterator[Repaired]:
        entry = self._parts.store.entry(build.id)
        artifacts = {f"{POOL}{each.pool_path}": each for each in entry.artifacts}
        with self._rebuilding.scratch() as folder:
            package = replace(self._packages[build.commit.package], upstream=entry.upstream_url)
            target = self._targets[build.target]
            rebuild = Rebuild(self._parts, self._rebuilding, build, package, target, entry, folder)
            damaged = [artifacts[each.path] for each in findings if each.path in artifacts]
            try:
                made = rebuild.files(of_source=not any(map(rebuild.is_source, damaged)))
            except Interrupted:
                raise
            except ConveyorError as error:
                why = rebuild.explained(error).summary
                yield from (Repaired(finding=each, build=build.id, good=False, detail=why) for each in findings)
                return
            with self._parts.repository.bringing(build.target):
                for finding in findings:
                    artifact = artifacts.get(finding.path)
                    path = made.get(artifact.filename) if artifact is not None else None
                    good = artifact is not None and path is not None and self._put_back(build, path, artifact)
                    detail = "" if good else _why(rebuild, made=path is not None)
                    yield Repaired(finding=finding, build=build.id, good=good, detail=detail)

    def _put_back(self, build: Build, path: Path, artifact: Artifact) -> bool:
        return self._mender.bring_back(build.target, path, artifact)


def _why(rebuild: Rebuild, *, made: bool) -> str:
    """Why a file is not what it was, with what is known of the rebuild."""
    what = "it comes out otherwise than it was published" if made else "the build makes it no more"
    return "; ".join([what, *rebuild.notes])
