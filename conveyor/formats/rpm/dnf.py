"""How roots of RPM targets are made and filled: the host's dnf and rpm, on a root at /target."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from conveyor.errors import BuildDependencyMissing, CommandFailed, ConveyorError, DiskFull, MirrorUnreachable
from conveyor.formats.rpm import nothing
from conveyor.model.health import Program
from conveyor.model.target import RpmDistribution, RpmRepository, Target
from conveyor.ports import Changes, InstalledPackage, Place, RootCommand, Trunk

# Lower wins: dnf.conf(5), "priority". Trunk wins over the distribution whatever the versions are.
TRUNK_PRIORITY = 10
YES, NO = "--assumeyes", "--assumeno"
QUERY_FORMAT = "%{NAME}\\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\\t%{ARCH}\\n"

NO_MATCH = re.compile(
    r"^No match for argument: (?P<name>.+)|^Error: Unable to find a match: (?P<names>.+)|"
    # The plugin builddep's.
    r"^No matching package to install: '(?P<needed>.+)'$"
)
NOTHING_PROVIDES = re.compile(r"^  - nothing provides (?P<name>.+?)(?: needed by (?P<by>\S+).*)?$")
UNREACHABLE = re.compile(
    r"^Error: (?P<what>Failed to download metadata for repo|Error downloading packages|"
    r"Some packages from local repository have incorrect checksum|Cannot prepare internal mirrorlist)"
)
# What libcurl and librepo say of it, above.
UNREACHABLE_REASON = re.compile(
    r"^  - (?P<curl>(?:Curl error|Status code).+)|^\[(?:MIRROR|FAILED)\] (?P<mirror>.+)|^(?P<opening>Error opening .+)"
)
RPM_MISSING = re.compile(r"^\s+(?P<name>\S.*?) is needed by (?P<by>\S+)")
RPM_SCRIPT = re.compile(r"^error: (?P<what>.*script(?:let)? failed.*)")
CONFLICT = re.compile(r"conflicts? (?:with|between)")
FULL = re.compile(
    r"(?P<what>installing package \S+ needs \S+ more space.*|At least \S+ more space needed.*|"
    r"database or disk is full|No space left on device.*)"
)
# What stands between the head of dnf's table and its summary, and lines there that name no package.
TABLE = re.compile(r"^ ?Package +Arch.*\n=+\n(?P<rows>(?:.*\n)*?)\nTransaction Summary$", re.MULTILINE)
HEADING = re.compile(r"^\S.*:$|^ +replacing ")
ROW_WORDS = 6  # name, architecture, version, repository, size and its unit


class DnfManager:
    """The package manager of RPM targets."""

    programs = (Program(name="dnf", package="dnf"), Program(name="rpm", package="rpm"))

    def bootstrap(self, target: Target) -> tuple[RootCommand, ...]:
        """The target's base packages into an empty folder."""
        return self.install(target, target.base_packages, None)

    def install(self, target: Target, requirements: Sequence[str], trunk: Trunk | None) -> tuple[RootCommand, ...]:
        """Download with the network, install without it."""
        return (
            self._dnf(target, trunk, YES, "--downloadonly", "install", "--", *requirements, network=True),
            self._dnf(target, trunk, YES, "--cacheonly", "install", "--", *requirements, network=False),
        )

    def resolve(self, target: Target, requirements: Sequence[str], trunk: Trunk | None) -> tuple[RootCommand, ...]:
        """Ask what it would do, and say no."""
        return (self._dnf(target, trunk, NO, "install", "--", *requirements, network=True),)

    def parse_changes(self, output: str) -> Changes | None:
        """What dnf's table says; None where it is not complete by dnf's own count, or anything is removed.

        dnf puts what is too long for a column on a line of its own, so that the words count, not the lines.
        """
        if re.search(r"^Nothing to do\.$", output, re.MULTILINE):
            return Changes(installed=(), removed=())
        table = TABLE.search(output)
        if table is None:
            return None
        words = [word for line in table["rows"].splitlines() if not HEADING.match(line) for word in line.split()]
        rows = [words[start : start + ROW_WORDS] for start in range(0, len(words), ROW_WORDS)]
        counted = sum(
            int(number) for number in re.findall(r"^(?:Install|Upgrade) +(\d+) Packages?$", output, re.MULTILINE)
        )
        others = re.search(r"^(?:Remove|Downgrade|Skip) +\d+ Packages?$", output, re.MULTILINE)
        if others or len(rows) != counted or any(len(row) != ROW_WORDS for row in rows):
            return None
        packages = (
            InstalledPackage(
                name=name, version=version if ":" in version else f"0:{version}", architecture=architecture
            )
            for name, architecture, version, *_ in rows
        )
        return Changes(installed=tuple(sorted(packages)), removed=())

    def install_exactly(
        self, target: Target, packages: Sequence[InstalledPackage], trunk: Trunk | None
    ) -> tuple[RootCommand, ...]:
        """Download with the network, install without it."""
        return self.install(target, [f"{p.name}-{p.version}.{p.architecture}" for p in packages], trunk)

    def install_files(self, target: Target, filenames: Sequence[str]) -> tuple[RootCommand, ...]:
        """Install packages by rpm, which refuses what lacks a dependency."""
        paths = [f"/conveyor/packages/{name}" for name in filenames]
        argv = ("rpm", "--root=/target", "--nosignature", "--oldpackage", "--upgrade", "--verbose", *paths)
        files = {"home/.rpmmacros": _macros(target)}
        return (RootCommand(place=Place.HOST_TOOLS, argv=argv, files=files, environment=_environment()),)

    def list_installed(self, target: Target) -> RootCommand:
        """Print name, epoch:version-release and architecture, separated by tabs."""
        argv = ("rpm", "--root=/target", "--query", "--all", "--queryformat", QUERY_FORMAT)
        files = {"home/.rpmmacros": _macros(target)}
        return RootCommand(place=Place.HOST_TOOLS, argv=argv, files=files, environment=_environment())

    def parse_installed(self, output: str) -> tuple[InstalledPackage, ...]:
        """What `list_installed` printed, sorted."""
        fields = (line.split("\t") for line in output.splitlines() if line.count("\t") == 2)  # noqa: PLR2004
        packages = (InstalledPackage(name=name, version=version, architecture=a) for name, version, a in fields)
        # A key that rpm was told to trust looks like a package to it.
        return tuple(sorted(package for package in packages if package.name != "gpg-pubkey"))

    def repositories(self, target: Target) -> str:
        """The target's repositories, in dnf's notation."""
        return "\n".join(_repository(repository) for repository in _distribution(target).repositories)

    def trunk_repository(self, url: str) -> str:
        """The repository of earlier builds at a URL, in the same notation; a line can be added to it."""
        return f"[trunk]\nname=trunk\nbaseurl={url}\ngpgcheck=0\nmetadata_expire=0\npriority={TRUNK_PRIORITY}\n"

    def local_paths(self, target: Target) -> tuple[Path, ...]:
        """Repositories and keys of the target that lie on this machine."""
        return local_paths(_distribution(target))

    def failure(self, target: Target, log: Sequence[str]) -> ConveyorError:
        """Tell what is missing, in conflict, unreachable or full from the tools' own lines.

        A package's script may print anything, so the failure of one is looked for first.
        """
        if script := _first(RPM_SCRIPT, log):
            what = f"packages could not be installed for {target.name}"
            return CommandFailed(what, cause=script["what"], details=log[-20:])
        return (
            _full(target, log)
            or _unsatisfied(target, log)
            or _unreachable(target, log)
            or CommandFailed(f"packages could not be installed for {target.name}", cause=_error(log), details=log[-20:])
        )

    def _dnf(self, target: Target, trunk: Trunk | None, answer: str, *arguments: str, network: bool) -> RootCommand:
        release = f"--releasever={_distribution(target).release}"
        files = self._configuration(target, trunk)
        return RootCommand(
            place=Place.HOST_TOOLS,
            argv=("dnf", answer, "--config=/conveyor/dnf.conf", "--installroot=/target", release, *arguments),
            network=network,
            files=files if _distribution(target).repositories else files | nothing.repository("/conveyor"),
            environment=_environment(),
            shared=local_paths(_distribution(target)),
        )

    def _configuration(self, target: Target, trunk: Trunk | None) -> dict[str, str]:
        repositories = [self.repositories(target)]
        if trunk is not None:
            repositories.append(self.trunk_repository(f"file:///conveyor/trunk/{trunk.snapshot}"))
        main = {
            "reposdir": "/conveyor/repos.d",
            "cachedir": "/conveyor/cache",
            "keepcache": "1",
            "install_weak_deps": "0",
            "plugins": "0",
            "best": "1",
            "skip_if_unavailable": "0",
            "logdir": "/conveyor/cache/log",
            "module_platform_id": f"platform:{target.dist}",
            # dnf 4.19 and newer would not see that a package provides a file, unless it is named on the command line.
            "optional_metadata_types": "comps,filelists",
        }
        lines = "".join(f"{key}={value}\n" for key, value in main.items())
        return {
            "dnf.conf": f"[main]\n{lines}",
            "repos.d/conveyor.repo": "\n".join(repositories),
            "home/.rpmmacros": _macros(target),
        }


def _full(target: Target, log: Sequence[str]) -> ConveyorError | None:
    found = _first(FULL, log)
    if found is None:
        return None
    return DiskFull(f"there is no room for the packages of {target.name}", cause=found["what"], hint="free some room")


def _unsatisfied(target: Target, log: Sequence[str]) -> ConveyorError | None:
    if found := _first(NOTHING_PROVIDES, log):
        needed = f"needed by {found['by']}" if found["by"] else "no repository of the target has it"
        return _missing(target, f"{found['name']}: {needed}", log)
    if found := _first(NO_MATCH, log):
        found_all = (match for line in log if (match := NO_MATCH.search(line)))
        names = [name for match in found_all if (name := match["name"] or match["needed"])]
        return _missing(target, f"{', '.join(names) or found['names']}: no repository of the target has it", log)
    if found := _first(RPM_MISSING, log):
        return _missing(target, f"{found['name']}: needed by {found['by']}", log)
    conflicts = [line for line in log if CONFLICT.search(line)]
    return _missing(target, conflicts[0].strip().removeprefix("Problem: "), log) if conflicts else None


def _unreachable(target: Target, log: Sequence[str]) -> ConveyorError | None:
    found = _first(UNREACHABLE, log)
    if found is None:
        return None
    reason = _first(UNREACHABLE_REASON, log)
    return MirrorUnreachable(
        f"the packages of {target.name} cannot be fetched",
        cause=next(filter(None, reason.groups())) if reason else found["what"],
        hint="check the network and the target's repositories, then try again",
        details=log[-8:],
    )


def _error(log: Sequence[str]) -> str:
    """What dnf or rpm calls an error; empty where they call nothing one."""
    found = _first(re.compile(r"^(?:Error|error): (?P<what>\S.*)"), log)
    return found["what"] if found else ""


def _first(pattern: re.Pattern[str], log: Sequence[str]) -> re.Match[str] | None:
    return next((match for line in log if (match := pattern.search(line))), None)


def _missing(target: Target, cause: str, log: Sequence[str]) -> BuildDependencyMissing:
    return BuildDependencyMissing(
        f"a dependency cannot be satisfied on {target.name}",
        cause=cause,
        hint="correct the dependency in the packaging, or build the package that brings it first",
        details=[line for line in log if re.search(r"match|provides|Error|Problem|needed by|conflict", line)][:8],
    )


def local_paths(distribution: RpmDistribution) -> tuple[Path, ...]:
    """Repositories and keys that lie on this machine."""
    addresses = [address for repo in distribution.repositories for address in (repo.url, repo.key) if address]
    return tuple(path for path in map(_local_path, addresses) if path is not None)


def _local_path(address: str) -> Path | None:
    """What a path or a file URL names; None for any other URL."""
    if address.startswith("/"):
        return Path(address)
    parts = urlsplit(address)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _environment() -> dict[str, str]:
    return {"HOME": "/conveyor/home"}


def _distribution(target: Target) -> RpmDistribution:
    if not isinstance(target.origin, RpmDistribution):
        raise TypeError(f"{target.name} is no RPM target")
    return target.origin


def _macros(target: Target) -> str:
    """What the host's rpm must know.

    The root's database lies where the distribution's own rpm looks for it. rpm 4.20 and newer would put scriptlets into
    namespaces of their own, which the sandbox does not allow: they are in some already. A package with the folder /proc
    would fail, since what is mounted there has an owner that is none inside.
    """
    database = _distribution(target).database
    return f"%_dbpath {database}\n%__transaction_unshare %{{nil}}\n%_netsharedpath /proc\n"


def _repository(repository: RpmRepository) -> str:
    address = (
        "metalink" if "metalink" in repository.url else "mirrorlist" if "mirrorlist" in repository.url else "baseurl"
    )
    signed = f"gpgcheck=1\ngpgkey={_url(repository.key)}\n" if repository.key else "gpgcheck=0\n"
    return f"[{repository.name}]\nname={repository.name}\n{address}={repository.url}\n{signed}"


def _url(key: str) -> str:
    """A key's URL: dnf would take a path with a blank for two."""
    return Path(key).as_uri() if key.startswith("/") else key
