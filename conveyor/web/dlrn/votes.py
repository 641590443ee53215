"""The votes as pages, under DLRN's names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import RedirectResponse

from conveyor.model.promotion import Vote, VotesWanted
from conveyor.web.dlrn.answers import Refused
from conveyor.web.dlrn.asked import Hashes
from conveyor.web.dlrn.place import Place, There
from conveyor.web.pages.answer import Pages, Show
from conveyor.web.pages.environment import query, segment

SHOWN = 100
Text = Annotated[str, Query(max_length=1000)]
Skipped = Annotated[int, Query(ge=0, lt=2**31)]

router = APIRouter()


@router.get("/api/civotes.html")
def votes(pages: Show, place: There, offset: Skipped = 0) -> Response:
    """The votes on commits, the latest first."""
    return _page(pages, place, VotesWanted(target=place.target, offset=offset, limit=SHOWN))


@router.get("/api/civotes_detail.html")
def some_votes(
    pages: Show,
    place: There,
    commit_hash: Text = "",
    distro_hash: Text = "",
    component: Text = "",
    ci_name: Text = "",
    success: bool | None = None,
    offset: Skipped = 0,
) -> Response:
    """The votes on a commit, of a component or of a job."""
    if commit_hash and distro_hash:
        found = place.find(Hashes(commit_hash=commit_hash, distro_hash=distro_hash))
        to = f"/targets/{segment(place.target)}/snapshots/{segment(found.snapshot.commit)}"
        return RedirectResponse(to, HTTPStatus.FOUND)
    if not component and not ci_name:
        what = "Please specify either commit_hash+distro_hash, component or ci_name as parameters."
        raise Refused(HTTPStatus.BAD_REQUEST, what)
    wanted = VotesWanted(
        target=place.target,
        component=component or None,
        job=ci_name or None,
        success=success,
        offset=offset,
        limit=SHOWN,
    )
    return _page(pages, place, wanted)


@router.get("/api/civotes_agg.html")
def aggregate_votes(pages: Show, place: There, offset: Skipped = 0) -> Response:
    """The votes on aggregated repository files, the latest first."""
    return _page(pages, place, VotesWanted(target=place.target, aggregates=True, offset=offset, limit=SHOWN))


@router.get("/api/civotes_agg_detail.html")
def some_aggregate_votes(
    pages: Show,
    place: There,
    ref_hash: Text = "",
    ci_name: Text = "",
    success: bool | None = None,
    offset: Skipped = 0,
) -> Response:
    """The votes on an aggregated repository file, or of a job."""
    if not ref_hash and not ci_name:
        raise Refused(HTTPStatus.BAD_REQUEST, "Please specify either ref_hash or ci_name as parameters.")
    wanted = VotesWanted(
        target=place.target, aggregates=True, job=ci_name or None, success=success, offset=offset, limit=SHOWN
    )
    if not ref_hash:
        return _page(pages, place, wanted)
    found = place.site.conveyor.votes.of(ref_hash, target=place.target)[::-1]
    fitting = [vote for vote in found if ci_name in {"", vote.job} and success in {None, bool(vote.success)}]
    return _rendered(pages, place, wanted, fitting[offset : offset + SHOWN + 1])


def _page(pages: Pages, place: Place, wanted: VotesWanted) -> Response:
    return _rendered(pages, place, wanted, place.site.conveyor.votes.newest(replace(wanted, limit=SHOWN + 1)))


def _rendered(pages: Pages, place: Place, wanted: VotesWanted, found: Sequence[Vote]) -> Response:
    """A page of votes; one more than are shown tells that there are more."""
    following = {**pages.request.query_params, "offset": wanted.offset + SHOWN} if len(found) > SHOWN else {}
    return pages.page(
        "dlrn_votes.html",
        target=place.target,
        aggregates=wanted.aggregates,
        votes=found[:SHOWN],
        next=f"{pages.request.url.path}{query(**following)}" if following else "",
    )
