"""Errors as problem documents: RFC 9457."""

from __future__ import annotations

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
    NotPossible,
    NotRecognized,
    SignInNeeded,
    TooManyTries,
    UnknownName,
)
from conveyor.web.access.auditing import note_error

MEDIA_TYPE = "application/problem+json"
_BY_KIND: tuple[tuple[type[ConveyorError], HTTPStatus], ...] = (
    (UnknownName, HTTPStatus.NOT_FOUND),
    (NotPossible, HTTPStatus.CONFLICT),
    (SignInNeeded, HTTPStatus.UNAUTHORIZED),
    (NotRecognized, HTTPStatus.UNAUTHORIZED),
    (Forbidden, HTTPStatus.FORBIDDEN),
    (ForeignPage, HTTPStatus.FORBIDDEN),
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


def status_of(error: ConveyorError) -> HTTPStatus:
    """The status code that an error is answered with."""
    fitting = (status for kind, status in _BY_KIND if isinstance(error, kind))
    return next(fitting, _BY_FAULT[error.fault])


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
    answer = problem(
        status_of(error),
        error.what,
        kind=type(error).__name__,
        detail=error.cause,
        hint=error.hint,
        details=list(error.details),
        fault=error.fault,
    )
    if isinstance(error, TooManyTries):
        answer.headers["retry-after"] = str(error.wait)
    return answer


async def _http(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    answer = problem(error.status_code, str(error.detail))
    answer.headers.update(error.headers or {})
    return answer


async def _invalid(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    mistakes = [{"where": [str(part) for part in found["loc"]], "what": found["msg"]} for found in error.errors()]
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "the request has mistakes", mistakes=mistakes)
