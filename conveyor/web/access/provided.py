"""People sign in with an OpenID Connect provider."""

from __future__ import annotations

import logging
import secrets as random
from http import HTTPStatus
from threading import Lock
from typing import cast

from fastapi import APIRouter, Request, Response
from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.responses import RedirectResponse

from conveyor.config.web import OidcSettings
from conveyor.errors import NotRecognized, ProviderUnusable, UnknownName
from conveyor.model.access import Means, Permission, Permissions, Principal
from conveyor.pipeline.access.keeping import is_name
from conveyor.pipeline.access.secrets import same
from conveyor.web.access import cookies, sessions
from conveyor.web.access.auditing import Noting
from conveyor.web.access.pages import NO_STORE
from conveyor.web.access.provider import Person, Provider
from conveyor.web.access.sign_in import sign_in_page
from conveyor.web.site import Here, Site

router = APIRouter(include_in_schema=False)

COOKIE = "conveyor-sign-in"
# How many seconds it may take somebody to show the provider who it is.
WITHIN = 600
_ANSWER = "/sign-in/provider/answer"
_LOG = logging.getLogger("conveyor.web")


class SignIns:
    """What is known of sign-ins that were begun: the browser keeps it, and cannot change it. One for each process."""

    def __init__(self) -> None:
        self.signer = URLSafeTimedSerializer(random.token_bytes(32))
        self._lock = Lock()
        self._provider: Provider | None = None

    def provider(self, site: Site) -> Provider:
        """The provider of the settings as they are now.

        Raises:
            UnknownName: there is none.
        """
        settings = site.settings.web.oidc
        if settings is None:
            raise UnknownName("no provider is configured", hint="sign in with a password of this site")
        with self._lock:
            if self._provider is None or self._provider.settings != settings:
                self._provider = Provider(settings)
            return self._provider


def _sign_ins(request: Request) -> SignIns:
    return cast(SignIns, request.app.state.sign_ins)


@router.get("/sign-in/provider")
def begin(request: Request, site: Here, next: str = "/") -> Response:  # noqa: A002 - as the form has it
    """Have the provider ask who it is."""
    sign_ins = _sign_ins(request)
    try:
        begun = sign_ins.provider(site).begin(_answer_to(site, request))
    except ProviderUnusable as error:
        return _unusable(site, error)
    kept = {"state": begun.state, "nonce": begun.nonce, "verifier": begun.verifier, "next": sessions.own_page(next)}
    answer = RedirectResponse(begun.url, sessions.SEE_OTHER, headers=NO_STORE)
    cookies.put(answer, site.settings, COOKIE, sign_ins.signer.dumps(kept), WITHIN)
    return answer


@router.get(_ANSWER)
def end(request: Request, site: Here, note: Noting, state: str = "", code: str = "", iss: str = "") -> Response:
    """Take what the provider answers."""
    sign_ins = _sign_ins(request)
    provider = sign_ins.provider(site)
    try:
        kept = sign_ins.signer.loads(cookies.read(request, site.settings, COOKIE), max_age=WITHIN)
    except BadData:
        kept = {"state": ""}
    if not kept["state"] or not same(kept["state"], state) or iss not in {"", provider.settings.issuer}:
        mistake = "This sign-in took too long, or was begun in another browser. Sign in again."
        return _refused(site, HTTPStatus.BAD_REQUEST, mistake)
    if not code:
        return _refused(site, HTTPStatus.UNAUTHORIZED, "The provider did not let you in.", kept["next"])
    try:
        person = provider.end(_answer_to(site, request), code, kept["nonce"], kept["verifier"])
    except NotRecognized as error:
        _LOG.warning("somebody could not sign in: %s", error.summary)
        return _refused(site, HTTPStatus.UNAUTHORIZED, f"{error.what.capitalize()}.", kept["next"])
    except ProviderUnusable as error:
        return _unusable(site, error)
    return _let_in(request, site, note, person, provider.settings, kept["next"])


def _let_in(request: Request, site: Site, note: Noting, person: Person, settings: OidcSettings, next_: str) -> Response:
    mistake = _mistake(site, person, settings)
    permissions = permissions_of(person, settings)
    means = Means.NOBODY if mistake else Means.SESSION
    note.acts(Principal(name=person.name, permissions=permissions, means=means), f"GET {_ANSWER}")
    note.detail["issuer"] = settings.issuer
    if mistake:
        note.detail["error"] = mistake
        return _refused(site, HTTPStatus.FORBIDDEN, mistake, next_)
    answer = sessions.begin(request, site, person.name, next_, issuer=settings.issuer, permissions=permissions)
    cookies.drop(answer, site.settings, COOKIE)
    return answer


def permissions_of(person: Person, settings: OidcSettings) -> Permissions:
    """What somebody may do: what its groups may; to look in any case."""
    granted = (settings.groups.get(group, frozenset()) for group in person.groups)
    return frozenset({Permission.READ}).union(*granted)


def _mistake(site: Site, person: Person, settings: OidcSettings) -> str:
    """Why somebody does not come in; empty where it does."""
    if not is_name(person.name):
        return "Your name at the provider has characters that no name here has."
    restricted = settings.allowed_users or settings.allowed_groups
    if restricted and person.name not in settings.allowed_users and not person.groups & settings.allowed_groups:
        return f"{person.name} is none of those who may sign in here."
    tokens = {token.name for token in site.conveyor.tokens.all() if token.revoked_at is None}
    if site.conveyor.users.find(person.name) or person.name in tokens:
        # The ledger tells names.
        return f"Somebody else is called {person.name} here."
    return ""


def _answer_to(site: Site, request: Request) -> str:
    return (site.settings.web.url or str(request.base_url).rstrip("/")) + _ANSWER


def _unusable(site: Site, error: ProviderUnusable) -> Response:
    _LOG.error("%s", error.summary)
    return _refused(site, HTTPStatus.SERVICE_UNAVAILABLE, f"{error.what.capitalize()}.")


def _refused(site: Site, status: HTTPStatus, mistake: str, next_: str = "/") -> Response:
    answer = sign_in_page(site, status, next_=next_, mistake=mistake)
    cookies.drop(answer, site.settings, COOKIE)
    return answer
