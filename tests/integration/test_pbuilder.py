"""The pbuilder builder where it differs from others: hostile packages as root meets them, its base, kills, shells."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from conveyor.buildroot.isolation import cgroup
from conveyor.buildroot.isolation.sandbox import ScratchKind
from conveyor.buildroot.jobs import Jobs
from conveyor.buildroot.pbuilder import configuration as pbuilder_config
from conveyor.buildroot.pbuilder.builder import PbuilderBuilder
from conveyor.buildroot.tools.hosttool import HostTools
from conveyor.errors import (
    BuildFailed,
    LimitExceeded,
    MirrorUnreachable,
    NotInstallable,
    SourceInvalid,
    UnknownName,
    UserError,
)
from conveyor.formats.deb.apt import AptManager
from conveyor.ports import BuildPlan, PreparedRoot
from tests.contract.test_builder_contract import CACHE, Bench, Wish, assert_nothing_left, pbuilder_bench
from tests.fakes.processes import spawn
from tests.support.roots import UID, running_as

pytestmark = pytest.mark.integration

SECRET = Path("/root/.conveyor-test-secret")
PLAN = BuildPlan(script=b"", arguments=("1704110400",))


@pytest.fixture(scope="module")
def shared() -> Bench:
    return pbuilder_bench()


@pytest.fixture
def bench(shared: Bench) -> Iterator[Bench]:
    yield shared
    assert_nothing_left(CACHE)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def builder_at(data: Path, mirror: str = "http://127.0.0.1:9", max_age: float = 1e9) -> PbuilderBuilder:
    """A builder with a folder of its own, which has no base."""
    jobs = Jobs(data / "jobs")
    return PbuilderBuilder(
        tools=HostTools(jobs=jobs, folder=data / "tools", scratch=ScratchKind.AUTO),
        jobs=jobs,
        apt=AptManager(lambda: mirror),
        uid=UID,
        base_max_age=max_age,
    )


def test_what_a_build_leaves_is_taken_as_it_is_and_leads_nowhere(bench: Bench, tmp_path: Path, log: Path) -> None:
    """Symlinks, special files, a .changes that names files of the host, processes that go on: all at once."""
    SECRET.write_text("hunter2\n")
    owned = tmp_path / "owned"
    owned.touch()
    os.chown(owned, 12345, 12345)
    mark = f"94{os.getpid()}"
    changes = "../greeting_1.0.0-1~deb13_amd64.changes"
    wait = f"while ! test -s {changes}; do sleep 0.01; done"
    forge = f'sed -i "s,^Files:,Files:\\n 0 0 misc optional ../../..{SECRET}," {changes}'
    steps = [
        f"ln -s {SECRET} ../secret.deb",
        f"ln -s {owned} ../owned.deb",
        "mkfifo ../pipe.deb",
        "mkdir ../folder.deb",
        "cp /bin/true ../-rf.deb && chmod 6755 ../-rf.deb",
        f"(setsid sleep {mark} >/dev/null 2>&1 </dev/null &)",
        # dpkg-genchanges comes after all that debian/rules does, so another waits for it.
        f"(setsid sh -c '{wait}; {forge}' >/dev/null 2>&1 </dev/null &)",
    ]
    try:
        made = bench.built(Wish(build=" && ".join(steps)), tmp_path, log)
    finally:
        SECRET.unlink()
    assert {path.name for path in made} == {path.name for path in (tmp_path / "results").iterdir()}
    assert {path.name for path in made} - {"-rf.deb"} == {
        "greeting_1.0.0-1~deb13_all.deb",
        "greeting_1.0.0-1~deb13_amd64.buildinfo",
        "greeting_1.0.0-1~deb13_amd64.changes",
    }
    assert all(stat.S_ISREG(path.lstat().st_mode) and not path.stat().st_mode & 0o6000 for path in made)
    assert not any(b"hunter2" in path.read_bytes() for path in made)
    assert "hunter2" not in log.read_text()
    assert owned.stat().st_uid == 12345
    assert running_as(UID) == []


def test_a_build_has_neither_network_nor_rights(bench: Bench, tmp_path: Path, log: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        steps = [
            f"! bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}'",
            f"test $$(id -u) = {UID}",
            "test ! -e /conveyor/out/state",
            "! touch /conveyor/in/x /conveyor/archives/x /etc/x",
            f"! kill -0 {os.getpid()}",
            f"test ! -e {CACHE}",
            "! mount -t tmpfs x /tmp",
            "! unshare --user --map-root-user mount -t tmpfs x /tmp",
            "! grep -q conveyor-test /proc/net/unix",
            "cp /usr/bin/id . && chmod 4755 id && test $$(./id -u) != 0",
            "grep 'NoNewPrivs:.1' /proc/self/status",
        ]
        with socket.socket(socket.AF_UNIX) as abstract:
            abstract.bind("\0conveyor-test")
            bench.built(Wish(build=" && ".join(f"({step})" for step in steps)), tmp_path, log)


def test_disk_is_limited(bench: Bench, tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Enough for the root, and filled sooner.
    monkeypatch.setattr("conveyor.buildroot.pbuilder.builder.ROOT_ROOM", 1024**3)
    small = replace(bench.target, limits=replace(bench.target.limits, disk=16 * 1024**2))
    with pytest.raises(LimitExceeded, match="of disk"):
        bench.built(Wish(build="dd if=/dev/zero of=big bs=1M"), tmp_path, log, target=small)


def test_what_a_build_says_decides_nothing(bench: Bench, tmp_path: Path, log: Path) -> None:
    said = "E: Failed to fetch http://x\\nI: Installing the build-deps\\nE: Failed to fetch http://x  404"
    with pytest.raises(BuildFailed):
        bench.built(Wish(build=f"printf '{said}\\n'; exit 2"), tmp_path, log)


def test_a_script_of_a_package_cannot_blame_the_network(bench: Bench, tmp_path: Path, log: Path) -> None:
    script = "printf '#!/bin/sh\\necho E: Failed to fetch http://x\\nexit 3\\n' > debian/greeting/DEBIAN/postinst"
    wish = Wish(build=f"mkdir -p debian/greeting/DEBIAN && {script} && chmod 755 debian/greeting/DEBIAN/postinst")
    made = [path for path in bench.built(wish, tmp_path, log) if path.match(bench.result)]
    with pytest.raises(NotInstallable):
        bench.builder.check_install(bench.target, made, (), None, log)


POSTINST = """\
#!/bin/bash
settings=/proc/sys/kernel/core_pattern
for attempt in "cat $settings >$settings" "echo h >/proc/sysrq-trigger" "mount -t tmpfs x /mnt" \
        "unshare --mount true" "mknod /null c 1 3" "chroot / true" "ls /proc/1/root/" "touch /conveyor/in/x" \
        "exec 3<>/dev/tcp/127.0.0.1/PORT"; do
    if (eval "$attempt") 2>/dev/null; then echo "it worked: $attempt"; exit 3; fi
done
"""


def test_a_script_of_a_package_is_root_of_its_root_alone(bench: Bench, tmp_path: Path, log: Path) -> None:
    made = [path for path in bench.built(Wish(), tmp_path, log) if path.match(bench.result)]
    with socket.create_server(("127.0.0.1", 0)) as server:
        subprocess.run(["dpkg-deb", "--raw-extract", made[0], tmp_path / "tree"], check=True)
        script = tmp_path / "tree/DEBIAN/postinst"
        script.write_text(POSTINST.replace("PORT", str(server.getsockname()[1])))
        script.chmod(0o755)
        package = tmp_path / "tried.deb"
        subprocess.run(["dpkg-deb", "--build", tmp_path / "tree", package], check=True, capture_output=True)
        bench.builder.check_install(bench.target, [package], (), None, log)
    assert "Setting up greeting" in log.read_text()


def test_a_dsc_that_names_files_of_the_host(bench: Bench, tmp_path: Path, log: Path) -> None:
    source = bench.source(Wish(), tmp_path, log)
    (dsc,) = [path for path in source if path.name.endswith(".dsc")]
    dsc.write_text(dsc.read_text().replace("\nFiles:\n", f"\nFiles:\n {'0' * 32} 8 ../../../../../..{SECRET}\n"))
    results = tmp_path / "results"
    results.mkdir()
    with pytest.raises(SourceInvalid, match="names a file that is not there"):
        bench.builder.build(PreparedRoot(target=bench.target), PLAN, source, results, log, None)


def test_a_kill_leaves_nothing_and_the_next_build_is_clean(bench: Bench, tmp_path: Path, log: Path) -> None:
    source = bench.source(Wish(build="echo begun; sleep 1000"), tmp_path, log)
    results = tmp_path / "results"
    results.mkdir()
    root = PreparedRoot(target=bench.target)
    caller = spawn(lambda: _build(bench, root, source, results, log))
    deadline = time.monotonic() + 60
    while "\nbegun" not in log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(caller, signal.SIGKILL)
    os.waitpid(caller, 0)
    assert running_as(UID) == []
    loops = subprocess.run(["losetup", "--list", "--noheadings"], capture_output=True, text=True, check=True).stdout
    assert str(CACHE) not in loops
    assert not list((bench.builder._tools.scratch()).iterdir())  # type: ignore[attr-defined]
    Jobs(CACHE / "jobs").sweep()
    cgroup.sweep()
    (tmp_path / "again").mkdir()
    assert bench.built(Wish(), tmp_path / "again", log)


def _build(bench: Bench, root: PreparedRoot, source: tuple[Path, ...], results: Path, log: Path) -> None:
    bench.builder.build(root, PLAN, source, results, log, None)


class TestShell:
    def test_it_sees_what_the_build_left(self, bench: Bench, tmp_path: Path, log: Path) -> None:
        keep = tmp_path / "builds/root"
        with pytest.raises(BuildFailed):
            bench.built(Wish(build="echo half > done; exit 3"), tmp_path, log, keep=keep)
        assert stat.S_IMODE(keep.stat().st_mode) == 0o700
        assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
        test = f"test $(cat done) = half && test $(id -u) = {UID} && ! touch /etc/x && echo more >> done"
        assert bench.builder.shell(bench.target, keep, ["/bin/sh", "-c", test]) == 0
        assert bench.builder.shell(bench.target, keep, ["/bin/sh", "-c", "grep -q more done && exit 9"]) == 9
        assert bench.builder.shell(bench.target, keep, ["/bin/sh", "-c", "exec 3<>/dev/tcp/127.0.0.1/9"]) != 0

    def test_a_root_that_was_not_kept_is_told(self, bench: Bench, tmp_path: Path) -> None:
        with pytest.raises(UnknownName, match="was not kept"):
            bench.builder.shell(bench.target, tmp_path / "nothing", ["/bin/sh"])


class TestBase:
    def test_a_mirror_that_cannot_be_reached(self, bench: Bench, tmp_path: Path, log: Path) -> None:
        with pytest.raises(MirrorUnreachable, match="cannot be fetched"):
            builder_at(tmp_path).bootstrap(bench.target, log)
        cache = tmp_path / "tools/pbuilder-debian-13-amd64"
        assert not list(cache.glob("base-*"))

    def test_one_that_is_young_enough_is_taken_and_an_old_one_is_made_anew(
        self, bench: Bench, tmp_path: Path, log: Path
    ) -> None:
        name = pbuilder_config.base_name(bench.target)
        folder = tmp_path / "tools/pbuilder-debian-13-amd64" / name
        folder.mkdir(parents=True)
        (folder / "base.tar.zst").write_bytes(b"old")
        builder_at(tmp_path).bootstrap(bench.target, log)
        with pytest.raises(MirrorUnreachable):
            builder_at(tmp_path, max_age=-1).bootstrap(bench.target, log)
        # Until there is a new one, the old one stays.
        assert (folder / "base.tar.zst").read_bytes() == b"old"

    def test_a_path_that_pbuilder_would_split(self, bench: Bench, tmp_path: Path, log: Path) -> None:
        with pytest.raises(UserError, match="pbuilder cannot work with the path"):
            builder_at(tmp_path / "my data").bootstrap(bench.target, log)
