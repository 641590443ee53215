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
    MOCK = "mock"
    PBUILDER = "pbuilder"


@dataclass(frozen=True, slots=True, kw_only=True)
class AptRepository:
    """One more repository of a deb target, beside its mirror.

    Attributes:
        name: its id, letters, digits, "-" and "_".
        url: its base URL.
        suite: the suite's name; one that ends with "/" is a flat repository (sources.list(5)).
        components: its components; none for a flat repository.
        key: URL or path of its public key; None where it is not signed.
    """

    name: str
    url: str
    suite: str
    components: tuple[str, ...]
    key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianSuite:
    """Where a deb target's packages come from.

    Attributes:
        suite: the suite's name, such as "trixie".
        mirror: URL of the mirror; None for the one that the host's own apt uses.
        components: the archive's components.
        repositories: further repositories.
    """

    suite: str
    mirror: str | None
    components: tuple[str, ...]
    repositories: tuple[AptRepository, ...] = ()


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
class MockOptions:
    """How mock is called for a target.

    Attributes:
        config: a configuration of the host, such as "centos-stream-10-x86_64", or the absolute path of one; None to
            make one of the target's repositories.
        bootstrap: whether mock makes the root with the distribution's own package manager in a first, small root.
        package_manager: mock's name of it ("dnf5", "dnf4", "dnf", "yum"); None for what the configuration says.
        isolation: mock's `--isolation`: "simple", "nspawn" or "auto".
    """

    config: str | None = None
    bootstrap: bool = False
    package_manager: str | None = None
    isolation: str = "simple"


class Compression(StrEnum):
    """How the metadata of an RPM repository is compressed."""

    GZIP = "gzip"  # every client reads it
    ZSTD = "zstd"  # smaller; dnf and zypper since 2019, not yum


class SourcePackages(StrEnum):
    """Where an RPM repository lists source packages."""

    NONE = "none"
    BESIDE = "beside"  # in a repository of their own, inside of the snapshot
    INSIDE = "inside"  # among the binary packages


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexOptions:
    """What the repositories of a target have beyond what every one has.

    Attributes:
        compression: of an RPM repository's metadata.
        source_packages: where an RPM repository lists source packages; a deb repository always has them beside.
        contents: whether a deb repository tells which package has which file.
        valid_until: seconds for which clients may use a Release file of a deb repository; None for ever.
        by_component: whether each component can be consumed by itself: an RPM repository has one of its own for each,
            and a pointer `consistent-<component>` waits for its packages only.
    """

    compression: Compression = Compression.GZIP
    source_packages: SourcePackages = SourcePackages.NONE
    contents: bool = False
    valid_until: int | None = None
    by_component: bool = False


DEFAULT_INDEXES = IndexOptions()


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
        base_image: OCI image that the overlay builder's base comes from, in the notation of containers-transports(5);
            None to bootstrap it.
        ccache: whether compilations are kept between the builds of a package (overlay builder).
        mock: how mock is called.
        container: image that the builder's tool runs in; None for the host's own tool (mock, pbuilder).
        indexes: what its repositories have.
        builds_at_once: how many builds the daemon runs for it at once; None for as many as it has workers.
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
    base_image: str | None = None
    ccache: bool = False
    mock: MockOptions = MockOptions()
    container: str | None = None
    indexes: IndexOptions = DEFAULT_INDEXES
    builds_at_once: int | None = None
