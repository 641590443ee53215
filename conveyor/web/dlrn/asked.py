"""What a request of DLRN's API asks for: its parameters come in a JSON body, in the query, or in both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictStr, TypeAdapter, ValidationError

from conveyor.web.dlrn.answers import MEDIA_TYPE, Refused

MOST_BYTES = 1 << 20
MOST_PROMOTED = 500
# Hours in a century.
_MOST_HOURS = 876_600
# The end of the year 9999, in seconds since 1970.
_LAST_SECOND = 253_402_300_799

Text = Annotated[StrictStr, Field(max_length=1000)]
Notes = Annotated[StrictStr, Field(max_length=10_000)]
# Clients write what has none as "None", too.
Extended = Annotated[Text | None, BeforeValidator(lambda given: None if given in ("", "None") else given)]
Offset = Annotated[int, Field(ge=0, lt=2**31)]
F = TypeVar("F")


class Form(BaseModel):
    """Parameters. What is unknown is ignored, as DLRN does."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class LastTested(Form):
    """GET /api/last_tested_repo."""

    max_age: Annotated[int, Field(ge=0, le=_MOST_HOURS)]  # hours; 0 for any
    success: bool | None = None
    job_id: Text | None = None
    sequential_mode: bool = False
    previous_job_id: Text | None = None
    component: Text | None = None


class UseTested(LastTested):
    """POST /api/last_tested_repo."""

    reporting_job_id: Text


class Hashes(Form):
    """What names a commit. `distro_hash` has 40 digits, or the 8 that names of repositories have."""

    commit_hash: Text
    distro_hash: Text
    extended_hash: Extended = None


class RepoStatus(Hashes):
    """GET /api/repo_status."""

    success: bool | None = None


class AggregateStatus(Form):
    """GET /api/agg_status."""

    aggregate_hash: Text
    success: bool | None = None


class Promotions(Form):
    """GET /api/promotions."""

    commit_hash: Text | None = None
    distro_hash: Text | None = None
    extended_hash: Extended = None
    aggregate_hash: Text | None = None
    promote_name: Text | None = None
    component: Text | None = None
    offset: Offset = 0
    limit: Annotated[int, Field(ge=0)] = 100


class BuildMetrics(Form):
    """GET /api/metrics/builds."""

    start_date: Text
    end_date: Text
    package_name: Text | None = None


class Result(Form):
    """POST /api/report_result."""

    job_id: Text
    success: bool
    url: Text
    timestamp: Annotated[int, Field(ge=0, le=_LAST_SECOND)]  # seconds since 1970
    notes: Notes = ""
    commit_hash: Text | None = None
    distro_hash: Text | None = None
    extended_hash: Extended = None
    aggregate_hash: Text | None = None


class Promote(Hashes):
    """POST /api/promote, and each of POST /api/promote-batch."""

    promote_name: Text


class Import(Form):
    """POST /api/remote/import."""

    repo_url: Text


class Recheck(Form):
    """POST /api/recheck_package."""

    package_name: Text


PROMOTE_BATCH: TypeAdapter[list[Promote]] = TypeAdapter(
    Annotated[list[Promote], Field(min_length=1, max_length=MOST_PROMOTED)]
)


class Given:
    """What came with a request.

    Args:
        content: the body's JSON; None where there is none.
        query: the query's parameters.
    """

    def __init__(self, content: object, query: Mapping[str, str]) -> None:
        self._content = content
        self._query = query

    def as_(self, form: type[F]) -> F:
        """The parameters of a form; the query's win.

        Raises:
            Refused: they are not as they have to be.
        """
        body = {} if self._content is None else self._content
        if not isinstance(body, dict):
            raise Refused(HTTPStatus.BAD_REQUEST, "Invalid parameters: the body is no JSON object")
        given = {name: value for name, value in {**body, **self._query}.items() if value is not None}
        return _checked(TypeAdapter(form), given)

    def batch(self) -> list[Promote]:
        """The promotions of a list.

        Raises:
            Refused: they are not as they have to be.
        """
        return _checked(PROMOTE_BATCH, self._content)


async def _given(request: Request) -> Given:
    if request.method == "POST" and request.headers.get("content-type", "").partition(";")[0].strip() != MEDIA_TYPE:
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Unsupported Media Type, use JSON")
    body = await _body(request)
    try:
        content = json.loads(body) if body.strip() else None
    except (ValueError, RecursionError) as error:
        raise Refused(HTTPStatus.BAD_REQUEST, "Invalid parameters: the body is no JSON") from error
    return Given(content, dict(request.query_params))


# What a route takes to read its parameters. It comes after who asks: strangers' bodies are not read.
Parameters = Annotated[Given, Depends(_given)]


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has more than {MOST_BYTES} bytes")
    return bytes(body)


def _checked(adapter: TypeAdapter[F], given: Any) -> F:  # noqa: ANN401 - any JSON
    try:
        return adapter.validate_python(given)
    except ValidationError as error:
        mistakes = error.errors(include_url=False, include_input=False, include_context=False)
        told = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in mistakes[:10])
        raise Refused(HTTPStatus.BAD_REQUEST, f"Invalid parameters: {told}") from error
