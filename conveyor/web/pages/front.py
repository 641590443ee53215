"""The front page and the wall: how everything stands, at a glance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Annotated

from fastapi import APIRouter, Query, Response

from conveyor.model.build import Build, State
from conveyor.model.promotion import CONSISTENT
from conveyor.pipeline.explaining.queueview import RunningBuild, WaitingBuild
from conveyor.pipeline.pointing.standings import Standing
from conveyor.web.overview import Cell, Look, Looked
from conveyor.web.pages import looking
from conveyor.web.pages.answer import HTML, Pages, Show
from conveyor.web.pages.environment import count, duration, line
from conveyor.web.pages.filters import require_known
from conveyor.web.pages.kept import Keeping, Kept
from conveyor.web.pages.plots import Bar
from conveyor.web.pages.states import BROKEN, NONE, NOT_BUILT, STATES, Mark, mark, mark_of
from conveyor.web.site import Site

ROWS = 150
WAITING = 6
# What a filter calls all that somebody has to look after.
BROKEN_ONES = "broken"
PLOTTED = 30
# Seconds that a page is shown again though nothing was recorded: stages and ages go on.
AGAIN_AFTER = 2.0
WAITING_AFTER = 3.0
CAUSE = 110

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which packages are wanted.

    Attributes:
        name: part of their names.
        state: how they stand on one of their targets; "broken" for failed or errored; empty for any.
        target: only on this target; empty for all.
    """

    name: str = ""
    state: str = ""
    target: str = ""

    @property
    def is_set(self) -> bool:
        """Whether any are left out."""
        return bool(self.name or self.state or self.target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A package on a target, as the grid shows it.

    Attributes:
        target: the target's name.
        wanted: whether repos.yaml builds it there.
        mark: how it stands.
        build: the build that says so; None for none.
        at: when it came to that, with zone.
        before: how it stood before what now waits or runs; None for others.
        told: the cause in a few words, or the version.
    """

    target: str
    wanted: bool
    mark: Mark = NONE
    build: int | None = None
    at: datetime | None = None
    before: Mark | None = None
    told: str = ""

    @property
    def is_broken(self) -> bool:
        """Whether somebody has to do something."""
        return (self.before or self.mark).word in BROKEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A package on all targets."""

    package: str
    cells: tuple[Shown, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Some of the packages, on targets.

    Attributes:
        targets: the columns.
        rows: the packages of this page; those that are broken come first.
        count: how many packages fit in all.
        page, pages: which page it is, from 1, and of how many.
    """

    targets: tuple[str, ...]
    rows: tuple[Row, ...]
    count: int
    page: int
    pages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetCard:
    """A target.

    Attributes:
        name: its name.
        lag: seconds from an upstream commit to the repository that has it, as a rule; None where nothing tells.
        bars: of the last ones.
        told: the same in words.
        pointers: where they stand.
    """

    name: str
    lag: float | None
    bars: Sequence[Bar]
    told: str
    pointers: tuple[Standing, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether everything is fine.

    Attributes:
        mark: how everything stands.
        summary: in one line.
        lines: what else is to be known.
    """

    mark: Mark
    summary: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What waits: the first few, and how many in all."""

    waiting: tuple[WaitingBuild, ...]
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """All that the front page and the wall show."""

    verdict: Verdict
    targets: tuple[TargetCard, ...]
    all_targets: tuple[str, ...]
    running: tuple[RunningBuild, ...]
    idle: str
    waiting: Waiting
    filter: Filter
    grid: Grid
    broken: tuple[tuple[str, Shown], ...]


@router.get("/")
def front(
    pages: Show,
    look: Looked,
    kept: Keeping,
    q: str = "",
    state: str = "",
    target: str = "",
    page: Annotated[int, Query(ge=1, le=100_000)] = 1,
) -> Response:
    """How everything stands."""
    require_known("state", state, (*STATES, BROKEN_ONES, NOT_BUILT))
    return _answer(pages, look, kept, "front.html", Filter(name=q, state=state, target=target), page)


@router.get("/wall")
def wall(pages: Show, look: Looked, kept: Keeping) -> Response:
    """The same for a screen on a wall: what is broken, and what goes on."""
    return _answer(pages, look, kept, "wall.html", Filter(), 1)


def _answer(pages: Pages, look: Look, kept: Kept, template: str, wanted: Filter, page: int) -> Response:
    site = pages.site
    if wanted.target:
        site.repos.target(wanted.target)
    key = (template, wanted, page, pages.who.name, pages.may_act, str(site.mistake or ""))
    version = (look.number, look.event, id(site.repos))

    def make() -> str:
        made = _front(site, look, kept, wanted, page)
        return pages.render(template, front=made, states=STATES)

    return pages.answer(kept.get(key, version, AGAIN_AFTER, make), HTML)


def _front(site: Site, look: Look, kept: Kept, wanted: Filter, page: int) -> Front:
    targets = used_targets(site, look)
    rows = list(rows_of(site, look, targets))
    return Front(
        verdict=verdict(look, rows),
        targets=tuple(_card(site, look, kept, target) for target in targets),
        all_targets=targets,
        running=look.queue.running,
        idle="" if look.queue.daemon.runs else "No daemon is running: conveyor daemon starts one.",
        waiting=_waiting(site, look, kept),
        filter=wanted,
        grid=grid(targets, rows, wanted, page),
        broken=tuple((row.package, each) for row in rows for each in row.cells if each.is_broken),
    )


def used_targets(site: Site, look: Look) -> tuple[str, ...]:
    """The targets that anything is built for, or was published for; all where there are none of these."""
    used = {*site.repos.built_targets, *(each.target for each in look.standings if each.commit is not None)}
    return tuple(target for target in site.repos.targets if target in used) or tuple(site.repos.targets)


def rows_of(site: Site, look: Look, targets: Sequence[str]) -> Iterator[Row]:
    """All packages, on these targets."""
    for name, package in site.repos.packages.items():
        yield Row(
            package=name,
            cells=tuple(
                shown(target, look.cells.get((name, target)), wanted=target in package.targets) for target in targets
            ),
        )


def shown(target: str, cell: Cell | None, *, wanted: bool) -> Shown:
    """A package on a target, as it is shown."""
    if cell is None:
        return Shown(target=target, wanted=wanted)
    unfinished = cell.newest.state is not State.FINISHED
    build = cell.newest if unfinished else cell.shown
    judged = cell.judged if unfinished else None
    return Shown(
        target=target,
        wanted=wanted,
        mark=mark_of(build),
        build=build.id,
        at=build.finished_at or build.started_at or build.queued_at,
        before=mark_of(judged) if judged else None,
        told=_told(judged or build, flaky=cell.flaky),
    )


def _told(build: Build, *, flaky: bool) -> str:
    if build.outcome in BROKEN and build.cause is not None:
        return line(build.cause.summary, CAUSE)
    return line(build.version or build.commit.short, CAUSE) + (", flaky" if flaky else "")


def grid(targets: tuple[str, ...], rows: Sequence[Row], wanted: Filter, page: int) -> Grid:
    """Some of the packages: those that are broken first, then as repos.yaml has them."""
    columns = tuple(each for each in targets if wanted.target in {"", each})
    narrowed = [Row(package=row.package, cells=_of(row, columns)) for row in rows] if wanted.target else rows
    fitting = sorted(
        (row for row in narrowed if _fits(row, wanted)), key=lambda row: not any(each.is_broken for each in row.cells)
    )
    pages = max(1, -(-len(fitting) // ROWS))
    chosen = min(page, pages)
    return Grid(
        targets=columns,
        rows=tuple(fitting[(chosen - 1) * ROWS : chosen * ROWS]),
        count=len(fitting),
        page=chosen,
        pages=pages,
    )


def _of(row: Row, columns: Sequence[str]) -> tuple[Shown, ...]:
    return tuple(each for each in row.cells if each.target in columns)


def _fits(row: Row, wanted: Filter) -> bool:
    if wanted.name.lower() not in row.package or not any(each.wanted for each in row.cells):
        return False
    if not wanted.state:
        return True
    if wanted.state == BROKEN_ONES:
        return any(each.is_broken for each in row.cells)
    return any(wanted.state in {each.mark.word, each.before.word if each.before else ""} for each in row.cells)


def verdict(look: Look, rows: Sequence[Row]) -> Verdict:
    """Whether everything is fine, in one line."""
    cells = [each for row in rows for each in row.cells if each.wanted]
    broken = [each for each in cells if each.is_broken]
    failed = [each for each in broken if (each.before or each.mark).word == "failed"]
    missing = [each for each in cells if each.build is None]
    held = [each.target for each in look.standings if each.pointer == CONSISTENT and each.held_back]
    idle = not look.queue.daemon.runs and look.queue.waiting
    lines = [
        f"{count(look.queue.running, 'build')} running, {look.queue.waiting:,} waiting",
        *([f"consistent is held back on {', '.join(held)}"] if held else []),
        *([f"{count(missing, 'package')} not built yet"] if missing and broken else []),
    ]
    if broken:
        words = [f"{len(failed):,} failed"] * bool(failed) + [f"{len(broken) - len(failed):,} errored"] * (
            len(broken) > len(failed)
        )
        summary = f"{' and '.join(words)}, of {count(cells, 'build')} of {count(rows, 'package')}"
        return Verdict(mark=mark("failed" if failed else "errored"), summary=summary, lines=tuple(lines))
    if idle:
        told = "Builds wait, and no daemon is running: conveyor daemon starts one."
        return Verdict(mark=mark("errored"), summary=told, lines=tuple(lines))
    if not cells or len(missing) == len(cells):
        return Verdict(mark=mark("queued"), summary="Nothing has been built yet", lines=tuple(lines))
    waits = f"; {count(missing, 'package')} not built yet" if missing else ""
    return Verdict(mark=mark("succeeded"), summary=f"Everything is fine{waits}", lines=tuple(lines))


def _card(site: Site, look: Look, kept: Kept, target: str) -> TargetCard:
    builds = kept.get(("freshness", target), (look.number, look.event), WAITING_AFTER, lambda: _fresh(site, target))
    lags = [lag for _, lag in builds]
    usual = median(lags) if lags else None
    told = (
        f"From commit to repository, the last {count(lags, 'build')}: "
        f"half took at most {duration(usual)}, the slowest {duration(max(lags))}"
        if lags
        else "Nothing was published yet"
    )
    return TargetCard(
        name=target,
        lag=usual,
        bars=[Bar(value=lag, label=f"{line(build.commit.package)}: {duration(lag)}") for build, lag in builds],
        told=told,
        pointers=tuple(each for each in look.standings if each.target == target),
    )


def _fresh(site: Site, target: str) -> list[tuple[Build, float]]:
    """The last builds that were published, the oldest first: how old their commits were then."""
    builds = site.conveyor.store.builds(target=target, trunk=True, limit=3 * PLOTTED)
    return [
        (each, max(0.0, (each.finished_at - each.commit.upstream.committed_at).total_seconds()))
        for each in builds
        if each.published and each.finished_at is not None and not each.commit.rebuild
    ][:PLOTTED][::-1]


def _waiting(site: Site, look: Look, kept: Kept) -> Waiting:
    if not look.queue.waiting:
        return Waiting(waiting=(), count=0)
    state = kept.get("waiting", id(site.repos), WAITING_AFTER, lambda: looking.queue_view(site).look(limit=WAITING))
    return Waiting(waiting=state.waiting, count=state.count)
