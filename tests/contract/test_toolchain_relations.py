"""What packaging declares, read by every toolchain without running anything."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from conveyor.formats.deb.toolchain import DebToolchain
from conveyor.formats.rpm.toolchain import RpmToolchain
from conveyor.model.packaging import PackagingFile
from conveyor.model.queue import Relations
from conveyor.ports import Toolchain
from tests.fakes.toolchain import FakeToolchain
from tests.support.published import need

GOLDEN = Path(__file__).parents[1] / "data/golden"
MEGABYTE = 1 << 20


def file(path: str, content: str | bytes) -> PackagingFile:
    data = content.encode() if isinstance(content, str) else content
    return PackagingFile(path=path, content=data, executable=False)


def control(*, needs: tuple[str, ...], makes: tuple[str, ...]) -> str:
    stanzas = "".join(f"\nPackage: {name}\nArchitecture: all\n" for name in makes)
    return f"Source: x\nBuild-Depends: {', '.join(needs)}\n{stanzas}"


def spec(*, needs: tuple[str, ...], makes: tuple[str, ...]) -> str:
    tags = "".join(f"BuildRequires: {name}\n" for name in needs)
    return f"Name: {makes[0]}\n{tags}" + "".join(f"%package -n {name}\n" for name in makes[1:])


def recipe(*, needs: tuple[str, ...], makes: tuple[str, ...]) -> str:
    lines = [*(f"needs {name}" for name in needs), *(f"make {name}_1-1.fake x" for name in makes)]
    return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """One format, and its way to write down what a package declares."""

    toolchain: Toolchain
    path: str
    write: Callable[..., str]

    def relations(self, content: str | bytes) -> Relations:
        return self.toolchain.relations([file("README", b"\xff"), file(self.path, content)])


KITS = {
    "deb": Kit(toolchain=DebToolchain(), path="debian/control", write=control),
    "rpm": Kit(toolchain=RpmToolchain(), path="x.spec", write=spec),
    "fake": Kit(toolchain=FakeToolchain(), path="recipe", write=recipe),
}


@pytest.fixture(params=sorted(KITS))
def kit(request: pytest.FixtureRequest) -> Kit:
    return KITS[request.param]


class TestEveryToolchain:
    def test_names_are_told_once_and_sorted(self, kit: Kit) -> None:
        found = kit.relations(kit.write(needs=("gcc", "cmake", "gcc"), makes=("zebra", "ant")))
        assert (found.requires, found.provides) == (("cmake", "gcc"), ("ant", "zebra"))

    def test_the_fingerprint_tells_one_state_from_another(self, kit: Kit) -> None:
        first, second = (kit.relations(kit.write(needs=(name,), makes=("x",))) for name in ("gcc", "clang"))
        again = kit.relations(kit.write(needs=("gcc",), makes=("x",)))
        assert first == again
        assert first.fingerprint != second.fingerprint
        assert len(first.fingerprint) == 64

    @pytest.mark.parametrize("files", [[], [file("debian/rules", b"x"), file("more/x.spec", b"Name: x\n")]])
    def test_packaging_that_declares_nothing_needs_and_gives_nothing(
        self, kit: Kit, files: list[PackagingFile]
    ) -> None:
        found = kit.toolchain.relations(files)
        assert (found.requires, found.provides) == ((), ())


HOSTILE = {
    "nothing": b"",
    "zeros": b"\0" * MEGABYTE,
    "not text": b"\xff\xfe\x80" * (MEGABYTE // 3),
    "one word": b"a" * MEGABYTE,
    "blanks": b" " * MEGABYTE,
    "empty lines": b"\n" * MEGABYTE,
    "returns": b"\r" * MEGABYTE,
    "colons": b":" * MEGABYTE,
    "percents": b"%" * MEGABYTE,
    "backslashes": b"\\\n" * (MEGABYTE // 2),
    "brackets": b"BuildRequires: " + b"(" * MEGABYTE + b"a" + b")" * MEGABYTE,
    "bars": b"Source: x\nBuild-Depends: " + b"a|" * (MEGABYTE // 2),
    "commas": b"Source: x\nBuild-Depends: " + b"," * MEGABYTE,
    "blanks in a field": b"Source: x\nBuild-Depends: a" + b" " * MEGABYTE + b"b\n",
    "blanks in a tag": b"BuildRequires" + b" " * MEGABYTE + b"a\n",
    "digits in a tag": b"Source" + b"1" * MEGABYTE + b"a\n",
    "blanks in a macro": b"%global" + b" \t" * MEGABYTE + b"\n",
    "long name of a macro": b"%global " + b"a" * MEGABYTE + b"\n",
    "blanks in a package": b"%package -n" + b" " * MEGABYTE + b"\n",
    "many words": b"BuildRequires: " + b"a " * (MEGABYTE // 2) + b"\n",
    "many lines": b"Source: x\nBuild-Depends:\n" + b" a,\n" * (MEGABYTE // 4),
    "many stanzas": b"Package: a\n\n" * (MEGABYTE // 12),
    "many fields": b"".join(b"Field-%d: x\n" % number for number in range(MEGABYTE // 14)),
    "laughs": b"%global a aaaaaaaaaa\n"
    + b"".join(b"%%global %c %%{%c}%%{%c}%%{%c}%%{%c}\n" % (n, n - 1, n - 1, n - 1, n - 1) for n in b"bcdefghijkl")
    + b"BuildRequires: %{l}\n",
    "long python names": b"BuildRequires: python3dist(" + b"a-" * (MEGABYTE // 2) + b")\n",
}


@pytest.mark.parametrize("name", ["deb", "rpm"])
@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_takes_no_longer_than_other_text(name: str, content: bytes) -> None:
    """What took the square of a megabyte would not end while somebody waits for a test."""
    found = KITS[name].relations(content)
    assert {"a"}.issuperset({*found.requires, *found.provides})


class TestDeb:
    def test_all_build_fields_and_every_alternative_count(self) -> None:
        found = KITS["deb"].relations(
            "Source: x\n"
            "Build-Depends: debhelper-compat (= 13), libfoo-dev (>= 1) [amd64] | libbar-dev <!nocheck>,\n"
            " python3:any,\n"
            "# a comment\n"
            " ${misc:Depends}\n"
            "Build-Depends-Indep: sphinx-doc\n"
            "Build-Depends-Arch: gcc\n"
            "Build-Conflicts: enemy\n"
        )
        needed = ("debhelper-compat", "gcc", "libbar-dev", "libfoo-dev", "python3", "sphinx-doc")
        assert (found.requires, found.provides) == (needed, ())

    def test_packages_and_what_they_provide(self) -> None:
        found = KITS["deb"].relations(
            "Source: x\n\nPackage: one\nProvides: virtual (= 1), ${python3:Provides}\nDepends: needed\n\n\n"
            "Package: two\nDescription: text\n Package: none\n .\n Provides: none\n"
        )
        assert found.provides == ("one", "two", "virtual")

    def test_line_ends_of_unicode_are_no_line_ends(self) -> None:
        found = KITS["deb"].relations(
            "Source: x\nDescription: a\u2028Package: none\x0bPackage: none\x85Package: none\n"
        )
        assert found.provides == ()

    def test_the_shipped_packaging_needs_what_it_names(self) -> None:
        path = GOLDEN / "debian-13-amd64/oslo.utils/debian/control"
        found = KITS["deb"].relations(path.read_bytes())
        assert {"python3-oslo.i18n", "python3-pbr", "dh-sequence-python3"} < set(found.requires)
        assert found.provides == ("python3-oslo.utils",)


class TestRpm:
    @pytest.mark.parametrize(
        ("tags", "names"),
        [
            ("BuildRequires: gcc", ["gcc"]),
            ("buildrequires:gcc,make , cmake", ["cmake", "gcc", "make"]),
            ("BuildRequires: gcc >= 4.8 make", ["gcc", "make"]),
            ("BuildRequires: gcc >= %{unknown} make", ["gcc", "make"]),
            ("BuildRequires: gcc = %{version}-%{release}", ["gcc"]),
            ("BuildRequires: pkgconfig(glib-2.0) >= 2.4, perl(Foo::Bar)", ["perl(Foo::Bar)", "pkgconfig(glib-2.0)"]),
            ("BuildRequires: (gcc >= 4 or (clang if cpp(x)))", ["clang", "cpp(x)", "gcc"]),
            ("BuildRequires: libfoo%{?_isa}", ["libfoo"]),
            ("BuildRequires: python3dist(Oslo.Utils)", ["python3dist(oslo-utils)"]),
            ("BuildRequires: python3.12dist(oslo_utils[fixtures]) >= 1", ["python3dist(oslo-utils)"]),
            ("BuildRequires: python%{unknown}-devel", []),
            ("BuildRequires: %(rm -rf /) gcc", []),
            ("BuildRequires: gcc %{lua:os.exit()} %{?x:y} %%make %{?x: cmake}", ["gcc"]),
            ("%if 0\nBuildRequires: gcc\n%else\nBuildRequires: clang\n%endif", ["clang", "gcc"]),
            ("# BuildRequires: gcc\n%dnl BuildRequires: make", []),
            ("%description\nBuildRequires: gcc\n%package y\nBuildRequires: make", ["make"]),
            ("%prep\nBuildRequires: gcc", []),
            ("BuildConflicts: gcc\nRequires: make\nX-BuildRequires: no", []),
        ],
    )
    def test_build_requirements(self, tags: str, names: list[str]) -> None:
        assert list(KITS["rpm"].relations(f"Name: x\n{tags}\n").requires) == names

    @pytest.mark.parametrize(
        ("definitions", "names"),
        [
            ("%global lib foo", ["foo-devel"]),
            ("%define  lib\tfoo ", ["foo-devel"]),
            ("%global base f\n%global lib %{base}oo", ["foo-devel"]),
            ("%global base f\n%global lib %base", ["f-devel"]),
            ("%global lib foo\n%global lib bar", ["bar-devel"]),
            ("%global lib foo\n%global lib %(date)", []),
            ("%global lib() foo", []),
            ("%global lib foo \\\nbar", []),
            ("%global lib %{lua:print(1)}", []),
            ("%global lib one two", ["one", "two-devel"]),
            (f"%global lib {'x' * 300}", []),
        ],
    )
    def test_plain_macros_of_the_spec_are_expanded(self, definitions: str, names: list[str]) -> None:
        found = KITS["rpm"].relations(f"{definitions}\nName: x\nBuildRequires: %{{lib}}-devel\n")
        assert list(found.requires) == names

    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("Name: foo", ["foo"]),
            ("Name: foo\n%package doc\n%package -n bar\n%package\t-n  baz", ["bar", "baz", "foo", "foo-doc"]),
            ("%global base foo\nName: %{base}\n%package -n lib%{name}", ["foo", "libfoo"]),
            ("Name: foo\nProvides: virtual = %{version}, other", ["foo", "other", "virtual"]),
            ("Name: foo\nVersion: 1\nProvides: foo(api) = %{version}-%{release}", ["foo", "foo(api)"]),
            ("Name: foo\n%package -n bar\nProvides: baz\n%description -n bar\nProvides: no\n", ["bar", "baz", "foo"]),
            ("Name: foo\n%files\n%changelog\n* Provides: no\nProvides: no", ["foo"]),
            ("Name: foo\n%package_unknown -n bar\n%post -n bar\nProvides: no", ["foo"]),
            ("Name: %{unknown}\n%package doc", []),
        ],
    )
    def test_packages_and_what_they_provide(self, text: str, names: list[str]) -> None:
        assert list(KITS["rpm"].relations(text).provides) == names

    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("%package -n python3-oslo.utils", ["oslo-utils", "python-oslo-utils"]),
            ("%package -n python3-novaclient", ["novaclient", "python-novaclient"]),
            ("%package -n python3-yaml\n%global pypi_name PyYAML", ["python-yaml", "pyyaml", "yaml"]),
            (
                "Source0: https://example.org/ruamel.yaml-0.18.tar.gz\nSource1: x.conf\n%package -n python3-ruamel",
                ["python-ruamel", "ruamel", "ruamel-yaml"],
            ),
            ("Source0: gcc-14.tar.xz\n%global pypi_name gcc", []),
        ],
    )
    def test_python_packages_provide_their_distributions(self, text: str, names: list[str]) -> None:
        provided = KITS["rpm"].relations(f"{text}\n").provides
        assert [name for name in provided if "dist(" in name] == [f"python3dist({name})" for name in names]

    @pytest.mark.parametrize(
        "path", sorted(GOLDEN.glob("*/*/*.spec")), ids=lambda path: f"{path.parts[-3]}-{path.stem}"
    )
    def test_the_shipped_packaging_needs_what_rpm_says(self, path: Path) -> None:
        need("rpmspec")
        told = subprocess.run(
            ["rpmspec", "--query", "--buildrequires", str(path)], check=True, capture_output=True, text=True
        )
        found = KITS["rpm"].relations(path.read_bytes())
        assert set(found.requires) == {line.split()[0] for line in told.stdout.splitlines()}
