"""The page of what happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Response

from conveyor.model.event import EventKind
from conveyor.web.pages.answer import Show
from conveyor.web.pages.environment import query
from conveyor.web.pages.filters import require_known

SHOWN = 100

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which events are wanted."""

    package: str
    target: str
    kind: str

    @property
    def is_set(self) -> bool:
        """Whether any are left out."""
        return bool(self.package or self.target or self.kind)


@router.get("/events")
def events(
    pages: Show,
    package: str = "",
    target: str = "",
    kind: str = "",
    before: Annotated[int | None, Query(ge=1, lt=2**62)] = None,
) -> Response:
    """What happened, the newest first."""
    require_known("kind of event", kind, EventKind)
    site, asked = pages.site, Asked(package=package, target=target, kind=kind)
    found = site.conveyor.events.newest(
        package=package or None,
        target=target or None,
        kinds=[EventKind(kind)] if kind else (),
        before=before,
        limit=SHOWN + 1,
    )
    shown = found[:SHOWN]
    following = query(package=package, target=target, kind=kind, before=shown[-1].number) if shown else ""
    return pages.page(
        "events.html",
        events=shown,
        asked=asked,
        kinds=sorted(EventKind),
        all_targets=dict.fromkeys([*site.repos.targets, *([target] if target else [])]),
        next=f"/events{following}" if len(found) > len(shown) else "",
    )
