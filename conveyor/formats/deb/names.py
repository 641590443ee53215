"""Names as Debian allows them."""

from __future__ import annotations

import re

from conveyor.errors import SourceInvalid

_UNSUITABLE = re.compile(r"[^a-z0-9+.-]+")
_SOURCE_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")


def deb_source_name(package_name: str) -> str:
    """The Debian source package of a package: in lower case, "-" for each run of characters that are not allowed.

    The rule is Debian Policy 5.6.1: lower case letters, digits, "+", "-" and ".", at least two of them, the first
    a letter or digit.

    Raises:
        SourceInvalid: nothing of the name can be used.
    """
    name = _UNSUITABLE.sub("-", package_name.lower()).lstrip("+.-")
    if not _SOURCE_NAME.fullmatch(name):
        raise SourceInvalid(
            f"The package name {package_name!r} gives no Debian source name",
            cause="Debian Policy 5.6.1 asks for two or more of a-z, 0-9, '+', '-', '.', the first a letter or digit",
            hint="rename the package in repos.yaml",
        )
    return name
