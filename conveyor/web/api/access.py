"""Tokens, users and the audit log.

What has a secret in it is not answered a second time under an idempotency key: nothing of it is kept.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from conveyor.documents.access import audit_as_json, tokens_as_json, users_as_json
from conveyor.model.access import AuditQuery, Permission
from conveyor.model.access import Result as DeedResult
from conveyor.web.access.keeping import Keeping
from conveyor.web.api import models
from conveyor.web.api.answering import answer, told
from conveyor.web.api.parts import Cursor, Limit, versioned
from conveyor.web.site import Here

router = APIRouter(tags=["access"])

Called = Annotated[str, Path(min_length=1, max_length=100, description="Its name.")]
Only = Annotated[str | None, Query(max_length=200)]


@router.get("/tokens", response_model=models.Tokens, summary="The tokens of programs")
def tokens(request: Request, site: Here, keeping: Keeping) -> Response:
    """Those that work no more included; what `conveyor token list --json` prints."""
    return answer(request, tokens_as_json(keeping.tokens(), site.conveyor.clock.now()))


@router.post("/tokens", response_model=models.NewToken, summary="Make a token")
def create_token(wish: models.TokenWish, keeping: Keeping) -> Response:
    """Its secret is told in the answer, and never again. A name that a token has already is refused."""
    secret = keeping.create_token(wish.name, frozenset(wish.may), wish.lasts)
    return told(versioned(name=wish.name, secret=secret))


@router.delete("/tokens/{name}", response_model=models.Done, summary="Revoke a token")
def revoke_token(name: Called, keeping: Keeping) -> Response:
    """It works no more."""
    keeping.revoke_token(name)
    return told(versioned(name=name))


@router.get("/users", response_model=models.Users, summary="The users that are kept here")
def users(request: Request, keeping: Keeping) -> Response:
    """What `conveyor user list --json` prints."""
    return answer(request, users_as_json(keeping.users()))


@router.post("/users", response_model=models.Done, summary="Make a user")
def create_user(wish: models.UserWish, keeping: Keeping) -> Response:
    """One that may do nothing else may look, where the site is not open."""
    keeping.create_user(wish.name, frozenset(wish.may or [Permission.READ]), lambda: wish.password)
    return told(versioned(name=wish.name))


@router.put("/users/{name}/password", response_model=models.Done, summary="Give a user another password")
def set_password(name: Called, wish: models.PasswordWish, keeping: Keeping) -> Response:
    """Its sessions end."""
    keeping.set_password(name, lambda: wish.password)
    return told(versioned(name=name))


@router.put("/users/{name}/disabled", response_model=models.Done, summary="Let a user sign in no more, or again")
def set_disabled(name: Called, wish: models.DisabledWish, keeping: Keeping) -> Response:
    """Its sessions end. Nobody disables itself."""
    keeping.set_disabled(name, disabled=wish.disabled)
    return told(versioned(name=name))


@router.put("/users/{name}/permissions", response_model=models.Done, summary="Change what a user may do")
def permit(name: Called, wish: models.PermissionsWish, keeping: Keeping) -> Response:
    """It may do this and nothing else, from its next request on. Nobody takes `admin` from itself."""
    keeping.permit(name, frozenset(wish.may))
    return told(versioned(name=name))


@router.delete("/users/{name}", response_model=models.Done, summary="Delete a user")
def delete_user(name: Called, keeping: Keeping) -> Response:
    """Its sessions end. What it did stays in the audit log, and its name is free. Nobody deletes itself."""
    keeping.delete_user(name)
    return told(versioned(name=name))


@router.delete("/users/{name}/sessions", response_model=models.SignedOut, summary="Sign a person out")
def sign_out(name: Called, keeping: Keeping) -> Response:
    """All sessions of a person end, whoever vouches for it."""
    return told(versioned(name=name, ended=keeping.sign_out(name)))


@router.get("/audit", response_model=models.AuditPage, summary="Who did what")
def audit(
    request: Request,
    keeping: Keeping,
    actor: Only = None,
    action: Annotated[str | None, Query(max_length=200, description="With this text in the action.")] = None,
    subject: Only = None,
    result: DeedResult | None = None,
    since: Annotated[datetime | None, Query(description="Done then or later; UTC without a zone.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """The newest page first, and in it the newest last."""
    query = AuditQuery(
        actor=actor,
        action=action,
        subject=subject,
        result=result,
        since=since.replace(tzinfo=UTC) if since is not None and since.utcoffset() is None else since,
        before=int(cursor) if cursor else None,
        limit=limit + 1,
    )
    found = keeping.deeds(query)
    page = found[:limit]
    document = audit_as_json(page[::-1])
    return answer(request, {**document, "next": str(page[-1].number) if len(found) > limit else None})
