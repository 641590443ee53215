"""Names of the binary packages of Python distributions, and requirements on them.

The rules: Debian Python Policy, "Module Package Names"; Fedora's Python Packaging Guidelines, "Naming"; RDO's names are
pymod2pkg's. Requirements: PEP 508, version specifiers of PEP 440; Debian Policy 7.1; rpm's "Dependencies".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import pymod2pkg
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import Specifier
from packaging.utils import canonicalize_name
from packaging.version import Version

from conveyor.errors import SourceInvalid, UnknownName
from conveyor.formats.deb.version import NOTATION as DEB_NOTATION
from conveyor.formats.naming_exceptions import DEBIAN, RPM
from conveyor.formats.pep440 import COMPONENTS, Notation, spell
from conveyor.formats.rpm.version import NOTATION as RPM_NOTATION
from conveyor.model.target import Format

RPM_FAMILIES = ("fedora", "centos", "rdo")
NOTATIONS = {Format.RPM: RPM_NOTATION, Format.DEB: DEB_NOTATION}
# What markers of requirements are decided by, whatever Python Conveyor itself runs on.
MARKER_ENVIRONMENT: Mapping[str, str] = {
    "extra": "",
    "implementation_name": "cpython",
    "implementation_version": "3.12.0",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_release": "",
    "platform_system": "Linux",
    "platform_version": "",
    "python_full_version": "3.12.0",
    "python_version": "3.12",
    "sys_platform": "linux",
}
_RULES = {
    canonicalize_name(rule.mod): rule.mod for rule in pymod2pkg.RDO_PKG_MAP if isinstance(rule, pymod2pkg.SingleRule)
}


def python_package(distribution: str, naming: str) -> str:
    """The binary package that holds a Python distribution, such as python3-oslo.utils or python3-oslo-utils.

    Args:
        distribution: its name on PyPI, in any spelling.
        naming: the family whose names apply: "debian", "fedora", "centos" or "rdo".

    Raises:
        UnknownName: there is no such family.
    """
    if naming == "debian":
        return DEBIAN.get(canonicalize_name(distribution)) or _debian_rule(distribution)
    if naming in RPM_FAMILIES:
        return RPM.get(canonicalize_name(distribution)) or _rpm_rule(distribution, naming)
    raise UnknownName(f"package naming {naming!r} is not known", hint=f"Known are debian, {', '.join(RPM_FAMILIES)}.")


def _debian_rule(distribution: str) -> str:
    name = distribution.lower().replace("_", "-")
    # Dots stay. File names of releases have lost them, which matters for OpenStack's own libraries.
    name = re.sub(r"^oslo-", "oslo.", name)
    return f"python3-{re.sub(r'^python-|-python$', '', name)}"


def _rpm_rule(distribution: str, naming: str) -> str:
    canonical = canonicalize_name(distribution)
    known: str = _RULES.get(canonical, canonical)
    if canonical in pymod2pkg.SERVICES_MAP:
        # pymod2pkg names the service's package, openstack-nova; the Python package is a part of it.
        return f"python3-{canonical}"
    # XStatic and the like have rules on the name as it is written.
    spelled = known if canonical in _RULES or distribution.islower() else distribution
    return str(pymod2pkg.module2package(spelled, naming, py_vers=["py3"]))


def requirement(text: str, naming: str, package_format: Format) -> str | None:
    """A requirement on a Python distribution, in the words of a package format.

    "oslo.i18n>=3.15.3" becomes `python3-oslo-i18n >= 3.15.3` and `python3-oslo.i18n (>= 3.15.3)`.

    Lower bounds come without trailing zeros, as Fedora's own generator has them: 24.0 becomes 24, which both a
    distribution's 24.0 and a trunk package's 24.0.0 and 24.0.0~~dev3 satisfy. Upper bounds are exclusive, so that any
    release or revision of a version falls on the right side: "==1.2" becomes >= 1.2 and < 1.2.0.1. What a package
    relation cannot express is left out: exclusions ("!="), equality of text ("==="), extras, URLs. An epoch that a
    distribution gave to its package is not known here.

    Args:
        text: the requirement as PEP 508 or a line of requirements.txt has it.
        naming: see `python_package`.
        package_format: the format.

    Returns:
        the relations, separated by ", "; None where an environment marker excludes CPython 3.12 on Linux, and for an
        empty line or a comment.

    Raises:
        SourceInvalid: the text is no requirement.
        UnknownName: there is no such family.
    """
    stated = re.sub(r"(^|\s)#.*", "", text).strip()
    if not stated:
        return None
    try:
        parsed = Requirement(stated)
    except InvalidRequirement as error:
        raise SourceInvalid(f"{stated!r} is no requirement", cause=str(error).splitlines()[0]) from error
    if parsed.marker is not None and not parsed.marker.evaluate(dict(MARKER_ENVIRONMENT)):
        return None
    package = python_package(parsed.name, naming)
    bounds = {bound for specifier in parsed.specifier for bound in _bounds(specifier, NOTATIONS[package_format])}
    ordered = sorted(bounds, key=lambda bound: (bound[0] == "<", bound[1]))
    return ", ".join(_relation(package, *bound, package_format) for bound in ordered) or package


def _relation(package: str, operator: str, version: str, package_format: Format) -> str:
    if package_format is Format.RPM:
        return f"{package} {operator} {version}"
    return f"{package} ({'<<' if operator == '<' else operator} {version})"


def _bounds(specifier: Specifier, notation: Notation) -> list[tuple[str, str]]:
    """Lower (">=") and upper ("<") bounds in the format's notation."""
    if specifier.operator in {"!=", "==="}:
        return []
    if specifier.version.endswith(".*"):
        prefix = Version(specifier.version.removesuffix(".*"))
        return [(">=", _floor(prefix, notation)), ("<", _floor(_next(prefix, len(prefix.release)), notation))]
    version = Version(specifier.version)
    lower, after = (">=", _floor(version, notation)), _after(version, notation)
    bounds = {
        ">=": [lower],
        ">": [(">=", after)],
        "<": [("<", _ceiling(version, notation))],
        "<=": [("<", after)],
        "==": [lower, ("<", after)],
    }
    if specifier.operator == "~=":
        return [lower, ("<", _floor(_next(version, len(version.release) - 1), notation))]
    return bounds[specifier.operator]


def _floor(version: Version, notation: Notation) -> str:
    return _written(version, notation, components=1)


def _ceiling(version: Version, notation: Notation) -> str:
    """PEP 440's "<2.0" excludes 2.0rc1 too, "<2.0rc1" does not exclude 2.0b1."""
    final = version.public == version.base_version
    return _written(version, notation, components=1 if final else COMPONENTS)


def _after(version: Version, notation: Notation) -> str:
    """Above every release or revision of the version itself, below the next version."""
    return f"{_written(version, notation, components=COMPONENTS)}.1"


def _next(version: Version, components: int) -> Version:
    kept = version.release[:components]
    return Version(f"{version.epoch}!" + ".".join(map(str, (*kept[:-1], kept[-1] + 1))))


def _written(version: Version, notation: Notation, components: int) -> str:
    epoch = f"{version.epoch}:" if version.epoch else ""
    return epoch + spell(version, notation, components=components)
