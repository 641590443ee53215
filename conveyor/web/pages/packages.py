"""The pages of a package and of a commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Annotated

from fastapi import APIRouter, Response
from fastapi import Query as InQuery

from conveyor.errors import UnknownName
from conveyor.model.build import Build, Outcome, State
from conveyor.model.commit import Commit
from conveyor.model.package import Package, PackagingRepository
from conveyor.model.search import Page, Query
from conveyor.pipeline.looking.find_commit import find_commit
from conveyor.web.pages import looking
from conveyor.web.pages.answer import Show
from conveyor.web.pages.environment import duration, query, segment
from conveyor.web.pages.plots import Bar
from conveyor.web.pages.states import mark_of
from conveyor.web.site import Site

HISTORY = 50
PLOTTED = 20

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnTarget:
    """How a package stands on a target.

    Attributes:
        target: the target's name.
        build: its latest build of the trunk; None where there is none.
        version: the newest version that was built; empty for none.
        seconds: how long a build takes, as a rule; None where none has ended.
        bars: how long the last ones took.
        told: the same in words.
    """

    target: str
    build: Build | None
    version: str
    seconds: float | None
    bars: Sequence[Bar]
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitRow:
    """A commit and its builds, by target."""

    commit: Commit
    builds: Mapping[str, Build]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitBuild:
    """A build of a commit.

    Attributes:
        build: the build.
        format: its target's format; empty where that is configured no more.
        seconds: how long its last attempt took.
    """

    build: Build
    format: str
    seconds: float | None


@router.get("/packages/{name}")
def package(name: str, pages: Show, before: Annotated[int | None, InQuery(ge=1, lt=2**62)] = None) -> Response:
    """The page of a package."""
    site = pages.site
    configured = site.repos.packages.get(name)
    history = _history(site, name, before)
    builds = history.builds
    if configured is None and not builds:
        site.repos.package(name)
    targets = list(configured.targets if configured else ()) or sorted({each.target for each in builds})
    columns = list(dict.fromkeys([*targets, *(each.target for each in builds)]))
    stand = [_on_target(each, _latest(site, name, each, None if before else history)) for each in targets]
    return pages.page(
        "package.html",
        name=name,
        package=configured,
        packaging_url=_packaging_url(configured),
        targets=stand,
        plotted=PLOTTED,
        columns=columns,
        commits=commit_rows(builds),
        answer=looking.explainer(site).of_package(name, {each.target: each.build for each in stand if each.build}),
        next=f"/packages/{segment(name)}{query(before=history.before)}#history" if history.before else "",
        none=None,
    )


@router.get("/commits/{named}")
def commit(named: str, pages: Show) -> Response:
    """The page of a commit, across all targets and formats."""
    site = pages.site
    meant = find_commit(site.conveyor.store, site.conveyor.tree, named, tuple(site.repos.targets))
    wanted = next(iter(meant.commits.values()), None) or next(iter(meant.builds.values())).commit.id
    builds = [each for each in site.conveyor.store.of_commit(wanted) if each.commit.id == wanted]
    if not builds:
        raise UnknownName(f"there is no commit {wanted!r} in the store", hint="restore the newer backup of the store")
    chosen = builds[-1].commit
    return pages.page(
        "commit.html",
        commit=chosen,
        package=site.repos.packages.get(chosen.package),
        builds=[_commit_build(site, each) for each in builds],
        others=_others(site, builds),
        votes=site.conveyor.votes.of(wanted),
    )


def commit_rows(builds: Iterable[Build]) -> list[CommitRow]:
    """Builds by commit, in the order in which commits first come."""
    found: dict[tuple[str, bool], tuple[Commit, dict[str, Build]]] = {}
    for build in builds:
        _, on = found.setdefault((build.commit.id, build.commit.trunk), (build.commit, {}))
        on.setdefault(build.target, build)
    return [CommitRow(commit=each, builds=on) for each, on in found.values()]


def seconds_of(build: Build) -> float | None:
    """How long a build's last attempt took; None where it has not ended, or never began."""
    return sum(each.seconds for each in build.stages) if build.stages and build.state is State.FINISHED else None


def _history(site: Site, name: str, before: int | None) -> Page:
    return site.conveyor.lookup.search(Query(packages=(name,), trunk=None, before=before, limit=HISTORY))


def _latest(site: Site, name: str, target: str, history: Page | None) -> Sequence[Build]:
    """The latest builds of the trunk, from the beginning of the history where that goes back far enough."""
    if history is not None:
        found = [each for each in history.builds if each.commit.trunk and each.target == target]
        if len(found) >= PLOTTED or history.before is None:
            return found[:PLOTTED]
    return site.conveyor.store.builds(package=name, target=target, trunk=True, limit=PLOTTED)


def _on_target(target: str, builds: Sequence[Build]) -> OnTarget:
    ran = [(each, seconds) for each in reversed(builds) if (seconds := seconds_of(each)) is not None]
    good = [seconds for each, seconds in ran if each.outcome is Outcome.SUCCEEDED]
    usual = median(good) if good else None
    return OnTarget(
        target=target,
        build=builds[0] if builds else None,
        version=next((each.version for each in builds if each.version and each.outcome is Outcome.SUCCEEDED), "") or "",
        seconds=usual,
        bars=[_bar(each, seconds) for each, seconds in ran],
        told=f"Seconds of the last {len(ran)} builds; half of the good ones took at most {duration(usual)}",
    )


def _bar(build: Build, seconds: float) -> Bar:
    found = mark_of(build)
    return Bar(value=seconds, label=f"build {build.id}: {found.word}, {duration(seconds)}", tone=found.tone)


def _packaging_url(package: Package | None) -> str:
    packaging = package.packaging if package else None
    return packaging.url if isinstance(packaging, PackagingRepository) else ""


def _commit_build(site: Site, build: Build) -> CommitBuild:
    target = site.repos.targets.get(build.target)
    return CommitBuild(build=build, format=target.format.value if target else "", seconds=seconds_of(build))


def _others(site: Site, builds: Sequence[Build]) -> list[Commit]:
    """Other commits of the same upstream commit: with other packaging, rebuilds, of other packages."""
    chosen = builds[-1].commit
    found = {
        (each.commit.package, each.commit.id): each.commit
        for each in site.conveyor.store.of_commit(chosen.upstream.sha)
    }
    return [each for key, each in found.items() if key != (chosen.package, chosen.id)]
