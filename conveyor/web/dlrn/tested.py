"""Which repository a test should take: the last one that was tested, or that is consistent."""

from __future__ import annotations

from datetime import datetime, timedelta
from http import HTTPStatus

from conveyor.model.promotion import CONSISTENT, LedgerEntry, Vote, VotesWanted, consistent_of
from conveyor.web.dlrn.answers import Refused
from conveyor.web.dlrn.asked import LastTested
from conveyor.web.dlrn.place import Place


def last_tested(place: Place, asked: LastTested) -> Vote:
    """The vote on the repository that is wanted.

    With `sequential_mode` it is the last vote of `previous_job_id`. Else it is the last one of `job_id`, else of any
    job, else one that stands for `consistent`. What retention removed is left out.

    Raises:
        Refused: there is none.
    """
    since = place.site.conveyor.clock.now() - timedelta(hours=asked.max_age) if asked.max_age else None
    if asked.sequential_mode:
        if asked.previous_job_id is None:
            raise Refused(HTTPStatus.BAD_REQUEST, "Missing parameter previous_job_id")
        found = _latest(place, asked, since, asked.previous_job_id)
    else:
        found = _latest(place, asked, since, asked.job_id) if asked.job_id is not None else None
        found = found or _latest(place, asked, since, None) or _consistent(place, asked, since)
    if found is None:
        raise Refused(HTTPStatus.BAD_REQUEST, "No vote found")
    return found


def _latest(place: Place, asked: LastTested, since: datetime | None, job: str | None) -> Vote | None:
    wanted = VotesWanted(
        target=place.target,
        since=since,
        job=job,
        success=asked.success,
        component=asked.component,
        there=True,
        limit=1,
    )
    return next(iter(place.site.conveyor.votes.newest(wanted)), None)


def _consistent(place: Place, asked: LastTested, since: datetime | None) -> Vote | None:
    """What DLRN has as a vote of a job called so: the last move of the pointer."""
    entry = _last_move(place, asked.component)
    if entry is None or asked.success is False or (since is not None and entry.at <= since):
        return None
    return Vote(
        subject=entry.step.after, target=place.target, job=CONSISTENT, success=True, user=entry.actor, at=entry.at
    )


def _last_move(place: Place, component: str | None) -> LedgerEntry | None:
    """The last move of `consistent`: of that of a component, where it has its own."""
    ledger = place.site.conveyor.ledger
    if component is not None:
        own = ledger.entries(target=place.target, pointer=consistent_of(component), limit=1)
        if own:
            return own[0]
    found = next(iter(ledger.entries(target=place.target, pointer=CONSISTENT, limit=1)), None)
    if found is None or component in {None, place.repo(found.step.after).component}:
        return found
    return None
