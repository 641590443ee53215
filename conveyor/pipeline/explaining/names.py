"""What somebody asks about: a build, a package, a target, a pointer or a commit."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from conveyor.errors import AmbiguousName, UnknownName
from conveyor.model.build import Build
from conveyor.model.why import Subject
from conveyor.pipeline.explaining.words import listed
from conveyor.ports import Store

# As short as git takes them, and as long as they are where numbers of builds are told from them.
_ABBREVIATED = re.compile(r"[0-9a-f]{4,40}(_[0-9a-zA-Z._-]*)?")
_SHORT_SHA = 7
_NUMBER = re.compile(r"[0-9]{1,18}")
_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One thing that goes by a name.

    Attributes:
        subject: what kind of thing.
        name: its name: the build's number, the commit's id, the pointer's name without the target.
        target: of a pointer, on which target; empty for all.
        builds: of a build or a commit, its builds; none for a commit that has none.
    """

    subject: Subject
    name: str
    target: str = ""
    builds: tuple[Build, ...] = ()

    def __str__(self) -> str:
        """As it can be asked for without doubt."""
        where = f"{self.target}/" if self.target else ""
        return f"{self.subject}:{where}{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The names that there are.

    Attributes:
        packages: of packages.
        pointers: of pointers, by target.
    """

    packages: Collection[str]
    pointers: Mapping[str, Sequence[str]]


def find_asked(named: str, known: Known, store: Store, *, package: str | None = None) -> Asked:
    """What a name stands for.

    Args:
        named: a name, or a kind and a name as in "package:nova".
        known: the names that there are.
        store: knows builds, commits, and packages that are configured no more.
        package: the package of the commit that is meant; None where it does not matter.

    Raises:
        UnknownName: nothing goes by it, and it cannot be a commit either.
        AmbiguousName: more than one thing does.
    """
    kind, _, rest = named.partition(":")
    subjects = [Subject(kind)] if rest and kind in [*Subject] else [*Subject]
    name = rest if len(subjects) == 1 else named
    if package is not None:
        subjects = [subject for subject in subjects if subject is Subject.COMMIT]
    elif len(subjects) > 1 and _NUMBER.fullmatch(name) and len(name) < _SHORT_SHA:
        subjects = [subject for subject in subjects if subject is not Subject.COMMIT]  # a build's number, as elsewhere
    found = [asked for subject in subjects for asked in _FINDERS[subject](name, known, store)]
    found = [asked for asked in found if package in {None, *(build.commit.package for build in asked.builds)}]
    if len(found) > 1:
        raise _ambiguous(named, found)
    if found:
        return found[0]
    if Subject.COMMIT in subjects and _ABBREVIATED.fullmatch(name):
        return Asked(subject=Subject.COMMIT, name=name)
    raise _unknown(named, known)


def _builds(name: str, _known: Known, store: Store) -> Iterator[Asked]:
    if not _NUMBER.fullmatch(name):
        return
    try:
        build = store.build(int(name))
    except UnknownName:
        return
    yield Asked(subject=Subject.BUILD, name=str(build.id), builds=(build,))


def _commits(name: str, _known: Known, store: Store) -> Iterator[Asked]:
    """One for each commit of an upstream; the packaging that it was built with makes no other."""
    if not _ABBREVIATED.fullmatch(name):
        return
    by_commit: dict[tuple[str, str], list[Build]] = {}
    for build in store.of_commit(name):
        by_commit.setdefault((build.commit.package, build.commit.upstream.sha), []).append(build)
    for builds in by_commit.values():
        ids = {build.commit.id for build in builds}
        shown = next(iter(ids)) if len(ids) == 1 else builds[0].commit.upstream.sha
        yield Asked(subject=Subject.COMMIT, name=shown, builds=tuple(builds))


def _packages(name: str, known: Known, store: Store) -> Iterator[Asked]:
    if name in known.packages or store.builds(package=name, limit=1):
        yield Asked(subject=Subject.PACKAGE, name=name)


def _targets(name: str, known: Known, _store: Store) -> Iterator[Asked]:
    if name in known.pointers:
        yield Asked(subject=Subject.TARGET, name=name)


def _pointers(name: str, known: Known, _store: Store) -> Iterator[Asked]:
    target, separator, pointer = name.rpartition("/")
    if separator:
        if pointer in known.pointers.get(target, ()):
            yield Asked(subject=Subject.POINTER, name=pointer, target=target)
    elif any(name in pointers for pointers in known.pointers.values()):
        yield Asked(subject=Subject.POINTER, name=name)


_FINDERS = {
    Subject.BUILD: _builds,
    Subject.COMMIT: _commits,
    Subject.PACKAGE: _packages,
    Subject.TARGET: _targets,
    Subject.POINTER: _pointers,
}


def _ambiguous(named: str, found: Sequence[Asked]) -> AmbiguousName:
    same_sha = {asked.name for asked in found if asked.subject is Subject.COMMIT}
    only_commits = all(asked.subject is Subject.COMMIT for asked in found)
    packages = [f"{asked} ({asked.builds[0].commit.package})" if asked.builds else str(asked) for asked in found]
    if only_commits and len(same_sha) == 1:
        hint = f"name its package: conveyor why {named} --package {found[0].builds[0].commit.package}"
    else:
        hint = f"write more of it, or say what it is: conveyor why {found[0]}"
    return AmbiguousName(f"{len(found)} things go by {named!r}", cause=listed(packages, most=_SHOWN), hint=hint)


def _unknown(named: str, known: Known) -> UnknownName:
    names = [*known.packages, *known.pointers, *{each for pointers in known.pointers.values() for each in pointers}]
    near = get_close_matches(named, names, n=1)
    suggestion = f"did you mean {near[0]!r}? " if near else ""
    return UnknownName(
        f"nothing goes by {named!r}",
        cause="it is no package, target, pointer, number of a build or beginning of a commit's sha",
        hint=f"{suggestion}'conveyor status' lists packages, targets and builds",
    )
