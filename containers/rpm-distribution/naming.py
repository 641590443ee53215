"""The names and versions that RPM packages have for what is a Debian package or a Python distribution."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonDistribution:
    """A Python distribution in a root.

    Attributes:
        path: the folder or file of its metadata.
        name: its name as its metadata spells it.
        version: its version in RPM's form.
    """

    path: str
    name: str
    version: str


def rpm_name(debian_name: str) -> str:
    """The name that Fedora and RDO would give: "python3-oslo.utils" becomes "python3-oslo-utils"."""
    return re.sub(r"[._]", "-", debian_name).lower()


def rpm_version(debian_version: str) -> tuple[str, str]:
    """Version and release for a Debian version.

    The epoch is left out: trunk builds have none and would all sort below it. So is the mark of a repacked upstream
    ("+dfsg", "+ds"), which is no part of the upstream's version.
    """
    upstream, _, revision = debian_version.rpartition(":")[2].rpartition("-")
    if not upstream:
        upstream, revision = revision, "1"
    return re.sub(r"[+~.](dfsg|ds|repack)[\d.+~]*$", "", upstream).replace("-", "."), revision


def python_provides(distribution: PythonDistribution, python_version: str) -> Iterator[str]:
    """What Fedora's package of a Python distribution provides, and the names that specs call it by."""
    name, version = distribution.name, distribution.version
    normalized = re.sub(r"[-_.]+", "-", name).lower()
    legacy = re.sub(r"[-_]+", "-", name).lower()
    for form in dict.fromkeys((normalized, legacy)):
        yield f"python3dist({form}) = {version}"
        yield f"python{python_version}dist({form}) = {version}"
    for form in dict.fromkeys((name, name.lower(), normalized, normalized.removeprefix("python-"))):
        yield f"python3-{form} = {version}"
