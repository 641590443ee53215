"""Who asks, and whether it may: what routes depend on.

A route that looks takes `Reader`; one that acts takes `Voter`, `Promoter`, `Operator` or `Admin`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, cast

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from conveyor.errors import Forbidden, ForeignPage, SignInNeeded
from conveyor.model.access import Means, Permission, Principal
from conveyor.pipeline.access.secrets import same
from conveyor.web.access.auditing import SAFE, noted
from conveyor.web.access.door import Door, nobody, shows_nothing
from conveyor.web.access.origins import Sender, sender_of
from conveyor.web.site import Here

# What forms send along, as a hidden field of this name; scripts send the header.
CSRF_FIELD = "csrf"
CSRF_HEADER = "x-csrf-token"
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
GUARDS = "conveyor_permission"


def door_of(request: Request) -> Door:
    """What finds out who asks."""
    return cast(Door, request.app.state.door)


async def principal(request: Request, site: Here) -> Principal:
    """Who asks.

    Raises:
        NotRecognized: it showed something that nobody has, or that works no more.
        TooManyTries: too many tries have failed.
    """
    if shows_nothing(site, request):
        return nobody(site)
    asking = await run_in_threadpool(door_of(request).asking, site, request)
    noted(request, asking)
    return asking


Asking = Annotated[Principal, Depends(principal)]


async def _proof(request: Request) -> AsyncIterator[str]:
    """What a request says to show that a page of ours made it."""
    header, is_form = request.headers.get(CSRF_HEADER), request.headers.get("content-type", "").startswith(_FORMS)
    if header is None and is_form and request.method not in SAFE and "authorization" not in request.headers:
        async with request.form() as form:
            sent = form.get(CSRF_FIELD)
            yield sent if isinstance(sent, str) else ""
    else:
        yield header or ""


Proof = Annotated[str, Depends(_proof)]


async def require_own_page(request: Request, site: Here, asking: Asking, proof: Proof) -> Principal:
    """See that no page of another site makes somebody's browser act with what the browser sends by itself.

    That is a session's cookie, and the name and password that it remembers. Programs send tokens by themselves.

    Raises:
        ForeignPage: one does, or nothing shows that none does.
    """
    if request.method in SAFE:
        return asking
    sender = sender_of(request, site.settings.web.url)
    basic = request.headers.get("authorization", "").lower().startswith("basic")
    if basic and sender is Sender.OTHER:
        raise ForeignPage("another site's page sent this request")
    if asking.means is Means.SESSION and sender is not Sender.OURS:
        raise ForeignPage("no page of this site sent this request")
    if asking.means is Means.SESSION and not same(proof, asking.csrf):
        raise ForeignPage("the page is older than the session", hint="load the page again, and repeat what you did")
    return asking


Trusted = Annotated[Principal, Depends(require_own_page)]


def may(permission: Permission) -> Callable[[Principal], Awaitable[Principal]]:
    """What lets only those through that may do this.

    Raises:
        SignInNeeded: nobody knows who asks.
        Forbidden: it may not.
    """

    async def check(asking: Trusted) -> Principal:
        if asking.may(permission):
            return asking
        if asking.means is Means.NOBODY:
            raise SignInNeeded(permission.value)
        raise Forbidden(asking.name, permission.value)

    setattr(check, GUARDS, permission)
    return check


Reader = Annotated[Principal, Depends(may(Permission.READ))]
Voter = Annotated[Principal, Depends(may(Permission.VOTE))]
Promoter = Annotated[Principal, Depends(may(Permission.PROMOTE))]
Operator = Annotated[Principal, Depends(may(Permission.RETRY))]
Admin = Annotated[Principal, Depends(may(Permission.ADMIN))]
