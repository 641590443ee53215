"""Versions and revisions in Debian's notation, and how dpkg compares them.

The rules: Debian Policy 5.6.12, deb-version(7).
"""

from __future__ import annotations

import re

from debian.debian_support import version_compare

from conveyor.errors import VersionInvalid
from conveyor.formats.pep440 import Notation, numbered, translate

# "+" sorts above every letter in dpkg's order, so that a number stands above any text.
NOTATION = Notation(later="+", number="+", highest_epoch=2**31 - 1)
_UPSTREAM = re.compile(r"[0-9][A-Za-z0-9.+~]*", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9.+~]+", re.ASCII)


def to_deb(upstream: str, *, plain_sha: bool = False) -> tuple[int, str]:
    """Epoch and upstream part of the Debian version of an upstream's version.

    Any two PEP 440 versions compare under dpkg as PEP 440 compares them, equal ones have the same version; the notation
    is that of conveyor/formats/pep440.py. `1.2.3.post5+gabc` of the "tag" scheme needs no rule of its own: it becomes
    `1.2.3+5.gabc`.

    Args:
        upstream: the version, PEP 440 or not.
        plain_sha: leave a commit's abbreviated sha as it is, which gives up the order of two that differ in it alone.

    Raises:
        VersionInvalid: there is no digit in it, or its epoch is out of dpkg's range.
    """
    return translate(upstream, NOTATION, plain_sha=plain_sha)


def validate(version: str) -> str:
    """Returns the upstream part of a Debian version that Policy 5.6.12 allows as it is.

    A hyphen, which Policy allows where a revision follows, is refused: it is nobody's need here.

    Raises:
        VersionInvalid: it does not start with a digit, or has a character other than letters, digits and ".+~".
    """
    if not _UPSTREAM.fullmatch(version):
        raise VersionInvalid(
            f"Debian does not allow the upstream version {version!r}",
            cause='it starts with a digit, and only letters, digits, ".", "+" and "~" may follow (Policy 5.6.12)',
        )
    return version


def release(packaging_release: int, scheme_release: str | None, dist: str, rebuild: int = 0) -> str:
    """The Debian revision, `<release>~<dist>`, such as 3~deb13.

    Args:
        packaging_release: counts the packaging's changes, from 1.
        scheme_release: the release of a version scheme that sets one, else None.
        dist: the target's mark.
        rebuild: which rebuild of the same it is; 0 for none.

    Raises:
        VersionInvalid: a character that Policy 5.6.12 does not allow.
    """
    revision = f"{numbered(packaging_release, scheme_release, rebuild)}~{dist}"
    if not _REVISION.fullmatch(revision):
        raise VersionInvalid(
            f"Debian does not allow the revision {revision!r}",
            cause='only letters, digits, ".", "+" and "~" may stand in one (Policy 5.6.12)',
        )
    return revision


def compare(left: str, right: str) -> int:
    """Negative, 0 or positive as version `left` is older than, equal to or newer than `right`, as dpkg sees it.

    Args:
        left: `[epoch:]version[-revision]`. No revision is the same as -0.
        right: the same.

    Raises:
        VersionInvalid: one of them is no Debian version.
    """
    try:
        return version_compare(left, right)
    except ValueError as error:
        raise VersionInvalid(f"{left!r} or {right!r} is no Debian version", cause=str(error)) from error
