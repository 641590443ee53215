"""The page of the queue."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from conveyor.pipeline.explaining.places import daemon_words
from conveyor.pipeline.explaining.waits import cycle_words
from conveyor.pipeline.explaining.words import paused
from conveyor.web.pages import looking
from conveyor.web.pages.answer import Show
from conveyor.web.pages.environment import query

SHOWN = 100
MOST = 2000

router = APIRouter(include_in_schema=False)


@router.get("/queue")
def queue(
    pages: Show, package: str = "", target: str = "", limit: Annotated[int, Query(ge=1, le=MOST)] = SHOWN
) -> Response:
    """What is built, and what waits in the order in which it will start."""
    site = pages.site
    of = site.repos.package(package).name if package else None
    where = site.repos.target(target).name if target else None
    state = looking.queue_view(site).look(package=of, target=where, limit=limit)
    more = state.count > limit and limit < MOST
    return pages.page(
        "queue.html",
        state=state,
        daemon=daemon_words(state.daemon, state.at),
        pauses=[paused(each, state.at) for each in state.pauses],
        cycles=[cycle_words(each) for each in state.cycles],
        package=package,
        target=target,
        all_targets=list(site.repos.targets),
        next=f"/queue{query(package=package, target=target, limit=min(MOST, limit * 4))}" if more else "",
    )
