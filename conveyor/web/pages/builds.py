"""The page of a build, and what one can do there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Response
from fastapi import Path as InPath
from fastapi.responses import RedirectResponse

from conveyor.errors import UnknownName
from conveyor.model.artifact import Artifact, SnapshotEntry
from conveyor.model.build import Build, Outcome, State
from conveyor.pipeline.attempt import folder_of
from conveyor.pipeline.explaining.build import Work
from conveyor.web.access.guard import Operator
from conveyor.web.live.routes import Reading
from conveyor.web.pages import looking
from conveyor.web.pages.answer import Show
from conveyor.web.pages.environment import is_web, segment
from conveyor.web.pages.logs import kept_logs, last_log
from conveyor.web.pages.states import Mark, mark
from conveyor.web.site import Here, Site

SEE_OTHER = 303
# Of the rendered packaging so much is shown.
FILES = 100
FILE_BYTES = 128 * 1024
Number = Annotated[int, InPath(ge=1, lt=2**62)]

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRow:
    """A stage of an attempt.

    Attributes:
        name: its name.
        seconds: how long it took.
        share: of the attempt's time, from 0 to 1.
        since: of one that runs, since when; None for others.
        mark: how it ended, where that is not with success.
    """

    name: str
    seconds: float = 0.0
    share: float = 0.0
    since: datetime | None = None
    mark: Mark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileShown:
    """A rendered file.

    Attributes:
        path: its path, relative.
        text: its content; None where it is no text.
        cut: whether that is only its beginning.
    """

    path: str
    text: str | None
    cut: bool


@router.get("/builds/{number}")
def build(number: Number, pages: Show, live: Reading) -> Response:
    """The page of a build."""
    site, store = pages.site, pages.site.conveyor.store
    found = store.build(number)
    entry = _entry(site, found)
    attempts = store.attempts(number)
    return pages.page(
        "build.html",
        build=found,
        unfinished=found.state is not State.FINISHED,
        can_retry=_can_retry(site, found),
        answer=looking.explainer(site).of_build(found),
        stages=stage_rows(found, looking.work(site, found)),
        total=sum(each.seconds for each in found.stages),
        has_packaging=_packaging(site, found).is_dir(),
        log=last_log(site, live.logs, found),
        entry=entry,
        pool_url=lambda artifact: pool_url(site, found.target, artifact),
        provenance=store.provenance(number) if entry else None,
        attempts=attempts,
        logs=kept_logs(site, attempts),
    )


@router.get("/builds/{number}/packaging")
def packaging(number: Number, pages: Show) -> Response:
    """The packaging of a build's last attempt, as it was rendered."""
    found = pages.site.conveyor.store.build(number)
    files = list(islice(_files(_packaging(pages.site, found)), FILES))
    return pages.page("packaging.html", build=found, files=files)


@router.post("/builds/{number}/retry")
def retry(number: Number, site: Here, who: Operator) -> Response:
    """Try a build again; the browser goes back to its page."""
    looking.controls(site).retry(str(number), None, who.name)
    return RedirectResponse(f"/builds/{number}", SEE_OTHER)


@router.post("/builds/{number}/cancel")
def cancel(number: Number, site: Here, who: Operator) -> Response:
    """Cancel a build; the browser goes back to its page."""
    looking.controls(site).cancel(number, who.name)
    return RedirectResponse(f"/builds/{number}", SEE_OTHER)


def stage_rows(build: Build, work: Work) -> list[StageRow]:
    """The stages of a build's last attempt, and the one that runs."""
    total = sum(each.seconds for each in build.stages) or 1.0
    broken = build.cause.stage if build.cause and build.state is State.FINISHED else None
    rows = [
        StageRow(
            name=each.stage,
            seconds=each.seconds,
            share=each.seconds / total,
            mark=mark(build.outcome) if each.stage is broken else None,
        )
        for each in build.stages
    ]
    if work.stage is not None and work.since is not None:
        rows.append(StageRow(name=work.stage, since=work.since))
    return rows


def pool_url(site: Site, target: str, artifact: Artifact) -> str:
    """Where a file is: below `base_url`, or here where that is an address for this machine only; empty without it."""
    path = "/".join(segment(part) for part in artifact.pool_path.split("/"))
    public = site.conveyor.tree.url(target, f"pool/{path}")
    if is_web(public):
        return public
    is_here = site.conveyor.tree.artifact_path(target, artifact).is_file()
    return f"/repos/{segment(target)}/pool/{path}" if is_here else ""


def _can_retry(site: Site, build: Build) -> bool:
    package = site.repos.packages.get(build.commit.package)
    wanted = package is not None and build.target in package.targets
    return wanted and build.state is State.FINISHED and build.outcome is not Outcome.SUCCEEDED


def _entry(site: Site, build: Build) -> SnapshotEntry | None:
    if build.outcome is not Outcome.SUCCEEDED or not build.commit.trunk:
        return None
    try:
        return site.conveyor.store.entry(build.id)
    except UnknownName:
        return None


def _packaging(site: Site, build: Build) -> Path:
    folder = folder_of(site.settings.data_dir / "builds", build)
    return (folder or Path("/nonexistent")) / "packaging"


def _files(folder: Path) -> Iterator[FileShown]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield _shown(path, str(path.relative_to(folder)))


def _shown(path: Path, name: str) -> FileShown:
    with path.open("rb") as file:
        content = file.read(FILE_BYTES + 1)
    text = None if b"\0" in content else content[:FILE_BYTES].decode("utf-8", "replace")
    return FileShown(path=name, text=text, cut=len(content) > FILE_BYTES)
