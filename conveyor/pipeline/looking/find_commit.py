"""Which commit somebody means, on each of some targets: by pointer, commit, abbreviated sha or build number."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from conveyor.errors import UnknownName
from conveyor.model.build import Build
from conveyor.ports import Repository, Store

# As short as git takes them.
_ABBREVIATED = re.compile(r"[0-9a-f]{4,40}(_[0-9a-zA-Z._-]*)?")
_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """What a name stands for.

    Attributes:
        named: the name.
        by_pointer: whether it is a pointer's name: then targets may differ.
        commits: ids of the commits, by target; targets without are left out.
        builds: the builds of a commit that was named itself, by target.
    """

    named: str
    by_pointer: bool
    commits: Mapping[str, str]
    builds: Mapping[str, Build]


def find_commit(store: Store, repository: Repository, named: str, targets: Sequence[str]) -> Meant:
    """The commit that goes by a name. It may not be published, and its snapshots may have been collected.

    Args:
        store: what was built.
        repository: the published tree, for the pointers.
        named: a pointer; else a build's number; else the id of a commit or its beginning, from four digits on. The
            first of these that there is counts.
        targets: names of the targets that matter.

    Raises:
        UnknownName: nothing is called that, or more than one commit: those are in the details.
    """
    pointed = {target: repository.pointers(target).get(named) for target in targets}
    commits = {target: commit for target, commit in pointed.items() if commit is not None}
    if commits:
        return Meant(named=named, by_pointer=True, commits=commits, builds={})
    builds = _numbered(store, named) or (store.of_commit(named) if _ABBREVIATED.fullmatch(named) else ())
    if not builds:
        raise UnknownName(
            f"there is no commit {named!r}",
            cause="it is no pointer, no commit and no build of the trunk",
            hint="'conveyor status' lists the latest builds, 'conveyor snapshot list' what is published",
        )
    wanted = _the_one(named, builds)
    by_target = builds_by_target(build for build in builds if build.commit.id == wanted)
    return Meant(
        named=named,
        by_pointer=False,
        commits={target: wanted for target in targets if target in by_target},
        builds=by_target,
    )


def builds_by_target(builds: Iterable[Build]) -> dict[str, Build]:
    """A commit's build on each target; where two packages share the commit, the one that is published."""
    return {build.target: build for build in sorted(builds, key=lambda build: build.published)}


def _numbered(store: Store, named: str) -> tuple[Build, ...]:
    if not _NUMBER.fullmatch(named):
        return ()
    try:
        build = store.build(int(named))
    except UnknownName:
        return ()
    return store.of_commit(build.commit.id) if build.commit.trunk else ()


def _the_one(named: str, builds: Sequence[Build]) -> str:
    """The commit of the builds; if they are of several, the one written out, or the only one that is published."""
    commits = {build.commit.id: build for build in builds}
    published = {build.commit.id: build for build in builds if build.published}
    found = {named: commits[named]} if named in commits else published or commits
    if len(found) > 1:
        raise UnknownName(
            f"{len(found)} commits begin with {named}",
            hint="write more of it; two builds of one upstream commit differ after the '_'",
            details=[f"{commit} ({build.commit.package})" for commit, build in found.items()],
        )
    return next(iter(found))
