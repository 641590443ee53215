"""Names of Python distributions' packages, and requirements on them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from conveyor.errors import SourceInvalid, UnknownName
from conveyor.formats.deb import version as deb
from conveyor.formats.naming import RPM_FAMILIES, python_package, requirement
from conveyor.formats.naming_exceptions import DEBIAN, RPM
from conveyor.formats.rpm import version as rpm
from conveyor.model.target import Format

STABLE = settings(derandomize=True, deadline=None, max_examples=500)
GOLDEN = Path(__file__).parents[1] / "data" / "python-packages.csv"


def golden() -> list[tuple[str, str, str]]:
    """What nova, python-novaclient and three Oslo libraries require; the Debian names are in Debian 13."""
    with GOLDEN.open(encoding="utf-8", newline="") as file:
        return [(row["distribution"], row["debian"], row["rpm"]) for row in csv.DictReader(file)]


@pytest.mark.parametrize(("distribution", "in_debian", "in_rpm"), golden())
def test_what_openstack_requires(distribution: str, in_debian: str, in_rpm: str) -> None:
    assert python_package(distribution, "debian") == in_debian
    for family in RPM_FAMILIES:
        assert python_package(distribution, family) == in_rpm


@pytest.mark.parametrize(
    ("distribution", "in_debian", "in_rpm"),
    [
        ("oslo_utils", "python3-oslo.utils", "python3-oslo-utils"),
        ("oslo-utils", "python3-oslo.utils", "python3-oslo-utils"),
        ("pyyaml", "python3-yaml", "python3-pyyaml"),
        ("libvirt-python", "python3-libvirt", "python3-libvirt"),
        ("PyMySQL", "python3-pymysql", "python3-PyMySQL"),
        ("pymysql", "python3-pymysql", "python3-PyMySQL"),
        ("Nova", "python3-nova", "python3-nova"),
        ("glance_store", "python3-glance-store", "python3-glance-store"),
        ("XStatic-Angular", "python3-xstatic-angular", "python3-XStatic-Angular"),
        ("zope.interface", "python3-zope.interface", "python3-zope-interface"),
        ("IPy", "python3-ipy", "python3-IPy"),
    ],
)
def test_spellings(distribution: str, in_debian: str, in_rpm: str) -> None:
    assert python_package(distribution, "debian") == in_debian
    assert python_package(distribution, "rdo") == in_rpm


@pytest.mark.parametrize("table", [DEBIAN, RPM])
def test_tables_are_sorted(table: dict[str, str]) -> None:
    assert list(table) == sorted(table)


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(UnknownName, match="package naming 'suse' is not known"):
        python_package("nova", "suse")


@pytest.mark.parametrize(
    ("text", "as_rpm", "as_deb"),
    [
        ("oslo.i18n>=3.15.3", "python3-oslo-i18n >= 3.15.3", "python3-oslo.i18n (>= 3.15.3)"),
        ("PyYAML>=5.1 # MIT", "python3-pyyaml >= 5.1", "python3-yaml (>= 5.1)"),
        ("packaging>=24.0", "python3-packaging >= 24", "python3-packaging (>= 24)"),
        ("lxml", "python3-lxml", "python3-lxml"),
        ("lxml!=4.0", "python3-lxml", "python3-lxml"),
        ("lxml===4.0-x", "python3-lxml", "python3-lxml"),
        ("lxml>=4.5,!=4.6,<5", "python3-lxml >= 4.5, python3-lxml < 5", "python3-lxml (>= 4.5), python3-lxml (<< 5)"),
        (
            "lxml~=4.5.2",
            "python3-lxml >= 4.5.2, python3-lxml < 4.6",
            "python3-lxml (>= 4.5.2), python3-lxml (<< 4.6)",
        ),
        ("lxml==4.*", "python3-lxml >= 4, python3-lxml < 5", "python3-lxml (>= 4), python3-lxml (<< 5)"),
        (
            "lxml==4.5",
            "python3-lxml >= 4.5, python3-lxml < 4.5.0.1",
            "python3-lxml (>= 4.5), python3-lxml (<< 4.5.0.1)",
        ),
        ("lxml>=1!4.5rc1", "python3-lxml >= 1:4.5~rc1", "python3-lxml (>= 1:4.5~rc1)"),
        ("lxml>=4.5.post2", "python3-lxml >= 4.5^2", "python3-lxml (>= 4.5+2)"),
        ("oslo.db[mysql]>=10.0.0", "python3-oslo-db >= 10", "python3-oslo.db (>= 10)"),
        ("lxml @ https://example.org/lxml.zip", "python3-lxml", "python3-lxml"),
        ("lxml>=4;python_version>='3.8'", "python3-lxml >= 4", "python3-lxml (>= 4)"),
    ],
)
def test_requirements(text: str, as_rpm: str, as_deb: str) -> None:
    assert requirement(text, "rdo", Format.RPM) == as_rpm
    assert requirement(text, "debian", Format.DEB) == as_deb


@pytest.mark.parametrize(
    "text",
    ["", "# comment", "pywin32;sys_platform=='win32'", "tomli;python_version<'3.11'", "x;extra=='test'"],
)
def test_what_does_not_apply_is_dropped(text: str) -> None:
    assert requirement(text, "debian", Format.DEB) is None


@pytest.mark.parametrize("text", ["-r other.txt", "a b c", "lxml>=", "$(id)"])
def test_what_is_no_requirement_is_refused(text: str) -> None:
    with pytest.raises(SourceInvalid, match="is no requirement"):
        requirement(text, "debian", Format.DEB)


def satisfied(relations: str, evr: str, package_format: Format) -> bool:
    """Whether a package of that version satisfies relations, by the format's own comparison."""
    compare = rpm.compare if package_format is Format.RPM else deb.compare
    for relation in relations.split(", "):
        operator, bound = relation.replace("(", "").replace(")", "").split()[1:]
        # rpm compares releases only where the requirement has one; no release sorts below any.
        order = compare(evr, bound)
        if not (order >= 0 if operator == ">=" else order < 0):
            return False
    return True


NUMBER = st.sampled_from(["0", "0", "1", "2", "10"])
SPELLED = st.lists(NUMBER, min_size=1, max_size=3).map(".".join)
SPECIFIER = st.one_of(
    st.tuples(st.sampled_from([">=", ">", "<", "<=", "=="]), SPELLED).map("".join),
    SPELLED.map("=={}.*".format),
    st.tuples(SPELLED, NUMBER).map(lambda parts: f"~={parts[0]}.{parts[1]}"),
)


@STABLE
@given(SPECIFIER, SPELLED)
def test_final_versions_satisfy_as_in_pep_440(specifier: str, installed: str) -> None:
    """However a distribution spells a version (1.0, 1.0.0), and whatever its release."""
    wanted = SpecifierSet(specifier).contains(installed)
    as_rpm, as_deb = requirement(f"x{specifier}", "rdo", Format.RPM), requirement(f"x{specifier}", "debian", Format.DEB)
    assert as_rpm is not None
    assert as_deb is not None
    for evr in (f"{installed}-0.1", f"{installed}-3"):
        assert satisfied(as_rpm, evr, Format.RPM) == wanted
        assert satisfied(as_deb, evr, Format.DEB) == wanted
