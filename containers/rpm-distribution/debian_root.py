"""What dpkg knows of a Debian root: its packages, what they need, and which of them owns a path."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from paragraphs import paragraphs

BYTE_CODE = re.compile(r"(?P<folder>.*)/__pycache__/(?P<module>[^/]+)\.cpython-\d+(\.opt-\d)?\.pyc")


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianPackage:
    """An installed Debian package.

    Attributes:
        name: its name, without architecture.
        version: its full Debian version.
        architecture: "all", or the root's own.
        essential: whether every root has it.
        needs: one tuple for each dependency: the names that satisfy it, versions left out.
        provides: the virtual packages that it stands for.
        summary: the first line of its description.
        configuration: its conffiles.
    """

    name: str
    version: str
    architecture: str
    essential: bool
    needs: tuple[tuple[str, ...], ...]
    provides: tuple[str, ...]
    summary: str
    configuration: frozenset[str]


def read_packages(root: Path) -> dict[str, DebianPackage]:
    """The installed packages of a root, by name."""
    status = (root / "var/lib/dpkg/status").read_text(encoding="utf-8")
    return {package.name: package for package in map(_package, paragraphs(status))}


def _package(fields: Mapping[str, str]) -> DebianPackage:
    needs = [*_relations(fields.get("pre-depends", "")), *_relations(fields.get("depends", ""))]
    return DebianPackage(
        name=fields["package"],
        version=fields["version"],
        architecture=fields["architecture"],
        essential=fields.get("essential") == "yes",
        needs=tuple(needs),
        provides=tuple(name for names in _relations(fields.get("provides", "")) for name in names),
        summary=fields.get("description", "").partition("\n")[0],
        configuration=frozenset(line.split()[0] for line in fields.get("conffiles", "").splitlines() if line.strip()),
    )


def _relations(field: str) -> Iterator[tuple[str, ...]]:
    """Names of a relationship field, one tuple per comma (Debian Policy, section 7.1)."""
    for relation in filter(None, (part.strip() for part in field.split(","))):
        yield tuple(re.split(r"[\s:(\[]", alternative.strip(), maxsplit=1)[0] for alternative in relation.split("|"))


def satisfied_by(package: DebianPackage, packages: Mapping[str, DebianPackage]) -> tuple[str, ...]:
    """The installed packages that a package's dependencies are satisfied by: of each, the first alternative."""
    providers: dict[str, str] = {}
    for other in packages.values():
        for virtual in other.provides:
            providers.setdefault(virtual, other.name)
    found = []
    for alternatives in package.needs:
        named = [name if name in packages else providers.get(name, "") for name in alternatives]
        found += list(filter(None, named))[:1]
    return tuple(dict.fromkeys(found))


def closure(names: Iterable[str], packages: Mapping[str, DebianPackage]) -> frozenset[str]:
    """The named packages and all that they depend on, as far as installed."""
    reached: set[str] = set()
    waiting = [name for name in names if name in packages]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += satisfied_by(packages[name], packages)
    return frozenset(reached)


class Ownership:
    """Which packages own the paths of a root.

    Paths are those of the root's real tree: one that dpkg lists through a symlinked folder (/bin/sh in a root whose
    /bin is a symlink) counts as the path behind it.
    """

    def __init__(self, root: Path, packages: Collection[str]) -> None:
        self._root = root
        self._real_folders: dict[str, str] = {"/": "/", "": "/"}
        self._owners: dict[str, set[str]] = defaultdict(set)
        diversions = _diversions(root)
        for package in packages:
            for listed in _listed(root, package):
                diverted, by = diversions.get(listed, (listed, package))
                self._owners[self.real(listed if by == package else diverted)].add(package)

    def of(self, path: str, links: int = 8) -> frozenset[str]:
        """The owners of a path of the real tree; several only for folders; none for what no package is known for.

        Byte code belongs to its source, a folder of byte code to all whose modules lie beside it, and a symlink that
        no package has (update-alternatives makes such) to the owner of what it leads to, over at most so many `links`.
        """
        if path in self._owners:
            return frozenset(self._owners[path])
        if match := BYTE_CODE.fullmatch(path):
            return self.of(f"{match['folder']}/{match['module']}.py")
        on_disk = self._root / path.lstrip("/")
        if on_disk.is_symlink():
            return self.of(self._behind(path), links - 1) if links else frozenset()
        if path.endswith("/__pycache__"):
            return frozenset().union(*(self.of(f"{path}/{entry.name}") for entry in on_disk.iterdir()))
        return frozenset()

    def real(self, path: str) -> str:
        """A path with the symlinks in its folder resolved, its last part left as it is."""
        folder, _, name = path.rstrip("/").rpartition("/")
        real_folder = self._real_folder(folder)
        return f"{real_folder.rstrip('/')}/{name}"

    def _real_folder(self, folder: str) -> str:
        if folder not in self._real_folders:
            real = self.real(folder)
            on_disk = self._root / real.lstrip("/")
            self._real_folders[folder] = self._real_folder(self._behind(real)) if on_disk.is_symlink() else real
        return self._real_folders[folder]

    def _behind(self, link: str) -> str:
        """What a symlink leads to, one step."""
        target = (self._root / link.lstrip("/")).readlink()
        steps: list[str] = []
        for part in (Path(link).parent / target).parts[1:]:
            if part == "..":
                del steps[-1:]
            else:
                steps.append(part)
        return self.real("/" + "/".join(steps))


def _listed(root: Path, package: str) -> Iterator[str]:
    """The paths that dpkg lists for a package."""
    info = root / "var/lib/dpkg/info"
    for file in (info / f"{package}.list", *info.glob(f"{package}:*.list")):
        if file.exists():
            yield from (line for line in file.read_text(encoding="utf-8").splitlines() if line != "/.")


def _diversions(root: Path) -> dict[str, tuple[str, str]]:
    """Path -> where it is diverted to, and the package whose own file stays (dpkg-divert(1))."""
    file = root / "var/lib/dpkg/diversions"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return {lines[n]: (lines[n + 1], lines[n + 2]) for n in range(0, len(lines) - 2, 3)}
