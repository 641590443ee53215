"""What pbuilder and mock keep: looked at, made anew and removed while builds run, entered."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from conveyor.buildroot.isolation.sandbox import ScratchKind
from conveyor.buildroot.jobs import Jobs
from conveyor.buildroot.mock import configuration as mock_config
from conveyor.buildroot.mock.builder import MockBuilder
from conveyor.buildroot.pbuilder import configuration as pbuilder_config
from conveyor.buildroot.pbuilder.builder import PbuilderBuilder
from conveyor.buildroot.stock import StockItem, StockKind
from conveyor.buildroot.tools.buildroots import ToolBuildroots
from conveyor.buildroot.tools.containertool import ContainerTools
from conveyor.buildroot.tools.hosttool import HostTools
from conveyor.buildroot.tools.keeper import Keeper, Layout
from conveyor.buildroot.tools.toolhost import ToolCall, ToolHost
from conveyor.errors import MirrorUnreachable
from conveyor.formats.deb.apt import AptManager
from conveyor.formats.deb.mirror import host_mirror
from conveyor.formats.rpm.dnf import DnfManager
from conveyor.model.target import BuilderKind, Limits, Target
from tests.contract.test_builder_contract import (
    CACHE,
    Bench,
    Wish,
    assert_nothing_left,
    deb_bench,
    mock_bench,
    pbuilder_bench,
)
from tests.support.containers import SHARED_SITE, SITE, need_containers, pbuilder_image, remove_volumes, shared_runtimes
from tests.support.mock import MOCK_USER
from tests.support.real_roots import MONTH
from tests.support.roots import UID

pytestmark = pytest.mark.integration

HOUR = 3600
SMALL = Limits(seconds=30, memory=256 * 1024**2, disk=64 * 1024**2, processes=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """The stock of one target."""

    target: Target
    buildroots: ToolBuildroots
    cache: Path

    def items(self) -> dict[str, StockItem]:
        return {item.name: item for item in self.buildroots.stock([self.target])}

    def visit(self, text: str, log: Path, *, as_root: bool = False) -> int:
        return self.buildroots.visit(self.target, ["/bin/sh", "-c", text], log, as_root=as_root)


def shelf(
    target: Target, tools: ToolHost, host: HostTools, folder: Path, builder: Keeper, layout: Layout, max_age: float
) -> Shelf:
    made = ToolBuildroots(
        kind=target.builder,
        layout=layout,
        targets=[target],
        tools=lambda _: tools,
        host=host,
        builder=lambda _: builder,
        max_age=max_age,
    )
    return Shelf(target=target, buildroots=made, cache=folder / f"{target.builder}-{target.name}")


def pbuilder_shelf(target: Target, data: Path, mirror: str | None = None, max_age: float = MONTH) -> Shelf:
    jobs = Jobs(data / "jobs")
    tools = HostTools(jobs=jobs, folder=data / "tools", scratch=ScratchKind.AUTO)
    apt = AptManager(host_mirror if mirror is None else lambda: mirror)
    builder = PbuilderBuilder(tools=tools, jobs=jobs, apt=apt, uid=UID, base_max_age=max_age)
    target = replace(target, builder=BuilderKind.PBUILDER)
    return shelf(target, tools, tools, data / "tools", builder, pbuilder_config.LAYOUT, max_age)


@contextmanager
def held(lock: Path) -> Iterator[None]:
    """A user of what the lock is for."""
    lock.parent.mkdir(exist_ok=True)
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


class TestPbuilder:
    @pytest.fixture
    def bench(self) -> Iterator[Bench]:
        yield pbuilder_bench()
        assert_nothing_left(CACHE)

    @pytest.fixture
    def base(self, bench: Bench, log: Path) -> str:
        """The name of the base, which is there."""
        bench.builder.bootstrap(bench.target, log)
        return pbuilder_config.base_name(bench.target)

    @pytest.fixture
    def own(self, bench: Bench, base: str, tmp_path: Path) -> Shelf:
        """A stock of its own, with hard links to the tarballs that are shared, and no mirror."""
        made = pbuilder_shelf(bench.target, tmp_path / "data", mirror="http://127.0.0.1:9")
        shared = CACHE / "tools/pbuilder-debian-13-amd64" / base
        made.cache.mkdir(parents=True)
        shutil.copytree(shared, made.cache / base, copy_function=os.link)
        return made

    def test_two_builds_at_once_on_one_base(self, bench: Bench, base: str, tmp_path: Path) -> None:
        shared = pbuilder_shelf(bench.target, CACHE)

        def built(name: str) -> list[bytes]:
            (tmp_path / name).mkdir()
            made = bench.built(Wish(needs=bench.good), tmp_path / name, tmp_path / name / "log")
            return [path.read_bytes() for path in made if path.suffix == ".deb"]

        with ThreadPoolExecutor(2) as pool:
            one, two = pool.map(built, ("one", "two"))
        assert one == two != []
        assert os.getpid() not in shared.items()[base].users  # others may use it, too

    def test_the_list_tells_what_there_is(self, own: Shelf, base: str) -> None:
        (own.cache / "base-0123").mkdir()
        (own.cache / "base-0123/base.tar.zst").write_bytes(b"old")
        stray = own.cache.with_name("pbuilder-gone")
        (stray / "base-4567").mkdir(parents=True)
        (stray / "base-4567/base.tar.zst").write_bytes(b"gone")
        found = own.items()
        assert {name: item.current for name, item in found.items()} == {
            base: True,
            "base-0123": False,
            "base-4567": False,
        }
        assert found["base-4567"].target == "gone"
        assert (found[base].kind, found[base].users) == (StockKind.BASE, ())
        assert found[base].size > 50 * 1024**2
        made = (own.cache / base / "base.tar.zst").stat().st_mtime
        assert found[base].made_at == int(made)
        with held(own.cache / "locks" / base):
            assert own.items()[base].users == (os.getpid(),)

    def test_what_is_in_use_stays_and_the_rest_goes_by_its_age(self, own: Shelf, base: str) -> None:
        for name in ("base-0123", "archives"):
            (own.cache / name).mkdir()
            (own.cache / name / "base.tar.zst").write_bytes(bytes(8192))
        with held(own.cache / "locks" / base):
            assert own.buildroots.prune(0) >= 2 * 8192
            assert set(own.items()) == {base}
        assert own.buildroots.prune(10**12) == 0
        assert own.buildroots.prune(0) > 50 * 1024**2
        assert own.items() == {}
        assert {path.name for path in own.cache.iterdir()} == {"locks"}

    def test_a_base_that_is_removed_after_it_was_found_is_made_again(
        self, bench: Bench, own: Shelf, tmp_path: Path, log: Path
    ) -> None:
        """Here it cannot be made: that it is tried shows that the build saw."""
        assert own.visit("exit 5", log) == 5
        assert own.buildroots.prune(0) > 0
        builder = own.buildroots._builder(own.target)
        lost = replace(bench, builder=builder, target=own.target)  # type: ignore[arg-type]
        with pytest.raises(MirrorUnreachable):
            lost.built(Wish(), tmp_path, log)

    def test_it_is_made_anew_beside_who_uses_it(self, bench: Bench, own: Shelf, base: str, log: Path) -> None:
        fresh = pbuilder_shelf(bench.target, own.cache.parents[1])
        tarball = own.cache / base / "base.tar.zst"
        before = tarball.stat()
        (own.cache / "base-0123").mkdir()
        assert not fresh.buildroots.is_due(own.target)
        assert pbuilder_shelf(bench.target, own.cache.parents[1], max_age=-HOUR).buildroots.is_due(own.target)
        with held(own.cache / "locks" / base), tarball.open("rb") as used:
            assert fresh.buildroots.refresh(own.target, log)
            assert os.fstat(used.fileno()).st_ino == before.st_ino
        assert tarball.stat().st_ino != before.st_ino
        # Of an old configuration, and used not long ago.
        assert (own.cache / "base-0123").is_dir()

    def test_one_process_makes_it_anew(self, own: Shelf, base: str, log: Path) -> None:
        with (own.cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert not own.buildroots.refresh(own.target, log)
        with pytest.raises(MirrorUnreachable):
            own.buildroots.refresh(own.target, log)
        assert own.items()[base].current

    def test_a_shell(self, own: Shelf, base: str, log: Path) -> None:
        looks = f"test $(id -u) = {UID} && ! touch /etc/x && test -w . && exit 7"
        assert own.visit(looks, log) == 7
        assert own.visit("exec 3<>/dev/tcp/127.0.0.1/9", log) != 0
        root = "test $(id -u) = 0 && touch /etc/x && ! mount -t tmpfs x /mnt && test $(ls /sys/class/net | wc -l) -le 1"
        assert own.visit(f"{root} && exit 8", log, as_root=True) == 8
        assert own.visit("test ! -e /etc/x", log) == 0
        assert own.items()[base].users == ()


class TestVolumes:
    """pbuilder in a container: its caches are volumes."""

    def shelf(self, data: Path, site: str) -> tuple[Shelf, ContainerTools]:
        need_containers()
        jobs = Jobs(CACHE / "jobs")
        tools = ContainerTools(jobs=jobs, image=pbuilder_image(), runtimes=shared_runtimes(site))
        builder = PbuilderBuilder(tools=tools, jobs=jobs, apt=AptManager(host_mirror), uid=UID, base_max_age=MONTH)
        host = HostTools(jobs=jobs, folder=data / "tools", scratch=ScratchKind.AUTO)
        target = replace(deb_bench().target, builder=BuilderKind.PBUILDER, container=pbuilder_image())
        return shelf(target, tools, host, data, builder, pbuilder_config.LAYOUT, MONTH), tools

    def test_folders_are_listed_and_removed(self, tmp_path: Path, log: Path) -> None:
        own, tools = self.shelf(tmp_path, SITE)
        cache = f"pbuilder-{own.target.name}"
        assert tools.ask(cache, ["ls"]) is None
        text = 'cd "$1" && for name in 1 2; do mkdir base-$name && echo x >base-$name/base.tar.zst; done'
        try:
            tools.run(ToolCall(argv=("/bin/sh", "-c", text, "sh", str(tools.cache(cache))), limits=SMALL), log)
            assert {name: item.current for name, item in own.items().items()} == {"base-1": False, "base-2": False}
            assert own.buildroots.prune(0) > 0
            assert own.items() == {}
        finally:
            remove_volumes()

    def test_a_shell_uses_the_base_while_it_is_open(self, tmp_path: Path, log: Path) -> None:
        own, _ = self.shelf(tmp_path, SHARED_SITE)
        seen = tmp_path / "seen"
        with ThreadPoolExecutor(1) as pool:
            shell = pool.submit(own.visit, f"test $(id -u) = {UID} && sleep 20; exit 7", log)
            base = pbuilder_config.base_name(own.target)
            while not shell.done() and not seen.exists():
                found = own.items()
                if base in found and found[base].users:
                    seen.touch()
            assert shell.result() == 7
        assert seen.exists()
        assert own.items()[base].users == ()
        assert own.visit("test $(id -u) = 0 && exit 8", log, as_root=True) == 8


class TestMock:
    @pytest.fixture
    def bench(self) -> Iterator[Bench]:
        made = mock_bench()
        yield made
        assert made.data is not None
        assert_nothing_left(made.data)

    @pytest.fixture
    def own(self, bench: Bench, tmp_path: Path) -> Shelf:
        jobs = Jobs(tmp_path / "jobs")
        tools = HostTools(jobs=jobs, folder=tmp_path / "tools", scratch=ScratchKind.AUTO)
        builder = MockBuilder(tools=tools, jobs=jobs, dnf=DnfManager(), user=MOCK_USER, max_age=MONTH)
        # mock's user must find it.
        for folder in (tmp_path, *tmp_path.parents[:3]):
            folder.chmod(folder.stat().st_mode | 0o011)
        return shelf(bench.target, tools, tools, tmp_path / "tools", builder, mock_config.LAYOUT, MONTH)

    def test_what_is_kept_is_listed_entered_made_anew_and_removed(self, own: Shelf, log: Path) -> None:
        assert own.items() == {}
        looks = "test $(id -u) != 0 && ! touch /etc/x 2>/dev/null && exit 7"
        assert own.visit(looks, log) == 7
        root = "test $(id -u) = 0 && touch /etc/x && ! mount -t tmpfs x /mnt 2>/dev/null && exit 8"
        assert own.visit(root, log, as_root=True) == 8
        found = own.items()
        (base,) = [item for item in found.values() if item.kind is StockKind.BASE]
        assert base.current
        assert base.users == ()
        assert {item.kind for item in found.values()} == {StockKind.BASE, StockKind.DOWNLOADS}
        tarball = own.cache / base.name / "cache.tar"
        before = tarball.stat().st_ino
        lock = own.cache / "locks" / tarball.parent.name
        with held(lock):
            assert own.buildroots.refresh(own.target, log)
            assert tarball.stat().st_ino != before
            own.buildroots.prune(0)
            assert base.name in own.items()
        assert own.buildroots.prune(0) > 10**6
        assert own.items() == {}
