"""How roots of deb targets are made and filled: mmdebstrap, apt and dpkg."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from conveyor.errors import (
    BuildDependencyMissing,
    CommandFailed,
    ConveyorError,
    DiskFull,
    MirrorUnreachable,
    SourceInvalid,
)
from conveyor.formats.deb.keys import public_key, signed_by
from conveyor.model.health import Program
from conveyor.model.target import AptRepository, DebianSuite, Target
from conveyor.ports import Changes, InstalledPackage, Place, RootCommand, Trunk

# Trunk wins over the distribution whatever the versions are: apt_preferences(5).
TRUNK_PRIORITY = 1001
DEFAULT_COMPONENT = "main"
REPOSITORIES = "repositories.sources"

COMMON_CONF = """\
APT::Install-Recommends "false";
APT::Get::Assume-Yes "true";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::https::CAInfo "/run/host-certificates.crt";
Dpkg::Use-Pty "false";
DPkg::Options { "--force-confnew"; "--force-unsafe-io"; };
"""
APT_CONF = f"""\
{COMMON_CONF}APT::Sandbox::User "root";
APT::Keep-Downloaded-Packages "true";
Debug::NoLocking "true";
Dir::Cache::archives "/conveyor/cache/";
Dir::Cache::pkgcache "/conveyor/cache/pkgcache.bin";
Dir::Cache::srcpkgcache "/conveyor/cache/srcpkgcache.bin";
Dir::State "/conveyor/cache/";
Dir::State::status "/var/lib/dpkg/status";
Dir::State::extended_states "/var/lib/apt/extended_states";
Dir::Etc::sourceparts "/conveyor/sources.list.d/";
Dir::Etc::preferencesparts "/conveyor/preferences.d/";
"""
SATISFY = ("apt-get", "--quiet", "--no-install-recommends")
# An image may have repositories of its own in a folder, and apt reads one folder.
OWN_SOURCES = """\
mkdir /tmp/sources
for folder in /etc/apt/sources.list.d /conveyor/sources.list.d; do
    test ! -d "$folder" || find "$folder" -type f -exec cp -t /tmp/sources -- {} +
done
program=$1
shift
exec "$program" --option Dir::Etc::sourceparts=/tmp/sources/ "$@"
"""
WITH_OWN_SOURCES = ("/bin/sh", "-euc", OWN_SOURCES, "sh")
ENVIRONMENT = {"APT_CONFIG": "/conveyor/apt.conf", "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root"}

# What apt takes for the package that needs what it was asked for: `satisfy`, and `build-dep` of a .dsc.
ASKED = ("satisfy:command-line", "builddeps:")
# apt 3 says less than apt 2 after the name.
UNMET = re.compile(
    r"^ (?P<by>\S+) : (?P<kind>Depends|PreDepends|Conflicts|Breaks): "
    r"(?P<name>\S+(?: \([^)]*\))?)(?: but (?P<why>.+))?$"
)
UNKNOWN = re.compile(r"^E: (?:Unable to locate package|Package '?) ?'?(?P<name>[a-z0-9][a-z0-9+.:-]+)")
UNPARSABLE = re.compile(r"^E: (?P<what>Problem parsing dependency.*)")
UNREACHABLE = re.compile(r"^E: (?P<what>(?:Failed to fetch|The repository '[^']*' does not have a Release file).*)")
FULL = re.compile(
    r"^E: (?P<apt>You don't have enough free space in .+)|^ (?P<dpkg>.*\(No space left on device\))$|"
    r"^[EW]: .*(?P<system>\(28: No space left on device\))"
)
# apt-get(8), --simulate: the version that is there stands in brackets, the new one in parentheses.
SIMULATED = re.compile(
    r"^(?P<what>Inst|Remv|Purg) (?P<name>\S+)(?: \[[^]]*\])?(?: \((?P<version>\S+) .*\[(?P<arch>\S+)\]\))?"
)
TELLING = re.compile(r"Depends:|Conflicts:|Breaks:|^E:|^dpkg: error|depends on|conflict|overwrite")
# dpkg tells the reason in the line below.
DPKG_ERROR = re.compile(r"^dpkg: error processing (?:archive|package) (?P<what>\S+) \(--\S+\):$")
DPKG_NEEDS = re.compile(r"^ (?P<by>\S+) depends on (?P<name>[^;]+); however:$")
DPKG_CONFLICT = re.compile(r"^ (?:trying to overwrite .+|conflicting packages .+)$")


class AptManager:
    """The package manager of deb targets.

    Args:
        host_mirror: URL of the mirror that the host's own apt uses; asked only where a target names none.
        read_key: the armored public key at a URL or path.
    """

    programs = (
        Program(name="mmdebstrap", package="mmdebstrap"),
        Program(name="apt-get", package="apt"),
        Program(name="dpkg", package="dpkg"),
    )

    def __init__(self, host_mirror: Callable[[], str], read_key: Callable[[str], str] = public_key) -> None:
        self._host_mirror = host_mirror
        self._read_key = cache(read_key)

    def mirror(self, target: Target) -> str:
        """URL of the target's mirror."""
        return _suite(target).mirror or self._host_mirror()

    def bootstrap_options(self, target: Target) -> tuple[str, ...]:
        """The options of mmdebstrap for the smallest root: essential packages, apt, and what the target adds."""
        options = [
            *("--mode=root", "--variant=minbase", "--format=directory"),
            *(f"--architectures={target.architecture}", f"--components={','.join(_suite(target).components)}"),
            *('--aptopt=APT::Install-Recommends "false"', '--aptopt=Acquire::Retries "3"'),
        ]
        if target.base_packages:
            options.append(f"--include={','.join(target.base_packages)}")
        return tuple(options)

    def settings(self, trunk: Trunk | None) -> dict[str, str]:
        """Files by path below /etc/apt of a root, for its own apt; the trunk's tree is at /conveyor/trunk."""
        files = {"apt.conf.d/99conveyor": COMMON_CONF}
        return files if trunk is None else files | _trunk_files(trunk)

    def local_paths(self, target: Target) -> tuple[Path, ...]:
        """Further repositories of the target that lie on this machine."""
        return tuple(path for item in _suite(target).repositories if (path := _local_path(item)) is not None)

    def repositories(self, target: Target) -> str:
        """The target's further repositories as a .sources file; empty where it has none (sources.list(5)).

        Raises:
            MirrorUnreachable, UserError: a key cannot be read.
        """
        return "\n".join(
            _stanza(repository, self._read_key(repository.key) if repository.key else "")
            for repository in _suite(target).repositories
        )

    def bootstrap(self, target: Target) -> tuple[RootCommand, ...]:
        """Essential packages and apt, by mmdebstrap."""
        argv = ["mmdebstrap", *self.bootstrap_options(target), _suite(target).suite, "{root}", self.mirror(target)]
        repositories = self.repositories(target)
        if not repositories:
            return (RootCommand(place=Place.HOST, argv=tuple(argv), network=True),)
        argv.append(f"{{files}}/{REPOSITORIES}")
        return (RootCommand(place=Place.HOST, argv=tuple(argv), network=True, files={REPOSITORIES: repositories}),)

    def install(self, target: Target, requirements: Sequence[str], trunk: Trunk | None) -> tuple[RootCommand, ...]:
        """Refresh apt's lists, download with the network, install without it."""
        return (
            self._update(target, trunk),
            self._apt(target, trunk, *SATISFY, "--download-only", "satisfy", "--", *requirements, network=True),
            self._apt(target, trunk, *SATISFY, "--no-download", "satisfy", "--", *requirements, network=False),
        )

    def resolve(self, target: Target, requirements: Sequence[str], trunk: Trunk | None) -> tuple[RootCommand, ...]:
        """Refresh apt's lists, and simulate."""
        return self._update(target, trunk), self._apt(
            target, trunk, *SATISFY, "--simulate", "satisfy", "--", *requirements, network=False
        )

    def parse_changes(self, output: str) -> Changes | None:
        """What apt simulated; None where a package of another architecture is among it, or apt gave up."""
        found = [match for line in output.splitlines() if (match := SIMULATED.match(line))]
        installed = [match for match in found if match["what"] == "Inst"]
        told = all(match["version"] for match in installed) and not any(":" in match["name"] for match in found)
        if not told or re.search(r"^E: ", output, re.MULTILINE):
            return None
        packages = (InstalledPackage(name=m["name"], version=m["version"], architecture=m["arch"]) for m in installed)
        return Changes(
            installed=tuple(sorted(packages)),
            removed=tuple(sorted(match["name"] for match in found if match["what"] != "Inst")),
        )

    def install_exactly(
        self, target: Target, packages: Sequence[InstalledPackage], trunk: Trunk | None
    ) -> tuple[RootCommand, ...]:
        """Download with the network, install without it, by the lists that `resolve` refreshed."""
        named = [f"{package.name}={package.version}" for package in packages]
        return (
            self._apt(target, trunk, *SATISFY, "--download-only", "install", "--", *named, network=True),
            self._apt(target, trunk, *SATISFY, "--no-download", "install", "--", *named, network=False),
        )

    def install_files(self, target: Target, filenames: Sequence[str]) -> tuple[RootCommand, ...]:
        """Install packages by dpkg, which refuses what lacks a dependency."""
        del target
        paths = [f"/conveyor/packages/{name}" for name in filenames]
        argv = ("dpkg", "--force-confnew", "--force-unsafe-io", "--install", *paths)
        environment = {"DEBIAN_FRONTEND": "noninteractive", "HOME": "/root"}
        return (RootCommand(place=Place.ROOT, argv=argv, environment=environment),)

    def list_installed(self, target: Target) -> RootCommand:
        """Print name, version and architecture, separated by tabs."""
        del target
        argv = ("dpkg-query", "--show", "--showformat", "${Package}\\t${Version}\\t${Architecture}\\n")
        return RootCommand(place=Place.ROOT, argv=argv)

    def parse_installed(self, output: str) -> tuple[InstalledPackage, ...]:
        """What `list_installed` printed, sorted."""
        fields = (line.split("\t") for line in output.splitlines() if line.count("\t") == 2)  # noqa: PLR2004
        return tuple(
            sorted(InstalledPackage(name=name, version=version, architecture=a) for name, version, a in fields)
        )

    def failure(self, target: Target, log: Sequence[str]) -> ConveyorError:
        """Tell what is missing, in conflict, unreachable or full from the tools' own lines.

        What dpkg says comes before what apt says: only dpkg runs the packages' scripts, which may print anything.
        """
        if full := _first(FULL, log):
            cause = full["apt"] or full["dpkg"] or full["system"]
            return DiskFull(f"there is no room for the packages of {target.name}", cause=cause, hint="free some room")
        found = _dpkg_failure(target, log) or _apt_failure(target, log)
        if found is not None:
            return found
        said = [line.removeprefix("E: ") for line in log if line.startswith("E: ")]
        return CommandFailed(
            f"packages could not be installed for {target.name}", cause=said[0] if said else "", details=log[-20:]
        )

    def _update(self, target: Target, trunk: Trunk | None) -> RootCommand:
        # By itself apt goes on with the lists that it has, or with none, and packages look missing.
        argv = ("apt-get", "--quiet", "--option", "APT::Update::Error-Mode=any", "update")
        return self._apt(target, trunk, *argv, network=True)

    def _apt(self, target: Target, trunk: Trunk | None, *argv: str, network: bool) -> RootCommand:
        return RootCommand(
            place=Place.ROOT,
            argv=argv if target.base_image is None else (*WITH_OWN_SOURCES, *argv),
            network=network,
            files=_configuration(trunk, self.repositories(target)),
            environment=ENVIRONMENT,
            shared=self.local_paths(target),
        )


def _dpkg_failure(target: Target, log: Sequence[str]) -> ConveyorError | None:
    failed = _first(DPKG_ERROR, log)
    if failed is None:
        return None
    if needs := _first(DPKG_NEEDS, log):
        return _missing(target, needs["name"], f"needed by {needs['by']}", log)
    reason = log[log.index(failed.string) + 1].rstrip() if failed.string != log[-1] else ""
    what = failed["what"].rpartition("/")[2]
    if DPKG_CONFLICT.match(reason):
        return _missing(target, what, _conflict(log) or reason, log)
    return CommandFailed(
        f"packages could not be installed for {target.name}", cause=f"{what}: {reason.strip()}", details=log[-20:]
    )


def _conflict(log: Sequence[str]) -> str:
    found = _first(re.compile(r"^ (\S+ conflicts with .+)$"), log)
    return found[1] if found else ""


def _apt_failure(target: Target, log: Sequence[str]) -> ConveyorError | None:
    if found := _first(UNREACHABLE, log):
        return MirrorUnreachable(
            f"the packages of {target.name} cannot be fetched",
            cause=found["what"],
            hint="check the network and the target's mirror, then try again",
            details=log[-8:],
        )
    if found := _first(UNMET, log):
        return _missing(target, found["name"], _why(found), log)
    if found := _first(UNKNOWN, log):
        return _missing(target, found["name"], "no repository of the target has it", log)
    if found := _first(UNPARSABLE, log):
        return SourceInvalid("a dependency in debian/control cannot be parsed", cause=found["what"], details=log[-5:])
    return None


def _why(unmet: re.Match[str]) -> str:
    """Why a relation cannot be satisfied, and whose it is, where it is not the question's own."""
    if unmet["kind"] in {"Conflicts", "Breaks"}:
        return f"{unmet['by']} {'conflicts with' if unmet['kind'] == 'Conflicts' else 'breaks'} it"
    why = unmet["why"] or "no version that fits can be installed"
    return why if unmet["by"].startswith(ASKED) else f"{why}, needed by {unmet['by']}"


def _first(pattern: re.Pattern[str], log: Sequence[str]) -> re.Match[str] | None:
    return next((match for line in log if (match := pattern.search(line))), None)


def _missing(target: Target, wanted: str, why: str, log: Sequence[str]) -> BuildDependencyMissing:
    return BuildDependencyMissing(
        f"a dependency cannot be satisfied on {target.name}",
        cause=f"{wanted}: {why.strip()}",
        hint="correct the dependency in the packaging, or build the package that brings it first",
        details=[line for line in log if TELLING.search(line)][:8],
    )


def _suite(target: Target) -> DebianSuite:
    if not isinstance(target.origin, DebianSuite):
        raise TypeError(f"{target.name} is no deb target")
    return target.origin


def _trunk_files(trunk: Trunk) -> dict[str, str]:
    """What makes the trunk a source that wins, by path below apt's folder of configuration."""
    # A snapshot stays what it is, and can be used for ever.
    fields = {
        "Types": "deb",
        "URIs": f"copy:/conveyor/trunk/{trunk.snapshot}",
        "Suites": "trunk",
        "Components": " ".join(trunk.components or [DEFAULT_COMPONENT]),
        "Trusted": "yes",
        "Check-Valid-Until": "no",
    }
    return {
        "sources.list.d/trunk.sources": "".join(f"{field}: {value}\n" for field, value in fields.items()),
        "preferences.d/trunk": f"Package: *\nPin: release o=Conveyor\nPin-Priority: {TRUNK_PRIORITY}\n",
    }


def _local_path(repository: AptRepository) -> Path | None:
    parts = urlsplit(repository.url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _stanza(repository: AptRepository, key: str) -> str:
    # What lies on this machine is copied, as the trunk's packages are.
    local = _local_path(repository)
    address = repository.url if local is None else f"copy:{quote(str(local))}"
    fields = ["Types: deb", f"URIs: {address}", f"Suites: {repository.suite}"]
    if repository.components:
        fields.append(f"Components: {' '.join(repository.components)}")
    return "\n".join([*fields, signed_by(key) if key else "Trusted: yes", ""])


def _configuration(trunk: Trunk | None, repositories: str) -> dict[str, str]:
    files = {"apt.conf": APT_CONF, "sources.list.d/.keep": "", "preferences.d/.keep": ""}
    if repositories:
        files[f"sources.list.d/{REPOSITORIES}"] = repositories
    return files if trunk is None else files | _trunk_files(trunk)
