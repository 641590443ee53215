"""Versions and releases in RPM's notation, and how rpm compares them.

The rules: rpm-version(7) and the "Version" and "Release" tags of the spec format, rpm.org; Fedora Packaging Guidelines,
"Versioning". "~" needs rpm 4.10, "^" rpm 4.15.
"""

from __future__ import annotations

import re

import rpm

from conveyor.errors import VersionInvalid
from conveyor.formats.pep440 import Notation, numbered, translate

NOTATION = Notation(later="^", number="", highest_epoch=2**32 - 1)
_ALLOWED = re.compile(r"[A-Za-z0-9._+~^]+", re.ASCII)
_EVR = re.compile(r"(?:(?P<epoch>[0-9]+):)?(?P<version>[^-:]+)(?:-(?P<release>[^-:]+))?", re.ASCII)


def to_rpm(upstream: str, *, plain_sha: bool = False) -> tuple[int, str]:
    """Epoch and Version of an upstream's version.

    Any two PEP 440 versions compare under rpm as PEP 440 compares them, equal ones have the same Version; the notation
    is that of conveyor/formats/pep440.py. `1.2.3.post5+gabc` of the "tag" scheme needs no rule of its own: it becomes
    `1.2.3^5.gabc`.

    Args:
        upstream: the version, PEP 440 or not.
        plain_sha: leave a commit's abbreviated sha as it is, which gives up the order of two that differ in it alone.

    Raises:
        VersionInvalid: there is no digit in it, or its epoch is out of rpm's range.
    """
    return translate(upstream, NOTATION, plain_sha=plain_sha)


def validate(version: str) -> str:
    """Returns a Version, or a Release, that RPM allows as it is.

    Raises:
        VersionInvalid: it is empty, or has a character other than letters, digits and "._+~^", or has "..".
    """
    if not _ALLOWED.fullmatch(version) or ".." in version:
        raise VersionInvalid(
            f"RPM does not allow the version or release {version!r}",
            cause='only letters, digits, ".", "_", "+", "~" and "^" may stand in one, and ".." may not',
        )
    return version


def release(packaging_release: int, scheme_release: str | None, dist: str, rebuild: int = 0) -> str:
    """The Release without %{?dist}, which the spec adds.

    Args:
        packaging_release: counts the packaging's changes, from 1.
        scheme_release: the release of a version scheme that sets one, else None.
        dist: what %{?dist} adds, without the dot.
        rebuild: which rebuild of the same it is; 0 for none.

    Raises:
        VersionInvalid: a character that RPM does not allow.
    """
    chosen = numbered(packaging_release, scheme_release, rebuild)
    validate(f"{chosen}.{dist}")
    return chosen


def compare(left: str, right: str) -> int:
    """Negative, 0 or positive as EVR `left` is older than, equal to or newer than `right`, as rpm sees it.

    Args:
        left: `[epoch:]version[-release]`. No release sorts below any.
        right: the same.

    Raises:
        VersionInvalid: one of them is no EVR.
    """
    result: int = rpm.labelCompare(_parts(left), _parts(right))
    return result


def _parts(evr: str) -> tuple[str, str, str]:
    match = _EVR.fullmatch(evr)
    if match is None:
        raise VersionInvalid(f"{evr!r} is no [epoch:]version[-release]")
    validate(match["version"])
    if match["release"]:
        validate(match["release"])
    return match["epoch"] or "0", match["version"], match["release"] or ""
