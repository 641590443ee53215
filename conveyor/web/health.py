"""Whether the server is alive and ready."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from conveyor.web.site import Here

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
def alive() -> dict[str, Any]:
    """That this process answers."""
    return {"alive": True}


@router.get("/readyz")
def ready(site: Here) -> dict[str, Any]:
    """That the store can be read; errors are answered as problems."""
    site.conveyor.queue.changes(0)
    return {"ready": True, "reasons": [site.discretion.told(site.mistake.summary)] if site.mistake else []}
