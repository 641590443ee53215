"""How DLRN's API answers: JSON, and errors as `{"message": ...}` with DLRN's status codes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response

from conveyor.errors import ConveyorError, PromotionRefused, UnknownName, UserError

MEDIA_TYPE = "application/json"
# All of it but Conveyor's own API.
_PATHS = re.compile(r"/dlrn/|/api/(?!v[0-9])")


class Refused(UserError):
    """What is asked for is refused.

    Args:
        status: DLRN's status code for it.
        message: why, in words for people.
    """

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


def speaks_dlrn(request: Request) -> bool:
    """Whether who asks expects DLRN's answers."""
    return bool(_PATHS.match(request.url.path))


def reply(content: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """An answer. It is plain ASCII, as DLRN's is: so any text can be in it."""
    return Response(json.dumps(content), status, media_type=MEDIA_TYPE)


def failure(status: HTTPStatus | int, title: str, members: Mapping[str, Any]) -> Response:
    """What was not done, and why.

    Args:
        status: the status code.
        title: what happened.
        members: those of the problem document that Conveyor's own API answers with.
    """
    mistakes = (f"{'.'.join(each['where'])}: {each['what']}" for each in members.get("mistakes", ()))
    lines = [title, members.get("detail"), *members.get("details", ()), *mistakes]
    hint = members.get("hint")
    answer = reply({"message": "; ".join(filter(None, lines)) + (f" ({hint})" if hint else "")}, HTTPStatus(status))
    if status == HTTPStatus.UNAUTHORIZED:
        answer.headers["WWW-Authenticate"] = 'Basic realm="Conveyor"'
    return answer


def status_of(error: ConveyorError, usual: HTTPStatus) -> HTTPStatus:
    """DLRN's status code for an error.

    Args:
        error: the error.
        usual: what Conveyor's own API answers it with.
    """
    if isinstance(error, PromotionRefused):
        return HTTPStatus.CONFLICT
    if isinstance(error, UnknownName) or usual is HTTPStatus.UNPROCESSABLE_ENTITY:
        return HTTPStatus.BAD_REQUEST
    return usual
