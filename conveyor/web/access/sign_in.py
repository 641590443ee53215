"""People sign in and out."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Form, Request, Response

from conveyor.errors import ForeignPage, NotRecognized, TooManyTries
from conveyor.model.access import Means, Permission, Principal
from conveyor.pipeline.access.passwords import LONGEST
from conveyor.web.access import sessions
from conveyor.web.access.addresses import address_of
from conveyor.web.access.auditing import Noting
from conveyor.web.access.guard import Asking, Trusted, door_of
from conveyor.web.access.origins import Sender, sender_of
from conveyor.web.access.pages import page
from conveyor.web.pages.answer import navigation_of
from conveyor.web.site import Here, Site

router = APIRouter(include_in_schema=False)

_ACTION = "POST /sign-in"
# More than any name or path; the door says of what is longer that it is wrong.
_LONG = 2000
Text = Annotated[str, Form(max_length=_LONG)]


@router.get("/sign-in")
def form(site: Here, next: str = "/") -> Response:  # noqa: A002 - as the address bar shows it
    """The form to sign in."""
    return sign_in_page(site, HTTPStatus.OK, next_=next)


@router.post("/sign-in")
def sign_in(
    request: Request,
    site: Here,
    note: Noting,
    name: Text,
    password: Annotated[str, Form(max_length=LONGEST * 4)],
    next: Text = "/",  # noqa: A002 - as the form has it
) -> Response:
    """Sign in with a name and a password that is kept here."""
    if sender_of(request, site.settings.web.url) is Sender.OTHER:
        # It would sign somebody in as the one who made that page.
        raise ForeignPage("another site's page sent this request")
    if site.conveyor.users.find(name):
        # Otherwise it may be a password in the wrong field, which nobody should read.
        note.acts(Principal(name=name, permissions=frozenset(), means=Means.NOBODY), _ACTION)
    try:
        user = door_of(request).user(site, name, password, address_of(request, site.settings.web.trusted_proxies))
    except NotRecognized as error:
        return sign_in_page(site, HTTPStatus.UNAUTHORIZED, next_=next, name=name, mistake=f"{error.what.capitalize()}.")
    except TooManyTries as error:
        mistake = f"Too many tries have failed. Wait {error.wait} seconds, and try again."
        answer = sign_in_page(site, HTTPStatus.TOO_MANY_REQUESTS, next_=next, name=name, mistake=mistake)
        answer.headers["retry-after"] = str(error.wait)
        return answer
    note.acts(Principal(name=user.name, permissions=user.permissions, means=Means.SESSION), _ACTION)
    return sessions.begin(request, site, user.name, next)


@router.post("/sign-out")
def sign_out(request: Request, site: Here, _who: Trusted) -> Response:
    """Sign out."""
    return sessions.end(request, site)


@router.get("/account")
def account(who: Asking) -> Response:
    """Who is signed in, and what that one may do."""
    if who.means is Means.NOBODY:
        return sessions.go_on(f"/sign-in?next={quote('/account')}")
    may = "everything" if who.may(Permission.ADMIN) else ", ".join(sorted(who.permissions))
    return page("account.html", who=who, may=may, navigation=navigation_of(who))


def sign_in_page(site: Site, status: HTTPStatus, *, next_: str, name: str = "", mistake: str = "") -> Response:
    """The form, and why the try before came to nothing."""
    oidc = site.settings.web.oidc
    return page(
        "sign_in.html",
        status,
        next=sessions.own_page(next_),
        name=name,
        mistake=mistake,
        provider=urlsplit(oidc.issuer).hostname if oidc else "",
    )
