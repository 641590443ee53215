"""What is built for: format, distribution, architecture, and where the buildroot's packages come from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Format(StrEnum):
    """A package format."""

    RPM = "rpm"
    DEB = "deb"


class BuilderKind(StrEnum):
    """What makes clean roots and runs builds in them."""

    OVERLAY = "overlay"


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianSuite:
    """Where a deb target's packages come from.

    Attributes:
        suite: the suite's name, such as "trixie".
        mirror: URL of the mirror; None for the one that the host's own apt uses.
        components: the archive's components.
    """

    suite: str
    mirror: str | None
    components: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RpmRepository:
    """One repository of an RPM target.

    Attributes:
        name: its id, letters, digits, "-" and "_".
        url: its base URL, or a metalink or mirrorlist address.
        key: URL or path of its public key; None where packages are not signed.
    """

    name: str
    url: str
    key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RpmDistribution:
    """Where an RPM target's packages come from.

    Attributes:
        repositories: the repositories.
        release: the distribution's release, the value of $releasever.
        database: folder of the distribution's own RPM database, such as "/usr/lib/sysimage/rpm"; a root whose
            database lies elsewhere looks empty to the rpm inside it.
    """

    repositories: tuple[RpmRepository, ...]
    release: str
    database: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one build may use.

    Attributes:
        seconds: wall time.
        memory: bytes of memory, page cache not counted.
        disk: bytes that it may write.
        processes: processes and threads at once.
    """

    seconds: int
    memory: int
    disk: int
    processes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One entry of the targets in repos.yaml.

    Attributes:
        name: such as "debian-13-amd64" or "centos-10-x86_64".
        format: the package format.
        architecture: in the format's own words: "amd64" for deb, "x86_64" for rpm.
        builder: what runs its builds.
        origin: where the packages of its roots come from.
        base_packages: what the smallest root holds, beyond what bootstrapping brings by itself.
        build_packages: what every buildroot holds beside the declared build dependencies.
        dist: what marks the target in a release: "el10" becomes ".el10" in an RPM, "deb13" becomes "~deb13" in a deb.
        naming: the family whose package names and macros apply: "debian", "fedora", "centos" or "rdo".
        limits: what one build may use.
        install_check: whether built packages are installed in a fresh root before they are published.
    """

    name: str
    format: Format
    architecture: str
    builder: BuilderKind
    origin: DebianSuite | RpmDistribution
    base_packages: tuple[str, ...]
    build_packages: tuple[str, ...]
    dist: str
    naming: str
    limits: Limits
    install_check: bool
