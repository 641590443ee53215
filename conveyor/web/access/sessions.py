"""Sessions begin and end here."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response

from conveyor.model.access import Permissions, Session
from conveyor.pipeline.access import secrets
from conveyor.web.access import cookies
from conveyor.web.access.pages import NO_STORE
from conveyor.web.site import Site

SEE_OTHER = 303


def begin(
    request: HTTPConnection,
    site: Site,
    user: str,
    next_: str,
    *,
    issuer: str = "",
    permissions: Permissions = frozenset(),
) -> Response:
    """Let somebody be signed in, with a secret that nobody knew before; whoever was, is no more.

    Args:
        request: the request.
        site: the site.
        user: who it is.
        next_: the page to show then.
        issuer: who vouches for it; empty for a local user.
        permissions: what it may do, of one that is not local.
    """
    secret = secrets.new_secret()
    now = site.conveyor.clock.now()
    lasts = site.settings.web.session_time
    _forget(request, site)
    site.conveyor.sessions.add(
        Session(
            digest=secrets.digest(secret),
            user=user,
            issuer=issuer,
            permissions=permissions,
            created_at=now,
            seen_at=now,
            expires_at=now + timedelta(seconds=lasts),
        )
    )
    answer = go_on(next_)
    cookies.put(answer, site.settings, cookies.SESSION, secret, lasts)
    return answer


def end(request: HTTPConnection, site: Site) -> Response:
    """Let nobody be signed in."""
    _forget(request, site)
    answer = go_on("/")
    cookies.drop(answer, site.settings, cookies.SESSION)
    return answer


def go_on(next_: str) -> Response:
    """Show a page of this site next."""
    return RedirectResponse(own_page(next_), SEE_OTHER, headers=NO_STORE)


def own_page(text: str) -> str:
    """A path of this site; "/" for what leads elsewhere, as far as any browser might read it so."""
    parts = urlsplit(text) if text.isprintable() and "\\" not in text else None
    leads_here = parts and not parts.scheme and not parts.netloc and text.startswith("/") and text[1:2] != "/"
    return text if leads_here else "/"


def _forget(request: HTTPConnection, site: Site) -> None:
    before = cookies.read(request, site.settings, cookies.SESSION)
    if before:
        site.conveyor.sessions.end(secrets.digest(before))
