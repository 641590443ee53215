"""What DLRN's API tells."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus

from fastapi import APIRouter, Response

from conveyor.web.access.guard import Reader, Voter
from conveyor.web.dlrn import documents
from conveyor.web.dlrn.aggregates import Known
from conveyor.web.dlrn.answers import Refused, reply
from conveyor.web.dlrn.asked import (
    AggregateStatus,
    BuildMetrics,
    Hashes,
    LastTested,
    Parameters,
    Promotions,
    RepoStatus,
)
from conveyor.web.dlrn.place import Place, There
from conveyor.web.dlrn.tested import last_tested

MOST = 100
DAY = "%Y-%m-%d"

router = APIRouter()


@router.get("/api/health")
def health(_who: Reader, place: There) -> Response:
    """That the store can be read."""
    return _healthy(place)


@router.post("/api/health")
def health_signed_in(_who: Voter, place: There) -> Response:
    """The same, and that a name and password are good for votes."""
    return _healthy(place)


@router.get("/api/last_tested_repo")
def last_tested_repo(_who: Reader, place: There, given: Parameters) -> Response:
    """The repository that a test should take."""
    vote = last_tested(place, given.as_(LastTested))
    return reply(documents.tested(place.repo(vote.subject), vote))


@router.get("/api/repo_status")
def repo_status(_who: Reader, place: There, given: Parameters) -> Response:
    """The votes on a commit, the oldest first."""
    asked = given.as_(RepoStatus)
    repo = place.find(asked).repo
    votes = place.site.conveyor.votes.of(repo.commit, target=place.target)
    return reply([documents.vote_on_repo(repo, vote) for vote in votes if asked.success in {None, bool(vote.success)}])


@router.get("/api/agg_status")
def agg_status(_who: Reader, place: There, given: Parameters) -> Response:
    """The votes on an aggregated repository file, the oldest first."""
    asked = given.as_(AggregateStatus)
    votes = place.site.conveyor.votes.of(asked.aggregate_hash, target=place.target)
    return reply([documents.vote_on_aggregate(vote) for vote in votes if asked.success in {None, bool(vote.success)}])


@router.get("/api/promotions")
def promotions(_who: Reader, place: There, given: Parameters, aggregates: Known) -> Response:
    """Where promotions led, the newest first. A roll-back is one, too: so the first is where the name leads now."""
    asked = given.as_(Promotions)
    entries = place.site.conveyor.ledger.promotions(
        place.target,
        pointer=asked.promote_name,
        commits=_commits(place, asked, aggregates),
        component=asked.component,
        offset=asked.offset,
        limit=min(asked.limit, MOST),
    )
    return reply([documents.promotion(place, entry, aggregates.of(place, entry.step.after)) for entry in entries])


@router.get("/api/components")
def components(_who: Reader, place: There) -> Response:
    """The components that the target's packages have."""
    packages = place.site.repos.packages.values()
    return reply({"components": sorted({each.component for each in packages if place.target in each.targets})})


@router.get("/api/metrics/builds")
def build_metrics(_who: Reader, place: There, given: Parameters) -> Response:
    """How many builds succeeded and failed from one day up to, and without, another."""
    asked = given.as_(BuildMetrics)
    since, until = _day(asked.start_date), _day(asked.end_date)
    ended = place.site.conveyor.books.tally.ended(place.target, since=since, until=until, package=asked.package_name)
    return reply({"succeeded": ended.succeeded, "failed": ended.failed, "total": ended.succeeded + ended.failed})


@router.get("/api/graphql")
def graphql(_who: Reader) -> Response:
    """Not there: what it answered has other places."""
    raise Refused(
        HTTPStatus.NOT_IMPLEMENTED,
        "Conveyor has no GraphQL: /api/v1/builds has its commits, /api/v1/packages its packageStatus, /api/v1/votes its"
        " civote, /api/agg_status its civoteAgg",
    )


def _healthy(place: Place) -> Response:
    built = place.site.conveyor.store.builds(limit=1)
    return reply({"result": "ok" if built else "ok, no commits in DB"})


def _commits(place: Place, asked: Promotions, aggregates: Known) -> list[str] | None:
    """Ids of the commits that are asked for; None for all."""
    if asked.commit_hash is None and asked.distro_hash is None and asked.extended_hash is None:
        wanted = None
    elif asked.commit_hash is None or asked.distro_hash is None:
        raise Refused(HTTPStatus.BAD_REQUEST, "commit_hash and distro_hash must be given together")
    else:
        hashes = Hashes(commit_hash=asked.commit_hash, distro_hash=asked.distro_hash, extended_hash=asked.extended_hash)
        wanted = [place.find(hashes).repo.commit]
    if asked.aggregate_hash is None:
        return wanted
    found = aggregates.commit(place, asked.aggregate_hash)
    return [] if found is None or found not in (wanted or [found]) else [found]


def _day(text: str) -> datetime:
    try:
        return datetime.strptime(text, DAY).replace(tzinfo=UTC)
    except ValueError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, "Invalid date format, it must be YYYY-mm-dd") from error
