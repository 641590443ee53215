"""What holds code of packages in the sandbox: its users, its system calls, its disk; tried by hostile scripts."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest

from conveyor.buildroot.isolation import cgroup
from conveyor.buildroot.isolation.sandbox import Bind, Call, Finished, Sandbox, ScratchKind
from conveyor.buildroot.isolation.users import ROOT_IDS
from conveyor.buildroot.isolation.watch import _used
from conveyor.errors import CommandTimedOut
from tests.fakes.processes import ended, spawn
from tests.support.roots import LAYER, LIMITS, copy_program, make_sandbox, need_sandbox, script

pytestmark = pytest.mark.integration

needs_groups = pytest.mark.skipif(cgroup.kind() == "none", reason="no control groups are writable here")
MIB = 1024**2
MACHINE = platform.machine()


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    need_sandbox()
    return make_sandbox(tmp_path)


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    """A folder for a layer that is being made."""
    folder = tmp_path / "making/root"
    folder.mkdir(parents=True)
    return folder


def manager(text: str, upper: Path | None = None, layers: tuple[str, ...] = (LAYER,)) -> Call:
    """A shell script, as a package manager runs it."""
    return Call(argv=("/bin/sh", "-c", text), layers=layers, limits=LIMITS, upper=upper, privileged=True)


def told(finished: Finished) -> list[str]:
    assert finished.exit_code == 0, finished.output
    return finished.output.splitlines()


class TestPackageManagersUsers:
    def test_its_root_is_nobody_on_the_host(self, sandbox: Sandbox) -> None:
        lines = told(sandbox.run(manager("id -u; cat /proc/self/uid_map; ls -ldn /proc/sys | cut -c 1-40")))
        assert lines[0] == "0"
        assert lines[1].split() == ["0", str(ROOT_IDS), "65536"]
        assert "65534" in lines[2]

    def test_the_layer_that_it_makes_is_owned_on_disk_as_it_is_inside(self, sandbox: Sandbox, upper: Path) -> None:
        text = "echo x > /own; echo x > /other; chown 33:34 /other; mkdir /new; chmod 4755 /own; ln -s own /link"
        told(sandbox.run(manager(text, upper)))
        owners = {path.name: (path.lstat().st_uid, path.lstat().st_gid) for path in upper.iterdir()}
        assert owners == {"own": (0, 0), "other": (33, 34), "new": (0, 0), "link": (0, 0)} | {
            name: (0, 0) for name in owners if name not in {"own", "other", "new", "link"}
        }
        assert (upper / "own").stat().st_mode & 0o7777 == 0o4755

    def test_the_next_one_sees_what_the_layers_below_hold_and_hide(
        self, sandbox: Sandbox, upper: Path, tmp_path: Path
    ) -> None:
        told(sandbox.run(manager("mkdir /data; echo x > /data/a; chmod 600 /data/a; chown -R 33 /data", upper)))
        (tmp_path / "layers/first").mkdir()
        upper.rename(tmp_path / "layers/first/root")
        second = tmp_path / "making/root"
        second.mkdir()
        text = "ls -ln /data/a | tr -s ' ' | cut -d' ' -f3; rm -r /data; mkdir /data; echo y > /data/b; rm /bin/ls"
        assert told(sandbox.run(manager(text, second, ("first", LAYER)))) == ["33"]
        (tmp_path / "layers/second").mkdir()
        second.rename(tmp_path / "layers/second/root")
        stack = ("second", "first", LAYER)
        assert told(sandbox.run(manager("echo /data/*; test ! -e /bin/ls", layers=stack))) == ["/data/b"]
        assert told(sandbox.run(replace(script("echo /data/*; cat /data/b"), layers=stack))) == ["/data/b", "y"]

    def test_what_is_bound_is_its_own_too(self, sandbox: Sandbox, tmp_path: Path, upper: Path) -> None:
        top = tmp_path / "closed"
        (top / "cache").mkdir(parents=True)
        (top / "cache/old").write_text("kept\n")
        (top / "cache/old").chmod(0o600)
        top.chmod(0o700)
        call = replace(
            manager("cat /conveyor/old; echo new > /conveyor/made; chown 33 /conveyor/made", upper),
            binds=(Bind(source=top / "cache", target="/conveyor", writable=True),),
        )
        assert told(sandbox.run(call)) == ["kept"]
        assert (top / "cache/made").stat().st_uid == 33

    def test_where_owners_cannot_be_shifted_only_its_capabilities_end(self, sandbox: Sandbox, tmp_path: Path) -> None:
        with mounted("ramfs", tmp_path / "layers"):
            make_sandbox(tmp_path)
            lines = told(sandbox.run(manager("id -u; cat /proc/self/uid_map; mknod /x b 8 0 || echo no; echo y > /y")))
        assert lines[0] == "0"
        assert lines[1].split()[:2] == ["0", "0"]
        assert lines[-1] == "no"


@contextmanager
def mounted(kind: str, place: Path) -> Iterator[None]:
    """A file system over what is there; unmounted at the end."""
    subprocess.run(["mount", "-t", kind, kind, place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


class TestDiskOfAKeptLayer:
    @pytest.mark.parametrize("privileged", [False, True])
    def test_it_ends_at_the_limit(self, sandbox: Sandbox, upper: Path, privileged: bool) -> None:
        text = "cd /build/tree || cd /; i=0; while :; do head -c 4m /dev/zero > $i || exit; i=$((i+1)); done"
        limits = replace(LIMITS, disk=16 * MIB)
        finished = sandbox.run(replace(script(text, limits=limits, upper=upper), privileged=privileged))
        assert finished.disk_full
        assert finished.exit_code != 0

    def test_no_single_file_is_larger_however_it_is_made(self, sandbox: Sandbox, upper: Path) -> None:
        limits = replace(LIMITS, disk=16 * MIB)
        finished = sandbox.run(replace(manager("fallocate -l 1073741824 /big", upper), limits=limits))
        assert finished.exit_code != 0
        assert sum(path.stat().st_size for path in upper.glob("big")) <= 16 * MIB

    def test_it_is_measured_as_the_disk_counts_it(self, upper: Path) -> None:
        with (upper / "holes").open("wb") as file:
            file.truncate(99 * MIB)
        (upper / "old").write_bytes(bytes(9 * MIB))
        (upper / "again").hardlink_to(upper / "old")
        assert 9 * MIB <= _used(upper) < 10 * MIB


NUMBERS = {
    # name: number on x86-64, on arm64, arguments, errno
    "keyctl": (250, 219, "0, -3, 0", "EPERM"),
    "add_key": (248, 217, "0, 0, 0, 1, -3", "EPERM"),
    "bpf": (321, 280, "0, 0, 0", "EPERM"),
    "perf_event_open": (298, 241, "0, 0, -1, -1, 0", "EPERM"),
    "setns": (308, 268, "0, 0", "EPERM"),
    "mount": (165, 40, "0, 0, 0, 0, 0", "EPERM"),
    "open_tree": (428, 428, "-100, 0, 0", "EPERM"),
    "fsopen": (430, 430, "0, 0", "EPERM"),
    "init_module": (175, 105, "0, 0, 0", "EPERM"),
    "kexec_load": (246, 104, "0, 0, 0, 0", "EPERM"),
    "open_by_handle_at": (304, 265, "0, 0, 0", "EPERM"),
    "unshare": (272, 97, "0x10000000", "EPERM"),
    "clone": (56, 220, "0x10000011, 0, 0, 0, 0", "EPERM"),
    "clone3": (435, 435, "0, 0", "ENOSYS"),
    "io_uring_setup": (425, 425, "1, 0", "ENOSYS"),
    "userfaultfd": (323, 282, "1", "ENOSYS"),
    "unix socket": (41, 198, "1, 1, 0", "0"),
    "netlink socket": (41, 198, "16, 3, 0", "0"),
    "packet socket": (41, 198, "17, 3, 0", "EAFNOSUPPORT"),
    "alg socket": (41, 198, "38, 5, 0", "EAFNOSUPPORT"),
    "vsock socket": (41, 198, "40, 1, 0", "EAFNOSUPPORT"),
    "socket with a high bit": (41, 198, "0x100000011, 3, 0", "EAFNOSUPPORT"),
    "TIOCSTI": (16, 29, "0, 0x5412, 0", "EPERM"),
    "TIOCSTI with a high bit": (16, 29, "0, 0x100005412, 0", "EPERM"),
}


class TestSystemCalls:
    @pytest.fixture
    def sandbox(self, tmp_path: Path) -> Sandbox:
        need_sandbox()
        if MACHINE not in {"x86_64", "aarch64"}:
            pytest.skip(f"the numbers of system calls on {MACHINE} are not in the table")
        sandbox = make_sandbox(tmp_path)
        copy_program(Path("/usr/bin/perl"), tmp_path / "layers" / LAYER / "root")
        return sandbox

    @pytest.mark.parametrize("privileged", [False, True])
    def test_what_no_build_needs_is_refused(self, sandbox: Sandbox, privileged: bool) -> None:
        column = 0 if MACHINE == "x86_64" else 1
        lines = [
            f'$! = 0; syscall({numbers[column]}, {numbers[2]}); print "{name}: ", $! + 0, "\\n";'
            for name, numbers in NUMBERS.items()
        ]
        finished = sandbox.run(replace(perl("\n".join(lines)), privileged=privileged))
        wanted = [f"{name}: {_errno(numbers[3])}" for name, numbers in NUMBERS.items()]
        assert told(finished) == wanted

    def test_what_tests_of_programs_do_still_works(self, sandbox: Sandbox) -> None:
        text = (
            'socketpair(my $a, my $b, 1, 1, 0) or die "pair $!"; socket(my $s, 2, 1, 0) or die "inet $!";'
            'bind($s, pack("S n a4 x8", 2, 0, "\\x7f\\0\\0\\1")) or die "bind $!";'
            'my $pid = fork() // die; if (!$pid) { exit 7 } waitpid($pid, 0); print $? >> 8, "\\n"; `true`;'
        )
        assert told(sandbox.run(perl(text))) == ["7"]


def perl(text: str) -> Call:
    return replace(script(""), argv=("/usr/bin/perl", "-e", text), environment={"PERL_BADLANG": "0"})


def _errno(name: str) -> int:
    import errno  # noqa: PLC0415 - its name is taken below

    return int(getattr(errno, name, 0))


ATTACK = """\
try() { "$@" > /dev/null 2>&1 && echo "GOT $*"; }
try mknod /evil b 8 0
try mknod /dev/evil c 1 1
try mount -t tmpfs none /mnt
try mount -o bind /proc /mnt
try unshare -U true
try unshare -m true
try hostname evil
try sh -c 'echo evil > /proc/sys/kernel/core_pattern'
try sh -c 'echo 1 > /proc/sys/kernel/sysrq'
try sh -c 'echo h > /proc/sysrq-trigger'
try sh -c 'echo 1 > /sys/kernel/evil'
try insmod /evil.ko
try ping -c 1 -w 1 127.0.0.1
date -s 2001-01-01 > /dev/null 2>&1; try test $(date +%Y) = 2001
try cat @SECRET@ /proc/1/root@SECRET@ /proc/1/cwd@SECRET@
try kill -0 @HOST@
try cat /proc/@HOST@/environ
try nsenter -t 1 -m true
try swapon /evil
try reboot -f
try chroot /proc/1/root cat @SECRET@
try sh -c 'mkdir /jail; chroot /jail /bin/sh'
cat /proc/keys > /dev/null 2>&1 && grep -q . /proc/keys && echo "GOT keys"
setsid sleep @MARK@ > /dev/null 2>&1 &
echo "attacks done as $(id -u)"
"""


class TestHostileScripts:
    """A package whose script, run as root at the installation, tries to get out."""

    @pytest.fixture
    def attack(self, tmp_path: Path) -> str:
        (tmp_path / "secret").write_text("hunter2")
        (tmp_path / "secret").chmod(0o644)
        known = {"SECRET": str(tmp_path / "secret"), "HOST": str(os.getpid()), "MARK": f"97{os.getpid()}"}
        text = ATTACK
        for name, value in known.items():
            text = text.replace(f"@{name}@", value)
        return text

    @pytest.mark.parametrize("form", ["deb", "rpm"])
    def test_it_gets_nothing_and_nothing_of_it_lives_on(
        self, sandbox: Sandbox, tmp_path: Path, attack: str, form: str
    ) -> None:
        package = make_deb(tmp_path, attack) if form == "deb" else make_rpm(tmp_path, attack)
        before = Path("/proc/sys/kernel/core_pattern").read_text()
        call = Call(
            argv=INSTALL[form],
            layers=(LAYER,),
            limits=LIMITS,
            privileged=True,
            host_tools=True,
            binds=(Bind(source=package, target="/conveyor/package"),),
        )
        finished = sandbox.run(call)
        assert "attacks done as 0" in finished.output, finished.output
        assert "GOT" not in finished.output
        assert finished.exit_code == 0, finished.output
        assert f"97{os.getpid()}" not in commands()
        assert Path("/proc/sys/kernel/core_pattern").read_text() == before

    def test_a_full_disk_ends_it(self, sandbox: Sandbox) -> None:
        limits = replace(LIMITS, disk=16 * MIB)
        finished = sandbox.run(replace(manager("cat /dev/zero > /fill"), limits=limits))
        assert finished.disk_full
        assert finished.exit_code != 0

    @needs_groups
    def test_forking_without_end_ends_with_the_time_limit_at_the_latest(self, sandbox: Sandbox) -> None:
        limits = replace(LIMITS, processes=50, seconds=3)
        started = time.monotonic()
        with suppress(CommandTimedOut):
            assert sandbox.run(replace(manager("f() { f | f & }; f; sleep 1000"), limits=limits)).exit_code != 0
        assert time.monotonic() - started < 20


INSTALL = {
    "deb": ("dpkg", "--root=/target", "--force-depends", "--force-not-root", "--install", "/conveyor/package"),
    "rpm": ("rpm", "--root=/target", "--nodeps", "--nosignature", "--noplugins", "--upgrade", "/conveyor/package"),
}


def make_deb(folder: Path, attack: str) -> Path:
    control = folder / "deb/DEBIAN"
    control.mkdir(parents=True)
    fields = {"Package": "evil", "Version": "1", "Architecture": "all", "Maintainer": "E <e@example.org>"}
    lines = [f"{name}: {value}\n" for name, value in (*fields.items(), ("Description", "evil"))]
    (control / "control").write_text("".join(lines))
    (control / "postinst").write_text(f"#!/bin/sh\n{attack}")
    (control / "postinst").chmod(0o755)
    argv = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(folder / "deb"), str(folder / "evil.deb")]
    subprocess.run(argv, check=True, capture_output=True)
    admin = folder / "layers" / LAYER / "root/var/lib/dpkg"
    for name in ("info", "updates", "triggers"):
        (admin / name).mkdir(parents=True)
    for name in ("status", "available"):
        (admin / name).touch()
    return folder / "evil.deb"


def make_rpm(folder: Path, attack: str) -> Path:
    if shutil.which("rpmbuild") is None:
        pytest.skip("not installed: rpm")
    spec = dedent("""\
        Name: evil
        Version: 1
        Release: 1
        Summary: evil
        License: none
        BuildArch: noarch
        %description
        evil
        %files
        %post
        """)
    (folder / "evil.spec").write_text(spec + attack.replace("%", "%%"))
    argv = ["rpmbuild", "-bb", "--define", f"_topdir {folder}/rpm", str(folder / "evil.spec")]
    subprocess.run(argv, check=True, capture_output=True)
    return next((folder / "rpm/RPMS").rglob("*.rpm"))


def commands() -> str:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(file.read_bytes().decode("utf-8", "replace"))
        except OSError:
            continue
    return "\n".join(found)


class TestShellLimits:
    @needs_groups
    def test_a_person_has_the_limits_of_memory_and_processes(self, tmp_path: Path) -> None:
        need_sandbox()
        sandbox = make_sandbox(tmp_path, ScratchKind.DISK)
        limits = replace(LIMITS, memory=32 * MIB, processes=20)

        def code(text: str) -> int:
            pid = spawn(lambda: os._exit(sandbox.attach(script(text, limits=limits))))
            return ended(pid)

        assert code("exit 9") == 9
        assert code("tail -c 200m /dev/zero > /dev/null") != 0
        assert code("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 1 & done; exit 0") != 0
