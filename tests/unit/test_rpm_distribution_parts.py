"""The pure parts of the tool that makes the RPM distribution."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "containers" / "rpm-distribution"))

from debian_root import DebianPackage, Ownership, closure, read_packages, satisfied_by
from host_sources import debian_mirror
from naming import PythonDistribution, python_provides, rpm_name, rpm_version


def etc(folder: Path, **files: str) -> Path:
    """A host's /etc, with a Debian bookworm's os-release; "__" stands for "." in names."""
    (folder / "apt" / "sources.list.d").mkdir(parents=True)
    (folder / "os-release").write_text('NAME="Debian GNU/Linux"\nVERSION_CODENAME=bookworm\n')
    for name, text in files.items():
        (folder / "apt" / "sources.list.d" / name.replace("__", ".")).write_text(text)
    return folder


DEBIAN = """\
# the distribution's own
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""


def test_mirror_is_the_one_that_serves_the_hosts_suite(tmp_path: Path) -> None:
    others = "Types: deb\nURIs: https://node.example/node_20.x\nSuites: nodistro\nComponents: main\n"
    assert debian_mirror(etc(tmp_path, a__sources=others, debian__sources=DEBIAN)) == "http://mirror.example/debian"


def test_mirror_is_not_one_of_others_that_name_their_suite_alike(tmp_path: Path) -> None:
    signed = "Types: deb\nURIs: https://a.example\nSuites: bookworm\nComponents: main\nSigned-By: /etc/a.gpg\n"
    trusted = "deb https://b.example bookworm main\n"
    stable = "deb [arch=amd64 signed-by=/c.asc] https://c.example bookworm stable\n"
    folder = etc(tmp_path, a__sources=signed, b__list=trusted, c__list=stable, debian__sources=DEBIAN)
    assert debian_mirror(folder) == "http://mirror.example/debian"


def test_mirror_in_one_line_form(tmp_path: Path) -> None:
    lines = "# deb http://old.example bookworm main\ndeb [arch=amd64] http://one.example/debian bookworm main contrib\n"
    assert debian_mirror(etc(tmp_path, debian__list=lines)) == "http://one.example/debian"


def test_mirror_of_a_mirror_list(tmp_path: Path) -> None:
    listed = tmp_path / "mirrors.list"
    listed.write_text("# chosen at installation\nhttp://first.example/debian priority:1\nhttp://second.example\n")
    folder = etc(tmp_path / "etc", debian__list=f"deb mirror+file:{listed} bookworm main\n")
    assert debian_mirror(folder) == "http://first.example/debian"


def test_disabled_sources_and_other_suites_are_no_mirror(tmp_path: Path) -> None:
    assert debian_mirror(etc(tmp_path, debian__sources="Enabled: no\n" + DEBIAN.replace("# the", "# The"))) is None


@pytest.mark.parametrize(
    ("debian", "rpm"),
    [
        ("8.2.0-3", ("8.2.0", "3")),
        ("2:18.9.0-2", ("18.9.0", "2")),
        ("1:2.2.4+ds-1+b1", ("2.2.4", "1+b1")),
        ("25.1.1+dfsg-1", ("25.1.1", "1")),
        ("1.2~rc1-1", ("1.2~rc1", "1")),
        ("20250419", ("20250419", "1")),
        ("0.5-3-2", ("0.5.3", "2")),
    ],
)
def test_versions(debian: str, rpm: tuple[str, str]) -> None:
    assert rpm_version(debian) == rpm


def test_names_are_those_of_fedora() -> None:
    assert rpm_name("python3-oslo.i18n") == "python3-oslo-i18n"
    assert rpm_name("libstdc++6") == "libstdc++6"


def test_a_python_distribution_has_the_names_that_specs_use() -> None:
    yaml = PythonDistribution(path="", name="PyYAML", version="6.0.2")
    assert {"python3dist(pyyaml) = 6.0.2", "python3.13dist(pyyaml) = 6.0.2", "python3-PyYAML = 6.0.2"} <= {
        *python_provides(yaml, "3.13")
    }
    utils = PythonDistribution(path="", name="oslo.utils", version="8.2")
    assert {"python3dist(oslo-utils) = 8.2", "python3dist(oslo.utils) = 8.2", "python3-oslo-utils = 8.2"} <= {
        *python_provides(utils, "3.13")
    }


STATUS = """\
Package: a
Version: 1-1
Architecture: all
Pre-Depends: base
Depends: missing | b (>= 2) | c, virtual:any, gone
Conffiles:
 /etc/a.conf d41d8cd98f00b204e9800998ecf8427e
Description: first line
 more

Package: b
Version: 1-1
Architecture: amd64

Package: c
Version: 1-1
Architecture: amd64
Provides: virtual (= 1), other

Package: base
Version: 1-1
Architecture: amd64
Essential: yes
Depends: a
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with dpkg's records of the packages above."""
    (tmp_path / "var/lib/dpkg/info").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").write_text(STATUS)
    return tmp_path


def test_packages_are_read_from_dpkgs_records(root: Path) -> None:
    package = read_packages(root)["a"]
    assert package == DebianPackage(
        name="a",
        version="1-1",
        architecture="all",
        essential=False,
        needs=(("base",), ("missing", "b", "c"), ("virtual",), ("gone",)),
        provides=(),
        summary="first line",
        configuration=frozenset({"/etc/a.conf"}),
    )


def test_dependencies_are_satisfied_by_what_is_installed(root: Path) -> None:
    packages = read_packages(root)
    assert satisfied_by(packages["a"], packages) == ("base", "b", "c")
    assert closure(["a"], packages) == {"a", "b", "c", "base"}
    assert closure(["b"], packages) == {"b"}


def test_owners_of_paths(root: Path) -> None:
    for folder in ("usr/bin", "etc/alternatives", "usr/lib/python3/__pycache__"):
        (root / folder).mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    (root / "usr/bin/real").touch()
    (root / "etc/alternatives/chosen").symlink_to("/bin/real")
    (root / "usr/bin/chosen").symlink_to("../../etc/alternatives/chosen")
    (root / "usr/bin/loop").symlink_to("loop")
    (root / "usr/lib/python3/__pycache__/module.cpython-313.pyc").touch()
    info = root / "var/lib/dpkg/info"
    (info / "a.list").write_text("/.\n/usr\n/usr/lib\n/usr/lib/python3\n/usr/lib/python3/module.py\n/etc/diverted\n")
    (info / "b:amd64.list").write_text("/.\n/usr\n/bin\n/bin/real\n/etc/diverted\n")
    (root / "var/lib/dpkg/diversions").write_text("/etc/diverted\n/etc/diverted.other\nb\n")
    ownership = Ownership(root, ["a", "b"])
    assert ownership.of("/usr") == {"a", "b"}
    assert ownership.of("/usr/bin/real") == {"b"}
    assert ownership.of("/usr/bin/chosen") == {"b"}
    assert ownership.of("/usr/bin/loop") == set()
    assert ownership.of("/usr/lib/python3/__pycache__/module.cpython-313.pyc") == {"a"}
    assert ownership.of("/usr/lib/python3/__pycache__") == {"a"}
    assert ownership.of("/etc/diverted") == {"b"}
    assert ownership.of("/etc/diverted.other") == {"a"}
    assert ownership.of("/etc/unknown") == set()
