"""All of DLRN's API: below `/api/` for one target, below `/dlrn/<target>/api/` for each."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from conveyor.web.api.limits import limited
from conveyor.web.dlrn import acting, looking, metrics, reports, votes

EACH = "/dlrn/{target}"

router = APIRouter(include_in_schema=False)
for _room in (looking.router, acting.router, reports.api, votes.router):
    router.include_router(_room, dependencies=[Depends(limited)])
    router.include_router(_room, prefix=EACH, dependencies=[Depends(limited)])
for _place in ("/repos", "/repos/{target}", EACH):
    router.include_router(reports.tree, prefix=_place)
router.include_router(metrics.router)
