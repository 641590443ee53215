"""What happened, as Atom feeds: RFC 4287."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from fastapi import APIRouter, Response

from conveyor.model.event import Event, EventKind
from conveyor.model.text import plain
from conveyor.web.pages.answer import ATOM, Pages, Show
from conveyor.web.pages.environment import segment
from conveyor.web.site import Site

SHOWN = 50
# Events that people wait for; each step of a build would be noise.
TOLD = (
    EventKind.FIRST_SEEN,
    EventKind.FORCE_PUSHED,
    EventKind.BRANCH_GONE,
    EventKind.BRANCH_BACK,
    EventKind.PUBLISHED,
    EventKind.FAILED,
    EventKind.FAILED_AGAIN,
    EventKind.WORKS_AGAIN,
    EventKind.ERRORED,
    EventKind.GAVE_UP,
    EventKind.CANCELLED,
    EventKind.FLAKY,
    EventKind.POINTER_MOVED,
    EventKind.DISK_LOW,
    EventKind.STALE,
)
FAILURES = (EventKind.FAILED, EventKind.FAILED_AGAIN, EventKind.ERRORED, EventKind.GAVE_UP, EventKind.FLAKY)
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedEntry:
    """One event."""

    id: str
    title: str
    updated: str
    url: str
    kind: str
    text: str


@router.get("/feeds/all.atom")
def everything(pages: Show) -> Response:
    """What happened that people wait for."""
    return _feed(pages, "Conveyor", "/events")


@router.get("/feeds/failures.atom")
def failures(pages: Show) -> Response:
    """What broke."""
    return _feed(pages, "Conveyor: failures", "/", kinds=FAILURES)


@router.get("/packages/{name}/feed.atom")
def of_package(name: str, pages: Show) -> Response:
    """What happened to a package."""
    chosen = pages.site.repos.package(name).name
    return _feed(pages, f"Conveyor: {chosen}", f"/packages/{segment(chosen)}", package=chosen)


@router.get("/targets/{target}/feed.atom")
def of_target(target: str, pages: Show) -> Response:
    """What happened on a target."""
    chosen = pages.site.repos.target(target).name
    return _feed(pages, f"Conveyor: {chosen}", f"/targets/{segment(chosen)}", target=chosen)


def _feed(
    pages: Pages,
    title: str,
    about: str,
    *,
    kinds: Collection[EventKind] = TOLD,
    package: str | None = None,
    target: str | None = None,
) -> Response:
    base = base_of(pages.site)
    found = pages.site.conveyor.events.newest(package=package, target=target, kinds=kinds, limit=SHOWN)
    path = pages.request.url.path
    text = pages.render(
        "feed.xml",
        id=tag_of(base, path, _NEVER),
        title=title,
        updated=_stamp(found[0].at if found else _NEVER),
        this=f"{base}{path}",
        alternate=f"{base}{about}",
        entries=_entries(base, found),
    )
    return pages.answer(text, ATOM)


def base_of(site: Site) -> str:
    """Where people reach the site."""
    return site.settings.web.url or f"http://{site.settings.web.listen}"


def _entries(base: str, events: Sequence[Event]) -> list[FeedEntry]:
    return [
        FeedEntry(
            id=tag_of(base, f"event/{each.number}", each.at),
            title=each.summary,
            updated=_stamp(each.at),
            url=f"{base}/builds/{each.build}" if each.build else f"{base}/events#event-{each.number}",
            kind=each.kind,
            text=", ".join(filter(None, [plain(each.summary), each.package, each.target])),
        )
        for each in events
    ]


def tag_of(base: str, name: str, at: datetime) -> str:
    """A name that never changes, whatever becomes of the address: a tag URI, RFC 4151."""
    return f"tag:{urlsplit(base).hostname or 'localhost'},{at.astimezone(UTC):%Y-%m-%d}:{name.lstrip('/')}"


def _stamp(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
