"""What every Describer does, with real small packages of both formats; then what is particular to each."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from packageurl import PackageURL

from conveyor.errors import SourceInvalid
from conveyor.formats.deb.describe import DebDescriber
from conveyor.formats.rpm.describe import RpmDescriber
from conveyor.model.contents import Member
from conveyor.model.provenance import InstalledPackage
from conveyor.model.target import Format, RpmDistribution, Target
from conveyor.pipeline.verifying.compare import Difference, Likeness, Part, compare
from conveyor.ports import Describer
from tests.support.published import CONTROL, SPEC, make_deb, make_rpms, need
from tests.support.workshop import TARGET

RPM_TARGET = replace(
    TARGET,
    name="centos-10-x86_64",
    format=Format.RPM,
    architecture="x86_64",
    naming="centos",
    origin=RpmDistribution(repositories=(), release="10", database="/usr/lib/sysimage/rpm"),
)
GREETING = "/usr/share/hello/greeting"


def some_deb(folder: Path, fields: str = "") -> Path:
    control = CONTROL.replace("Priority: optional\n", f"Priority: optional\n{fields}", 1)
    return make_deb(folder, "hello", "1.0-1", control=control)[0]


def some_rpm(folder: Path, fields: str = "") -> Path:
    if not fields:
        return make_rpms(folder, "hello", "1.0")[0][0]
    need("rpmbuild")
    folder.mkdir(parents=True, exist_ok=True)
    spec = folder / "hello.spec"
    text = SPEC.format(name="hello", version="1.0", release="1").replace("URL: https://example.org/hello\n", "")
    spec.write_text(text.replace("BuildArch: noarch\n", f"BuildArch: noarch\n{fields}", 1))
    argv = ["rpmbuild", "-bb", "--nodeps", "--quiet", "--define", f"_topdir {folder}/top", str(spec)]
    subprocess.run(argv, check=True, capture_output=True, env={**os.environ, "SOURCE_DATE_EPOCH": "1704110400"})
    return next((folder / "top/RPMS").rglob("hello-1*.rpm"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """One format's describer, with what the tests need of it."""

    describer: Describer
    target: Target
    make: Callable[..., Path]
    homepage: str
    abi: str


KITS = {
    "deb": Kit(
        describer=DebDescriber(),
        target=TARGET,
        make=some_deb,
        homepage="Homepage: https://hello.example.org\n",
        abi="Provides: hello-abi-9 (= 1.0)\n",
    ),
    "rpm": Kit(
        describer=RpmDescriber(),
        target=RPM_TARGET,
        make=some_rpm,
        homepage="URL: https://hello.example.org/\n",
        abi="Provides: hello-abi-9 = 1.0\n",
    ),
}


@pytest.fixture(params=KITS)
def kit(request: pytest.FixtureRequest) -> Kit:
    return KITS[str(request.param)]


@pytest.mark.parametrize("version", ["1.0-1", "1:1.0~rc1+git^2-1.el10", "0:2-1"])
@pytest.mark.parametrize("architecture", ["all", "source", ""])
@pytest.mark.parametrize("name", ["hello", "libstdc++6", "python3.11", "perl(Foo::Bar)/x@y?z#"])
def test_a_purl_is_spelt_as_the_specification_has_it(kit: Kit, name: str, version: str, architecture: str) -> None:
    package = InstalledPackage(name=name, version=version, architecture=architecture)
    text = kit.describer.purl(package, kit.target)
    parsed = PackageURL.from_string(text)
    assert parsed.type == kit.target.format.value
    assert parsed.namespace
    assert parsed.name == (name.lower() if kit.target.format is Format.DEB else name)
    assert "distro" in parsed.qualifiers
    if "@" not in name:  # of "@" in a name, the library itself writes one that it does not read
        assert parsed.to_string() == text


def test_contents_are_all_that_is_in_a_package(kit: Kit, tmp_path: Path) -> None:
    found = kit.describer.contents(kit.make(tmp_path))
    assert found is not None
    assert found.complete
    greeting = found.members[GREETING]
    assert (greeting.mode, greeting.owner) == ("-rw-r--r--", "root:root")
    assert len(greeting.content) == 64
    assert greeting.size > 0
    assert any("hello" in value for value in found.fields.values())


def test_facts(kit: Kit, tmp_path: Path) -> None:
    requires = "Depends: b, a (>= 2)\n" if kit.target.format is Format.DEB else "Requires: b, a >= 2\n"
    facts = kit.describer.facts(kit.make(tmp_path, kit.homepage + requires))
    assert facts.summary
    assert facts.homepage.startswith("https://hello.example.org")
    assert [text.partition(" ")[0] for text in facts.requires if text[0] in "ab"] == ["a", "b"]


def test_what_others_are_built_against_has_names_and_no_version_of_its_own(kit: Kit, tmp_path: Path) -> None:
    plain = kit.describer.abi(kit.make(tmp_path / "plain"))
    more = kit.describer.abi(kit.make(tmp_path / "more", kit.abi))
    assert "hello" in plain
    assert {"hello-abi-9"} == {*more} - {*plain}
    assert {*plain} <= {*more}
    assert not any(character in name for name in more for character in " =<>")


def test_the_same_twice_is_identical(kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1704110400")
    one = kit.make(tmp_path / "one", kit.homepage)
    other = tmp_path / "other" / one.name
    other.parent.mkdir()
    shutil.copy(one, other)
    assert compare(kit.describer, one, other).likeness is Likeness.IDENTICAL


def test_a_field_that_differs_is_named(kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1704110400")
    one, other = (
        kit.make(tmp_path / "one", kit.homepage),
        kit.make(tmp_path / "other", kit.homepage.replace("//hello", "//jello")),
    )
    done = compare(kit.describer, one, other)
    assert done.likeness is Likeness.DIFFERS
    assert done.offset is not None
    fields = {difference.name.lower() for difference in done.differences if difference.part is Part.FIELD}
    assert fields & {"homepage", "url"}


def test_what_is_no_package_has_no_contents(kit: Kit, tmp_path: Path) -> None:
    (tmp_path / "README").write_text("x")
    assert kit.describer.contents(tmp_path / "README") is None
    assert kit.describer.content_start(tmp_path / "README") == 0
    assert not kit.describer.is_record("README")
    assert kit.describer.buildroot([tmp_path / "README"]) is None


class TestDeb:
    def test_maintainer_scripts_and_control_files_are_members(self, tmp_path: Path) -> None:
        found = DebDescriber().contents(some_deb(tmp_path))
        assert found is not None
        assert {"control:/", "control:/control", "/usr/"} <= set(found.members)
        assert found.fields["Package"] == "hello"

    def test_what_is_in_the_data_is_named(self, tmp_path: Path) -> None:
        need("dpkg-deb")
        trees = []
        for name, text in (("one", "hello"), ("other", "jello")):
            tree = tmp_path / name
            (tree / "DEBIAN").mkdir(parents=True)
            (tree / "DEBIAN/control").write_text(CONTROL.format(name="hello", version="1"))
            (tree / "DEBIAN/postinst").write_text(f"#!/bin/sh\n: {text}\n")
            (tree / "DEBIAN/postinst").chmod(0o755)
            (tree / "same").write_text("same")
            (tree / "greeting").write_text(text)
            (tree / "link").symlink_to(text)
            for path in (tree, *tree.rglob("*")):
                os.utime(path, (1_704_110_400, 1_704_110_400), follow_symlinks=False)
            argv = ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(tree), str(tmp_path / f"{name}.deb")]
            subprocess.run(argv, check=True, capture_output=True)
            trees.append(tmp_path / f"{name}.deb")
        done = compare(DebDescriber(), *trees)
        told = {difference.name: difference for difference in done.differences}
        assert set(told) == {"/greeting", "/link", "control:/postinst"}
        assert told["/link"].recorded == "lrwxrwxrwx root:root 0 bytes, time 1704110400, hello"
        assert told["/link"].rebuilt == "lrwxrwxrwx root:root 0 bytes, time 1704110400, jello"

    def test_an_archive_that_is_not_read_is_not_complete(self, tmp_path: Path) -> None:
        need("dpkg-deb")
        deb = some_deb(tmp_path)
        zst = tmp_path / "hello_zst.deb"
        argv = ["dpkg-deb", "--root-owner-group", "-Zzstd", "--build", str(tmp_path / "hello_1.0-1"), str(zst)]
        if subprocess.run(argv, capture_output=True, check=False).returncode != 0:
            pytest.skip("dpkg-deb knows no zstd")
        assert DebDescriber().contents(deb) is not None
        with pytest.raises(SourceInvalid):  # its control data is compressed likewise
            DebDescriber().contents(zst)

    def test_the_buildroot_by_the_buildinfo(self, tmp_path: Path) -> None:
        buildinfo = tmp_path / "hello_1_amd64.buildinfo"
        buildinfo.write_text(
            "Format: 1.0\nSource: hello\nInstalled-Build-Depends:\n gcc (= 4:14.2.0-1),\n autoconf (= 2.72-3.1),\n"
            " libc6:i386 (= 2.41-12+deb13u1),\n $(touch pwned) (= 1)\nEnvironment:\n LANG=C\n"
        )
        describer = DebDescriber()
        assert describer.buildroot([buildinfo]) == (
            InstalledPackage(name="autoconf", version="2.72-3.1", architecture=""),
            InstalledPackage(name="gcc", version="4:14.2.0-1", architecture=""),
            InstalledPackage(name="libc6", version="2.41-12+deb13u1", architecture="i386"),
        )
        assert describer.is_record(buildinfo.name)
        assert describer.is_record("hello_1_amd64.changes")


class TestRpm:
    def test_a_signature_is_no_difference(self, tmp_path: Path) -> None:
        need("gpg", "rpmsign")
        plain = some_rpm(tmp_path / "rpm")
        signed = tmp_path / "signed" / plain.name
        signed.parent.mkdir()
        shutil.copy(plain, signed)
        home = tmp_path / "home"
        home.mkdir(mode=0o700)
        environment = {**os.environ, "GNUPGHOME": str(home)}
        key = ("--quick-gen-key", "tester@example.org", "rsa2048", "sign", "never")
        gpg = ["gpg", "--batch", "--passphrase", "", "--pinentry-mode", "loopback"]
        macros = ("_gpg_name tester@example.org", f"_gpg_path {home}", "__gpg /usr/bin/gpg")
        defines = [word for macro in macros for word in ("--define", macro)]
        try:
            for argv in ([*gpg, *key], ["rpmsign", *defines, "--addsign", str(signed)]):
                subprocess.run(argv, check=True, capture_output=True, env=environment)
        finally:
            subprocess.run(["gpgconf", "--kill", "all"], check=False, env=environment)
        assert signed.read_bytes() != plain.read_bytes()
        assert compare(RpmDescriber(), plain, signed).likeness is Likeness.IDENTICAL
        content = bytearray(signed.read_bytes())
        content[-1] ^= 1
        signed.write_bytes(content)
        assert compare(RpmDescriber(), plain, signed).likeness is Likeness.DIFFERS

    def test_signatures_and_lists_of_files_are_no_fields(self, tmp_path: Path) -> None:
        found = RpmDescriber().contents(some_rpm(tmp_path))
        assert found is not None
        assert {"NAME", "BUILDTIME", "PAYLOADDIGEST"} <= set(found.fields)
        assert not {"SIGMD5", "SHA256HEADER", "FILEMTIMES", "BASENAMES"} & set(found.fields)
        assert isinstance(found.members[GREETING], Member)

    def test_a_time_that_differs_is_named(self, tmp_path: Path) -> None:
        one, other = make_rpms(tmp_path / "one", "hello", "1.0")[0][0], tmp_path / "other.rpm"
        spec = tmp_path / "one/hello.spec"
        argv = ["rpmbuild", "-bb", "--quiet", "--define", f"_topdir {tmp_path}/top", "--define", "_buildhost elsewhere"]
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "SOURCE_DATE_EPOCH": "1704110400"}
        subprocess.run([*argv, str(spec)], check=True, capture_output=True, env=environment)
        next((tmp_path / "top/RPMS").rglob("*.rpm")).rename(other)
        differences = {one.name: one for one in compare(RpmDescriber(), one, other).differences}
        assert isinstance(differences["BUILDHOST"], Difference)
        assert differences["BUILDHOST"].rebuilt == "elsewhere"

    @pytest.mark.parametrize("content", [b"", b"x" * 50, b"\xed\xab\xee\xdb" + bytes(200)])
    def test_what_is_no_rpm_is_refused(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "hello.rpm"
        path.write_bytes(content)
        for look in (RpmDescriber().content_start, RpmDescriber().contents, RpmDescriber().facts):
            with pytest.raises(SourceInvalid):
                look(path)
