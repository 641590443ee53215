"""What can be done from afar. The same as the commands do, by the same means."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from conveyor.documents.acts import (
    builds_as_json,
    cancelled_as_json,
    paused_as_json,
    rebuilds_as_json,
    resumed_as_json,
)
from conveyor.documents.ledger import entries_as_json
from conveyor.documents.orders import ordered_as_json
from conveyor.documents.votes import vote_as_json
from conveyor.errors import UserError
from conveyor.model.queue import Priority, Scope, ScopeKind
from conveyor.pipeline.desk import Promotion
from conveyor.pipeline.pointing.rollback import Wish
from conveyor.pipeline.pointing.voting import Ballot
from conveyor.web.access.guard import Admin, Operator, Promoter, Reader, Voter
from conveyor.web.api import models
from conveyor.web.api.answering import Acting, answer
from conveyor.web.api.parts import LAST, PREFIX, BuildNumber, Desked, Named, versioned

router = APIRouter(tags=["acting"])

NO_TARGET = models.TargetWish()
NO_ORDER = models.OrderWish()


@router.post("/builds/{number}/retry", response_model=models.Builds, summary="Try a build again")
def retry(
    number: BuildNumber, desk: Desked, operator: Operator, once: Acting, wish: models.TargetWish = NO_TARGET
) -> Response:
    """One that did not succeed, or was superseded: it waits once more."""
    return once(lambda: builds_as_json(desk.retry(str(number), wish.target, operator.name), desk.daemon()))


@router.post("/packages/{name}/retry", response_model=models.Builds, summary="Try a package's latest builds again")
def retry_package(
    name: Named, desk: Desked, operator: Operator, once: Acting, wish: models.TargetWish = NO_TARGET
) -> Response:
    """Those that did not succeed."""
    return once(lambda: builds_as_json(desk.retry(_name(name), wish.target, operator.name), desk.daemon()))


@router.post("/builds/{number}/rebuild", response_model=models.Rebuilds, summary="Build a good build anew")
def rebuild(
    number: BuildNumber, desk: Desked, operator: Operator, once: Acting, wish: models.TargetWish = NO_TARGET
) -> Response:
    """With the build dependencies of now."""
    return once(lambda: rebuilds_as_json(desk.rebuild(str(number), wish.target, operator.name)))


@router.post(
    "/packages/{name}/rebuild", response_model=models.Rebuilds, summary="Build a package's newest good builds anew"
)
def rebuild_package(
    name: Named, desk: Desked, operator: Operator, once: Acting, wish: models.TargetWish = NO_TARGET
) -> Response:
    """With the build dependencies of now."""
    return once(lambda: rebuilds_as_json(desk.rebuild(_name(name), wish.target, operator.name)))


@router.post(
    "/packages/{name}/builds",
    response_model=models.OrderDocument,
    status_code=HTTPStatus.ACCEPTED,
    summary="Order a build of a commit",
)
def order(name: Named, desk: Desked, operator: Operator, once: Acting, wish: models.OrderWish = NO_ORDER) -> Response:
    """The daemon finds the commit and builds it, as `conveyor build` does. `Location` tells what becomes of it."""

    def act() -> dict[str, Any]:
        return ordered_as_json(desk.order(_name(name), wish.commit or "", wish.targets, operator.name))

    return once(act, place=lambda document: f"{PREFIX}/orders/{document['order']['number']}")


@router.get("/orders/{number}", response_model=models.OrderDocument, summary="What became of an order", tags=["builds"])
def ordered(
    request: Request,
    desk: Desked,
    _reader: Reader,
    number: Annotated[int, Path(ge=1, le=LAST, description="An order's number.")],
) -> Response:
    """Its builds as they stand, or why there are none. It is known for a month."""
    return answer(request, ordered_as_json(desk.ordered(number)))


@router.post("/builds/{number}/cancel", response_model=models.CancelledDocument, summary="Cancel a build")
def cancel(number: BuildNumber, desk: Desked, operator: Operator, once: Acting) -> Response:
    """One that waits ends at once; one that runs is ended by the daemon of its machine."""
    return once(lambda: cancelled_as_json(desk.cancel(number, operator.name)))


@router.put("/builds/{number}/priority", response_model=models.Builds, summary="Put a build before or after others")
def prioritize(
    number: BuildNumber, wish: models.PriorityWish, desk: Desked, operator: Operator, once: Acting
) -> Response:
    """One that waits."""
    priority = Priority[wish.priority.upper()]
    return once(lambda: builds_as_json([desk.prioritize(number, priority, operator.name)], desk.daemon()))


@router.post("/pauses", response_model=models.Paused, summary="Start no builds any more")
def pause(wish: models.PauseWish, desk: Desked, admin: Admin, once: Acting) -> Response:
    """Of everything, a target or a package; what runs goes on."""
    scope = _scope(wish.scope, wish.name)

    def act() -> dict[str, Any]:
        held, is_new = desk.pause(scope, wish.note, admin.name)
        return paused_as_json(held, is_new=is_new)

    return once(act)


@router.delete("/pauses", response_model=models.Resumed, summary="Start builds again")
def resume(
    desk: Desked,
    admin: Admin,
    once: Acting,
    scope: Annotated[ScopeKind, Query(description="Of what.")] = ScopeKind.ALL,
    name: Annotated[str | None, Query(max_length=200, description="Of the target or package.")] = None,
) -> Response:
    """After a pause of the same things."""
    of = _scope(scope, name)

    def act() -> dict[str, Any]:
        resumed, left = desk.resume(of, admin.name)
        return resumed_as_json(left, resumed=resumed)

    return once(act)


@router.post("/polls", response_model=models.Polled, summary="Look for new commits now")
def poll(wish: models.PollWish, desk: Desked, operator: Operator, once: Acting) -> Response:
    """The daemon does it; it builds what it finds."""
    return once(lambda: versioned(packages=list(desk.poll(wish.packages, operator.name))))


@router.post("/votes/{commit}", response_model=models.Voted, summary="Say what a test found", tags=["pointers"])
def vote(commit: Named, wish: models.VoteWish, desk: Desked, voter: Voter, once: Acting) -> Response:
    """On a published commit. Earlier votes of the same job stay, and the latest counts."""
    ballot = Ballot(
        commit=commit,
        target=wish.target,
        job=wish.job,
        success=wish.success,
        url=wish.url,
        notes=wish.notes,
        user=voter.name,
    )

    def act() -> dict[str, Any]:
        voted, problems = desk.vote(ballot)
        told = [problem.summary for problem in problems]
        return versioned(commit=voted.subject, vote=vote_as_json(voted), problems=told)

    return once(act)


@router.post(
    "/promotions/{name}",
    response_model=models.Entries | models.Plan,
    summary="Move a promotion",
    tags=["pointers"],
)
def promote(name: Named, wish: models.PromotionWish, desk: Desked, promoter: Promoter, once: Acting) -> Response:
    """To the snapshots of a commit, on all targets or on none, if it has all that repos.yaml asks for."""
    promotion = Promotion(
        commit=wish.commit,
        name=name,
        targets=tuple(wish.targets),
        actor=promoter.name,
        note=wish.note,
        keep=wish.keep,
    )

    def act() -> dict[str, Any]:
        if not wish.dry_run:
            return entries_as_json(desk.promote(promotion))
        plan = desk.plan(promotion).items()
        found = [{"target": target, "before": before, "after": after} for target, (before, after) in plan]
        return versioned(plan=found)

    return once(act)


@router.post(
    "/pointers/{name}/rollback", response_model=models.Rolled, summary="Move a pointer back", tags=["pointers"]
)
def rollback(name: Named, wish: models.RollbackWish, desk: Desked, promoter: Promoter, once: Acting) -> Response:
    """To where it was before its last move, on all targets of that move; or to where you say."""
    targets = tuple(dict.fromkeys(wish.targets))
    asked = Wish(pointer=name, targets=targets, to=wish.to, actor=promoter.name, note=wish.note)

    def act() -> dict[str, Any]:
        moved, problems = desk.rollback(asked)
        return {**entries_as_json(moved), "problems": [problem.summary for problem in problems]}

    return once(act)


def _name(package: str) -> str:
    """A package's name: a number would be a build.

    Raises:
        UserError: it is a number.
    """
    if package.isdigit():
        raise UserError(f"{package!r} is no package", hint=f"a build: /api/v1/builds/{package}/retry")
    return package


def _scope(kind: ScopeKind, name: str | None) -> Scope:
    if (kind is ScopeKind.ALL) != (name is None):
        raise UserError("'name' goes with a target or a package", hint="leave it out for all, and name it for others")
    return Scope(kind=kind, name=name or "")
