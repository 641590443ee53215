"""Damaged files of the pool, made again: put back where they are the same, and left alone where they are not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conveyor.errors import BuildFailed
from conveyor.model.artifact import Artifact, ArtifactKind
from conveyor.model.build import Build
from conveyor.model.package import Package
from conveyor.model.published import PoolFinding
from conveyor.pipeline.keeping.repair import Repair, Repaired
from conveyor.pipeline.verifying.rebuild import Rebuilding
from tests.support.retention import Trunk
from tests.support.workshop import TARGET, package_of, tree_of


class Bench:
    """A trunk with two packages, and what repairs its pool."""

    def __init__(self, folder: Path) -> None:
        self.trunk = Trunk(folder / "data", "nova", "oslo")
        self.scratch = folder / "scratch"

    @contextmanager
    def folder(self) -> Iterator[Path]:
        self.scratch.mkdir()
        yield self.scratch
        shutil.rmtree(self.scratch)

    def path(self, build: Build, kind: ArtifactKind) -> Path:
        """A file of a build in the pool."""
        return self.trunk.tree.artifact_path(TARGET.name, self.artifact(build, kind))

    def artifact(self, build: Build, kind: ArtifactKind) -> Artifact:
        return next(each for each in self.trunk.store.entry(build.id).artifacts if each.kind is kind)

    def repair(self, *packages: str) -> tuple[Repaired, ...]:
        """Look for what is damaged, and repair that."""
        configured: dict[str, Package] = {name: package_of(name) for name in packages or ("nova", "oslo")}
        rebuilding = Rebuilding(recreators={}, scratch=self.folder)
        repair = Repair(self.trunk.workshop.parts, rebuilding, self.trunk.tree, configured, {TARGET.name: TARGET})
        return repair.run(self.findings())

    def findings(self) -> tuple[PoolFinding, ...]:
        return self.trunk.scrub().run(TARGET.name).findings


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def spoil(path: Path) -> None:
    """Change a byte, and not the size."""
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


@pytest.mark.parametrize("kind", [ArtifactKind.BINARY, ArtifactKind.SUPPORT])
@pytest.mark.parametrize("gone", [False, True], ids=["damaged", "missing"])
def test_what_comes_out_the_same_is_put_back(bench: Bench, kind: ArtifactKind, gone: bool) -> None:
    older = bench.trunk.publish("nova")
    bench.trunk.publish("oslo")
    bench.trunk.publish("nova")
    before, path = tree_of(bench.trunk.root), bench.path(older, kind)
    path.unlink() if gone else spoil(path)
    (done,) = bench.repair()
    assert (done.good, done.build, done.detail) == (True, older.id, "")
    assert bench.findings() == ()
    assert {name: each for name, each in tree_of(bench.trunk.root).items() if ".damaged" not in name} == before
    bench.trunk.publish("oslo")


def test_several_files_of_one_build_are_built_once(bench: Bench) -> None:
    build = bench.trunk.publish("nova")
    for kind in (ArtifactKind.BINARY, ArtifactKind.SUPPORT):
        spoil(bench.path(build, kind))
    built = bench.trunk.workshop.builder.calls.count("build")
    assert [each.good for each in bench.repair()] == [True, True]
    assert bench.trunk.workshop.builder.calls.count("build") == built + 1


def test_what_comes_out_otherwise_is_left_and_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    build = bench.trunk.publish("nova")
    path = bench.path(build, ArtifactKind.BINARY)
    spoil(path)
    damaged, make = path.read_bytes(), bench.trunk.workshop.builder.build

    def other(*arguments: object) -> tuple[Path, ...]:
        made = make(*arguments)  # type: ignore[arg-type]
        for each in made:
            each.write_bytes(each.read_bytes() + b"now")
        return made

    monkeypatch.setattr(bench.trunk.workshop.builder, "build", other)
    (done,) = bench.repair()
    assert (done.good, done.build) == (False, build.id)
    assert done.detail.startswith("it comes out otherwise than it was published")
    assert path.read_bytes() == damaged
    monkeypatch.setattr(bench.trunk.workshop.builder, "build", lambda *_: ())
    assert bench.repair()[0].detail.startswith("the build makes it no more")


def test_what_cannot_be_built_is_told(bench: Bench) -> None:
    build = bench.trunk.publish("nova")
    spoil(bench.path(build, ArtifactKind.BINARY))

    def refuse() -> None:
        raise BuildFailed("the compiler is gone")

    bench.trunk.workshop.builder.hooks["build"] = refuse
    (done,) = bench.repair()
    assert not done.good
    assert "the compiler is gone" in done.detail


def test_what_no_build_made_is_left_alone(bench: Bench) -> None:
    build = bench.trunk.publish("nova")
    bench.trunk.publish("oslo")
    (bench.trunk.root / "pool/own.txt").write_text("mine")
    unlisted = bench.trunk.root / "pool/ab" / ("ab" * 32) / "x.fake"
    unlisted.parent.mkdir(parents=True)
    unlisted.write_text("of whom?")
    spoil(bench.path(build, ArtifactKind.BINARY))
    said = {Path(each.finding.path).name: each.detail for each in bench.repair("oslo")}
    assert said.pop(bench.path(build, ArtifactKind.BINARY).name) == "nova is not in repos.yaml any more"
    assert said == {"own.txt": "no build made it", "x.fake": "no snapshot and no newest build lists it"}
    assert (bench.trunk.root / "pool/own.txt").read_text() == "mine"
