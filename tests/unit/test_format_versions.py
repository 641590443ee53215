"""Versions in the notation of RPM and Debian, judged by packaging, rpm and dpkg."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from packaging.version import Version

from conveyor.errors import VersionInvalid
from conveyor.formats.deb import version as deb
from conveyor.formats.rpm import version as rpm

STABLE = settings(derandomize=True, deadline=None, max_examples=1500)
LADDER = (
    "0.9",
    "1.dev0",
    "1.0.0.dev2+1",
    "1.0.dev10",
    "1.0a0.dev1",
    "1.0a0",
    "1.0a0+z",
    "1.0a0+0",
    "1.0a0.post0.dev0",
    "1.0a0.post0",
    "1.0a1.dev9",
    "1.0a1",
    "1.0a10",
    "1.0b1.post3.dev2",
    "1.0b1.post3.dev2+g12",
    "1.0b1.post3",
    "1.0rc1.dev1",
    "1.0rc1",
    "1.0rc1.post1",
    "1",
    "1.0+0a",
    "1.0+g12",
    "1.0+g1a",
    "1.0+ga",
    "1.0+ubuntu",
    "1.0+ubuntu.z",
    "1.0+ubuntu.1",
    "1.0+ubuntu0",
    "1.0+z",
    "1.0+0",
    "1.0+0.a",
    "1.0+0.0",
    "1.0+10",
    "1.0.0.post0.dev0",
    "1.0.0.post0",
    "1.0.0.post1+g1234567",
    "1.0.0.post1+1",
    "1.0.0.post2",
    "1.0.0.0.1.dev1",
    "1.0.0.0.1",
    "1.0.1.dev1",
    "1.0.1",
    "1.2",
    "1.10",
    "2024.1",
    "1!0.1.dev1",
    "1!0.1",
)
SEGMENT = st.one_of(st.integers(0, 20).map(str), st.text("0129abgz", min_size=1, max_size=4))
LOCAL = st.one_of(st.just(""), st.lists(SEGMENT, min_size=1, max_size=3).map(lambda parts: "+" + ".".join(parts)))
RELEASE = st.lists(st.sampled_from(["0", "0", "1", "2", "02", "10"]), min_size=1, max_size=5).map(".".join)
PUBLIC = st.tuples(
    st.sampled_from(["", "", "", "0!", "1!"]),
    RELEASE,
    st.sampled_from(["", "", "a0", "a1", "b1", "rc1", "c1", "rc10", "-beta2"]),
    st.sampled_from(["", "", ".post", ".post0", ".post1", "-5", ".post10"]),
    st.sampled_from(["", "", ".dev", ".dev0", ".dev2", ".dev10"]),
).map("".join)
VERSION = st.tuples(PUBLIC, LOCAL).map("".join)
# Versions next to each other are the hard ones: the same up to the local part, or up to the release.
NEIGHBOURS = st.one_of(
    st.tuples(VERSION, VERSION),
    st.tuples(PUBLIC, LOCAL, LOCAL).map(lambda parts: (parts[0] + parts[1], parts[0] + parts[2])),
)

Mapping = Callable[[str], tuple[int, str]]


def evr(mapped: tuple[int, str]) -> str:
    return f"{mapped[0]}:{mapped[1]}"


def sign(number: int) -> int:
    return (number > 0) - (number < 0)


@pytest.mark.parametrize(
    ("upstream", "as_rpm", "as_deb"),
    [
        ("10.2.0", "10.2.0", "10.2.0"),
        ("34.0.0", "34.0.0", "34.0.0"),
        ("6.9", "6.9.0", "6.9.0"),
        ("1.2.3.4", "1.2.3.4", "1.2.3.4"),
        ("1.0.0.0", "1.0.0", "1.0.0"),
        ("v1.02.3", "1.2.3", "1.2.3"),
        ("10.2.1.dev3", "10.2.1~~dev3", "10.2.1~~dev3"),
        ("1.0.0.0rc2.dev3", "1.0.0~rc2~dev3", "1.0.0~rc2~dev3"),
        ("1.2.3-beta", "1.2.3~b0", "1.2.3~b0"),
        ("1.2.3.post5", "1.2.3^5", "1.2.3+5"),
        ("1.2.3.post5.dev2", "1.2.3^5~dev2", "1.2.3+5~dev2"),
        ("1.2.3.post5+gabcdefa", "1.2.3^5.gabcdefa", "1.2.3+5.gabcdefa"),
        ("1.2.4.dev5+g12ab3cd", "1.2.4~~dev5.gX1X2abX3cd", "1.2.4~~dev5.gX1X2abX3cd"),
        ("1.2.3+ubuntu.1", "1.2.3^~ubuntuS.1", "1.2.3+~ubuntuS.+1"),
        ("2024-01-05", "2024.01.05", "2024.01.05"),
        ("r17", "17", "17"),
        ("v1.2.3-4-gabc/$(id)", "1.2.3.4.gabc.id", "1.2.3.4.gabc.id"),
    ],
)
def test_notation(upstream: str, as_rpm: str, as_deb: str) -> None:
    assert rpm.to_rpm(upstream) == (0, as_rpm)
    assert deb.to_deb(upstream) == (0, as_deb)


def test_a_commit_is_named_plainly_on_request() -> None:
    assert rpm.to_rpm("1.2.3.post5+g12ab3cd", plain_sha=True) == (0, "1.2.3^5.g12ab3cd")
    assert deb.to_deb("1.2.3.post5+g12ab3cd", plain_sha=True) == (0, "1.2.3+5.g12ab3cd")
    assert rpm.to_rpm("1.2.3+g12", plain_sha=True) == rpm.to_rpm("1.2.3+g12")


def test_epochs() -> None:
    assert rpm.to_rpm("1!2.0") == (1, "2.0.0")
    assert deb.to_deb("1!2.0") == (1, "2.0.0")


@STABLE
@given(NEIGHBOURS)
@example(("1.0+g12", "1.0+g1a"))
@example(("1.0+a.b", "1.0+a0"))
@example(("1.0", "1.0.0.0"))
def test_order_is_that_of_pep_440(pair: tuple[str, str]) -> None:
    left, right = pair
    wanted = (Version(left) > Version(right)) - (Version(left) < Version(right))
    assert sign(rpm.compare(evr(rpm.to_rpm(left)), evr(rpm.to_rpm(right)))) == wanted
    assert sign(deb.compare(evr(deb.to_deb(left)), evr(deb.to_deb(right)))) == wanted
    assert (rpm.to_rpm(left) == rpm.to_rpm(right)) == (wanted == 0)
    assert (deb.to_deb(left) == deb.to_deb(right)) == (wanted == 0)


@STABLE
@given(VERSION)
def test_the_result_is_valid(upstream: str) -> None:
    assert rpm.validate(rpm.to_rpm(upstream)[1])
    assert deb.validate(deb.to_deb(upstream)[1])


@STABLE
@given(st.text())
@example("1." + "9" * 5000)
@example("1.0\n")
def test_any_text_is_mapped_to_something_valid_or_refused(upstream: str) -> None:
    try:
        mapped = rpm.to_rpm(upstream)[1], deb.to_deb(upstream)[1]
    except VersionInvalid:
        assert not any(character in "0123456789" for character in upstream)
    else:
        assert rpm.validate(mapped[0])
        assert deb.validate(mapped[1])


def test_the_ladder_is_in_order() -> None:
    assert sorted(LADDER, key=Version) == list(LADDER)


def test_dpkg_agrees() -> None:
    for lower, higher in itertools.pairwise(LADDER):
        command = ["dpkg", "--compare-versions", evr(deb.to_deb(lower)), "lt", evr(deb.to_deb(higher))]
        assert subprocess.run(command, check=False).returncode == 0, command


@pytest.mark.skipif(shutil.which("rpm") is None, reason="the rpm command is not installed")
def test_the_rpm_command_agrees() -> None:
    steps = [(a, b) for a, b in itertools.pairwise(LADDER) if Version(a).epoch == Version(b).epoch]
    calls = "".join(f'print(rpm.vercmp("{rpm.to_rpm(a)[1]}", "{rpm.to_rpm(b)[1]}"))' for a, b in steps)
    printed = subprocess.run(["rpm", "--eval", f"%{{lua: {calls}}}"], check=True, capture_output=True, text=True)
    assert "".join(printed.stdout.split()) == "-1" * len(steps)


@pytest.mark.parametrize("upstream", ["", "latest", "$(reboot)", "-", "v"])
def test_no_digit_is_no_version(upstream: str) -> None:
    for mapping in (rpm.to_rpm, deb.to_deb):
        with pytest.raises(VersionInvalid, match="is no version: it has no digit"):
            mapping(upstream)


@pytest.mark.parametrize("mapping", [rpm.to_rpm, deb.to_deb])
def test_an_epoch_too_high_is_refused(mapping: Mapping) -> None:
    with pytest.raises(VersionInvalid, match="is too high"):
        mapping("4294967296!1.0")


@pytest.mark.parametrize("version", ["", "1-2", "1 2", "1..2", "1:2", "1/2", "1\n", "%{lua:x}", "1é"])
def test_validate_refuses_what_rpm_forbids(version: str) -> None:
    with pytest.raises(VersionInvalid, match="RPM does not allow"):
        rpm.validate(version)


@pytest.mark.parametrize("version", ["", "1-2", "1 2", "r1", "1:2", "1/2", "1\n", "1^2", "1_2", "1é"])
def test_validate_refuses_what_debian_forbids(version: str) -> None:
    with pytest.raises(VersionInvalid, match="Debian does not allow"):
        deb.validate(version)


def test_releases() -> None:
    assert rpm.release(3, None, "el10") == "3"
    assert deb.release(3, None, "deb13") == "3~deb13"
    assert rpm.release(1, "0.20260301120000.abcdef0", "el10") == "0.20260301120000.abcdef0"
    assert deb.release(1, "0.20260301120000.abcdef0", "deb13") == "0.20260301120000.abcdef0~deb13"


@pytest.mark.parametrize("scheme_release", [None, "0.20260301120000.abcdef0"])
def test_a_packaging_only_change_raises_the_release(scheme_release: str | None) -> None:
    for toolchain, dist in ((rpm, "el10"), (deb, "deb13")):
        releases = [f"1.0-{toolchain.release(count, scheme_release, dist)}" for count in (1, 2, 9, 10)]
        for lower, higher in itertools.pairwise(releases):
            assert toolchain.compare(lower, higher) < 0


def test_releases_with_forbidden_characters_are_refused() -> None:
    for toolchain in (rpm, deb):
        for scheme_release, dist in (("0-1", "x"), ("0 1", "x"), (None, "el 10"), (None, "a-b")):
            with pytest.raises(VersionInvalid):
                toolchain.release(1, scheme_release, dist)


def test_compare_takes_epoch_and_release_into_account() -> None:
    for toolchain in (rpm, deb):
        assert toolchain.compare("1:1.0-1", "2.0-1") > 0
        assert toolchain.compare("1.0-2", "1.0-10") < 0
        assert toolchain.compare("0:1.0-1", "1.0-1") == 0
        assert toolchain.compare("1.0-1", "1.0") > 0


@pytest.mark.parametrize("evr_text", ["", "a:1.0-1", "1.0-1 2"])
def test_compare_refuses_what_is_no_version(evr_text: str) -> None:
    for toolchain in (rpm, deb):
        with pytest.raises(VersionInvalid):
            toolchain.compare(evr_text, "1.0-1")
