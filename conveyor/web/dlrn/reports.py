"""DLRN's reports under their old names: the pages of Conveyor with the same filters, and the CSV itself."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Response
from fastapi.responses import RedirectResponse

from conveyor.model.build import Build, Outcome
from conveyor.web.access.guard import Reader
from conveyor.web.dlrn.place import Place, There
from conveyor.web.overview import Looked

COLUMNS = ("Project", "Source Sha", "Dist Sha", "Extended Sha", "Component", "Status", "Timestamp", "Packages")
STATUS = {Outcome.SUCCEEDED: "SUCCESS", Outcome.FAILED: "FAILED", Outcome.ERRORED: "RETRY"}
Text = Annotated[str, Query(max_length=1000)]

api = APIRouter()
tree = APIRouter()


@api.get("/api/report.html")
def report(_who: Reader, place: There, package: Text = "", success: bool | None = None) -> Response:
    """The builds, newest first."""
    state = {None: "", True: Outcome.SUCCEEDED, False: Outcome.FAILED}[success]
    return _to("/search", target=place.target, package=package, state=state)


@tree.get("/report.html")
def published_report(_who: Reader, place: There) -> Response:
    """The same, where DLRN publishes it."""
    return _to("/search", target=place.target)


@tree.get("/status_report.html")
def status_report(_who: Reader, place: There) -> Response:
    """How each package stands."""
    return _to("/", target=place.target)


@tree.get("/queue.html")
def queue(_who: Reader, place: There) -> Response:
    """What waits."""
    return _to("/queue", target=place.target)


@tree.get("/status_report.csv")
def status_csv(_who: Reader, place: There, look: Looked) -> Response:
    """How each package stands, in DLRN's columns."""
    cells = look.cells.items()
    latest = sorted((package, cell.shown) for (package, target), cell in cells if target == place.target)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_rows(place, [build for _, build in latest]))
    return Response(text.getvalue().encode(errors="replace"), media_type="text/csv; charset=utf-8")


def _rows(place: Place, builds: list[Build]) -> Iterator[tuple[str | int, ...]]:
    brought = {entry.package: entry for entry in place.site.conveyor.store.entries(place.target)}
    for build in builds:
        if build.outcome not in STATUS or build.finished_at is None:
            continue
        commit = build.commit
        entry = brought.get(commit.package)
        own = entry is not None and entry.commit_id == commit.id
        yield (
            commit.package,
            commit.upstream.sha,
            commit.packaging_sha,
            commit.extended,
            place.site.repos.package(commit.package).component,
            STATUS[build.outcome],
            int(build.finished_at.timestamp()),
            "|".join(artifact.filename for artifact in entry.artifacts) if entry is not None and own else "",
        )


def _to(path: str, **filters: str) -> Response:
    kept = {name: value for name, value in filters.items() if value}
    return RedirectResponse(f"{path}?{urlencode(kept)}" if kept else path, HTTPStatus.FOUND)
