"""What every Toolchain does, with real small packages of both formats; then what is particular to each."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pytest
import rpm

from conveyor.errors import MirrorUnreachable, SourceInvalid
from conveyor.formats.artifacts import artifact_of
from conveyor.formats.deb import mirror
from conveyor.formats.deb.relations import split_relations
from conveyor.formats.deb.toolchain import DebToolchain, source_name
from conveyor.formats.filenames import safe_name
from conveyor.formats.rpm.toolchain import RpmToolchain, declared_names
from conveyor.formats.sdist import python_metadata
from conveyor.model.artifact import Artifact, ArtifactKind
from conveyor.model.commit import Commit, CommitInfo
from conveyor.model.packaging import Packaging, PackagingFile, RenderInput
from conveyor.model.target import Format, Target
from conveyor.ports import RiskyFiles, Toolchain
from tests.fakes.clock import NOON
from tests.support.published import CONTROL, SPEC, make_deb, make_dsc, make_rpms, need
from tests.support.workshop import TARGET, package_of

RPM_TARGET = replace(TARGET, name="centos-10-x86_64", format=Format.RPM, architecture="x86_64", dist="el10")


def rpm_with(folder: Path, name: str, tags: str) -> list[tuple[Path, Artifact]]:
    """An RPM and its SRPM with more tags in the preamble."""
    need("rpmbuild")
    folder.mkdir(parents=True, exist_ok=True)
    spec = folder / f"{name}.spec"
    text = SPEC.format(name=name, version="1.0", release="1")
    spec.write_text(text.replace("BuildArch: noarch\n", f"BuildArch: noarch\n{tags}", 1))
    subprocess.run(
        ["rpmbuild", "-ba", "--nodeps", "--quiet", "--define", f"_topdir {folder}/top", str(spec)],
        check=True,
        capture_output=True,
    )
    paths = [next((folder / "top/RPMS").rglob(f"{name}-1*.rpm")), next((folder / "top/SRPMS").glob(f"{name}-1*.rpm"))]
    return [(path, RpmToolchain().inspect(path)) for path in paths]


def deb_with(folder: Path, name: str, fields: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    control = CONTROL.replace("Priority: optional\n", f"Priority: optional\n{fields}", 1)
    return make_deb(folder, name, "1.0-1", control=control)[0]


def debs(folder: Path) -> list[Path]:
    """A package, and another that it needs among what is elsewhere."""
    first = deb_with(
        folder / "a",
        "python3-greeting",
        "Depends: greeting-common (= 1.0-1), python3-oslo,\n libc6 (>= 2) | libc6-compat,\n virtual-greeting\n"
        "Pre-Depends: dpkg (>= 1.17)\nRecommends: nothing\n",
    )
    return [first, deb_with(folder / "b", "greeting-common", "Provides: virtual-greeting (= 1.0-1)\n")]


def rpms(folder: Path) -> list[Path]:
    first = rpm_with(
        folder / "a",
        "python3-greeting",
        "Requires: greeting-common = 1.0-1\nRequires: python3-oslo >= 2\nRequires: virtual-greeting\n"
        "Requires: /usr/share/greeting-common/greeting\nRecommends: nothing\n",
    )
    second = rpm_with(folder / "b", "greeting-common", "Provides: virtual-greeting = 1\n")
    return [first[0][0], second[0][0]]


def deb_source(folder: Path) -> tuple[Path, ...]:
    folder.mkdir(parents=True)
    return tuple(path for path, _ in make_dsc(folder, "greeting", "1.0-1"))


def rpm_source(folder: Path) -> tuple[Path, ...]:
    return (make_rpms(folder, "greeting", "1.0")[1][0],)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """One format with what a test of it needs."""

    toolchain: Toolchain
    target: Target
    files: Mapping[str, bytes]
    packages: Callable[[Path], list[Path]]
    source: Callable[[Path], tuple[Path, ...]]
    needed: tuple[str, ...]
    version_suffix: str

    @property
    def packaging(self) -> tuple[PackagingFile, ...]:
        return tuple(
            PackagingFile(path=path, content=content, executable=False) for path, content in sorted(self.files.items())
        )

    def render_input(self, *source_files: str) -> RenderInput:
        return RenderInput(
            package=replace(package_of("greeting"), distribution="greeting.py"),
            target=self.target,
            commit=Commit(
                package="greeting",
                upstream=CommitInfo(sha="a" * 40, committed_at=NOON, author="Ada", subject="First"),
                packaging_sha="b" * 40,
            ),
            version=self.toolchain.version("1.2.0.dev3", None, 4, self.target),
            packaging=Packaging(sha="b" * 40, release=4, files=self.packaging, shared=()),
            source_files=source_files,
            changelog_at=NOON,
        )


KITS = {
    "deb": Kit(
        toolchain=DebToolchain(),
        target=TARGET,
        files={
            "debian/control": b"Source: greeting\n\nPackage: greeting\n",
            "debian/rules": b"#!/usr/bin/make -f\n",
            "debian/changelog": b"x",
        },
        packages=debs,
        source=deb_source,
        needed=("dpkg (>= 1.17)", "libc6 (>= 2) | libc6-compat", "python3-oslo"),
        version_suffix="-4~deb13",
    ),
    "rpm": Kit(
        toolchain=RpmToolchain(),
        target=RPM_TARGET,
        files={"greeting.spec": b"Name: greeting\n", "greeting.conf": b"x"},
        packages=rpms,
        source=rpm_source,
        needed=("python3-oslo >= 2",),
        version_suffix="-4",
    ),
}


@pytest.fixture(params=sorted(KITS))
def kit(request: pytest.FixtureRequest) -> Kit:
    return KITS[request.param]


class TestEveryToolchain:
    def test_versions_sort_as_the_upstreams_and_the_packagings_changes(self, kit: Kit) -> None:
        upstream = ["1.2.0.dev3", "1.2.0.dev11", "1.2.0a1", "1.2.0rc1", "1.2.0", "1.2.0.post1", "1.10.0"]
        evrs = [kit.toolchain.version(text, None, 1, kit.target).evr for text in upstream]
        for older, newer in pairwise(evrs):
            assert kit.toolchain.compare(older, newer) < 0
            assert kit.toolchain.compare(newer, older) > 0
        again = kit.toolchain.version("1.2.0", None, 2, kit.target).evr
        assert kit.toolchain.compare(again, kit.toolchain.version("1.2.0", None, 10, kit.target).evr) < 0
        assert kit.toolchain.compare(again, again) == 0
        assert kit.toolchain.compare("1:0.1-1", "9-1") > 0

    @pytest.mark.parametrize("scheme_release", [None, "0.20260301120000.abc1234"])
    def test_a_rebuild_sorts_between_what_it_rebuilds_and_what_follows(
        self, kit: Kit, scheme_release: str | None
    ) -> None:
        def published(packaging_release: int, rebuild: int) -> str:
            evr = kit.toolchain.version("1.2.0", scheme_release, packaging_release, kit.target, rebuild).evr
            return f"{evr}.{kit.target.dist}" if kit.toolchain.format is Format.RPM else evr

        evrs = [published(1, 0), published(1, 1), published(1, 2), published(1, 10), published(2, 0), published(2, 1)]
        for older, newer in pairwise(evrs):
            assert kit.toolchain.compare(older, newer) < 0

    def test_a_version_keeps_what_the_upstream_called_it(self, kit: Kit) -> None:
        version = kit.toolchain.version("1.2.0.dev3", None, 4, kit.target)
        assert (version.upstream, version.epoch) == ("1.2.0.dev3", 0)
        assert version.evr.endswith(kit.version_suffix)

    def test_the_source_plan_has_all_files_of_the_packaging(self, kit: Kit) -> None:
        plan = kit.toolchain.source_plan(kit.render_input("README"), kit.packaging)
        assert plan.files == kit.packaging
        assert plan.archive_prefix == "greeting.py-1.2.0.dev3"
        assert plan.archive.endswith(".tar.gz")
        assert plan.extra == {}
        assert plan.script.endswith(b"\n")

    def test_a_python_upstream_is_given_its_metadata(self, kit: Kit) -> None:
        plan = kit.toolchain.source_plan(kit.render_input("setup.cfg", "README"), kit.packaging)
        assert plan.extra["PKG-INFO"] == b"Metadata-Version: 2.1\nName: greeting.py\nVersion: 1.2.0.dev3\n"

    def test_packaging_without_what_the_format_needs_is_refused(self, kit: Kit) -> None:
        with pytest.raises(SourceInvalid) as caught:
            kit.toolchain.source_plan(kit.render_input(), ())
        assert "greeting" in caught.value.what
        assert caught.value.hint

    def test_the_build_plan_is_told_the_date(self, kit: Kit) -> None:
        version = kit.toolchain.version("1.2.0", None, 1, kit.target)
        assert "1704110400" in kit.toolchain.build_plan(kit.target, version, 1_704_110_400).arguments

    def test_scripts_of_plans_are_shell_scripts_that_stop_at_the_first_error(self, kit: Kit) -> None:
        version = kit.toolchain.version("1.2.0", None, 1, kit.target)
        scripts = (
            kit.toolchain.source_plan(kit.render_input(), kit.packaging).script,
            kit.toolchain.build_plan(kit.target, version, 1).script,
        )
        for script in scripts:
            assert b"\nset -eu\n" in script
            subprocess.run(["sh", "-n"], input=script, check=True)

    def test_a_source_package_is_known_by_its_own_data(self, kit: Kit, tmp_path: Path) -> None:
        artifacts = [kit.toolchain.inspect(path) for path in kit.source(tmp_path / "source")]
        (source,) = [artifact for artifact in artifacts if artifact.kind is ArtifactKind.SOURCE]
        assert (source.name, source.version, source.architecture) == ("greeting", "1.0-1", "source")
        others = [artifact for artifact in artifacts if artifact is not source]
        assert all((other.kind, other.name, other.version) == (ArtifactKind.SUPPORT, "", "") for other in others)

    def test_a_binary_package_is_known_by_its_own_data(self, kit: Kit, tmp_path: Path) -> None:
        path = kit.packages(tmp_path)[0]
        artifact = kit.toolchain.inspect(path)
        assert (artifact.filename, artifact.kind, artifact.name, artifact.version) == (
            (path.name, ArtifactKind.BINARY, "python3-greeting", "1.0-1")
        )
        assert artifact.architecture in {"all", "noarch"}
        assert artifact.size == path.stat().st_size

    def test_what_packages_bring_themselves_is_not_required(self, kit: Kit, tmp_path: Path) -> None:
        packages = kit.packages(tmp_path)
        assert kit.toolchain.runtime_requirements(packages) == kit.needed
        alone = kit.toolchain.runtime_requirements(packages[:1])
        assert any("greeting-common" in text for text in alone)
        assert any("virtual-greeting" in text for text in alone)

    def test_nothing_is_required_by_nothing(self, kit: Kit) -> None:
        assert kit.toolchain.runtime_requirements([]) == ()
        assert kit.toolchain.build_requirements([]) == ()

    def test_packages_of_another_source_or_undeclared_are_foreign(self, kit: Kit, tmp_path: Path) -> None:
        source = kit.source(tmp_path / "source")
        packages = kit.packages(tmp_path)
        reasons = kit.toolchain.foreign(source, packages)
        assert [reason.partition(": ")[0] for reason in reasons] == [path.name for path in packages]
        assert all("declares no package" in reason for reason in reasons)

    def test_a_package_with_a_name_that_is_none_is_refused(self, kit: Kit, tmp_path: Path) -> None:
        path = kit.packages(tmp_path)[0]
        renamed = path.with_name(f"other-{path.name}")
        path.rename(renamed)
        with pytest.raises(SourceInvalid, match=r" inside$"):
            kit.toolchain.inspect(renamed)

    def test_plain_packages_give_no_rights(self, kit: Kit, tmp_path: Path) -> None:
        assert kit.toolchain.risky_files(kit.packages(tmp_path)[0]) == RiskyFiles()

    @pytest.mark.parametrize("name", ["x.rpm", "x.deb"])
    @pytest.mark.parametrize("content", [b"", b"not a package", b"!<arch>\n", b"\xed\xab\xee\xdb\x03\x00"])
    def test_a_file_that_is_not_what_its_name_says_is_refused(
        self, kit: Kit, tmp_path: Path, name: str, content: bytes
    ) -> None:
        path = tmp_path / name
        path.write_bytes(content)
        if name.endswith(kit.target.format):
            with pytest.raises(SourceInvalid, match="x\\."):
                kit.toolchain.inspect(path)
        else:
            assert kit.toolchain.inspect(path).kind is ArtifactKind.SUPPORT

    @pytest.mark.parametrize("name", ["-x.rpm", ".hidden.deb", "a b.deb", "a\nb.rpm", "ä.deb", "$(id).rpm", "a" * 252])
    def test_a_file_with_another_name_than_a_packages_is_refused(self, kit: Kit, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        path.write_bytes(b"x")
        with pytest.raises(SourceInvalid, match="the build made a file named"):
            kit.toolchain.inspect(path)


class TestDeb:
    def test_what_the_dsc_declares_is_its_own(self, tmp_path: Path) -> None:
        source = deb_source(tmp_path / "source")
        (tmp_path / "debs").mkdir()
        own = deb_with(tmp_path / "debs/a", "greeting", "")
        debug = deb_with(tmp_path / "debs/b", "greeting-dbgsym", "Source: greeting (1.0-1)\n")
        foreign = deb_with(tmp_path / "debs/c", "greeting", "Source: other\n")
        assert DebToolchain().foreign(source, [own, debug]) == ()
        assert DebToolchain().foreign(source, [foreign]) == (
            "greeting_1.0-1_all.deb: it says that it was built from 'other'",
        )

    def test_the_archive_is_named_after_the_source_package_and_its_version(self) -> None:
        plan = KITS["deb"].toolchain.source_plan(KITS["deb"].render_input(), KITS["deb"].packaging)
        name, version, prefix = plan.arguments
        assert plan.archive == f"{name}_{version}.orig.tar.gz"
        assert (name, prefix) == ("greeting", "greeting.py-1.2.0.dev3")

    def test_each_missing_file_is_named(self) -> None:
        files = [file for file in KITS["deb"].packaging if file.path == "debian/control"]
        with pytest.raises(SourceInvalid, match="lacks debian/changelog, debian/rules"):
            DebToolchain().source_plan(KITS["deb"].render_input(), files)

    @pytest.mark.parametrize(
        "control", [b"", b"Package: x\n", b"Source: UPPER\n", b"Source: ../x\n", b"Source: a b\n", b"\xff\xfe"]
    )
    def test_a_source_package_without_a_valid_name_is_refused(self, control: bytes) -> None:
        file = PackagingFile(path="debian/control", content=control, executable=False)
        with pytest.raises(SourceInvalid, match="names no valid source package"):
            source_name([file])

    @pytest.mark.parametrize("content", [b"", b"garbage", b"Source: greeting\n", b"Version: 1\n", b"\xff\xfe"])
    def test_a_dsc_that_is_none_is_refused(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "x_1.dsc"
        path.write_bytes(content)
        with pytest.raises(SourceInvalid, match=r"x_1\.dsc"):
            DebToolchain().inspect(path)

    def test_build_dependencies_of_all_three_fields(self, tmp_path: Path) -> None:
        (tmp_path / "x_1.dsc").write_text(
            "Format: 3.0 (quilt)\nSource: x\nVersion: 1\nBuild-Depends: debhelper-compat (= 13), python3:any,\n"
            " libssl-dev [amd64] <!nocheck>\nBuild-Depends-Indep: python3-sphinx\nBuild-Depends-Arch: gcc\n"
        )
        (tmp_path / "x_1.tar.xz").write_bytes(b"")
        assert DebToolchain().build_requirements(sorted(tmp_path.iterdir())) == (
            *("debhelper-compat (= 13)", "gcc", "libssl-dev [amd64] <!nocheck>", "python3-sphinx", "python3:any"),
        )

    @pytest.mark.parametrize(
        ("field", "relations"),
        [("", ()), (" , ", ()), ("a", ("a",)), ("a (>= 1),\n b |\n c,", ("a (>= 1)", "b | c"))],
    )
    def test_relations_are_split(self, field: str, relations: tuple[str, ...]) -> None:
        assert split_relations(field) == relations


class TestRpm:
    def test_what_the_spec_declares_is_its_own(self, tmp_path: Path) -> None:
        more = (
            "%package doc\nSummary: x\n%description doc\n%files doc\n%package -n lib\nSummary: x\n%description -n lib\n"
        )
        (package, _), (source, _) = rpm_with(tmp_path / "a", "greeting", "")
        assert RpmToolchain().foreign([source], [package]) == ()
        assert set(declared_names({rpm.RPMTAG_SPEC: f"Name: greeting\n{more}", rpm.RPMTAG_NAME: "greeting"})) == {
            "greeting",
            "greeting-doc",
            "lib",
        }
        assert set(declared_names({rpm.RPMTAG_SPEC: None})) == set()
        (other, _), _ = rpm_with(tmp_path / "b", "greeting-doc", "")
        assert "declares no package greeting-doc" in RpmToolchain().foreign([source], [other])[0]

    def test_setuid_files_capabilities_and_devices_are_told(self, tmp_path: Path) -> None:
        text = (
            "%attr(4755, root, root) /usr/share/rights/greeting\n%caps(cap_net_raw=ep) /usr/share/rights/ping\n"
            "%dev(c, 1, 3) /usr/share/rights/null\n"
        )
        need("rpmbuild")
        spec = SPEC.format(name="rights", version="1.0", release="1").replace(
            "%files\n/usr/share/rights\n", f"%files\n{text}"
        )
        (tmp_path / "rights.spec").write_text(
            spec.replace("%files", "touch %{buildroot}/usr/share/rights/ping\n%files", 1)
        )
        command = ["rpmbuild", "-bb", "--quiet", "--define", f"_topdir {tmp_path}/top", str(tmp_path / "rights.spec")]
        subprocess.run(command, check=True, capture_output=True)
        (path,) = (tmp_path / "top/RPMS").rglob("*.rpm")
        folder = "/usr/share/rights"
        assert RpmToolchain().risky_files(path) == RiskyFiles(
            privileged=(f"{folder}/greeting", f"{folder}/ping"), devices=(f"{folder}/null",)
        )

    def test_build_requirements_of_an_srpm(self, tmp_path: Path) -> None:
        source = rpm_with(tmp_path, "x", "BuildRequires: gcc\nBuildRequires: python3dist(six) >= 1.2\n")[1][0]
        assert RpmToolchain().build_requirements([source]) == ("gcc", "python3dist(six) >= 1.2")

    @pytest.mark.parametrize("paths", [("a.spec", "b.spec"), ("folder/a.spec",), ("a.spec.in",)])
    def test_exactly_one_spec_at_the_top_is_needed(self, paths: tuple[str, ...]) -> None:
        files = [PackagingFile(path=path, content=b"", executable=False) for path in paths]
        with pytest.raises(SourceInvalid, match="spec files"):
            RpmToolchain().source_plan(KITS["rpm"].render_input(), files)

    def test_the_mark_of_the_distribution_is_given_to_both_plans(self) -> None:
        kit = KITS["rpm"]
        assert kit.toolchain.source_plan(kit.render_input(), kit.packaging).arguments[-1] == ".el10"
        version = kit.toolchain.version("1", None, 1, kit.target)
        assert kit.toolchain.build_plan(kit.target, version, 7).arguments == ("7", ".el10")


class TestShared:
    def test_an_artifact_has_digest_and_size_of_the_file(self, tmp_path: Path) -> None:
        path = tmp_path / "a~b^1+c:2_x.buildinfo"
        path.write_bytes(b"content")
        artifact = artifact_of(path, ArtifactKind.SUPPORT)
        assert artifact.size == 7
        assert artifact.sha256 == "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
        assert safe_name(path) == path.name

    def test_metadata_lists_every_file_that_setuptools_can_read(self) -> None:
        files = python_metadata(KITS["deb"].render_input("pyproject.toml", "a b.py", "new\nline", "ä.py"))
        folder = "greeting.py.egg-info"
        assert set(files) == {"PKG-INFO", f"{folder}/PKG-INFO", f"{folder}/SOURCES.txt"}
        listed = files[f"{folder}/SOURCES.txt"].decode().splitlines()
        assert listed == ["pyproject.toml", "a b.py", "ä.py", "PKG-INFO", f"{folder}/PKG-INFO", f"{folder}/SOURCES.txt"]

    def test_the_hosts_mirror_is_a_url(self) -> None:
        need("apt-get")
        try:
            found = mirror.host_mirror()
        except MirrorUnreachable as error:
            pytest.skip(error.what)
        assert found.split(":")[0] in {"http", "https", "file", "cdrom", "mirror+file"}

    def test_a_host_whose_apt_names_no_mirror_is_told_what_to_do(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        need("apt-get")
        program = tmp_path / "apt-get"
        program.write_text("#!/bin/sh\necho other stable http://other.example.org/debian/\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        monkeypatch.setattr(mirror, "_host_codename", lambda: "trixie")
        with pytest.raises(MirrorUnreachable) as caught:
            mirror.host_mirror()
        assert "repos.yaml" in caught.value.hint
