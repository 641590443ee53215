"""What must hold before a build's packages are published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cmp_to_key

from conveyor.errors import ForeignPackage, ResultsInvalid, VersionWentBackwards
from conveyor.model.artifact import Artifact, ArtifactKind
from conveyor.ports import RiskyFiles

MAX_RESULTS = 1000
LISTED = 5


def check_order(version: str, published: Sequence[str], compare: Callable[[str, str], int]) -> None:
    """Refuse a version that package managers would not take for an update.

    Args:
        version: EVR string of what is to be published.
        published: EVR strings of the same package on the same target that are published.
        compare: the format's comparison; see Toolchain.compare.

    Raises:
        VersionWentBackwards: the version sorts below a published one.
    """
    if not published:
        return
    newest = max(published, key=cmp_to_key(compare))
    if compare(version, newest) < 0:
        raise VersionWentBackwards(
            f"version {version} sorts below {newest}, which is already published",
            cause="the commit is older, or the upstream's tags, its branch or the version scheme were changed",
            hint="build an older commit with --no-publish; after a change, tag the upstream with a version above "
            f"{newest} or choose the version scheme that sorts above it",
        )


def check_count(results: Sequence[object]) -> None:
    """Refuse more files than any package has.

    Raises:
        ResultsInvalid: there are too many.
    """
    if len(results) > MAX_RESULTS:
        raise ResultsInvalid(
            f"the build made more than {MAX_RESULTS} files", hint="see what it leaves beside its packages"
        )


def check_kinds(made: Sequence[Artifact]) -> None:
    """Refuse a source package that a build made: the one that is published was made before the upstream ran.

    Raises:
        ResultsInvalid: there is one.
    """
    for artifact in made:
        if artifact.kind is ArtifactKind.SOURCE:
            raise ResultsInvalid(
                f"the build made a source package, {artifact.filename}",
                hint="a build makes binary packages only; see what it leaves beside them",
            )


def check_names(artifacts: Sequence[Artifact]) -> None:
    """Refuse two files under one name, and two packages with one name, version and architecture.

    Raises:
        ResultsInvalid: there are two.
    """
    packages = [artifact for artifact in artifacts if artifact.kind is ArtifactKind.BINARY]
    for names in (
        Counter(artifact.filename for artifact in artifacts),
        Counter(f"{artifact.name} {artifact.version} ({artifact.architecture})" for artifact in packages),
    ):
        for name, count in names.items():
            if count > 1:
                raise ResultsInvalid(
                    f"the build made {count} files for {name}", hint="see what it leaves beside its packages"
                )


def check_own(foreign: Sequence[str]) -> None:
    """Refuse packages that are none of the source package's.

    Args:
        foreign: a line for each; see Toolchain.foreign.

    Raises:
        ForeignPackage: there is one.
    """
    if foreign:
        raise ForeignPackage(
            "the build made a package that is not its own",
            cause=foreign[0],
            hint="declare it in the packaging if it belongs to this package; else see what leaves it",
            details=foreign[:LISTED],
        )


def check_publishers(package: str, publishers: Mapping[str, Collection[str]], configured: Collection[str]) -> None:
    """Refuse a name that another package of the trunk publishes now: clients would take either for the other.

    Args:
        package: whose build it is.
        publishers: who publishes its names; see Store.publishers.
        configured: names of the packages that are built for the target: others are no more, and their names free.

    Raises:
        ForeignPackage: there is such a name.
    """
    taken = {name: sorted({*by} & {*configured} - {package}) for name, by in sorted(publishers.items())}
    lines = [f"{name} is published by {', '.join(by)}" for name, by in taken.items() if by]
    if lines:
        raise ForeignPackage(
            "the build made a package that belongs to another",
            cause=lines[0],
            hint="to move it, take it out of the other's packaging and build that first; a package that is gone or "
            "renamed must be out of repos.yaml",
            details=lines[:LISTED],
        )


def check_devices(filename: str, found: RiskyFiles) -> None:
    """Refuse device nodes, which no policy lets a package bring (Debian Policy 10.6).

    Raises:
        ResultsInvalid: there is one.
    """
    if found.devices:
        raise ResultsInvalid(
            f"{filename} has a device node", cause=found.devices[0], hint="see which part of the build makes it"
        )


def notes(filename: str, found: RiskyFiles) -> Iterator[str]:
    """What the log tells of a package: files that run with rights of their owner."""
    for path in found.privileged:
        yield f"{filename} has a file with rights of its own (setuid, setgid or capabilities): {path!r}"
    if not found.complete:
        yield f"{filename} was not looked through for setuid files: too large, or compressed with neither xz nor gzip"
