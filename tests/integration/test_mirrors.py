"""Mirrors with the real rsync: what a client of the mirror sees, and what is left when something breaks."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from conveyor import command
from conveyor.command import Completed
from conveyor.errors import MirroringFailed
from conveyor.formats.deb.metadata import DebIndexWriter
from conveyor.formats.rpm.metadata import RpmIndexWriter
from conveyor.model.artifact import ArtifactKind
from conveyor.model.mirror import Mirror
from conveyor.model.promotion import MoveKind
from conveyor.model.target import Format
from conveyor.repository.outgoing import RsyncCopier
from conveyor.repository.pointers import read_all
from tests.contract.test_index_writers import Apt, Dnf
from tests.fakes.index_writer import FakeIndexWriter
from tests.support.published import artifact_of, make_deb, make_rpms, need
from tests.support.trunk import Trunk
from tests.support.workshop import TARGET as TARGET_MODEL

pytestmark = pytest.mark.integration

TARGET = "debian-13-amd64"


@pytest.fixture
def trunk(tmp_path: Path) -> Iterator[Trunk]:
    need("rsync", "setpriv")
    trunk = Trunk(data=tmp_path / "data", writer=FakeIndexWriter())
    yield trunk
    trunk.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mirror").mkdir()
    return tmp_path / "mirror"


@pytest.fixture
def mirror(folder: Path) -> Mirror:
    return Mirror(name="eu", destination=str(folder), stall_limit=20, time_limit=60)


def copier_of(trunk: Trunk, run: Callable[..., Completed] = command.run) -> RsyncCopier:
    return RsyncCopier(trunk.data / "repos", trunk.tree, trunk.data / "mirroring", run=run)


def publish(trunk: Trunk, number: int, *, package: str = "nova", size: int = 100) -> str:
    """Publish a build of one artifact; gives the commit's id."""
    path = trunk.data / f"{package}_{number}.deb"
    path.write_bytes(f"{package} {number} ".encode() + os.urandom(size))
    version = f"{number}-1"
    artifact = artifact_of(path, kind=ArtifactKind.BINARY, name=package, version=version, architecture="all")
    return trunk.publish([(path, artifact)], package=package, version=version).commit.id


def content(root: Path) -> dict[str, str]:
    """What clients can see of a tree."""
    return {
        str(path.relative_to(root)): f"-> {path.readlink()}" if path.is_symlink() else path.read_bytes().hex()
        for path in sorted(root.rglob("*"))
        if (path.is_symlink() or path.is_file()) and "/." not in f"/{path.relative_to(root)}"
    }


def assert_whole(root: Path) -> None:
    """Each pointer leads to a snapshot that is there, with all that its metadata lists."""
    pointers = [root / name for name in read_all(root)]  # never rsync's temporary names: a dot before them
    assert pointers
    for pointer in pointers:
        index = (pointer / "metadata/index").read_text()
        for line in (pointer / "metadata" / index).read_text().splitlines():
            path, size = line.split()
            assert (pointer / "pool" / path).stat().st_size == int(size)


class TestFolder:
    def test_a_first_copy_is_the_tree(self, trunk: Trunk, mirror: Mirror, folder: Path) -> None:
        for number in (1, 2):
            publish(trunk, number)
        (trunk.data / "repos/key.asc").write_text("a public key")
        (trunk.root / "conveyor.asc").write_text("another")
        copied = copier_of(trunk).copy(mirror, TARGET, None)
        assert content(folder) == content(trunk.data / "repos")
        assert copied.pointers == trunk.tree.pointers(TARGET)
        assert copied.files > 10
        assert copied.removed == 0
        again = copier_of(trunk).copy(mirror, TARGET, None)
        assert (again.files, again.size, again.removed) == (0, 0, 0)
        assert list((trunk.data / "mirroring").glob(".tmp-*")) == []

    def test_only_what_is_new_is_looked_at(self, trunk: Trunk, mirror: Mirror, folder: Path) -> None:
        first = publish(trunk, 1)
        copier_of(trunk).copy(mirror, TARGET, None)
        shutil.rmtree(folder / TARGET / "pool")
        (folder / TARGET / "pool").mkdir()
        second = publish(trunk, 2, package="oslo")
        copier_of(trunk).copy(mirror, TARGET, [second])
        assert_whole(folder / TARGET)
        assert content(folder) == content(trunk.data / "repos")
        assert first != second

    def test_a_dry_run_changes_nothing(self, trunk: Trunk, mirror: Mirror, folder: Path) -> None:
        publish(trunk, 1)
        copied = copier_of(trunk).copy(mirror, TARGET, None, dry_run=True)
        assert copied.files > 5
        assert content(folder) == {}

    def test_what_is_collected_goes_there_too_and_nothing_else(
        self, trunk: Trunk, mirror: Mirror, folder: Path
    ) -> None:
        first, second = publish(trunk, 1), publish(trunk, 2)
        trunk.pointers.move(MoveKind.PROMOTED, [(TARGET, "tested", first)], actor="ann")
        copier = copier_of(trunk)
        copier.copy(mirror, TARGET, None)
        (folder / "README").write_text("the mirror's own")
        (folder / TARGET / "notes").mkdir()
        (folder / TARGET / "notes" / "x").write_text("too")
        (folder / TARGET / "link").symlink_to("/srv")
        own = trunk.tree.manifest(TARGET, first).own.artifacts[0]
        (trunk.root / "tested").unlink()
        shutil.rmtree(trunk.tree.snapshot_folder(TARGET, first))
        shutil.rmtree(trunk.tree.artifact_path(TARGET, own).parent)

        assert copier.copy(replace(mirror, delete=False), TARGET, None).removed == 0
        assert (folder / TARGET / "tested").is_dir()
        there = copier.copy(mirror, TARGET, None, dry_run=True)
        assert (there.removed, (folder / TARGET / "tested").is_dir()) == (3, True)
        assert copier.copy(mirror, TARGET, None).removed == 3
        assert content(folder) == content(trunk.data / "repos") | {
            "README": b"the mirror's own".hex(),
            f"{TARGET}/notes/x": b"too".hex(),
            f"{TARGET}/link": "-> /srv",
        }
        assert_whole(folder / TARGET)
        assert second in trunk.tree.pointers(TARGET).values()

    def test_components_and_keys_come_along(self, trunk: Trunk, mirror: Mirror, folder: Path) -> None:
        first = publish(trunk, 1)
        component = trunk.root / "component/common"
        component.mkdir(parents=True)
        (component / "delorean.repo").write_text("x")
        (component / "current").symlink_to(f"../../{first[:2]}/{first[2:4]}/{first}")
        (trunk.root / "versions.md5").write_text("y")
        copier_of(trunk).copy(mirror, TARGET, None)
        assert content(folder) == content(trunk.data / "repos")

    def test_all_may_read_it_whatever_the_umask(self, trunk: Trunk, mirror: Mirror, folder: Path) -> None:
        first, second = publish(trunk, 1), publish(trunk, 2)
        component = trunk.root / "component/common"
        component.mkdir(parents=True)
        (component / "current").symlink_to(f"../../{second[:2]}/{second[2:4]}/{second}")
        old = os.umask(0o077)
        try:
            copier_of(trunk).copy(mirror, TARGET, None)
            shutil.rmtree(trunk.tree.snapshot_folder(TARGET, first))
            assert copier_of(trunk).copy(mirror, TARGET, None).removed == 1
        finally:
            os.umask(old)
        for path in [folder / TARGET, *(folder / TARGET).rglob("*")]:
            if not path.is_symlink():
                wanted = 0o755 if path.is_dir() else 0o644
                assert stat.S_IMODE(path.stat().st_mode) == wanted, path

    def test_a_folder_that_is_not_mounted_is_not_made(self, trunk: Trunk, mirror: Mirror, folder: Path) -> None:
        publish(trunk, 1)
        folder.rmdir()
        with pytest.raises(MirroringFailed, match="there is no folder"):
            copier_of(trunk).copy(mirror, TARGET, None)
        assert not folder.exists()

    def test_one_process_at_a_time(self, trunk: Trunk, mirror: Mirror) -> None:
        other = replace(mirror, name="us")
        first, second, third = (copier_of(trunk).alone(each) for each in (mirror, mirror, other))
        with first as one, second as two, third as three:
            assert (one, two, three) == (True, False, True)
        with copier_of(trunk).alone(mirror) as alone:
            assert alone


class TestAtTheSameTime:
    def test_what_is_published_meanwhile_waits_for_its_files(self, trunk: Trunk, mirror: Mirror, folder: Path) -> None:
        """The worst moment: right before each call of rsync a snapshot is published and `current` moves."""
        first = publish(trunk, 1)
        numbers = iter(range(2, 100))

        def publish_and_run(argv: Sequence[str], *, timeout: float, check: bool) -> Completed:
            publish(trunk, next(numbers))
            return command.run(argv, timeout=timeout, check=check)

        for commits in (None, [first]):
            copied = copier_of(trunk, publish_and_run).copy(mirror, TARGET, commits)
            assert copied.pointers != trunk.tree.pointers(TARGET)
            assert_whole(folder / TARGET)
        copier_of(trunk).copy(mirror, TARGET, None)
        assert content(folder) == content(trunk.data / "repos")

    def test_what_a_pointer_led_to_is_collected_meanwhile(self, trunk: Trunk, mirror: Mirror, folder: Path) -> None:
        first = publish(trunk, 1)
        done: list[str] = []

        def collect_and_run(argv: Sequence[str], *, timeout: float, check: bool) -> Completed:
            if not done:
                done.append(publish(trunk, 2))
                shutil.rmtree(trunk.tree.snapshot_folder(TARGET, first))
            return command.run(argv, timeout=timeout, check=check)

        copied = copier_of(trunk, collect_and_run).copy(mirror, TARGET, None)
        assert copied.pointers["current"] == done[0]
        assert_whole(folder / TARGET)

    def test_pointers_that_move_before_the_removal_stop_it(self, trunk: Trunk, mirror: Mirror, folder: Path) -> None:
        first = publish(trunk, 1)
        moved: list[str] = []

        def move_and_run(argv: Sequence[str], *, timeout: float, check: bool) -> Completed:
            completed = command.run(argv, timeout=timeout, check=check)
            if not moved and (folder / TARGET / "current").is_symlink():
                moved.append(publish(trunk, 2))
                shutil.rmtree(trunk.tree.snapshot_folder(TARGET, first))
            return completed

        assert copier_of(trunk, move_and_run).copy(mirror, TARGET, None).removed == 0
        assert moved
        assert (folder / TARGET / "current").readlink().name == first
        assert_whole(folder / TARGET)

    def test_a_reader_of_the_mirror_never_misses_anything(self, trunk: Trunk, mirror: Mirror, folder: Path) -> None:
        copier = copier_of(trunk)
        publish(trunk, 1)
        copier.copy(mirror, TARGET, None)
        stop, reads, failures = threading.Event(), [], []

        def read() -> None:
            while not stop.is_set():
                try:
                    assert_whole(folder / TARGET)
                    reads.append(1)
                except (OSError, AssertionError) as error:
                    failures.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            for number in range(2, 8):
                commit = publish(trunk, number)
                copier.copy(mirror, TARGET, [commit])
        finally:
            stop.set()
            reader.join()
        assert [str(failure) for failure in failures] == []
        assert len(reads) > 10


class Daemon(NamedTuple):
    """An rsync daemon and the folder that it serves."""

    port: int
    folder: Path
    password_file: Path


@pytest.fixture
def daemon(tmp_path: Path, folder: Path) -> Iterator[Daemon]:
    need("rsync")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    secrets, password, configuration = (tmp_path / name for name in ("secrets", "password", "rsyncd.conf"))
    for path, text in ((secrets, "trunk:open sesame\n"), (password, "open sesame\n")):
        path.write_text(text)
        path.chmod(0o600)
    configuration.write_text(
        f"use chroot = no\nmunge symlinks = no\nuid = {os.getuid()}\ngid = {os.getgid()}\n"
        f"[tree]\npath = {folder}\nread only = no\nauth users = trunk\nsecrets file = {secrets}\n"
    )
    argv = ["rsync", "--daemon", "--no-detach", f"--config={configuration}", f"--port={port}", "--address=127.0.0.1"]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            _wait_for(lambda: _listens(port))
            yield Daemon(port=port, folder=folder, password_file=password)
        finally:
            running.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.02)
    pytest.fail("it did not come to be within 20 s")


def mirror_at(daemon: Daemon) -> Mirror:
    return Mirror(
        name="eu",
        destination="rsync://trunk@127.0.0.1/tree",
        port=daemon.port,
        password_file=str(daemon.password_file),
        stall_limit=20,
        time_limit=60,
    )


class TestDaemon:
    def test_the_whole_way(self, trunk: Trunk, daemon: Daemon) -> None:
        copier, mirror = copier_of(trunk), mirror_at(daemon)
        first = publish(trunk, 1)
        copier.copy(mirror, TARGET, None)
        second = publish(trunk, 2)
        copier.copy(mirror, TARGET, [second])
        assert content(daemon.folder) == content(trunk.data / "repos")
        shutil.rmtree(trunk.tree.snapshot_folder(TARGET, first))
        assert copier.copy(mirror, TARGET, None).removed == 1
        assert content(daemon.folder) == content(trunk.data / "repos")

    def test_killed_in_the_middle_it_goes_on_where_it_was(self, trunk: Trunk, daemon: Daemon) -> None:
        mirror = mirror_at(daemon)
        publish(trunk, 1)
        copier_of(trunk).copy(mirror, TARGET, None)
        before = (daemon.folder / TARGET / "current").readlink()
        publish(trunk, 2, size=4_000_000)
        slow = replace(mirror, bandwidth=400_000)
        pool = daemon.folder / TARGET / "pool"

        def received() -> int:
            return sum(path.stat().st_size for path in pool.rglob(".nova_2.deb.*"))

        child = os.fork()
        if child == 0:
            copier_of(trunk).copy(slow, TARGET, None)
            os._exit(0)
        try:
            _wait_for(lambda: received() > 500_000)
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        _wait_for(lambda: any(pool.rglob(".rsync-partial/*")))
        kept = sum(path.stat().st_size for path in pool.rglob(".rsync-partial/*"))
        assert kept > 500_000
        assert (daemon.folder / TARGET / "current").readlink() == before
        assert_whole(daemon.folder / TARGET)

        said: list[str] = []

        def run_and_note(argv: Sequence[str], *, timeout: float, check: bool) -> Completed:
            completed = command.run(argv, timeout=timeout, check=check)
            said.append(completed.output)
            return completed

        copier_of(trunk, run_and_note).copy(mirror, TARGET, None)
        assert content(daemon.folder) == content(trunk.data / "repos")
        assert max(int(size) for size in re.findall(r"Matched data: (\d+)", "".join(said))) > kept // 2
        assert list(daemon.folder.rglob(".rsync-partial")) == []

    def test_nobody_listens(self, trunk: Trunk, daemon: Daemon) -> None:
        publish(trunk, 1)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            dead = replace(mirror_at(daemon), port=probe.getsockname()[1])
            with pytest.raises(MirroringFailed, match="Connection refused"):
                copier_of(trunk).copy(dead, TARGET, None)

    def test_somebody_listens_and_says_nothing(self, trunk: Trunk, daemon: Daemon) -> None:
        publish(trunk, 1)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            mute = replace(mirror_at(daemon), port=silent.getsockname()[1], stall_limit=1)
            with pytest.raises(MirroringFailed, match="no new copy"):
                copier_of(trunk).copy(mute, TARGET, None)

    def test_a_wrong_password(self, trunk: Trunk, daemon: Daemon) -> None:
        publish(trunk, 1)
        daemon.password_file.write_text("guess\n")
        with pytest.raises(MirroringFailed, match="auth failed"):
            copier_of(trunk).copy(mirror_at(daemon), TARGET, None)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk")
def test_a_full_disk_there_leaves_the_pointers_as_they_were(trunk: Trunk, mirror: Mirror, folder: Path) -> None:
    command.run(["mount", "-t", "tmpfs", "-o", "size=2m", "conveyor-test", str(folder)], timeout=10)
    try:
        publish(trunk, 1)
        copier_of(trunk).copy(mirror, TARGET, None)
        before = (folder / TARGET / "current").readlink()
        second = publish(trunk, 2, size=4_000_000)
        for commits in (None, [second]):
            with pytest.raises(MirroringFailed, match="No space left on device"):
                copier_of(trunk).copy(mirror, TARGET, commits)
            assert (folder / TARGET / "current").readlink() == before
            assert_whole(folder / TARGET)
    finally:
        command.run(["umount", str(folder)], timeout=10)


def stand_ins(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in (root / TARGET).glob(".redated/*/*"))


class TestClients:
    def test_apt_installs_from_the_mirror(self, tmp_path: Path, mirror: Mirror, folder: Path) -> None:
        need("rsync", "setpriv", "apt-get")
        trunk = Trunk(data=tmp_path / "data", writer=DebIndexWriter(tmp_path / "cache"))
        apt = Apt(tmp_path / "apt")
        apt.source(
            f"Types: deb\nURIs: file://{folder}/{TARGET}/current\nSuites: trunk\nComponents: common\nTrusted: yes\n"
        )
        for number in (1, 2):
            commit = trunk.publish([make_deb(tmp_path, "hello", f"{number}-1")], version=f"{number}-1").commit.id
            copier_of(trunk).copy(mirror, TARGET, None if number == 1 else [commit])
            apt("update")
            assert apt.known() == {f"hello {number}-1"}
            apt("download", "hello")
        assert {path.name for path in apt.folder.glob("*.deb")} == {"hello_1-1_all.deb", "hello_2-1_all.deb"}
        trunk.close()

    def test_apt_sees_a_pointer_that_moved_back_at_the_mirror(
        self, tmp_path: Path, mirror: Mirror, folder: Path
    ) -> None:
        need("rsync", "setpriv", "apt-get")
        trunk = Trunk(data=tmp_path / "data", writer=DebIndexWriter(tmp_path / "cache"))
        apt = Apt(tmp_path / "apt")
        apt.source(
            f"Types: deb\nURIs: file://{folder}/{TARGET}/current\nSuites: trunk\nComponents: common\nTrusted: yes\n"
        )
        commits = [
            trunk.publish([make_deb(tmp_path, "hello", f"{number}-1")], version=f"{number}-1").commit.id
            for number in range(3)
        ]
        for number in (2, 1, 0, 1):
            trunk.pointers.move(MoveKind.ROLLED_BACK, [(TARGET, "current", commits[number])], actor="ada")
            copier_of(trunk).copy(mirror, TARGET, [])
            assert (folder / TARGET / "current").readlink() == (trunk.data / f"repos/{TARGET}/current").readlink()
            apt("update")
            assert apt.known() == {f"hello {number}-1"}
        for stand_in in (folder / TARGET).glob(".redated/*/*"):
            assert (stand_in / "dists/trunk/Release").is_file()
        copier_of(trunk).copy(replace(mirror, delete=True), TARGET, None)
        assert stand_ins(folder) == stand_ins(trunk.data / "repos")
        assert apt.known() == {"hello 1-1"}
        trunk.close()

    def test_dnf_installs_from_the_mirror(self, tmp_path: Path, mirror: Mirror, folder: Path) -> None:
        need("rsync", "setpriv", "dnf", "rpmbuild")
        target = replace(TARGET_MODEL, name="centos-10-x86_64", format=Format.RPM, architecture="x86_64")
        trunk = Trunk(data=tmp_path / "data", writer=RpmIndexWriter(tmp_path / "cache"), target=target)
        trunk.publish(make_rpms(tmp_path / "rpms", "hello", "1"))
        copier_of(trunk).copy(mirror, target.name, None)
        dnf = Dnf(tmp_path / "dnf")
        url = f"file://{folder}/{target.name}/current"
        source = ("--disablerepo=*", f"--repofrompath=trunk,{url}", "--enablerepo=trunk", "--nogpgcheck")
        dnf(*source, "--assumeyes", "--forcearch=x86_64", "install", "hello")
        assert (tmp_path / "dnf/root/usr/share/hello/greeting").read_text() == "1\n"
        trunk.close()


SSH = """\
#!/bin/sh
echo "$@" >> {log}
while [ "${{1#-}}" != "$1" ]; do shift; done
shift
exec "$@"
"""


def test_over_ssh_with_its_options(trunk: Trunk, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands for ssh runs the other side here: rsync's own protocol over it is real."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ssh").write_text(SSH.format(log=tmp_path / "ssh.log"))
    (tmp_path / "bin/ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin", prepend=os.pathsep)
    mirror = Mirror(name="eu", destination=f"m.example.org:{folder}", port=2222, identity="/k", stall_limit=20)
    first = publish(trunk, 1)
    copier_of(trunk).copy(mirror, TARGET, None)
    second = publish(trunk, 2)
    copier_of(trunk).copy(mirror, TARGET, [second])
    shutil.rmtree(trunk.tree.snapshot_folder(TARGET, first))
    assert copier_of(trunk).copy(mirror, TARGET, None).removed == 1
    assert content(folder) == content(trunk.data / "repos")
    said = (tmp_path / "ssh.log").read_text().splitlines()[0]
    assert said.startswith(
        "-oBatchMode=yes -oConnectTimeout=30 -oServerAliveInterval=15 -p2222 -oIdentitiesOnly=yes -i/k"
    )
    assert str(folder) not in said  # sent over the protocol, so that no remote shell reads it
