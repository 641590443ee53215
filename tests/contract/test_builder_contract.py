"""What every Builder does: on the fake, on the overlay builder for a deb and an RPM target, and on pbuilder.

The roots of the real targets are made once, below .cache/test-buildroots of the repository, and are kept between runs.
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from conveyor.buildroot.isolation.sandbox import Sandbox, ScratchKind
from conveyor.buildroot.jobs import Jobs
from conveyor.buildroot.mock.builder import MockBuilder
from conveyor.buildroot.overlay.builder import OverlayBuilder
from conveyor.buildroot.overlay.layers import LayerStore
from conveyor.buildroot.overlay.roots import Roots
from conveyor.buildroot.pbuilder.builder import PROGRAMS, PbuilderBuilder
from conveyor.buildroot.tools.hosttool import HostTools
from conveyor.errors import (
    BuildDependencyMissing,
    BuildFailed,
    LimitExceeded,
    NotInstallable,
    SourceInvalid,
)
from conveyor.formats.deb.apt import AptManager
from conveyor.formats.deb.mirror import host_mirror
from conveyor.formats.deb.toolchain import DebToolchain
from conveyor.formats.rpm.dnf import DnfManager
from conveyor.formats.rpm.toolchain import RpmToolchain
from conveyor.model.commit import Commit, CommitInfo
from conveyor.model.packaging import Packaging, PackagingFile, RenderInput
from conveyor.model.target import BuilderKind, DebianSuite, Format, RpmDistribution, RpmRepository, Target
from conveyor.model.version import PackageVersion
from conveyor.ports import Builder, PackageManager, SourcePlan, Toolchain
from tests.fakes.builder import FakeBuilder
from tests.fakes.clock import NOON
from tests.fakes.toolchain import RECIPE, FakeToolchain
from tests.support.mock import MOCK_USER, need_mock
from tests.support.published import need
from tests.support.roots import UID, need_sandbox, running_as
from tests.support.workshop import TARGET, package_of

REPOSITORY = Path(__file__).parents[2]
CACHE = REPOSITORY / ".cache/test-buildroots"
RPM_DISTRIBUTION = REPOSITORY / ".cache/rpm-distribution"
NAME = "greeting"

CONTROL = """\
Source: greeting
Maintainer: A Packager <packager@example.org>
Section: misc
Standards-Version: 4.6.2
Build-Depends: {needs}
Rules-Requires-Root: no

Package: greeting
Architecture: all
Depends: {depends}
Description: A greeting
 Says hello.
"""
RULES = """\
#!/usr/bin/make -f
build-arch build-indep build:
	{build}
binary-arch:
binary binary-indep: build
	mkdir -p debian/greeting/DEBIAN debian/greeting/usr/share/greeting
	cp hello debian/greeting/usr/share/greeting/hello
	dpkg-gencontrol -pgreeting -Pdebian/greeting
	dpkg-deb --root-owner-group --build debian/greeting ..
clean:
	true
"""
CHANGELOG = """\
greeting ({evr}) trunk; urgency=medium

  * A change.

 -- A Packager <packager@example.org>  Mon, 01 Jan 2024 12:00:00 +0000
"""
SPEC = """\
Name: greeting
Version: {version}
Release: 1
Summary: A greeting
License: MIT
URL: https://example.org/greeting
Source0: greeting-1.0.tar.gz
BuildArch: noarch
BuildRequires: {needs}
Requires: {depends}
%description
Says hello.
%prep
%autosetup -n greeting-1.0
%build
{build}
%install
mkdir -p %{{buildroot}}/usr/share/greeting
cp hello %{{buildroot}}/usr/share/greeting/hello
%files
/usr/share/greeting
{broken}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A small package, as a test wants it."""

    needs: str = ""
    depends: str = ""
    build: str = "true"
    broken: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A builder, and what it needs to be used.

    Attributes:
        builder: the builder.
        toolchain: its target's.
        target: what is built for.
        packaging: the files of the packaging for a wish and a version, by path.
        good: a package that the target has, and that is not in every root.
        data: the builder's data folder; None where it has none.
        result: the pattern of the name of the one package that a build makes.
        resolves_beforehand: whether `prepare` installs build dependencies, and not the build itself.
    """

    builder: Builder
    toolchain: Toolchain
    target: Target
    packaging: Callable[[Wish, PackageVersion], Mapping[str, str]]
    good: str
    data: Path | None
    result: str
    resolves_beforehand: bool = True

    @property
    def version(self) -> PackageVersion:
        """The package's version."""
        return self.toolchain.version("1.0", None, 1, self.target)

    def plan(self, wish: Wish) -> SourcePlan:
        """The plan of a source package for a wish."""
        packaging = tuple(
            PackagingFile(path=path, content=text.encode(), executable=path.endswith("rules"))
            for path, text in sorted(self.packaging(wish, self.version).items())
        )
        render_input = RenderInput(
            package=package_of(NAME),
            target=self.target,
            commit=Commit(
                package=NAME,
                upstream=CommitInfo(sha="a" * 40, committed_at=NOON, author="Ada", subject="First"),
                packaging_sha="b" * 40,
            ),
            version=self.version,
            packaging=Packaging(sha="b" * 40, release=1, files=packaging, shared=()),
            source_files=("hello",),
            changelog_at=NOON,
        )
        return self.toolchain.source_plan(render_input, packaging)

    def source(self, wish: Wish, folder: Path, log: Path) -> tuple[Path, ...]:
        """The files of a source package for a wish."""
        plan = self.plan(wish)
        archive = folder / "archive"
        archive.write_bytes(_tarball(plan.archive_prefix, {"hello": b"hello\n"}))
        results = folder / "source"
        results.mkdir(parents=True)
        return self.builder.make_source(self.target, plan, archive, results, log)

    def built(
        self, wish: Wish, folder: Path, log: Path, *, target: Target | None = None, keep: Path | None = None
    ) -> tuple[Path, ...]:
        """What the build of a wish makes."""
        source = self.source(wish, folder, log)
        root = self.builder.prepare(self.target, self.toolchain.build_requirements(source), None, log)
        plan = self.toolchain.build_plan(self.target, self.version, 1_704_110_400)
        results = folder / "results"
        results.mkdir()
        return self.builder.build(replace(root, target=target or self.target), plan, source, results, log, keep)


def _recipe(wish: Wish, version: PackageVersion) -> Mapping[str, str]:
    del version
    lines = [
        "broken" if wish.broken else "",
        *(f"needs {need}" for need in wish.needs.split(", ") if need),
        f"depends {wish.depends}" if wish.depends else "",
        "" if wish.build == "true" else wish.build,
        "make greeting_{version}.fake hello",
    ]
    return {RECIPE: "".join(f"{line}\n" for line in lines if line)}


def _debian(wish: Wish, version: PackageVersion) -> Mapping[str, str]:
    return {
        "debian/control": CONTROL.format(needs=wish.needs, depends=wish.depends),
        "debian/rules": RULES.format(build=wish.build),
        "debian/changelog": "this is no changelog\n" if wish.broken else CHANGELOG.format(evr=version.evr),
        "debian/source/format": "3.0 (quilt)\n",
    }


def _spec(wish: Wish, version: PackageVersion) -> Mapping[str, str]:
    text = SPEC.format(
        version=version.version,
        needs=wish.needs,
        depends=wish.depends,
        build=wish.build,
        broken="%if 1" if wish.broken else "",
    )
    lines = [line for line in text.splitlines() if line not in {"BuildRequires: ", "Requires: "}]
    return {"greeting.spec": "\n".join(lines) + "\n"}


def _tarball(prefix: str, files: Mapping[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for path, data in files.items():
            member = tarfile.TarInfo(f"{prefix}/{path}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return gzip.compress(content.getvalue(), mtime=0)


def fake_bench() -> Bench:
    return Bench(
        builder=FakeBuilder(["fitting"]),
        toolchain=FakeToolchain(),
        target=TARGET,
        packaging=_recipe,
        good="fitting",
        data=None,
        result="greeting_1.0-1.fake",
    )


def overlay(target: Target, manager: PackageManager, data: Path) -> Builder:
    jobs, layers = Jobs(data / "jobs"), LayerStore(data / "buildroots")
    sandbox = Sandbox(jobs=jobs, layers=layers.layers, uid=UID, scratch=ScratchKind.AUTO)
    roots = Roots(
        store=layers, sandbox=sandbox, jobs=jobs, managers={target.format: manager}, base_max_age=30 * 24 * 3600
    )
    return OverlayBuilder(roots=roots, sandbox=sandbox, jobs=jobs)


def deb_bench() -> Bench:
    need_sandbox()
    need("mmdebstrap", "apt-get", "dpkg")
    target = replace(
        TARGET,
        origin=DebianSuite(suite="trixie", mirror=None, components=("main",)),
        build_packages=("build-essential", "fakeroot"),
    )
    return Bench(
        builder=overlay(target, AptManager(host_mirror), CACHE),
        toolchain=DebToolchain(),
        target=target,
        packaging=_debian,
        good="hello",
        data=CACHE,
        result="greeting_*_all.deb",
    )


def pbuilder_bench() -> Bench:
    bench = deb_bench()
    need(*(program.name for program in PROGRAMS))
    jobs = Jobs(CACHE / "jobs")
    builder = PbuilderBuilder(
        tools=HostTools(jobs=jobs, folder=CACHE / "tools", scratch=ScratchKind.AUTO),
        jobs=jobs,
        apt=AptManager(host_mirror),
        uid=UID,
        base_max_age=30 * 24 * 3600,
    )
    return replace(bench, builder=builder, resolves_beforehand=False)


def rpm_bench() -> Bench:
    need_sandbox()
    need("dnf", "rpm")
    target = rpm_target()
    return Bench(
        builder=overlay(target, DnfManager(), CACHE),
        toolchain=RpmToolchain(),
        target=target,
        packaging=_spec,
        good="python3-six",
        data=CACHE,
        result="greeting-*.noarch.rpm",
    )


def mock_bench() -> Bench:
    need_mock()
    target = replace(rpm_target(), builder=BuilderKind.MOCK)
    jobs = Jobs(CACHE / "jobs")
    tools = HostTools(jobs=jobs, folder=CACHE / "tools", scratch=ScratchKind.AUTO)
    return Bench(
        builder=MockBuilder(tools=tools, jobs=jobs, dnf=DnfManager(), user=MOCK_USER, max_age=30 * 24 * 3600),
        toolchain=RpmToolchain(),
        target=target,
        packaging=_spec,
        good="python3-six",
        data=CACHE,
        result="greeting-*.noarch.rpm",
        resolves_beforehand=False,
    )


def rpm_target() -> Target:
    """The target of the little RPM distribution."""
    if not (RPM_DISTRIBUTION / "repodata").is_dir():
        pytest.skip(
            "no RPM distribution: 'python containers/rpm-distribution/make.py .cache/rpm-distribution' makes it"
        )
    url = f"file://{RPM_DISTRIBUTION.resolve()}"
    return replace(
        TARGET,
        name="local-1-x86_64",
        format=Format.RPM,
        architecture="x86_64",
        origin=RpmDistribution(
            repositories=(RpmRepository(name="local", url=url, key=None),),
            release="1",
            database="/usr/lib/sysimage/rpm",
        ),
        base_packages=("conveyor-root",),
        build_packages=("rpm-build", "redhat-rpm-config"),
        dist="local1",
        naming="rdo",
    )


@pytest.fixture(
    params=[
        "fake",
        pytest.param("deb", marks=pytest.mark.integration),
        pytest.param("pbuilder", marks=pytest.mark.integration),
        pytest.param("rpm", marks=pytest.mark.integration),
        pytest.param("mock", marks=pytest.mark.integration),
    ]
)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    benches = {
        "fake": fake_bench,
        "deb": deb_bench,
        "pbuilder": pbuilder_bench,
        "rpm": rpm_bench,
        "mock": mock_bench,
    }
    made = benches[request.param]()
    yield made
    if made.data is not None:
        assert_nothing_left(made.data)


def assert_nothing_left(data: Path) -> None:
    """No folder, mount, process of this process's work."""
    jobs = data / "jobs"
    assert list(jobs.glob(f"{os.getpid()}-*")) == []
    mounted = (Path(line.split()[4]) for line in Path("/proc/1/mountinfo").read_text().splitlines())
    assert [path for path in mounted if path.is_relative_to(data)] == []
    assert running_as(UID) == []


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


class TestSource:
    def test_its_files_lie_in_the_results(self, bench: Bench, tmp_path: Path, log: Path) -> None:
        files = bench.source(Wish(needs=bench.good), tmp_path, log)
        assert files
        assert all(path.parent == tmp_path / "source" for path in files)
        assert bench.toolchain.build_requirements(files) == (bench.good,)
        assert list(files) == sorted((tmp_path / "source").iterdir())

    def test_it_is_made_the_same_way_each_time(self, bench: Bench, tmp_path: Path, log: Path) -> None:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
        one, two = (bench.source(Wish(), tmp_path / name, log) for name in ("one", "two"))
        assert [path.name for path in one] == [path.name for path in two]

    def test_broken_packaging_is_its_own_fault(self, bench: Bench, tmp_path: Path, log: Path) -> None:
        with pytest.raises(SourceInvalid) as caught:
            bench.source(Wish(broken=True), tmp_path, log)
        assert NAME in caught.value.what
        cause, lines = bench.toolchain.explain_source_failure(log.read_text().splitlines())
        assert cause
        assert "\n" not in cause
        assert lines
        assert list((tmp_path / "source").iterdir()) == []


class TestPrepare:
    def test_the_same_requirements_give_the_same_root(self, bench: Bench, log: Path) -> None:
        first = bench.builder.prepare(bench.target, [bench.good], None, log)
        second = bench.builder.prepare(bench.target, [bench.good], None, log)
        assert first == second
        assert first.target == bench.target
        assert bench.resolves_beforehand == (bench.good in {package.name for package in first.packages})
        assert list(first.packages) == sorted(first.packages)

    def test_a_missing_build_dependency_is_named(self, bench: Bench, tmp_path: Path, log: Path) -> None:
        with pytest.raises(BuildDependencyMissing) as caught:
            bench.built(Wish(needs=f"{bench.good}, libdoesnotexist"), tmp_path, log)
        assert "libdoesnotexist" in caught.value.cause
        assert "\n" not in caught.value.cause


class TestBuild:
    def test_it_makes_packages_and_they_can_be_installed(self, bench: Bench, tmp_path: Path, log: Path) -> None:
        made = bench.built(Wish(needs=bench.good, depends=bench.good), tmp_path, log)
        assert all(path.parent == tmp_path / "results" for path in made)
        (package,) = [path for path in made if path.match(bench.result)]
        requirements = bench.toolchain.runtime_requirements([package])
        assert requirements == (bench.good,)
        bench.builder.check_install(bench.target, [package], requirements, None, log)

    def test_a_failing_build_is_told_with_its_code_or_command(self, bench: Bench, tmp_path: Path, log: Path) -> None:
        with pytest.raises(BuildFailed, match="the build failed with code "):
            bench.built(Wish(build="exit 3"), tmp_path, log)
        assert list((tmp_path / "results").iterdir()) == []

    def test_a_build_that_hangs_is_ended(self, bench: Bench, tmp_path: Path, log: Path) -> None:
        hurried = replace(bench.target, limits=replace(bench.target.limits, seconds=5))
        with pytest.raises(LimitExceeded, match="longer than 5 s"):
            bench.built(Wish(build="sleep 1000"), tmp_path, log, target=hurried)

    def test_a_root_is_kept_when_it_is_asked_for(self, bench: Bench, tmp_path: Path, log: Path) -> None:
        with pytest.raises(BuildFailed):
            bench.built(Wish(build="exit 3"), tmp_path, log, keep=tmp_path / "keep")
        assert list((tmp_path / "keep").iterdir())


class TestInstall:
    def test_a_missing_run_time_dependency_is_named(self, bench: Bench, tmp_path: Path, log: Path) -> None:
        made = bench.built(Wish(depends="libdoesnotexist"), tmp_path, log)
        package = [path for path in made if path.match(bench.result)]
        requirements = bench.toolchain.runtime_requirements(package)
        assert requirements == ("libdoesnotexist",)
        with pytest.raises(NotInstallable) as caught:
            bench.builder.check_install(bench.target, package, requirements, None, log)
        assert "libdoesnotexist" in caught.value.cause
