"""pbuilder in a container: the main cases of what every builder does. And mock, all, where its image can be had."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from conveyor.buildroot.jobs import Jobs
from conveyor.buildroot.mock.builder import MockBuilder
from conveyor.buildroot.pbuilder.builder import PbuilderBuilder
from conveyor.buildroot.tools.containertool import ContainerTools
from conveyor.errors import BuildDependencyMissing, BuildFailed, LimitExceeded
from conveyor.formats.deb.apt import AptManager
from conveyor.formats.deb.mirror import host_mirror
from conveyor.formats.rpm.dnf import DnfManager
from conveyor.model.target import BuilderKind
from conveyor.model.version import PackageVersion
from tests.contract import test_builder_contract as contract
from tests.contract.test_builder_contract import Bench, Wish, assert_nothing_left, deb_bench, rpm_bench
from tests.support.containers import CACHE, SHARED_SITE, mock_image, need_containers, pbuilder_image, shared_runtimes
from tests.support.mock import MOCK_USER
from tests.support.real_roots import MONTH
from tests.support.roots import UID

pytestmark = pytest.mark.integration


@pytest.fixture
def bench() -> Iterator[Bench]:
    need_containers()
    jobs = Jobs(CACHE / "jobs")
    builder = PbuilderBuilder(
        tools=ContainerTools(jobs=jobs, image=pbuilder_image(), runtimes=shared_runtimes(SHARED_SITE)),
        jobs=jobs,
        apt=AptManager(host_mirror),
        uid=UID,
        base_max_age=MONTH,
    )
    yield replace(deb_bench(), builder=builder, resolves_beforehand=False)
    assert_nothing_left(CACHE)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def test_a_package_is_built_and_can_be_installed(bench: Bench, tmp_path: Path, log: Path) -> None:
    made = bench.built(Wish(needs=bench.good, depends=bench.good, build="hello > greeted"), tmp_path, log)
    (package,) = [path for path in made if path.match(bench.result)]
    assert {path.lstat().st_uid for path in made} == {tmp_path.stat().st_uid}
    assert any(path.name.endswith(".buildinfo") for path in made)
    bench.builder.check_install(bench.target, [package], bench.toolchain.runtime_requirements([package]), None, log)


def test_a_failing_build_keeps_its_root(bench: Bench, tmp_path: Path, log: Path) -> None:
    text = "id -u; ! touch /dev/x; echo x > /dev/null; test -c /dev/null; exit 3"
    with pytest.raises(BuildFailed, match="the build failed with code "):
        bench.built(Wish(build=text), tmp_path, log, keep=tmp_path / "keep")
    assert f"\n{UID}\n" in log.read_text()
    assert bench.builder.shell(bench.target, tmp_path / "keep", ["/bin/sh", "-c", "test -O hello && exit 7"]) == 7


def test_a_missing_build_dependency_is_named(bench: Bench, tmp_path: Path, log: Path) -> None:
    with pytest.raises(BuildDependencyMissing) as caught:
        bench.built(Wish(needs="libdoesnotexist"), tmp_path, log)
    assert "libdoesnotexist" in caught.value.cause


def test_a_build_that_hangs_is_ended(bench: Bench, tmp_path: Path, log: Path) -> None:
    hurried = replace(bench.target, limits=replace(bench.target.limits, seconds=5))
    with pytest.raises(LimitExceeded, match="longer than 5 s"):
        bench.built(Wish(build="sleep 1000"), tmp_path, log, target=hurried)


class InMock:
    """What the cases of mock in a container share."""

    @pytest.fixture
    def bench(self) -> Iterator[Bench]:
        need_containers()
        jobs = Jobs(CACHE / "jobs")
        tools = ContainerTools(jobs=jobs, image=mock_image(), runtimes=shared_runtimes(SHARED_SITE))
        builder = MockBuilder(tools=tools, jobs=jobs, dnf=DnfManager(), user=MOCK_USER, max_age=MONTH)
        overlay = rpm_bench()
        target = replace(overlay.target, builder=BuilderKind.MOCK)
        yield replace(overlay, builder=builder, target=target, resolves_beforehand=False)
        assert_nothing_left(CACHE)


class TestMockSource(InMock, contract.TestSource):
    """The source package."""


class TestMockPrepare(InMock, contract.TestPrepare):
    """Build dependencies."""


class TestMockBuild(InMock, contract.TestBuild):
    """Builds, good and bad."""


class TestMockInstall(InMock, contract.TestInstall):
    """The install check."""


class TestMock(InMock):
    """What containers make difficult."""

    def test_a_kept_root_can_be_entered(self, bench: Bench, tmp_path: Path, log: Path) -> None:
        keep = tmp_path / "keep"
        with pytest.raises(BuildFailed):
            bench.built(Wish(build="echo half > %{_builddir}/done; exit 3"), tmp_path, log, keep=keep)
        look = "test $(id -u) != 0 && grep -r half /builddir/build/BUILD && exit 7"
        assert bench.builder.shell(bench.target, keep, ["/bin/sh", "-c", look]) == 7

    def test_the_build_has_devices_and_no_network(self, bench: Bench, tmp_path: Path, log: Path) -> None:
        devices = "test -c /dev/null && echo x > /dev/null"
        bench.built(Wish(build=f"{devices} && sed 's/^/route: /' /proc/net/route"), tmp_path, log)
        assert [line.split()[1] for line in log.read_text().splitlines() if line.startswith("route: ")] == ["Iface"]

    def test_the_kept_root_cache_is_used_again(self, bench: Bench, tmp_path: Path, log: Path) -> None:
        bench.builder.bootstrap(bench.target, log)
        bench.source(Wish(), tmp_path, tmp_path / "again")
        said = (tmp_path / "again").read_text()
        assert "Start: unpacking root cache" in said
        assert "installing minimal buildroot" not in said

    def test_scripts_of_what_was_built_run_at_the_install_check(self, bench: Bench, tmp_path: Path, log: Path) -> None:
        def packaging(wish: Wish, version: PackageVersion) -> Mapping[str, str]:
            (spec,) = bench.packaging(wish, version).values()
            tries = "mount -t tmpfs x /mnt || mknod /tmp/sda b 8 0"
            return {
                "greeting.spec": spec.replace("%prep\n", f"%post\nif ! {{ {tries}; }}; then echo held; fi\n%prep\n")
            }

        made = replace(bench, packaging=packaging).built(Wish(), tmp_path, log)
        bench.builder.check_install(bench.target, made, (), None, log)
        assert "held" in log.read_text().splitlines()
