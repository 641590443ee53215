"""Which tags are versions. A tag's name is upstream's text: anything that git allows in a name."""

from __future__ import annotations

import posixpath
import re

from packaging.version import InvalidVersion, Version

MAX_LENGTH = 100
# "v1.2", "release-1.2", "rel_1.2", "version/1.2"; the package's own name is added to them.
GENERAL_PREFIXES = ("releases?", "rel", "version")


def package_of(url: str) -> str:
    """What the repository at a URL is called, which may stand before the versions in its tags."""
    return posixpath.basename(url.rstrip("/")).removesuffix(".git")


def version_of_tag(name: str, package: str) -> str | None:
    """The version that a tag stands for, in the normal form of PEP 440; None where it stands for none.

    Known prefixes are "v", "release-", "rel-", "version-" and the package's name, alone or before a "v", in any case
    and with "-", "_", "." or "/" after them. A local part ("1.2+ds1") marks what others than upstream changed, so
    such a tag is none of upstream's versions.

    Args:
        name: the tag's name, without "refs/tags/".
        package: the package's name, such as "oslo.utils"; its "-", "_" and "." are the same.
    """
    if len(name) > MAX_LENGTH or not name.isascii():
        return None
    match = re.fullmatch(_pattern(package), name, re.IGNORECASE)
    if match is None:
        return None
    try:
        version = Version(match["version"])
    except InvalidVersion:
        return None
    return None if version.local else str(version)


def _pattern(package: str) -> str:
    """A pattern for tags that might be versions."""
    own = "[-_.]".join(re.escape(part) for part in re.split(r"[-_.]", package))
    prefixes = "|".join((*GENERAL_PREFIXES, own))
    return rf"(?:(?:{prefixes})[-_./])?v?(?P<version>[0-9].*)"
