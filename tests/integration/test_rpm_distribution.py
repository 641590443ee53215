"""The RPM distribution made of Debian: roots come from it, packages are built in them, and installed from it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from conveyor.command import Completed, run

pytestmark = pytest.mark.integration

TOP = Path(__file__).resolve().parents[2]
MAKE = TOP / "containers" / "rpm-distribution" / "make.py"
TOOLS = ("bwrap", "createrepo_c", "dnf", "mmdebstrap", "rpmbuild", "setpriv", "unshare")
DATABASE = "/usr/lib/sysimage/rpm"
NOBODY = 65534


@dataclass(frozen=True, kw_only=True)
class Dnf:
    """The host's dnf, with nothing of the host's configuration, for roots with the distribution's database."""

    folder: Path
    repositories: tuple[Path, ...]

    def __call__(self, root: Path, *words: str, check: bool = True) -> Completed:
        home = self.folder / "home"
        for folder in (home, self.folder / "no-repositories"):
            folder.mkdir(exist_ok=True)
        (home / ".rpmmacros").write_text(f"%_dbpath {DATABASE}\n")
        argv = [
            *("dnf", "--assumeyes", "--quiet", f"--installroot={root}", "--releasever=13", "--nogpgcheck"),
            # The plugin "local" would offer what other runs have installed.
            "--noplugins",
            *(f"--repofrompath=r{number},file://{path}" for number, path in enumerate(self.repositories)),
            f"--setopt=reposdir={self.folder / 'no-repositories'}",
            f"--setopt=cachedir={self.folder / 'cache'}",
            "--setopt=install_weak_deps=0",
            "--setopt=module_platform_id=platform:local",
            *words,
        ]
        return run(argv, timeout=300, env={"HOME": str(home)}, check=check)

    def having(self, repository: Path) -> Dnf:
        """The same, with a further repository."""
        run(["createrepo_c", "--quiet", str(repository)], timeout=60)
        return Dnf(folder=self.folder, repositories=(*self.repositories, repository))


@pytest.fixture(scope="module")
def distribution() -> Path:
    """The distribution, shared by all test runs of this tree."""
    if os.geteuid() != 0:
        pytest.skip("needs root: the distribution is bootstrapped, and roots are installed")
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    output = TOP / ".cache" / "rpm-distribution"
    run([sys.executable, "-B", str(MAKE), "--output", str(output)], timeout=1800)
    return output


@pytest.fixture(scope="module")
def dnf(distribution: Path, tmp_path_factory: pytest.TempPathFactory) -> Dnf:
    return Dnf(folder=tmp_path_factory.mktemp("dnf"), repositories=(distribution,))


@pytest.fixture(scope="module")
def root(dnf: Dnf, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A minimal root; tests leave it as it is."""
    root = tmp_path_factory.mktemp("minimal") / "root"
    dnf(root, "install", "conveyor-root")
    yield root
    shutil.rmtree(root)


@pytest.fixture
def other_root(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "root"
    shutil.rmtree(tmp_path / "root", ignore_errors=True)


def inside(root: Path, *words: str, build: Path | None = None) -> str:
    """Run a command in a root without network, as nobody if it builds."""
    argv = ["bwrap", "--bind", str(root), "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--unshare-net"]
    argv += ["--setenv", "PYTHONDONTWRITEBYTECODE", "1"]
    if build:
        argv += ["--bind", str(build), "/build", "--setenv", "HOME", "/build", "--chdir", "/build"]
        argv += ["--setenv", "SOURCE_DATE_EPOCH", "1700000000", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        argv += ["--", "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    ended = run([*argv, *words], timeout=300, check=False)
    assert ended.returncode == 0, ended.output
    return ended.output


def of_no_time(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mtime = 0
    return member


def build(root: Path, folder: Path, spec: str, sources: dict[str, str]) -> list[Path]:
    """Build RPM packages of a spec, with sources that are packed into greeting-1.0.tar."""
    folder.mkdir()
    tree = folder / "greeting-1.0"
    for name, text in sources.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(dedent(text))
    if sources:
        with tarfile.open(folder / "greeting-1.0.tar", "w") as archive:
            archive.add(tree, "greeting-1.0", filter=of_no_time)
    (folder / "it.spec").write_text(dedent(spec))
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    options = ["--define", "_topdir /build", "--define", "_sourcedir /build", "--define", "_rpmdir /build/rpms"]
    inside(root, "rpmbuild", "-ba", *options, "it.spec", build=folder)
    return sorted((folder / "rpms").rglob("*.rpm"))


def query(packages: Sequence[Path], *words: str) -> list[str]:
    return run(["rpm", "-qp", "--nosignature", *words, *map(str, packages)], timeout=60).output.splitlines()


def test_is_not_made_twice(distribution: Path) -> None:
    before = (distribution / "repodata" / "repomd.xml").stat()
    said = run([sys.executable, "-B", str(MAKE), "--output", str(distribution)], timeout=60).output
    assert said == ""
    assert (distribution / "repodata" / "repomd.xml").stat() == before


def test_rpm_in_a_root_knows_what_dnf_installed(root: Path) -> None:
    installed = inside(root, "rpm", "-qa", "--qf", "%{name}\n").split()
    assert sorted(installed) == ["conveyor-root", "conveyor-rpm-macros", "conveyor-setup"]
    verified = run(["chroot", str(root), "rpm", "--verify", "--all"], timeout=120)
    assert verified.output == ""


@pytest.mark.parametrize(
    "asked",
    [
        *("bash", "coreutils", "gcc", "make", "git-core", "rpm-build", "shadow-utils", "systemd", "tar", "glibc"),
        *("filesystem", "setup", "python(abi) = 3.13", "python3-devel", "python3-pbr", "python3-setuptools >= 64"),
        *("python3dist(pbr) >= 6.1.1", "python3.13dist(setuptools)", "pyproject-rpm-macros", "systemd-rpm-macros"),
        *("/bin/sh", "/usr/bin/env", "/usr/bin/python3", "libc.so.6(GLIBC_2.34)(64bit)", "redhat-rpm-config"),
    ],
)
def test_a_minimal_root_satisfies_what_specs_ask_for(dnf: Dnf, root: Path, asked: str) -> None:
    found = dnf(root, "repoquery", "--whatprovides", asked, "--qf", "%{name}").output.split()
    assert set(found) <= {"conveyor-root", "conveyor-rpm-macros", "conveyor-setup"}
    assert found


PYPROJECT_SPEC = """
    Name: python-greeting
    Version: 1.0
    Release: 1%{?dist}
    Summary: Greets
    License: Apache-2.0
    Source0: greeting-%{version}.tar
    BuildArch: noarch
    BuildRequires: pyproject-rpm-macros
    %description
    Greets.
    %package -n python3-greeting
    Summary: Greets
    %description -n python3-greeting
    Greets.
    %prep
    %autosetup -n greeting-%{version}
    %generate_buildrequires
    %pyproject_buildrequires -R
    %build
    %pyproject_wheel
    %install
    %pyproject_install
    %pyproject_save_files -l greeting +auto
    %check
    %pyproject_check_import
    %files -n python3-greeting -f %{pyproject_files}
"""
PYPROJECT_SOURCES = {
    "pyproject.toml": """
        [build-system]
        requires = ["setuptools>=64", "wheel"]
        build-backend = "setuptools.build_meta"
        [project]
        name = "greeting"
        version = "1.0"
        dependencies = ["PyYAML>=9999"]
        [project.scripts]
        greet = "greeting:main"
        [tool.setuptools]
        packages = ["greeting"]
    """,
    "greeting/__init__.py": """
        def main():
            print("hello")
    """,
}


def test_a_pyproject_package_is_built_and_installed(dnf: Dnf, root: Path, other_root: Path, tmp_path: Path) -> None:
    [package] = build(root, tmp_path / "build", PYPROJECT_SPEC, PYPROJECT_SOURCES)
    metadata = "/usr/lib/python3/dist-packages/greeting-1.0.dist-info"
    files = query([package], "-l")
    assert "/usr/bin/greet" in files
    assert f"{metadata}/METADATA" in files
    assert not [path for path in files if path.endswith((".pyc", "/RECORD", "/direct_url.json"))]
    assert query([package], "--qf", "%{release} %{buildtime} %{buildhost}") == ["1.local1 1700000000 reproducible"]
    assert "python3dist(greeting) = 1" in query([package], "--provides")
    assert "python3.13dist(pyyaml)" in query([package], "--requires")

    dnf.having(package.parent)(other_root, "install", "python3-greeting")
    assert inside(other_root, "greet") == "hello\n"
    assert inside(other_root, "rpm", "-q", "--qf", "%{name}\n", "python3-yaml") == "python3-yaml\n"


def test_the_same_source_gives_the_same_bytes(root: Path, tmp_path: Path) -> None:
    [once] = build(root, tmp_path / "once", PYPROJECT_SPEC, PYPROJECT_SOURCES)
    [again] = build(root, tmp_path / "again", PYPROJECT_SPEC, PYPROJECT_SOURCES)
    assert once.read_bytes() == again.read_bytes()


PBR_SPEC = """
    Name: python-greeting
    Version: 1.0
    Release: 1%{?dist}
    Summary: Greets
    License: Apache-2.0
    Source0: greeting-%{version}.tar
    BuildArch: noarch
    BuildRequires: python3-devel, python3-pbr, systemd-rpm-macros
    Requires(pre): shadow-utils
    %description
    Greets.
    %package -n python3-greeting
    Summary: Greets
    %description -n python3-greeting
    Greets.
    %prep
    %autosetup -n greeting-%{version} -S git
    %build
    export PBR_VERSION=%{version}
    %{py3_build}
    %install
    export PBR_VERSION=%{version}
    %{py3_install}
    install -D -m 644 greeter.service %{buildroot}%{_unitdir}/greeter.service
    %pre -n python3-greeting
    %sysusers_create_compat /build/greeting-1.0/greeter.sysusers
    %post -n python3-greeting
    %systemd_post greeter.service
    %preun -n python3-greeting
    %systemd_preun greeter.service
    %postun -n python3-greeting
    %systemd_postun_with_restart greeter.service
    %files -n python3-greeting
    %{_unitdir}/greeter.service
    %{_bindir}/greet
    %{python3_sitelib}/greeting
    %{python3_sitelib}/greeting-*.egg-info
"""
PBR_SOURCES = {
    "setup.py": """
        import setuptools
        setuptools.setup(setup_requires=["pbr"], pbr=True)
    """,
    "setup.cfg": """
        [metadata]
        name = greeting
        [files]
        packages = greeting
        [entry_points]
        console_scripts =
            greet = greeting:main
    """,
    "greeting/__init__.py": PYPROJECT_SOURCES["greeting/__init__.py"],
    "greeter.service": "[Service]\nExecStart=/usr/bin/greet\n",
    "greeter.sysusers": 'u greeter - "One who greets" /var/lib/greeter /bin/bash\n',
}


def test_a_pbr_service_is_built_and_installed(dnf: Dnf, root: Path, other_root: Path, tmp_path: Path) -> None:
    [package] = build(root, tmp_path / "build", PBR_SPEC, PBR_SOURCES)
    with_it = dnf.having(package.parent)
    with_it(other_root, "install", "python3-greeting")
    assert inside(other_root, "greet") == "hello\n"
    assert "greeter:x:" in (other_root / "etc/passwd").read_text()
    assert ":One who greets:/var/lib/greeter:/bin/bash" in (other_root / "etc/passwd").read_text()
    assert (other_root / "usr/lib/systemd/system/greeter.service").exists()
    with_it(other_root, "remove", "python3-greeting")
    assert not (other_root / "usr/lib/python3/dist-packages/greeting").exists()


UPGRADE_SPEC = """
    Name: python3-oslo-utils
    Version: 9999
    Release: 1%{?dist}
    Summary: Stands for a trunk build
    License: Apache-2.0
    BuildArch: noarch
    %description
    Stands for a trunk build.
    %install
    mkdir -p %{buildroot}%{python3_sitelib}/oslo_utils
    echo 'trunk = True' > %{buildroot}%{python3_sitelib}/oslo_utils/__init__.py
    %files
    %{python3_sitelib}/oslo_utils
"""


def test_a_trunk_build_replaces_the_library_of_the_distribution(
    dnf: Dnf, root: Path, other_root: Path, tmp_path: Path
) -> None:
    dnf(other_root, "install", "python3-oslo-utils")
    inside(other_root, "python3", "-c", "import oslo_utils.timeutils, oslo_i18n, yaml, netaddr")
    [package] = build(root, tmp_path / "build", UPGRADE_SPEC, {})
    dnf.having(package.parent)(other_root, "upgrade", "python3-oslo-utils")
    inside(other_root, "python3", "-c", "import oslo_utils; assert oslo_utils.trunk")
    assert not (other_root / "usr/lib/python3/dist-packages/oslo_utils/timeutils.py").exists()


NEEDY_SPEC = """
    Name: needy
    Version: 1
    Release: 1
    Summary: Needs what there is not
    License: Apache-2.0
    BuildArch: noarch
    Requires: no-such-thing >= 2
    %description
    Needs what there is not.
    %files
"""


def test_dnf_says_what_is_missing(dnf: Dnf, root: Path, other_root: Path, tmp_path: Path) -> None:
    unknown = dnf(other_root, "install", "python3dist(no-such)", check=False)
    assert unknown.returncode == 1
    assert "Unable to find a match: python3dist(no-such)" in unknown.output
    [package] = build(root, tmp_path / "build", NEEDY_SPEC, {})
    unsatisfied = dnf.having(package.parent)(other_root, "install", "needy", check=False)
    assert unsatisfied.returncode == 1
    assert "nothing provides no-such-thing >= 2 needed by needy-1-1.noarch" in unsatisfied.output


def test_killed_it_leaves_nothing_in_the_way(distribution: Path, tmp_path: Path) -> None:
    """`distribution` is here for its skip conditions."""
    assert distribution.exists()
    argv = [sys.executable, "-B", str(MAKE), "--output", str(tmp_path / "made")]
    making = tmp_path / ".made.making"
    left_behind = making / "left-behind"
    for stop, cleans_up in ((signal.SIGKILL, False), (signal.SIGTERM, True)):
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # What was left behind is gone before anything is started, and may be half gone when it is looked at.
        wait_until(lambda: str(making) in processes() and (making / "root" / "var").exists())
        assert not left_behind.exists()
        process.send_signal(stop)
        process.wait()
        wait_until(lambda: str(making) not in processes())
        assert str(making) not in Path("/proc/self/mountinfo").read_text()
        assert making.exists() != cleans_up
        if not cleans_up:
            left_behind.touch()
    run(["flock", "--nonblock", str(tmp_path / ".made.lock"), "true"], timeout=10)
    assert not (tmp_path / "made").exists()


def processes() -> str:
    """The command lines of all processes."""
    return run(["ps", "-eo", "args"], timeout=10).output


def wait_until(true: Callable[[], bool]) -> None:
    """Wait for something that comes within a minute."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, "it did not come within a minute"
        time.sleep(0.1)
