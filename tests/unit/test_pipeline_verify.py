"""Verifying builds, on fakes: what is looked at, what is built again, and what is told of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from conveyor.errors import BuildFailed, UserError
from conveyor.model.build import Build, Outcome
from conveyor.model.provenance import InstalledPackage
from conveyor.model.target import BuilderKind, Target
from conveyor.pipeline.poll import Wanted
from conveyor.pipeline.verifying.compare import Likeness, first_difference
from conveyor.pipeline.verifying.rebuild import Rebuilding, Replaced
from conveyor.pipeline.verifying.verify import Subject, Verdict, Verification, Verifier
from conveyor.ports import BuildPlan, PreparedRoot, Trunk
from tests.fakes.builder import FakeBuilder
from tests.fakes.store import MemoryStore
from tests.support.workshop import TARGET, Workshop, new_world, package_of, tree_of

AT = datetime(2026, 3, 7, tzinfo=UTC)
PYTHON = InstalledPackage(name="python3", version="1", architecture="all")


@dataclass
class FakeRecreator:
    """Gives a root, or none."""

    root: PreparedRoot | None = None
    asked: list[tuple[Sequence[InstalledPackage], Trunk | None]] = field(default_factory=list)

    def recreate(
        self, target: Target, packages: Sequence[InstalledPackage], trunk: Trunk | None, log: Path
    ) -> PreparedRoot | None:
        del target, log
        self.asked.append((packages, trunk))
        return self.root


@dataclass
class FakeSignatures:
    """Takes one signature for good."""

    good: bytes = b"signed"

    def check(self, content: bytes, signature: bytes) -> str:
        del content
        return "" if signature == self.good else "its signature is not good"


class Bench:
    """A workshop with a package that was built once."""

    def __init__(self, folder: Path) -> None:
        self.workshop = Workshop(new_world(folder / "world", "nova"))
        self.workshop.world.packaging.recipes["nova"] += "needs python3\n"
        self.build = self.workshop.build("nova").build
        self.recreator = FakeRecreator(PreparedRoot(target=TARGET, layers=("old",), packages=(PYTHON,)))
        self.signatures: FakeSignatures | None = None
        self.closer: list[tuple[str, str]] | None = None
        self._folder = folder

    @property
    def snapshot(self) -> Path:
        return self.workshop.parts.repository.snapshot_folder(TARGET.name, self.build.commit.id)

    @property
    def statement(self) -> Path:
        return self.snapshot / "provenance/nova.intoto.json"

    @property
    def binary(self) -> Path:
        """The published package."""
        (path,) = (self.workshop.world.data / "repos").glob("*/pool/*/*/*.fake")
        return path

    def newer(self) -> Build:
        """The package, built of one more commit."""
        self.workshop.push("nova", "Newer")
        return self.workshop.build("nova").build

    def verify(self, build: Build | None = None) -> Verification:
        rebuilding = Rebuilding(
            recreators={BuilderKind.OVERLAY: self.recreator},
            scratch=self._scratch,
            look_closer=None if self.closer is None else self._look_closer,
        )
        verifier = Verifier(self.workshop.parts, rebuilding, self.signatures)
        return verifier.verify(build or self.build, package_of("nova"), TARGET)

    def make(self, monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> None:
        """Have builds leave these files."""

        def build(
            _self: FakeBuilder,
            _root: PreparedRoot,
            _plan: BuildPlan,
            _source: Sequence[Path],
            results: Path,
            _log: Path,
            _keep: Path | None,
        ) -> tuple[Path, ...]:
            for name, content in files.items():
                (results / name).write_text(content)
            return tuple(sorted(results.iterdir()))

        monkeypatch.setattr(FakeBuilder, "build", build)

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        folder = self._folder / "scratch"
        folder.mkdir()
        yield folder
        shutil.rmtree(folder)

    def _look_closer(self, recorded: Path, rebuilt: Path) -> str:
        assert self.closer is not None
        self.closer.append((recorded.name, rebuilt.name))
        return "a closer look"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def likeness(done: Verification) -> dict[str, Likeness]:
    return {file.filename: file.likeness for file in done.files}


def check_of(done: Verification, subject: Subject) -> bool | None:
    return next(check.good for check in done.checks if check.subject is subject)


class TestRebuilt:
    def test_what_comes_out_the_same_is_reproducible_and_nothing_is_written(self, bench: Bench) -> None:
        repos = bench.workshop.world.data / "repos"
        before, builds = tree_of(repos), bench.workshop.parts.store.builds()
        done = bench.verify()
        assert done.verdict is Verdict.REPRODUCIBLE
        assert likeness(done) == dict.fromkeys(("recipe", "nova-1.1.tar.gz", "nova_1.1-1.fake"), Likeness.IDENTICAL)
        assert (done.notes, done.replaced, done.error) == ((), (), None)
        assert [check.good for check in done.checks] == [True, True, None]
        assert (tree_of(repos), bench.workshop.parts.store.builds()) == (before, builds)

    def test_it_is_built_in_the_recorded_root_with_the_trunk_of_then(self, bench: Bench) -> None:
        first, second = bench.build, bench.newer()
        bench.newer()
        prepared = bench.workshop.builder.calls.count("prepare")
        assert bench.verify(first).verdict is bench.verify(second).verdict is Verdict.REPRODUCIBLE
        (before, nothing), (packages, trunk) = bench.recreator.asked
        assert (before, packages, nothing) == ((PYTHON,), (PYTHON,), None)
        assert trunk is not None
        assert trunk.snapshot.endswith(first.commit.id)
        assert [one.filename for one in trunk.binaries] == ["nova_1.1-1.fake"]
        assert bench.workshop.builder.calls.count("prepare") == prepared

    def test_of_a_trunk_that_is_gone_a_later_one_is_taken(self, bench: Bench) -> None:
        second = bench.newer()
        shutil.rmtree(bench.snapshot)
        done = bench.verify(second)
        assert f"the snapshot of {bench.build.commit.id} is gone" in done.notes[0]
        (_, trunk), *_ = bench.recreator.asked
        assert trunk is not None
        assert trunk.snapshot.endswith(second.commit.id)
        third = bench.newer()
        for build in (second, third):
            shutil.rmtree(bench.workshop.parts.repository.snapshot_folder(TARGET.name, build.commit.id))
        assert len(bench.verify(second).notes) == 2

    def test_a_root_that_cannot_be_had_any_more_is_told_with_what_is_there_instead(self, bench: Bench) -> None:
        bench.recreator.root = None
        bench.workshop.world.packaging.recipes["nova"] = "unused"  # the published source package counts
        assert bench.verify().replaced == ()
        bench.recreator.root = PreparedRoot(
            target=TARGET, packages=(replace(PYTHON, version="2"), replace(PYTHON, name="new"))
        )
        done = bench.verify()
        assert done.replaced == (
            Replaced(name="new", recorded=None, used="1"),
            Replaced(name="python3", recorded="1", used="2"),
        )
        assert done.verdict is Verdict.REPRODUCIBLE

    def test_a_root_that_nobody_recorded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(MemoryStore, "provenance", lambda *_: None)
        bench = Bench(tmp_path)
        done = bench.verify()
        assert (done.verdict, done.replaced, bench.recreator.asked) == (Verdict.REPRODUCIBLE, None, [])
        assert "was not recorded" in done.notes[0]

    def test_what_differs_is_named(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        content = bench.binary.read_text()
        bench.make(monkeypatch, {"nova_1.1-1.fake": content.replace("tent", "tint")})
        bench.closer = []
        done = bench.verify()
        assert done.verdict is Verdict.DIFFERS
        (file,) = [file for file in done.files if file.likeness is Likeness.DIFFERS]
        assert (file.filename, file.offset, file.left_out) == ("nova_1.1-1.fake", content.index("ent"), 0)
        assert [(one.part, one.name) for one in file.differences] == [("field", "first"), ("member", "/content")]
        assert (file.differences[0].recorded, file.differences[0].rebuilt) == ("content", "contint")
        assert (file.details, bench.closer) == ("a closer look", [("nova_1.1-1.fake", "nova_1.1-1.fake")])

    def test_a_signature_in_a_package_is_no_difference(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        bench.make(monkeypatch, {"nova_1.1-1.fake": f"signed by somebody\n{bench.binary.read_text()}"})
        assert bench.verify().verdict is Verdict.REPRODUCIBLE

    def test_files_that_are_missing_or_new_and_records(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        bench.make(monkeypatch, {"nova-doc_1.1-1.fake": "x", "record": "libnew"})
        done = bench.verify()
        assert done.verdict is Verdict.DIFFERS
        found = {name: how for name, how in likeness(done).items() if how is not Likeness.IDENTICAL}
        assert found == {
            "nova-doc_1.1-1.fake": Likeness.NEW,
            "nova_1.1-1.fake": Likeness.MISSING,
            "record": Likeness.RECORD,
        }

    def test_a_build_that_fails_is_not_rebuilt(self, bench: Bench) -> None:
        def fail() -> None:
            raise BuildFailed("the build failed with code 2", details=["lines"])

        bench.workshop.builder.hooks["build"] = fail
        done = bench.verify()
        assert (done.verdict, done.files) == (Verdict.NOT_REBUILT, ())
        assert done.error is not None
        assert done.error.what == "the build failed with code 2"
        assert done.error.cause


class TestPackaging:
    def test_templates_of_later_do_not_count(self, bench: Bench) -> None:
        bench.workshop.world.packaging.recipes["nova"] = "make other_{evr}.fake other\n"
        done = bench.verify()
        assert (done.verdict, likeness(done)["recipe"]) == (Verdict.REPRODUCIBLE, Likeness.IDENTICAL)
        assert any("as the build kept it" in note for note in done.notes)

    def test_without_any_packaging_the_published_source_package_is_built(self, bench: Bench) -> None:
        bench.workshop.world.packaging.recipes["nova"] = "make other_{evr}.fake other\n"
        shutil.rmtree(bench.workshop.folder(bench.build))
        done = bench.verify()
        assert likeness(done) == {
            "recipe": Likeness.SKIPPED,
            "nova-1.1.tar.gz": Likeness.SKIPPED,
            "nova_1.1-1.fake": Likeness.IDENTICAL,
        }
        assert done.verdict is Verdict.REPRODUCIBLE
        assert any("taken as it was published" in note for note in done.notes)

    def test_tags_that_came_later_are_told(self, bench: Bench) -> None:
        bench.workshop.versions[bench.build.commit.upstream.sha] = "9.0"
        done = bench.verify()
        assert done.verdict is Verdict.REPRODUCIBLE
        assert "its version would be 9.0-1" in done.notes[0]

    def test_a_source_package_that_comes_out_otherwise_is_named(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        archive = type(bench.workshop.git).archive

        def changed(self: Any, url: str, sha: str, *, into: Path, **rest: Any) -> None:  # noqa: ANN401
            archive(self, url, sha, into=into, **rest)
            into.write_bytes(into.read_bytes() + b"\n")

        monkeypatch.setattr(type(bench.workshop.git), "archive", changed)
        done = bench.verify()
        assert (done.verdict, likeness(done)["nova-1.1.tar.gz"]) == (Verdict.DIFFERS, Likeness.DIFFERS)


class TestDamage:
    def test_a_flipped_byte_in_the_pool_is_found_and_nothing_is_built(self, bench: Bench) -> None:
        bench.binary.write_bytes(bench.binary.read_bytes().replace(b"c", b"b", 1))
        calls = list(bench.workshop.builder.calls)
        done = bench.verify()
        assert (done.verdict, check_of(done, Subject.FILES), done.files) == (Verdict.DAMAGED, False, ())
        assert "nova_1.1-1.fake has sha256" in done.checks[0].detail
        assert bench.workshop.builder.calls == calls

    def test_a_file_that_is_gone_is_found(self, bench: Bench) -> None:
        bench.binary.unlink()
        done = bench.verify()
        assert done.verdict is Verdict.DAMAGED
        assert "nova_1.1-1.fake is not in the pool" in done.checks[0].detail

    @pytest.mark.parametrize(
        ("old", "new", "told"),
        [
            ('{"_type"', '["_type"', "cannot be read"),
            ('"subject"', '"object"', "cannot be read"),
            ('"resolvedDependencies":[', '"resolvedDependencies":[7,', ""),
            ('"gitCommit":"', '"gitCommit":"0', "another commit"),
            ('"name":"nova_', '"name":"mova_', "did not make"),
            ('"digest":{"sha256":"', '"digest":{"sha256":"0', "another content"),
        ],
    )
    def test_a_changed_statement(self, bench: Bench, old: str, new: str, told: str) -> None:
        text = bench.statement.read_text()
        assert old in text
        bench.statement.write_text(text.replace(old, new))
        done = bench.verify()
        assert check_of(done, Subject.STATEMENT) is (not told)
        assert told in done.checks[1].detail

    def test_a_statement_that_is_nested_without_end(self, bench: Bench) -> None:
        bench.statement.write_text("[" * 1_000_000)
        assert check_of(bench.verify(), Subject.STATEMENT) is False

    def test_a_subject_that_is_left_out(self, bench: Bench) -> None:
        document = json.loads(bench.statement.read_text())
        del document["subject"][0]
        bench.statement.write_text(json.dumps(document))
        assert bench.verify().verdict is Verdict.DAMAGED

    @pytest.mark.parametrize(
        ("signature", "configured", "good"),
        [(None, True, None), (b"signed", True, True), (b"forged", True, False), (b"forged", False, None)],
    )
    def test_the_signature(self, bench: Bench, signature: bytes | None, configured: bool, good: bool | None) -> None:
        bench.signatures = FakeSignatures() if configured else None
        if signature is not None:
            bench.statement.with_name("nova.intoto.json.asc").write_bytes(signature)
        done = bench.verify()
        assert check_of(done, Subject.SIGNATURE) is good
        assert done.verdict is (Verdict.DAMAGED if good is False else Verdict.REPRODUCIBLE)

    def test_a_snapshot_that_was_collected(self, bench: Bench) -> None:
        shutil.rmtree(bench.snapshot)
        done = bench.verify()
        assert (check_of(done, Subject.STATEMENT), done.verdict) == (None, Verdict.REPRODUCIBLE)


class TestRefused:
    def test_a_build_that_is_not_published(self, bench: Bench) -> None:
        local = bench.workshop.build("nova", Wanted(publish=False)).build
        assert local.outcome is Outcome.SUCCEEDED
        with pytest.raises(UserError, match="--local or --no-publish"):
            bench.verify(local)

    def test_a_build_that_retention_took(self, bench: Bench) -> None:
        bench.workshop.parts.store.mark_collected([bench.build.id], AT)
        assert bench.verify().verdict is Verdict.REPRODUCIBLE  # its files are still needed by others
        bench.binary.unlink()
        with pytest.raises(UserError, match="retention has removed"):
            bench.verify()

    def test_a_build_that_failed(self, bench: Bench) -> None:
        bench.workshop.world.packaging.recipes["nova"] = "exit 1\n"
        bench.workshop.push("nova", "Broken")
        failed = bench.workshop.build("nova").build
        with pytest.raises(UserError, match="is failed"):
            bench.verify(failed)


@pytest.mark.parametrize(
    ("left", "right", "starts", "offset"),
    [
        (b"same", b"same", (0, 0), None),
        (b"same", b"some", (0, 0), 1),
        (b"same", b"same and more", (0, 0), 4),
        (b"", b"x", (0, 0), 0),
        (b"AAsame", b"Bsame", (2, 1), None),
        (b"AAsamX", b"Bsame", (2, 1), 3),
        (bytes(1 << 20) + b"x", bytes(1 << 20) + b"y", (0, 0), 1 << 20),
    ],
)
def test_the_first_difference(
    tmp_path: Path, left: bytes, right: bytes, starts: tuple[int, int], offset: int | None
) -> None:
    (tmp_path / "left").write_bytes(left)
    (tmp_path / "right").write_bytes(right)
    assert first_difference(tmp_path / "left", tmp_path / "right", *starts) == offset
