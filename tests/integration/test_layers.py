"""Layers on disk and the roots made of them, with a package manager that only copies busybox and touches files."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from conveyor.buildroot.overlay.layers import Resolution
from conveyor.buildroot.overlay.nearest import MAX_LAYERS
from conveyor.errors import BuildDependencyMissing
from conveyor.model.artifact import Artifact, ArtifactKind
from conveyor.ports import Trunk
from tests.fakes.processes import ended, spawn, wait_for
from tests.support.roots import fill_root, need_sandbox
from tests.support.touched import HOUR, Site
from tests.support.workshop import TARGET

pytestmark = pytest.mark.integration


@pytest.fixture
def data(tmp_path: Path) -> Path:
    need_sandbox()
    fill_root(tmp_path / "root")
    return tmp_path


@pytest.fixture
def site(data: Path) -> Site:
    return Site(data)


def trunk_of(folder: Path, *contents: str) -> Trunk:
    binaries = [
        Artifact(
            filename=f"{name}.deb",
            sha256=name.ljust(64, "0"),
            size=1,
            kind=ArtifactKind.BINARY,
            name=name.rstrip("0123456789"),
            version="1",
            architecture="all",
        )
        for name in contents
    ]
    folder.mkdir(exist_ok=True)
    return Trunk(folder=folder, snapshot="ab/cd/x", binaries=tuple(binaries))


class TestMemo:
    def test_the_same_requirements_are_answered_without_a_package_manager(self, site: Site, data: Path) -> None:
        first = site.satisfy("gcc", "make")
        again = Site(data)
        second = again.satisfy("make", "gcc")
        assert second == first
        assert (first.made, second.made) == (True, False)
        assert (again.manager.bootstraps, again.manager.installs) == (0, [])
        assert [package.name for package in first.packages] == ["gcc", "make"]
        assert len(first.layers) == 2

    def test_no_requirement_needs_no_layer(self, site: Site) -> None:
        assert site.satisfy() == site.roots.base(TARGET, site.log)
        assert not site.roots.base(TARGET, site.log).made

    def test_the_same_packages_are_kept_once(self, site: Site) -> None:
        first = site.satisfy("gcc", "make")
        second = site.satisfy("gcc", "make", "make")
        assert first.layers == second.layers
        assert len(site.manager.installs) == 1
        assert len(list(site.store.layers.iterdir())) == 2

    def test_a_change_of_a_trunk_package_in_it_makes_it_anew_and_another_does_not(self, site: Site, data: Path) -> None:
        folder = data / "trunk"
        first = site.satisfy("lib", trunk=trunk_of(folder, "lib1"))
        assert site.satisfy("lib", trunk=trunk_of(folder, "lib1", "other1")) == first
        assert len(site.manager.installs) == 1
        second = site.satisfy("lib", trunk=trunk_of(folder, "lib2", "other1"))
        assert second.layers != first.layers
        assert len(site.manager.installs) == 2

    def test_targets_with_another_origin_do_not_share_a_base(self, site: Site) -> None:
        site.roots.base(TARGET, site.log)
        site.roots.base(replace(TARGET, base_packages=("apt",)), site.log)
        assert site.manager.bootstraps == 2


class TestBase:
    def test_one_that_is_due_is_used_all_the_same_and_refreshed_aside(self, site: Site, data: Path) -> None:
        first = site.roots.base(TARGET, site.log)
        assert not site.roots.is_due(TARGET)
        site.now = HOUR + 1
        assert site.roots.is_due(TARGET)
        assert site.roots.base(TARGET, site.log) == first
        (data / "root/new").write_text("since then")
        site.manager.listing = "echo new"
        assert site.roots.refresh(TARGET, site.log)
        second = site.roots.base(TARGET, site.log)
        assert second.layers != first.layers
        assert not site.roots.is_due(TARGET)
        assert site.store.load(first.layers) == first

    def test_one_that_is_far_too_old_is_made_anew_at_once(self, site: Site) -> None:
        site.roots.base(TARGET, site.log)
        site.now = 4 * HOUR + 1
        site.roots.base(TARGET, site.log)
        assert site.manager.bootstraps == 2

    def test_of_two_that_refresh_one_does(self, site: Site) -> None:
        site.roots.base(TARGET, site.log)
        with site.store.alone(f"{TARGET.name}.refreshing"):
            assert not site.roots.refresh(TARGET, site.log)
        assert site.manager.bootstraps == 1

    def test_builds_go_on_while_one_is_refreshed(self, site: Site) -> None:
        """Making the base holds nothing that a build waits for."""
        first = site.satisfy("gcc")
        with site.store.alone(f"{TARGET.name}.refreshing") as held:
            assert held
            assert site.satisfy("gcc") == first
            assert site.satisfy("make").layers[1:] == first.layers[1:]

    def test_a_target_that_was_never_built_is_not_due(self, site: Site) -> None:
        assert not site.roots.is_due(TARGET)

    def test_what_was_resolved_before_a_refresh_is_resolved_again_and_not_installed(self, site: Site) -> None:
        first = site.satisfy("gcc")
        site.now = HOUR
        assert site.roots.refresh(TARGET, site.log)
        installs = list(site.manager.installs)
        site.log.write_text("")
        assert site.satisfy("gcc") == first
        assert site.manager.installs == installs
        assert "would install gcc" in site.log.read_text()
        site.log.write_text("")
        assert site.satisfy("gcc") == first
        assert site.log.read_text() == ""


class TestDifference:
    def test_one_more_requirement_is_installed_on_what_is_there(self, site: Site) -> None:
        small = site.satisfy("gcc", "make")
        large = site.satisfy("gcc", "make", "perl")
        assert large.layers[1:] == small.layers
        assert site.manager.installs == [("gcc", "make")]
        assert site.manager.additions == [("perl",)]
        assert [package.name for package in large.packages] == ["gcc", "make", "perl"]

    def test_one_less_is_made_anew(self, site: Site) -> None:
        large = site.satisfy("gcc", "make")
        small = site.satisfy("gcc")
        assert small.layers[1:] == large.layers[1:]
        assert [package.name for package in small.packages] == ["gcc"]
        assert site.manager.additions == []

    def test_where_the_manager_does_not_tell_all_is_made_anew(self, site: Site) -> None:
        site.satisfy("gcc")
        site.manager.resolvable = False
        assert len(site.satisfy("gcc", "make").layers) == 2
        assert site.manager.installs == [("gcc",), ("gcc", "make")]

    @pytest.mark.parametrize("spoil", ["more", "failing"])
    def test_what_does_not_come_out_as_told_is_made_anew(self, site: Site, spoil: str) -> None:
        site.satisfy("gcc")
        touch = site.manager._touch
        names = {"more": ("make", "surprise"), "failing": ("missing-make",)}[spoil]
        site.manager.install_exactly = lambda *_: touch(names)  # type: ignore[method-assign]
        stack = site.satisfy("gcc", "make")
        assert len(stack.layers) == 2
        assert [package.name for package in stack.packages] == ["gcc", "make"]
        assert "ready layers cannot be used, new ones are made" in site.log.read_text()

    def test_stacks_are_bounded(self, site: Site) -> None:
        names = [f"p{number}" for number in range(MAX_LAYERS + 2)]
        depths = [len(site.satisfy(*names[: count + 1]).layers) for count in range(len(names))]
        assert max(depths) == MAX_LAYERS
        assert depths[-1] == MAX_LAYERS


class TestFailure:
    def test_it_is_told_and_nothing_is_left(self, site: Site, data: Path) -> None:
        with pytest.raises(BuildDependencyMissing, match="no missing-lib"):
            site.satisfy("gcc", "missing-lib")
        assert list((data / "jobs").iterdir()) == []
        assert len(list(site.store.layers.iterdir())) == 1

    def test_what_failed_is_tried_again(self, site: Site) -> None:
        for _ in range(2):
            with pytest.raises(BuildDependencyMissing):
                site.satisfy("missing-lib")
        assert len(site.manager.installs) == 2

    def test_files_are_installed_in_a_layer_that_is_thrown_away(self, site: Site, data: Path) -> None:
        stack = site.satisfy("gcc")
        (data / "nova.deb").write_text("package")
        site.roots.install_files(TARGET, stack, [data / "nova.deb"], site.log)
        assert not (site.root_of(stack) / "packages/nova.deb").exists()


class TestDamage:
    def test_everything_may_be_deleted(self, site: Site) -> None:
        first = site.satisfy("gcc")
        shutil.rmtree(site.store.layers.parent)
        assert site.satisfy("gcc") == first
        assert (site.root_of(first) / "packages/gcc").exists()

    @pytest.mark.parametrize("number", [0, 1], ids=["top", "base"])
    @pytest.mark.parametrize("part", ["", "root", "layer.json"])
    def test_a_deleted_layer_or_part_of_it_is_made_again(self, site: Site, number: int, part: str) -> None:
        first = site.satisfy("gcc")
        _remove(site.store.layers / first.layers[number] / part)
        assert site.satisfy("gcc") == first
        assert site.store.load(first.layers) == first
        assert (site.root_of(first) / "packages/gcc").exists()

    @pytest.mark.parametrize("content", [b"", b"\0\0\0\0", b"\xff", b"[]", b"{}"])
    @pytest.mark.parametrize("place", ["layers/*/layer.json", "resolutions/*.json", "bases/*.json"])
    def test_a_record_that_was_cut_short_is_as_good_as_none(self, site: Site, place: str, content: bytes) -> None:
        first = site.satisfy("gcc")
        damaged = list(site.store.layers.parent.glob(place))
        assert damaged
        for path in damaged:
            path.write_bytes(content)
        assert site.satisfy("gcc") == first
        assert site.store.load(first.layers) == first
        count = len(site.manager.installs)
        assert site.satisfy("gcc") == first
        assert len(site.manager.installs) == count

    def test_a_resolution_of_a_layer_that_is_gone_is_none(self, site: Site) -> None:
        base = site.roots.base(TARGET, site.log)
        gone = Resolution(layers=("gone", *base.layers), names=frozenset({"a"}), trunk="", made_at=1.0)
        site.store.remember("key", gone)
        assert site.store.resolution("key") == gone
        assert site.store.load(["gone", *base.layers]) is None


class TestAtOnce:
    def test_two_processes_make_a_layer_once(self, data: Path) -> None:
        def work() -> None:
            site = Site(data)
            wait_for(data / "go")
            stack = site.satisfy("gcc", "make")
            record = {"layers": stack.layers, "made": [site.manager.bootstraps, len(site.manager.installs)]}
            (data / f"done-{os.getpid()}").write_text(json.dumps(record))

        workers = [spawn(work) for _ in range(3)]
        (data / "go").touch()
        assert [ended(worker) for worker in workers] == [0, 0, 0]
        records = [json.loads(path.read_text()) for path in data.glob("done-*")]
        assert len({tuple(record["layers"]) for record in records}) == 1
        made = [record["made"] for record in records]
        assert [sum(bases) for bases in zip(*made, strict=True)] == [1, 1]

    def test_two_targets_that_make_the_same_layer_get_the_same(self, data: Path) -> None:
        names = ("debian-13-amd64", "debian-13-again", "debian-13-more")

        def work(name: str) -> None:
            site = Site(data)
            wait_for(data / "go")
            stack = site.satisfy("gcc", target=replace(TARGET, name=name))
            (data / f"done-{name}").write_text(stack.layers[0])

        workers = [spawn(lambda name=name: work(name)) for name in names]  # type: ignore[misc]
        (data / "go").touch()
        assert [ended(worker) for worker in workers] == [0, 0, 0]
        assert len({path.read_text() for path in data.glob("done-*")}) == 1
        assert list((data / "jobs").iterdir()) == []


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()
