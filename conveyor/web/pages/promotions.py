"""The page of pointers, and of the ledger that tells who moved them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from conveyor.pipeline.pointing.standings import Standing
from conveyor.web.pages import looking
from conveyor.web.pages.answer import Show
from conveyor.web.pages.environment import query

SHOWN = 50
MOST = 5000

router = APIRouter(include_in_schema=False)


@router.get("/promotions")
def promotions(
    pages: Show, target: str = "", pointer: str = "", limit: Annotated[int, Query(ge=1, le=MOST)] = SHOWN
) -> Response:
    """Where every pointer stands, what holds it back, and how it came there."""
    site = pages.site
    where = site.repos.target(target).name if target else None
    by_target: dict[str, list[Standing]] = {name: [] for name in site.repos.targets}
    for each in looking.standings(site).of(tuple(site.repos.targets)):
        by_target[each.target].append(each)
    entries = site.conveyor.ledger.entries(target=where, pointer=pointer or None, limit=limit + 1)
    more = len(entries) > limit and limit < MOST
    following = query(target=target, pointer=pointer, limit=min(MOST, limit * 4))
    return pages.page(
        "promotions.html",
        targets=by_target,
        entries=entries[:limit],
        target_asked=target,
        pointer_asked=pointer,
        next=f"/promotions{following}#ledger" if more else "",
    )
