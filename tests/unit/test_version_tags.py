"""Tags are hostile text; some of them are versions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from conveyor.upstream.tags import version_of_tag


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("1.2.3", "1.2.3"),
        ("v1.2.3", "1.2.3"),
        ("V1.2", "1.2"),
        ("release-1.2.3", "1.2.3"),
        ("release/1.2.3", "1.2.3"),
        ("Releases_v2", "2"),
        ("rel-3.0", "3.0"),
        ("version.4.1", "4.1"),
        ("oslo.utils-1.2.3", "1.2.3"),
        ("oslo-utils-v1.2.3", "1.2.3"),
        ("OSLO_UTILS/1.2.3", "1.2.3"),
        ("2015.1.0rc1", "2015.1.0rc1"),
        ("1.0.0-rc.1", "1.0.0rc1"),
        ("13.0.0.0b2", "13.0.0.0b2"),
        ("1.0.0.post1", "1.0.0.post1"),
        ("01.02", "1.2"),
    ],
)
def test_a_tag_that_is_a_version(name: str, version: str) -> None:
    assert version_of_tag(name, "oslo.utils") == version


@pytest.mark.parametrize(
    "name",
    [
        "",
        "v",
        "newton-eol",
        "liberty-em",
        "1.2.3-eol",
        "private-1.2.3",
        "backup/1.2.3",
        "other-1.2.3",
        "1.0;touch_/tmp/x",
        "1.0;reboot",
        "$(reboot)",
        "`id`1.0",
        "--upload-pack=x",
        "-1.0",
        "1.0+ds1",
        "1.0\n2.0",
        "\u0661.\u0662",
        "1" * 101,
    ],
)
def test_a_tag_that_is_none(name: str) -> None:
    assert version_of_tag(name, "oslo.utils") is None


def test_a_package_name_is_no_pattern() -> None:
    assert version_of_tag("gtkxx-1.0", "gtk++") is None
    assert version_of_tag("gtk++-1.0", "gtk++") == "1.0"


@given(st.text())
def test_whatever_is_accepted_is_a_normal_version(name: str) -> None:
    version = version_of_tag(name, "nova")
    assert version is None or str(Version(version)) == version
