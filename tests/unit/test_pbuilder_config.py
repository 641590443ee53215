"""What pbuilder is told, as text and lists; and which files of a .dsc it would copy."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from conveyor.buildroot.pbuilder import configuration as config
from conveyor.buildroot.pbuilder.configuration import Configuration, Places
from conveyor.model.target import DebianSuite
from tests.support.workshop import TARGET

PLACES = Places(
    order=Path("/jobs/1/order"),
    out=Path("/jobs/1/out"),
    root=Path("/scratch/root"),
    scratch=Path("/scratch"),
    cache=Path("/cache"),
)
SUITE = DebianSuite(suite="trixie", mirror=None, components=("main", "contrib"))


def read(text: str, *names: str) -> dict[str, str]:
    """What a shell makes of the configuration."""
    script = f'{text}\nfor name in {" ".join(names)}; do printf \'%s=%s\\0\' "$name" "${{!name}}"; done'
    environment = {"PBUILDER_PKGLIBDIR": "/lib/pbuilder", "PATH": "/usr/bin:/bin"}
    run = subprocess.run(["bash", "-eu", "-c", script], env=environment, capture_output=True, text=True, check=True)
    return dict(item.split("=", 1) for item in run.stdout.split("\0")[:-1])


class TestConfiguration:
    def test_what_it_says(self) -> None:
        told = Configuration(
            places=PLACES,
            uid=64123,
            binds={PLACES.order: "/conveyor/in", Path("/data/repos/x"): "/conveyor/trunk"},
            variables=config.build_variables("1704110400", 2),
        )
        values = read(
            config.configuration(told),
            *("BUILDPLACE", "BUILDDIR", "BUILDSUBDIR", "BUILDUSERID", "BUILDUSERNAME", "USENETWORK", "APTCACHE"),
            *("CHROOTEXEC", "DEBBUILDOPTS", "SOURCE_DATE_EPOCH", "DEB_BUILD_OPTIONS", "HOOKDIR", "IGNORE_UMOUNT"),
            *("PBUILDERSATISFYDEPENDSCMD", "BUILDRESULT"),
        )
        assert values == {
            "BUILDPLACE": "/scratch/root",
            "BUILDDIR": "/build/tree",
            "BUILDSUBDIR": "source",
            "BUILDUSERID": "64123",
            "BUILDUSERNAME": "build",
            "USENETWORK": "no",
            "APTCACHE": "",
            "CHROOTEXEC": (
                "chroot /scratch/root setpriv --no-new-privs"
                " --bounding-set -sys_admin,-sys_chroot,-sys_ptrace,-mknod,-net_admin --"
            ),
            "DEBBUILDOPTS": "--build=binary --no-pre-clean --unsigned-changes --unsigned-buildinfo",
            "SOURCE_DATE_EPOCH": "1704110400",
            "DEB_BUILD_OPTIONS": "parallel=2",
            "HOOKDIR": "/jobs/1/order/hooks",
            "IGNORE_UMOUNT": "yes",
            "PBUILDERSATISFYDEPENDSCMD": "/lib/pbuilder/pbuilder-satisfydepends-apt",
            "BUILDRESULT": "/scratch/unused",
        }

    def test_the_root_sees_what_is_bound(self) -> None:
        told = Configuration(places=PLACES, uid=1, binds={Path("/a"): "/b", Path("/c"): "/d"})
        assert read(config.configuration(told), "BINDMOUNTS")["BINDMOUNTS"].startswith("/a:/b /c:/d")

    def test_nothing_in_it_is_a_command(self) -> None:
        hostile = "x'; touch /tmp/pbuilder-pwned; $(id) `id` \"\\"
        settings = {"MIRRORSITE": hostile, "DEBOOTSTRAPOPTS": [hostile, "--a b"]}
        told = Configuration(places=PLACES, uid=1, variables={"SOURCE_DATE_EPOCH": hostile}, settings=settings)
        text = config.configuration(told) + "\nsecond=${DEBOOTSTRAPOPTS[1]}\n"
        values = read(text, "MIRRORSITE", "SOURCE_DATE_EPOCH", "DEBOOTSTRAPOPTS", "second")
        assert values["MIRRORSITE"] == values["SOURCE_DATE_EPOCH"] == values["DEBOOTSTRAPOPTS"] == hostile
        assert values["second"] == "--a b"
        assert not Path("/tmp/pbuilder-pwned").exists()

    def test_creation(self) -> None:
        settings = config.creation(SUITE, "http://mirror.example.org", ["--variant=minbase"], ["gcc", "make"], PLACES)
        assert settings == {
            "DISTRIBUTION": "trixie",
            "MIRRORSITE": "http://mirror.example.org",
            "COMPONENTS": "main contrib",
            "DEBOOTSTRAP": "/jobs/1/order/bin/bootstrap.sh",
            "DEBOOTSTRAPOPTS": ["--variant=minbase"],
            "EXTRAPACKAGES": "gcc make",
            "HOOKDIR": "",
            "USEPROC": "yes",
        }

    def test_no_configuration_of_the_machine_is_read(self) -> None:
        assert config.environment(PLACES) == {"HOME": "/scratch", "PBUILDER_SYSCONFDIR": "/jobs/1/order/etc"}


class TestCommands:
    def test_base(self) -> None:
        assert list(config.base_argv(PLACES, "base-1", oldest=17.9, unused=5.1, wait=True)) == [
            *("/bin/sh", "/jobs/1/order/bin/base.sh", "/cache", "base-1", "17", "5", "wait"),
            *("/jobs/1/order", "/scratch/root"),
        ]
        assert "leave" in config.base_argv(PLACES, "base-1", oldest=17.9, unused=5.1, wait=False)

    def test_visit(self) -> None:
        argv = config.visit_argv(PLACES, "base-1", ["sh", "-c", "a b"], as_root=True)
        assert list(argv[argv.index("--") :]) == ["--", "/jobs/1/order/bin/visit.sh", "root", "sh", "-c", "a b"]
        assert "build" in config.visit_argv(PLACES, "base-1", ["sh"], as_root=False)

    def test_build(self) -> None:
        assert list(config.build_argv(PLACES, "base-1", "hello_1.dsc")) == [
            *("/bin/sh", "/jobs/1/order/bin/run.sh", "/jobs/1/order", "/jobs/1/out"),
            *("/cache/base-1/base.tar.zst", "/scratch/root"),
            *("build", "--configfile", "/jobs/1/order/pbuilderrc", "--no-targz", "/jobs/1/order/input/hello_1.dsc"),
        ]

    def test_source(self) -> None:
        argv = config.source_argv(PLACES, "base-1", ["-x", "a b"])
        at = argv.index("execute")
        assert list(argv[at:]) == [
            *("execute", "--configfile", "/jobs/1/order/pbuilderrc", "--no-targz", "--"),
            *("/jobs/1/order/bin/source.sh", "-x", "a b"),
        ]

    def test_install_begins_with_the_smallest_root(self) -> None:
        assert list(config.install_argv(PLACES, "base-1", ["-x", "a (>= 1)"])) == [
            *("/bin/sh", "/jobs/1/order/bin/install.sh", "/jobs/1/order", "/jobs/1/out"),
            *("/cache/base-1/smallest.tar.zst", "/scratch/root", "-x", "a (>= 1)"),
        ]

    def test_shell(self) -> None:
        argv = config.shell_argv(PLACES, ["ls", "-l"])
        assert argv[:4] == ("/bin/sh", "/jobs/1/order/bin/enter.sh", "/jobs/1/order", "/scratch/root")
        assert argv[4] == "execute"
        assert argv[-4:] == ("--", "/jobs/1/order/bin/shell.sh", "ls", "-l")


def test_the_base_has_another_name_when_it_is_made_of_something_else() -> None:
    targets = [
        TARGET,
        replace(TARGET, origin=replace(SUITE, suite="sid")),
        replace(TARGET, architecture="arm64"),
        replace(TARGET, base_packages=("a",)),
        replace(TARGET, build_packages=("a",)),
    ]
    assert len({config.base_name(target) for target in targets}) == len(targets)
    assert config.base_name(replace(TARGET, dist="other", install_check=False)) == config.base_name(TARGET)


@pytest.mark.parametrize(
    ("dsc", "files"),
    [
        (b"Files:\n 0 1 a.tar.gz\n 0 2 b.dsc\nOther:\n 0 3 c\n", ("a.tar.gz", "b.dsc")),
        (b"Files:\n 0 1 ../../etc/shadow\n", ("../../etc/shadow",)),
        (b"Checksums-Sha256:\n 0 1 a\nFiles:\n\t0 1 b\n", ("b",)),
        (b"Files:\n 0 1\n", ("",)),
        (b"Files: x\n 0 1 a b\n\n 0 1 not-this\n", ("a",)),
        (b"A: b\nFiles:\n 0 1 a\nFiles:\n 0 1 /etc/shadow\n", ("a", "/etc/shadow")),
        (b"Files:\n 0 1 \xff\n", ("\udcff",)),
        (b"", ()),
    ],
)
def test_the_files_of_a_dsc(dsc: bytes, files: tuple[str, ...]) -> None:
    assert config.listed_files(dsc) == files
