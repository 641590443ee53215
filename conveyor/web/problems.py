"""Errors as problem documents: RFC 9457."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from conveyor.errors import (
    ConveyorError,
    Fault,
    Forbidden,
    ForeignPage,
    HookRefused,
    LedgerBroken,
    NotPossible,
    NotRecognized,
    PromotionRefused,
    SignInNeeded,
    TooManyTries,
    UnknownName,
)
from conveyor.web.access.auditing import note_error
from conveyor.web.dlrn import answers as dlrn
from conveyor.web.headers import ALWAYS
from conveyor.web.pages import answer
from conveyor.web.site import known_site

MEDIA_TYPE = "application/problem+json"
_LOG = logging.getLogger("conveyor.web")
_BY_KIND: tuple[tuple[type[ConveyorError], HTTPStatus], ...] = (
    (UnknownName, HTTPStatus.NOT_FOUND),
    (NotPossible, HTTPStatus.CONFLICT),
    (PromotionRefused, HTTPStatus.CONFLICT),
    (LedgerBroken, HTTPStatus.CONFLICT),
    (SignInNeeded, HTTPStatus.UNAUTHORIZED),
    (NotRecognized, HTTPStatus.UNAUTHORIZED),
    (Forbidden, HTTPStatus.FORBIDDEN),
    (ForeignPage, HTTPStatus.FORBIDDEN),
    (HookRefused, HTTPStatus.FORBIDDEN),
    (TooManyTries, HTTPStatus.TOO_MANY_REQUESTS),
)
_BY_FAULT = {
    Fault.USER: HTTPStatus.UNPROCESSABLE_ENTITY,
    Fault.PACKAGE: HTTPStatus.CONFLICT,
    Fault.OURS: HTTPStatus.INTERNAL_SERVER_ERROR,
    Fault.NETWORK: HTTPStatus.SERVICE_UNAVAILABLE,
}


def register(app: FastAPI) -> None:
    """Answer errors with problem documents."""
    app.add_exception_handler(ConveyorError, _intended)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPStatus.INTERNAL_SERVER_ERROR.value, _defect)


def status_of(error: ConveyorError) -> HTTPStatus:
    """The status code that an error is answered with."""
    if isinstance(error, dlrn.Refused):
        return error.status
    fitting = (status for kind, status in _BY_KIND if isinstance(error, kind))
    return next(fitting, _BY_FAULT[error.fault])


def told(request: Request, status: HTTPStatus | int, title: str, **members: Any) -> Response:  # noqa: ANN401
    """What went wrong: a page for people's browsers, DLRN's way for its clients, a problem document for all others."""
    discreet = known_site(request).discretion.told
    title = discreet(title)
    members |= {name: discreet(members[name]) for name in ("detail", "hint") if name in members}
    members["details"] = [discreet(each) for each in members.get("details", ())]
    if dlrn.speaks_dlrn(request):
        return dlrn.failure(status, title, members)
    if answer.wants_page(request):
        return answer.mistake(request, HTTPStatus(status), title, members)
    return problem(status, title, **members)


def problem(status: HTTPStatus | int, title: str, **members: Any) -> Response:  # noqa: ANN401 - any JSON
    """A problem document; members that are empty are left out."""
    code = HTTPStatus(status)
    document = {"type": "about:blank", "status": code.value, "title": title, **members}
    kept = {name: value for name, value in document.items() if value not in (None, "", [], ())}
    headers = {"WWW-Authenticate": "Bearer"} if code is HTTPStatus.UNAUTHORIZED else None
    return JSONResponse(kept, code, headers, media_type=MEDIA_TYPE)


async def _intended(request: Request, error: Exception) -> Response:
    if not isinstance(error, ConveyorError):
        raise error
    note_error(request, error)
    usual = status_of(error)
    is_ours = usual is HTTPStatus.INTERNAL_SERVER_ERROR
    if is_ours:
        _LOG.error("%s %s: %s", request.method, request.url.path, error)
    made = told(
        request,
        dlrn.status_of(error, usual) if dlrn.speaks_dlrn(request) else usual,
        error.what,
        kind=type(error).__name__,
        # Who asks can do nothing about it, and it may name the machine's users, hosts and files.
        detail="the server's log says more" if is_ours else error.cause,
        hint=error.hint,
        details=list(error.details),
        fault=error.fault,
    )
    if isinstance(error, TooManyTries):
        made.headers["retry-after"] = str(error.wait)
    return made


async def _http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    takes = (error.headers or {}).get("Allow", "")
    title, members = str(error.detail), {"detail": f"it takes {takes}"} if takes else {}
    if dlrn.speaks_dlrn(request):
        members = {}
    elif answer.wants_page(request) and takes:
        title = f"this address takes {takes}, and not {request.method}"
        members = {"hint": "use the buttons and forms of the pages"}
    elif answer.wants_page(request) and error.status_code == HTTPStatus.NOT_FOUND:
        title, members = "there is no such page", {"hint": "check the address, or look for what you want by its name"}
    made = told(request, error.status_code, title, **members)
    made.headers.update(error.headers or {})
    return made


async def _invalid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    mistakes = [{"where": [str(part) for part in found["loc"]], "what": found["msg"]} for found in error.errors()]
    people = answer.wants_page(request)
    details = [f"{' '.join(each['where'][1:])}: {each['what']}" for each in mistakes] if people else []
    status = HTTPStatus.BAD_REQUEST if dlrn.speaks_dlrn(request) else HTTPStatus.UNPROCESSABLE_ENTITY
    hint = "correct it in the address, or in what was sent" if people else ""
    return told(request, status, "the request has mistakes", mistakes=mistakes, details=details, hint=hint)


async def _defect(request: Request, _error: Exception) -> Response:
    """Of what nobody intended only that it happened is told; the server's log has the rest."""
    hint = "try again; if it stays, the server's log says more"
    made = told(request, HTTPStatus.INTERNAL_SERVER_ERROR, "this is a defect of Conveyor", hint=hint)
    made.headers.update(ALWAYS)  # it is answered outside of what adds them to all others
    return made
