"""The pages of those who look after tokens, users and the audit log: what the command line can do, with forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from conveyor.config.human import NEVER, parse_lifetime
from conveyor.config.moment import moment_of
from conveyor.documents.access import token_state
from conveyor.errors import UnknownName, UserError
from conveyor.model.access import AuditQuery, Permission, Result
from conveyor.pipeline.access.passwords import LONGEST, SHORTEST
from conveyor.web.access.auditing import note_error
from conveyor.web.access.guard import Admin
from conveyor.web.access.keeping import Keeping
from conveyor.web.access.pages import NO_STORE
from conveyor.web.pages.answer import HTML, Pages, Show
from conveyor.web.pages.environment import query, segment
from conveyor.web.pages.filters import require_known
from conveyor.web.problems import status_of

SEE_OTHER = 303
SHOWN = 100
LASTS = "90d"
# What a page says that is shown after something was done; the name of whom it was done to goes before.
DONE = {
    "revoked": "works no more",
    "made": "may sign in now",
    "password": "has another password, and has to sign in again",
    "signed-out": "is signed in nowhere any more",
    "disabled": "may not sign in any more",
    "enabled": "may sign in again",
    "permitted": "may do that from now on, and nothing else",
    "deleted": "is kept no more",
}
PERMISSIONS = {
    Permission.READ: "look, where the site is not open",
    Permission.VOTE: "say what a test found",
    Permission.RETRY: "retry, rebuild, cancel, poll",
    Permission.PROMOTE: "move promotions, and back",
    Permission.ADMIN: "everything",
}
# More than any name; what is longer is told to be wrong.
_LONG = 2000

router = APIRouter(include_in_schema=False)

Text = Annotated[str, Form(max_length=_LONG)]
Password = Annotated[str, Form(max_length=LONGEST * 4)]
Allowed = Annotated[list[Permission] | None, Form()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which deeds are wanted."""

    actor: str
    action: str
    subject: str
    result: str
    since: str

    @property
    def is_set(self) -> bool:
        """Whether any are left out."""
        return any((self.actor, self.action, self.subject, self.result, self.since))


@router.get("/access")
def access(pages: Show, _who: Admin, done: str = "", name: str = "") -> Response:
    """Tokens and users, and forms to make more."""
    return _shown(pages, done=DONE.get(done, ""), about=name)


@router.get("/access/users/{name}")
def user(name: str, pages: Show, _who: Admin, done: str = "") -> Response:
    """A user, and forms to change it."""
    return _shown_user(pages, name, done=DONE.get(done, ""))


@router.get("/access/audit")
def audit(
    pages: Show,
    keeping: Keeping,
    actor: str = "",
    action: str = "",
    subject: str = "",
    result: str = "",
    since: str = "",
    before: Annotated[int | None, Query(ge=1, lt=2**62)] = None,
) -> Response:
    """Who did what, the newest first."""
    require_known("result", result, Result)
    filters = {"actor": actor, "action": action, "subject": subject, "result": result, "since": since}
    asked = Asked(**filters)
    found = keeping.deeds(
        AuditQuery(
            actor=actor or None,
            action=action or None,
            subject=subject or None,
            result=Result(result) if result else None,
            since=moment_of(since, pages.now).at if since else None,
            before=before,
            limit=SHOWN + 1,
        )
    )
    shown = found[:SHOWN]
    following = query(**filters, before=shown[-1].number) if len(found) > SHOWN else ""
    return _unkept(
        pages,
        "audit.html",
        entries=shown,
        asked=asked,
        results=[*Result],
        next=following and f"/access/audit{following}",
    )


@router.post("/access/tokens")
def create_token(
    request: Request, pages: Show, keeping: Keeping, name: Text = "", may: Allowed = None, expires: Text = LASTS
) -> Response:
    """Make a token, and show its secret, this once."""
    try:
        secret = keeping.create_token(name, frozenset(may or ()), _lifetime(expires))
    except UserError as error:
        return _refused(request, pages, error, token=name, token_may=may or (), expires=expires)
    return _shown(pages, secret=secret, about=name)


@router.post("/access/tokens/{name}/revoke")
def revoke_token(name: str, request: Request, pages: Show, keeping: Keeping) -> Response:
    """Let a token work no more."""
    return _done(request, pages, "revoked", name, lambda: keeping.revoke_token(name))


@router.post("/access/users")
def create_user(
    request: Request, pages: Show, keeping: Keeping, name: Text = "", password: Password = "", may: Allowed = None
) -> Response:
    """Make a user. One that may do nothing else may look."""
    permissions = frozenset(may or (Permission.READ,))
    made = lambda: keeping.create_user(name, permissions, lambda: password)  # noqa: E731
    return _done(request, pages, "made", name, made, named=name, user_may=permissions)


@router.post("/access/users/{name}/permissions")
def permit(name: str, request: Request, pages: Show, keeping: Keeping, may: Allowed = None) -> Response:
    """Change what a user may do."""
    permissions = frozenset(may or ())
    return _done_to_user(request, pages, "permitted", name, lambda: keeping.permit(name, permissions), may=permissions)


@router.post("/access/users/{name}/password")
def set_password(name: str, request: Request, pages: Show, keeping: Keeping, password: Password = "") -> Response:
    """Give a user another password; its sessions end."""
    return _done_to_user(request, pages, "password", name, lambda: keeping.set_password(name, lambda: password))


@router.post("/access/users/{name}/delete")
def delete_user(name: str, request: Request, pages: Show, keeping: Keeping) -> Response:
    """Keep a user no more; its sessions end."""
    try:
        keeping.delete_user(name)
    except UserError as error:
        return _refused_user(request, pages, error, name)
    return _go_on("/access", done="deleted", name=name)


@router.post("/access/users/{name}/sign-out")
def sign_out_user(name: str, request: Request, pages: Show, keeping: Keeping) -> Response:
    """End all sessions of a user that is kept here."""
    return _done_to_user(request, pages, "signed-out", name, lambda: keeping.sign_out(name))


@router.post("/access/sign-outs")
def sign_out(request: Request, pages: Show, keeping: Keeping, name: Text = "") -> Response:
    """End all sessions of a person, whoever vouches for it."""
    return _done(request, pages, "signed-out", name, lambda: keeping.sign_out(name))


@router.post("/access/users/{name}/disable")
def disable_user(name: str, request: Request, pages: Show, keeping: Keeping) -> Response:
    """Let a user sign in no more; its sessions end."""
    return _done_to_user(request, pages, "disabled", name, lambda: keeping.set_disabled(name, disabled=True))


@router.post("/access/users/{name}/enable")
def enable_user(name: str, request: Request, pages: Show, keeping: Keeping) -> Response:
    """Let a user that was disabled sign in again."""
    return _done_to_user(request, pages, "enabled", name, lambda: keeping.set_disabled(name, disabled=False))


def _lifetime(text: str) -> int | None:
    try:
        return parse_lifetime(text.strip() or NEVER)
    except ValueError as error:
        raise UserError(f"the token's time {error}", hint="such as 90d, or never") from error


def _done(request: Request, pages: Pages, done: str, name: str, act: Callable[[], object], **typed: object) -> Response:
    """Do it, and show the page again, which says so; or why it came to nothing, with what was typed."""
    try:
        act()
    except UserError as error:
        return _refused(request, pages, error, **typed)
    return _go_on("/access", done=done, name=name)


def _done_to_user(
    request: Request, pages: Pages, done: str, name: str, act: Callable[[], object], **typed: object
) -> Response:
    """Do it, and show the user's page again, which says so; or why it came to nothing."""
    try:
        act()
    except UserError as error:
        return _refused_user(request, pages, error, name, **typed)
    return _go_on(f"/access/users/{segment(name)}", done=done)


def _go_on(path: str, **told: str) -> Response:
    return RedirectResponse(f"{path}{query(**told)}", SEE_OTHER, headers=NO_STORE)


def _refused(request: Request, pages: Pages, error: UserError, **typed: object) -> Response:
    note_error(request, error)
    return _shown(pages, status=status_of(error), refused=error, **typed)


def _refused_user(request: Request, pages: Pages, error: UserError, name: str, **typed: object) -> Response:
    """The page of the user, or of all where it is not there (any more)."""
    if pages.site.conveyor.records.users.find(name) is None:
        return _refused(request, pages, error)
    note_error(request, error)
    return _shown_user(pages, name, status=status_of(error), refused=error, **typed)


def _shown_user(pages: Pages, name: str, *, status: HTTPStatus = HTTPStatus.OK, **told: object) -> Response:
    records = pages.site.conveyor.records
    found = records.users.find(name)
    if found is None:
        raise UnknownName(f"there is no user called {name!r}", hint="/access lists those that are kept here")
    everywhere = {
        "kept": found,
        "may": found.permissions,
        "sessions": [each for each in records.sessions.of_user(name) if each.expires_at > pages.now],
        "permissions": PERMISSIONS,
        "shortest": SHORTEST,
        "done": "",
        "refused": None,
    }
    return _unkept(pages, "user.html", status, **{**everywhere, **told})


def _shown(pages: Pages, *, status: HTTPStatus = HTTPStatus.OK, **told: object) -> Response:
    records = pages.site.conveyor.records
    empty = {
        "done": "",
        "about": "",
        "secret": "",
        "refused": None,
        "token": "",
        "token_may": (),
        "expires": LASTS,
        "named": "",
        "user_may": (),
    }
    everywhere = {
        "tokens": records.tokens.all(),
        "state_of": token_state,
        "users": records.users.all(),
        "permissions": PERMISSIONS,
        "shortest": SHORTEST,
    }
    return _unkept(pages, "access.html", status, **{**everywhere, **empty, **told})


def _unkept(pages: Pages, template: str, status: HTTPStatus = HTTPStatus.OK, **context: object) -> Response:
    """A page that no cache keeps: it is for nobody else, and may have a secret."""
    text = pages.render(template, admin=pages.who.name, **context)
    return Response(text.encode(errors="replace"), status, media_type=HTML, headers=NO_STORE)
