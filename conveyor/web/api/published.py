"""Snapshots, votes, the ledger and events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from conveyor.documents.events import event_as_json
from conveyor.documents.ledger import entries_as_json, entry_as_json
from conveyor.documents.snapshots import difference_as_json, listed_as_json, places_as_json, shown_as_json
from conveyor.documents.votes import newest_votes_as_json, votes_as_json
from conveyor.model.event import EventKind
from conveyor.model.promotion import CURRENT, VotesWanted
from conveyor.pipeline.pointing.verify_ledger import head_of
from conveyor.web.access.guard import Reader
from conveyor.web.api import models
from conveyor.web.api.answering import Changes, answer, unchanged
from conveyor.web.api.parts import LAST, Cursor, Desked, Limit, Named, OfPackage, OfTarget, versioned
from conveyor.web.site import Here

router = APIRouter()
NAMED = "A pointer, a build's number, a commit's id, or the beginning of one."

Asked = Annotated[str, Query(min_length=1, max_length=200, description=NAMED)]
Pointer = Annotated[str | None, Query(max_length=200, description="Only this pointer.")]


@router.get("/snapshots", response_model=models.Snapshots, summary="What was published", tags=["snapshots"])
def snapshots(
    request: Request,
    desk: Desked,
    _reader: Reader,
    target: OfTarget = None,
    package: OfPackage = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many of each target.")] = 20,
) -> Response:
    """Of each target the one published last first; what `conveyor snapshot list --json` prints."""
    return answer(request, listed_as_json(desk.url, desk.snapshots(target, package, limit)))


@router.get("/snapshots/at", response_model=models.Places, summary="Where a pointer was", tags=["snapshots"])
def at(
    request: Request,
    desk: Desked,
    _reader: Reader,
    time: Annotated[datetime, Query(description="ISO 8601; UTC without a zone.")],
    pointer: Annotated[str, Query(max_length=200)] = CURRENT,
    target: OfTarget = None,
) -> Response:
    """At a time; what `conveyor snapshot at --json` prints. Of targets that had no such pointer `missing` tells."""
    moment = time.replace(tzinfo=UTC) if time.utcoffset() is None else time
    found, missing = desk.places(target, moment, pointer)
    return answer(request, places_as_json(desk.url, moment, pointer, found, missing))


@router.get("/snapshots/diff", response_model=models.DifferenceDocument, summary="What differs", tags=["snapshots"])
def difference(
    request: Request, desk: Desked, _reader: Reader, before: Asked, after: Asked, target: OfTarget = None
) -> Response:
    """Between two snapshots of a target; what `conveyor snapshot diff --json` prints."""
    return answer(request, difference_as_json(desk.url, desk.difference(before, after, target)))


@router.get("/snapshots/{named}", response_model=models.ShownSnapshot, summary="A snapshot", tags=["snapshots"])
def snapshot(request: Request, desk: Desked, _reader: Reader, named: Named, target: OfTarget = None) -> Response:
    """What it holds, and the lines that make a client use it; what `conveyor snapshot show --json` prints."""
    return answer(request, shown_as_json(desk.url, desk.snapshot(named, target)))


@router.get("/votes", response_model=models.VotesPage, summary="What tests said last", tags=["pointers"])
def newest_votes(
    request: Request,
    desk: Desked,
    _reader: Reader,
    target: Annotated[str, Query(min_length=1, max_length=200, description="On what was published for it.")],
    job: Annotated[str | None, Query(max_length=200, description="Only of this test.")] = None,
    success: Annotated[bool | None, Query(description="False for those that run, too.")] = None,
    since: Annotated[datetime | None, Query(description="Cast later than this; UTC without a zone.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """On all commits, the latest first. Pages are counted from the latest, so what comes meanwhile moves them."""
    wanted = VotesWanted(
        target=target,
        job=job,
        success=success,
        since=since.replace(tzinfo=UTC) if since is not None and since.utcoffset() is None else since,
        offset=int(cursor or 0),
        limit=limit + 1,
    )
    found = desk.newest_votes(wanted)
    document = newest_votes_as_json(found[:limit])
    return answer(request, {**document, "next": str(wanted.offset + limit) if len(found) > limit else None})


@router.get("/votes/{commit}", response_model=models.Votes, summary="What tests said", tags=["pointers"])
def votes(request: Request, desk: Desked, _reader: Reader, commit: Named, target: OfTarget = None) -> Response:
    """Of a published commit, oldest first; of each test the latest counts."""
    subject, found = desk.votes(commit, target)
    return answer(request, votes_as_json(subject, found))


@router.get("/ledger", response_model=models.Entries, summary="What moved pointers", tags=["pointers"])
def ledger(
    request: Request,
    desk: Desked,
    _reader: Reader,
    target: OfTarget = None,
    pointer: Pointer = None,
    limit: Annotated[int, Query(ge=1, le=10_000, description="How many at most.")] = 20,
) -> Response:
    """The newest first; what `conveyor ledger --json` prints."""
    return answer(request, entries_as_json(desk.ledger(target, pointer, limit)))


@router.get("/ledger/verification", response_model=models.Verified, summary="Check the ledger", tags=["pointers"])
def verification(
    request: Request,
    desk: Desked,
    _reader: Reader,
    expect: Annotated[
        str | None, Query(max_length=100, description="NUMBER:HASH, as it was noted elsewhere: it must be there.")
    ] = None,
) -> Response:
    """See that every entry is what was written, and that none is missing; a problem where that is not so."""
    last = desk.verify_ledger(expect)
    document = versioned(
        entries=last.number if last else 0,
        last=entry_as_json(last) if last else None,
        head=head_of(last) if last else None,
    )
    return answer(request, document)


@router.get("/events", response_model=models.EventsPage, summary="What happened", tags=["events"])
def events(
    request: Request,
    site: Here,
    _reader: Reader,
    changes: Changes,
    package: OfPackage = None,
    target: OfTarget = None,
    build: Annotated[int | None, Query(ge=1, le=LAST, description="Only about this build.")] = None,
    kind: Annotated[list[EventKind] | None, Query(max_length=50, description="Only of these kinds.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """The newest page first, and in it the newest last."""
    same = unchanged(request, changes)
    if same is not None:
        return same
    before = int(cursor) if cursor else None
    found = site.conveyor.events.newest(
        package=package, target=target, build=build, kinds=kind or (), before=before, limit=limit + 1
    )
    page = found[:limit]
    document = versioned(
        events=[event_as_json(event) for event in reversed(page)],
        next=str(page[-1].number) if len(found) > limit else None,
    )
    return answer(request, document, tag=changes)
