"""What templates know: the variables and functions of docs/packaging.md, as plain values without behaviour."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from conveyor.errors import VersionInvalid
from conveyor.formats.deb.names import deb_source_name
from conveyor.formats.naming import python_package, requirement
from conveyor.model.package import Package
from conveyor.model.packaging import RenderInput
from conveyor.model.target import Format, Target

DEFAULT_MAINTAINER = "Conveyor <conveyor@localhost>"
# English whatever the machine's language: rpm and dpkg read these names.
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_PLAIN_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~^!_-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageFacts:
    """The entry of repos.yaml, as templates see it.

    Attributes:
        name: the package's name.
        distribution: the Python distribution's name.
        component: its component.
        maintainers: as "Name <address>" or an address.
        upstream: URL of the upstream git repository.
        branch: the upstream branch.
    """

    name: str
    distribution: str
    component: str
    maintainers: tuple[str, ...]
    upstream: str
    branch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFacts:
    """The target, as templates see it.

    Attributes:
        name: such as "debian-13-amd64".
        format: "rpm" or "deb".
        architecture: in the format's words.
        dist: what marks the target in a release, such as "el10".
        naming: "debian", "fedora", "centos" or "rdo".
    """

    name: str
    format: str
    architecture: str
    dist: str
    naming: str


def template_variables(render_input: RenderInput) -> Mapping[str, object]:
    """All variables and functions that every template has, beside those of variables.yaml.

    Raises:
        SourceInvalid: the package's name gives no Debian source name.
        VersionInvalid: upstream's version holds characters that a shell or rpm would interpret.
    """
    package, target = render_input.package, render_input.target
    commit, version = render_input.commit, render_input.version
    _refuse_hostile_version(version.upstream)
    return {
        "name": package.name,
        "package": _package_facts(package),
        "target": _target_facts(target),
        "maintainer": _maintainer(package),
        "version": version.version,
        "release": version.release,
        "epoch": version.epoch,
        "evr": version.evr,
        "upstream_version": version.upstream,
        "commit": commit.upstream.sha,
        "shortcommit": commit.short,
        "commit_date": commit.upstream.committed_at,
        "source_date_epoch": int(commit.upstream.committed_at.timestamp()),
        "changelog_entry": _changelog_entry(render_input),
        "source_name": _source_name(render_input),
        "source_archive": _source_archive(render_input),
        "source_prefix": f"{package.distribution}-{version.upstream}",
        "source_files": render_input.source_files,
        "bootstrap": render_input.bootstrap,
        **_functions(render_input),
    }


def _functions(render_input: RenderInput) -> dict[str, object]:
    target = render_input.target
    present = frozenset(render_input.source_files)

    def has_file(path: str) -> bool:
        return path in present

    def package_of(distribution: str) -> str:
        return python_package(distribution, target.naming)

    def requirement_of(text: str) -> str:
        return requirement(text, target.naming, target.format) or ""

    return {"has_file": has_file, "python_package": package_of, "requirement": requirement_of}


def _package_facts(package: Package) -> PackageFacts:
    return PackageFacts(
        name=package.name,
        distribution=package.distribution,
        component=package.component,
        maintainers=package.maintainers,
        upstream=package.upstream,
        branch=package.branch,
    )


def _target_facts(target: Target) -> TargetFacts:
    return TargetFacts(
        name=target.name,
        format=target.format.value,
        architecture=target.architecture,
        dist=target.dist,
        naming=target.naming,
    )


def _maintainer(package: Package) -> str:
    """The first maintainer as "Name <address>", in one line: a bare address is given its own first part as name."""
    if not package.maintainers:
        return DEFAULT_MAINTAINER
    first = " ".join(package.maintainers[0].split())
    return first if "<" in first else f"{first.partition('@')[0]} <{first}>"


def _source_name(render_input: RenderInput) -> str:
    name = render_input.package.name
    return deb_source_name(name) if render_input.target.format is Format.DEB else name


def _source_archive(render_input: RenderInput) -> str:
    package, version = render_input.package, render_input.version
    if render_input.target.format is Format.DEB:
        return f"{deb_source_name(package.name)}_{version.version}.orig.tar.gz"
    return f"{package.distribution}-{version.upstream}.tar.gz"


def _changelog_entry(render_input: RenderInput) -> str:
    """One entry; the commit's subject and author stay out of it, for these are upstream's text, not to be trusted."""
    text = f"Automated build of upstream commit {render_input.commit.upstream.sha}"
    if render_input.target.format is Format.DEB:
        return _deb_entry(render_input, text)
    return _rpm_entry(render_input, text)


def _rpm_entry(render_input: RenderInput, text: str) -> str:
    at = render_input.changelog_at
    day = f"{_DAYS[at.weekday()]} {_MONTHS[at.month - 1]} {at.day:02} {at.year}"
    maintainer = _maintainer(render_input.package).replace("%", "%%")
    return f"* {day} {maintainer} - {render_input.version.evr}\n- {text}\n"


def _deb_entry(render_input: RenderInput, text: str) -> str:
    """One entry as Debian Policy 4.4 has it, for the suite that snapshots are published as."""
    heading = f"{deb_source_name(render_input.package.name)} ({render_input.version.evr}) trunk; urgency=medium"
    trailer = f" -- {_maintainer(render_input.package)}  {_rfc5322_date(render_input.changelog_at)}"
    return f"{heading}\n\n  * {text}\n\n{trailer}\n"


def _rfc5322_date(at: datetime) -> str:
    return f"{_DAYS[at.weekday()]}, {at.day:02} {_MONTHS[at.month - 1]} {at.year} {at:%H:%M:%S %z}"


def _refuse_hostile_version(upstream: str) -> None:
    """A tag can be named like a shell command or a macro, and templates write versions into scripts and specs."""
    if not _PLAIN_VERSION.fullmatch(upstream):
        raise VersionInvalid(
            f"The upstream version {upstream!r} cannot be written into packaging",
            cause="it holds characters that a shell or rpm would interpret",
            hint="a version is made of letters, digits and '.+~^!_-'; rename the tag or choose another version scheme",
        )
