"""What is asked for news: repositories and packaging folders, each once, however many packages follow it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from conveyor.model.package import CommitPolicy, Package, PackagingFolder, PackagingRepository
from conveyor.model.watch import RemoteRefs, Side
from conveyor.ports import Git, PackagingSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A repository or a folder.

    Attributes:
        url: the repository; a folder's absolute path.
        host: its host; empty for this machine.
        users: the packages that follow it, and as what.
    """

    url: str
    host: str
    users: tuple[tuple[Package, Side], ...]

    @property
    def is_folder(self) -> bool:
        """Whether it is a packaging folder, which nothing is fetched from."""
        return any(
            side is Side.PACKAGING and isinstance(package.packaging, PackagingFolder) for package, side in self.users
        )

    @property
    def interval(self) -> int | None:
        """Seconds between two looks that the most eager of its packages wants; None for the site's."""
        return min((found for package, _ in self.users if (found := package.following.interval)), default=None)

    @property
    def branches(self) -> frozenset[str]:
        """The branches that are followed."""
        return frozenset(branch_of(package, side) for package, side in self.users)

    @property
    def has_tags(self) -> bool:
        """Whether tags are followed."""
        return any(
            side is Side.UPSTREAM and package.following.commits is CommitPolicy.TAGS for package, side in self.users
        )

    @property
    def package(self) -> str:
        """The package that follows it; empty where several do."""
        names = self.names
        return names[0] if len(names) == 1 else ""

    @property
    def names(self) -> tuple[str, ...]:
        """The packages that follow it."""
        return tuple(sorted({package.name for package, _ in self.users}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a place has.

    Attributes:
        refs: what a repository says; None for a folder.
        packaging: what builds of each package would be made with now, for those whose packaging is there; None where
            files are being changed just now.
    """

    refs: RemoteRefs | None
    packaging: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def is_restless(self) -> bool:
        """Whether files are being changed."""
        return None in self.packaging.values()


def place_of(package: Package, side: Side) -> str:
    """The repository or folder that a package follows on one side."""
    if side is Side.UPSTREAM:
        return package.upstream
    match package.packaging:
        case PackagingRepository(url=url):
            return url
        case PackagingFolder(path=path):
            return str(path)


def branch_of(package: Package, side: Side) -> str:
    """The branch that a package follows on one side; empty for a folder."""
    if side is Side.UPSTREAM:
        return package.branch
    return package.packaging.branch if isinstance(package.packaging, PackagingRepository) else ""


def places_of(packages: Iterable[Package], host_of: Callable[[str], str]) -> Mapping[str, Place]:
    """All that packages follow, by URL or path."""
    users: dict[str, list[tuple[Package, Side]]] = defaultdict(list)
    for package in packages:
        for side in Side:
            users[place_of(package, side)].append((package, side))
    return {url: Place(url=url, host=host_of(url), users=tuple(found)) for url, found in users.items()}


def ask(place: Place, git: Git, packaging: PackagingSource) -> Answer:
    """What a place has at this moment.

    Raises:
        UpstreamUnreachable: the repository does not answer.
        UserError: the folder, or an archetype, is not there or no packaging.
    """
    refs = None if place.is_folder else git.refs(place.url, branches=place.branches, tags=place.has_tags)
    found = {}
    for package, side in place.users:
        commit = refs.branches.get(branch_of(package, side)) if refs is not None else ""
        if side is Side.PACKAGING and commit is not None:
            found[package.name] = packaging.sha(package, commit)
    return Answer(refs=refs, packaging=found)
