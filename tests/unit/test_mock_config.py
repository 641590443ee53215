"""What mock is told: command lines and configurations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conveyor.buildroot.mock import configuration as mock_config
from conveyor.buildroot.mock.configuration import PLUGINS, Places, Root
from conveyor.formats.rpm.dnf import DnfManager
from conveyor.model.target import MockOptions, Target
from tests.support.mock import MOCK

PLACES = Places(scratch=Path("/scratch"), cache=Path("/cache"))
COMMON = ("--root=/scratch/input/root.cfg", "--uniqueext=7", "--isolation=simple", "--no-bootstrap-chroot")
EPOCH = "--config-opts=rpmbuild_command=env SOURCE_DATE_EPOCH=1704110400 /usr/bin/rpmbuild"


class Options(dict[str, Any]):
    """What mock hands to a configuration, as far as ours asks for it."""

    def __init__(self, **options: object) -> None:
        super().__init__(
            {"plugins": ["tmpfs", "root_cache"], "plugin_dir": "/usr/lib/mock/plugins", "macros": {"%_topdir": "x"}},
            plugin_conf={"root_cache_opts": {"max_age_days": 15, "exclude_dirs": ["./proc"]}, "hw_info_enable": True},
            **options,
        )


def made(target: Target = MOCK) -> Root:
    dnf = DnfManager()
    trunk = dnf.trunk_repository(PLACES.trunk.as_uri())
    return mock_config.buildroot(target, dnf.repositories(target), trunk, PLACES, 7 * 86400)


def read(root: Root, *, included: str = "") -> Options:
    """The options that a configuration sets, read as mock reads it."""
    options = Options()
    lines = [included if line.startswith("include(") else line for line in root.text.splitlines()]
    exec("\n".join(lines), {"config_opts": options})
    return options


def test_a_source_package_is_one_call() -> None:
    sources = PLACES.scratch / "input/sources"
    argv = mock_config.source_arguments(
        MOCK, PLACES, "7", spec=sources / "nova.spec", sources=sources, epoch=1_704_110_400
    )
    assert argv == (
        *COMMON,
        EPOCH,
        "--buildsrpm",
        "--spec=/scratch/input/sources/nova.spec",
        "--sources=/scratch/input/sources",
    )


@pytest.mark.parametrize(
    ("trunk", "keep", "more"),
    [
        (False, False, ()),
        (True, False, ("--enablerepo=trunk",)),
        (False, True, ("--no-cleanup-after",)),
    ],
)
def test_a_build_is_one_call(trunk: bool, keep: bool, more: tuple[str, ...]) -> None:
    argv = mock_config.build_arguments(
        MOCK, PLACES, "7", source=Path("/scratch/input/nova-1-1.src.rpm"), epoch=1_704_110_400, trunk=trunk, keep=keep
    )
    assert set(argv) == {*COMMON, EPOCH, *more, "--rebuild", "/scratch/input/nova-1-1.src.rpm"}
    assert argv[-2:] == ("--rebuild", "/scratch/input/nova-1-1.src.rpm")


def test_other_calls() -> None:
    assert mock_config.init_arguments(MOCK, PLACES, "7") == (*COMMON, "--init")
    requirements = ("python3-six >= 1.0", "/bin/sh")
    install = mock_config.install_arguments(MOCK, PLACES, "7", requirements=requirements, trunk=True)
    assert install == (*COMMON, "--enablerepo=trunk", "--install", "python3-six >= 1.0", "/bin/sh")
    nothing = mock_config.install_arguments(MOCK, PLACES, "7", requirements=(), trunk=False)
    assert nothing == (*COMMON, "--init")
    assert mock_config.shell_arguments(MOCK, PLACES, "7", ["sh", "-c", "exit 3"]) == (
        *COMMON,
        "--quiet",
        "--unpriv",
        "--shell",
        "--",
        "sh -c 'exit 3'",
    )


def test_options_of_the_target() -> None:
    target = replace(MOCK, mock=MockOptions(bootstrap=True, isolation="nspawn", package_manager="dnf5"))
    argv = mock_config.init_arguments(target, PLACES, "7")
    assert argv[2:4] == ("--isolation=nspawn", "--bootstrap-chroot")
    assert read(made(target))["package_manager"] == "dnf5"
    assert "package_manager" not in read(made())


def test_a_configuration_made_of_repositories() -> None:
    root = made()
    options = read(root)
    assert options["root"] == root.name
    assert root.name.startswith("centos-10-x86_64-build-")
    assert options["chroot_setup_cmd"] == ("install", "bash", "rpm", "rpm-build")
    assert (options["target_arch"], options["releasever"]) == ("x86_64", "10")
    assert (options["basedir"], options["resultdir"]) == ("/scratch/base", "/scratch/results")
    assert options["rpmbuild_networking"] is False
    assert options["macros"]["%dist"] == ".el10"
    assert options["macros"]["%_topdir"] == "x"
    dnf = options["dnf.conf"]
    assert "[baseos]\nname=baseos\nbaseurl=https://mirror.example.org/os/\ngpgcheck=1\ngpgkey=file:///keys/os\n" in dnf
    assert "[crb]\nname=crb\nmetalink=https://mirror.example.org/metalink?repo=crb\ngpgcheck=0\n" in dnf
    assert "baseurl=file:///scratch/input/trunk\ngpgcheck=0\nmetadata_expire=0\npriority=10\nenabled=0\n" in dnf


def test_the_root_cache_is_made_aside_and_is_as_old_as_a_base_may_be() -> None:
    cache = read(made())["plugin_conf"]["root_cache_opts"]
    assert cache["dir"] == "/scratch/root_cache"
    assert cache["max_age_days"] == 7
    assert cache["exclude_dirs"] == ["./proc"]
    assert PLACES.root_cache("x") == Path("/cache/roots/x")


def test_our_plugin_loads_the_others() -> None:
    options = read(made())
    assert (options["plugins"], options["plugin_dir"]) == (["conveyor_network"], str(PLUGINS))
    assert options["plugin_conf"]["conveyor_network_enable"] is True
    assert options["plugin_conf"]["conveyor_network_opts"] == {
        "others": ["tmpfs", "root_cache"],
        "others_folder": "/usr/lib/mock/plugins",
    }
    assert (PLUGINS / "conveyor_network.py").is_file()


def test_a_configuration_of_the_host_keeps_its_packages_and_gets_the_trunk() -> None:
    root = made(replace(MOCK, mock=MockOptions(config="centos-stream-10-x86_64")))
    assert root.text.startswith("include('centos-stream-10-x86_64.cfg')\n")
    included = "config_opts['dnf.conf'] = '[main]'; config_opts['chroot_setup_cmd'] = 'install @buildsys-build'"
    options = read(root, included=included)
    assert options["chroot_setup_cmd"] == "install @buildsys-build"
    assert options["dnf.conf"].startswith("[main]\n[trunk]\n")
    old = read(root, included="config_opts['yum.conf'] = '[main]'")
    assert old["yum.conf"].startswith("[main]\n[trunk]\n")
    assert "dnf.conf" not in old


def test_a_configuration_in_a_file() -> None:
    root = made(replace(MOCK, mock=MockOptions(config="/etc/conveyor/a'b.cfg")))
    assert root.text.startswith('include("/etc/conveyor/a\'b.cfg")\n')


def test_packages_are_tried_in_the_smallest_root() -> None:
    root = mock_config.base_root(MOCK, "", "", PLACES, 1)
    assert read(root)["chroot_setup_cmd"] == ("install", "bash", "rpm")
    assert root.name.startswith("centos-10-x86_64-base-")


def test_another_configuration_is_another_root() -> None:
    names = {
        made().name,
        made(replace(MOCK, build_packages=("rpm-build", "gcc"))).name,
        made(replace(MOCK, dist="el11")).name,
        mock_config.base_root(MOCK, "", "", PLACES, 1).name,
    }
    assert len(names) == 4
    assert made() == made()
