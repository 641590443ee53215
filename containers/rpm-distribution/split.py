"""Split a Debian root into RPM packages."""

from __future__ import annotations

import fnmatch
import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from debian_root import DebianPackage, Ownership, closure, read_packages, satisfied_by
from naming import PythonDistribution, python_provides, rpm_name, rpm_version

ROOT = "conveyor-root"
SETUP = "conveyor-setup"
MACROS = "conveyor-rpm-macros"
# In a package of their own that is installed first, so that files of any owner can follow.
ACCOUNTS = frozenset({"/etc/group", "/etc/passwd"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What the distribution holds, as distribution.toml says it; names are Debian's.

    Attributes:
        suite: the Debian suite that it is made of.
        root: the packages that conveyor-root carries, with all that they depend on.
        libraries: further packages, an RPM each, as is each package that they depend on.
        left_out: packages that are not in the distribution.
        left_out_paths: shell patterns of paths that are not.
        provides: package -> what is provided for it beside its own name.
    """

    suite: str
    root: tuple[str, ...]
    libraries: tuple[str, ...]
    left_out: frozenset[str]
    left_out_paths: tuple[str, ...]
    provides: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was found out by running programs inside the root.

    Attributes:
        distributions: the Python distributions in it.
        python_version: of its interpreter, such as "3.13".
        sonames: path of a shared library, and one thing that it provides, in RPM's form.
        macros: the paths that were added to it for the package of macros.
    """

    distributions: tuple[PythonDistribution, ...]
    python_version: str
    sonames: tuple[tuple[str, str], ...]
    macros: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RpmPackage:
    """One RPM package to be made.

    Attributes:
        name: its name.
        version: its version.
        release: its release.
        noarch: whether it is the same for every architecture.
        summary: one line.
        requires: the packages that it needs.
        provides: what it provides beside its own name and version, as a spec says it.
        files: the lines of its %files section.
    """

    name: str
    version: str
    release: str
    noarch: bool
    summary: str
    requires: tuple[str, ...]
    provides: tuple[str, ...]
    files: tuple[str, ...]


def split(root: Path, contents: Contents, findings: Findings) -> list[RpmPackage]:
    """The RPM packages of a root: the root itself, its accounts, the macros, one for each other Debian package."""
    debian = read_packages(root)
    essential = [package.name for package in debian.values() if package.essential]
    inside = closure([*essential, *contents.root], debian) - contents.left_out
    ownership = Ownership(root, debian)
    files = _files(root, contents, findings, ownership, inside, debian)
    provided = _provided(debian, contents, findings, ownership)
    carried = [f"python(abi) = {findings.python_version}", *(word for name in inside for word in provided[name])]
    version, _ = rpm_version(debian["base-files"].version)
    own = [
        RpmPackage(
            name=name,
            version=version,
            release="1",
            noarch=noarch,
            summary=summary,
            requires=requires,
            provides=_unique([*provides, *(f"{more} = {version}" for more in contents.provides.get(name, ()))]),
            files=tuple(files[name]),
        )
        for name, noarch, summary, requires, provides in (
            (ROOT, False, "A minimal Debian root with what RPM builds need", (MACROS, SETUP), carried),
            (SETUP, True, "The users and groups of the root", (), ()),
            (MACROS, True, "RPM macros: Python, systemd, users, reproducible builds", (), ()),
        )
    ]
    others = [
        RpmPackage(
            name=rpm_name(package.name),
            version=rpm_version(package.version)[0],
            release=rpm_version(package.version)[1],
            noarch=package.architecture == "all",
            summary=package.summary,
            requires=_requires(package, debian, inside, contents.left_out),
            provides=_unique(provided[package.name]),
            files=tuple(files[package.name]),
        )
        for package in debian.values()
        if package.name not in inside | contents.left_out
    ]
    return own + others


def _unique(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))


def _provided(
    debian: Mapping[str, DebianPackage], contents: Contents, findings: Findings, ownership: Ownership
) -> dict[str, list[str]]:
    """Debian package -> what stands for it: both spellings of its name, Fedora's names, what its files provide."""
    provided: dict[str, list[str]] = defaultdict(list)
    for package in debian.values():
        version, _ = rpm_version(package.version)
        names = (package.name, rpm_name(package.name), *contents.provides.get(package.name, ()))
        # RPM knows no versions of paths.
        provided[package.name] += [name if name.startswith("/") else f"{name} = {version}" for name in names]
    for distribution in findings.distributions:
        for owner in ownership.of(distribution.path):
            provided[owner] += python_provides(distribution, findings.python_version)
    for path, soname in findings.sonames:
        for owner in ownership.of(path):
            provided[owner].append(soname)
    return provided


def _requires(
    package: DebianPackage, debian: Mapping[str, DebianPackage], inside: frozenset[str], left_out: frozenset[str]
) -> tuple[str, ...]:
    """The packages that one needs, all that conveyor-root carries as that one."""
    needed = [name for name in satisfied_by(package, debian) if name not in left_out]
    return _unique([ROOT, *(rpm_name(name) for name in needed if name not in inside)])


def _files(
    root: Path,
    contents: Contents,
    findings: Findings,
    ownership: Ownership,
    inside: frozenset[str],
    debian: Mapping[str, DebianPackage],
) -> dict[str, list[str]]:
    """Package -> lines of its %files section; conveyor-root has what no Debian package owns."""
    lines: dict[str, list[str]] = defaultdict(list)
    line_of = FileLines(root)
    for path in _paths(root, contents.left_out_paths):
        owners = ownership.of(path)
        if path in findings.macros:
            lines[MACROS].append(line_of(path, configuration=False))
        elif path in ACCOUNTS:
            lines[SETUP].append(line_of(path, configuration=True))
        elif not owners or owners & inside:
            lines[ROOT].append(line_of(path, configuration=any(path in debian[name].configuration for name in owners)))
        else:
            for name in owners - contents.left_out:
                lines[name].append(line_of(path, configuration=path in debian[name].configuration))
    return lines


def _paths(root: Path, left_out: Iterable[str]) -> Iterator[str]:
    """The paths of a root, its symlinks not followed; what is left out is not looked into."""
    patterns = tuple(left_out)
    for folder, folders, files in os.walk(root):
        inside = "/" + os.path.relpath(folder, root) if folder != str(root) else ""
        kept = [name for name in folders if not _matches(f"{inside}/{name}", patterns)]
        folders[:] = kept
        for name in sorted([*kept, *files]):
            if not _matches(f"{inside}/{name}", patterns):
                yield f"{inside}/{name}"


def _matches(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


class FileLines:
    """Makes a line of a %files section for a path of a root."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._users = _names_by_id(root / "etc/passwd")
        self._groups = _names_by_id(root / "etc/group")

    def __call__(self, path: str, *, configuration: bool) -> str:
        """The line, with owner and kind."""
        status = (self._root / path.lstrip("/")).lstat()
        words = []
        if status.st_uid or status.st_gid:
            user = self._users.get(status.st_uid, "root")
            words.append(f"%attr(-, {user}, {self._groups.get(status.st_gid, 'root')})")
        if configuration:
            words.append("%config(noreplace)")
        if stat.S_ISDIR(status.st_mode):
            words.append("%dir")
        return " ".join([*words, '"' + path.replace("%", "%%") + '"'])


def _names_by_id(file: Path) -> dict[int, str]:
    """The names in passwd(5) or group(5) by their number."""
    rows = [line.split(":") for line in file.read_text(encoding="utf-8").splitlines() if line]
    return {int(number): name for name, _, number, *_ in rows}
