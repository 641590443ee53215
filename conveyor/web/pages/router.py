"""All pages, put together."""

from __future__ import annotations

from fastapi import APIRouter

from conveyor.web.pages import (
    administration,
    assets,
    badges,
    builds,
    events,
    feeds,
    front,
    logs,
    packages,
    promotions,
    queue,
    search,
    snapshots,
)

router = APIRouter()
for _room in (
    administration,
    assets,
    badges,
    builds,
    events,
    feeds,
    front,
    logs,
    packages,
    promotions,
    queue,
    search,
    snapshots,
):
    router.include_router(_room.router)
