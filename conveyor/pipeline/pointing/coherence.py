"""Snapshots of several targets that hold the same commits. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

S = TypeVar("S")

# The commit of each package in a snapshot; None for one that the snapshot does not tell.
Contents = Mapping[str, str | None]
# For each package the targets that it is built for.
Grid = Mapping[str, Collection[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A package that is not the same in all snapshots.

    Attributes:
        package: the package's name.
        commits: id of its commit by target; None where the snapshot lacks it, or does not tell.
    """

    package: str
    commits: Mapping[str, str | None]


def differences(contents: Mapping[str, Contents], grid: Grid) -> tuple[Difference, ...]:
    """The packages that are built for several of the targets, and whose commits differ in their snapshots.

    Args:
        contents: what the snapshot of each target holds, by target.
        grid: which package is built for which targets; packages that are not in it cannot differ.
    """
    found = []
    for package in sorted(grid):
        targets = [target for target in contents if target in grid[package]]
        commits = {target: contents[target].get(package) for target in targets}
        if len(targets) > 1 and (len(set(commits.values())) > 1 or _untold(package, contents, targets)):
            found.append(Difference(package=package, commits=commits))
    return tuple(found)


def _untold(package: str, contents: Mapping[str, Contents], targets: Iterable[str]) -> bool:
    return any(package in contents[target] and contents[target][package] is None for target in targets)


def alike(
    candidates: Mapping[str, Sequence[S]], contents: Callable[[str, S], Contents], grid: Grid
) -> dict[str, S] | None:
    """One snapshot for each target, all with the same commits: for each target the first candidate that goes.

    Args:
        candidates: by target, those to be preferred first; the targets named first choose first.
        contents: what a snapshot of a target holds.
        grid: see `differences`.

    Returns:
        The choice; None where there is none.
    """
    return _chosen({}, list(candidates), candidates, contents, grid)


def _chosen(
    chosen: dict[str, S],
    targets: list[str],
    candidates: Mapping[str, Sequence[S]],
    contents: Callable[[str, S], Contents],
    grid: Grid,
) -> dict[str, S] | None:
    if not targets:
        return chosen
    target, *others = targets
    for candidate in candidates[target]:
        tried = {**chosen, target: candidate}
        if not differences({name: contents(name, each) for name, each in tried.items()}, grid):
            found = _chosen(tried, others, candidates, contents, grid)
            if found is not None:
                return found
    return None
