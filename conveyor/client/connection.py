"""Requests to a server's API, and what goes wrong with them in Conveyor's words."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from conveyor import __version__
from conveyor.documents import FORMAT_VERSION
from conveyor.documents.failures import error_named
from conveyor.errors import ConveyorError, NetworkError, UserError

PREFIX = "/api/v1"
LIMIT = 120.0
CONNECT_LIMIT = 15.0
# A stream says something every quarter of a minute.
SILENCE = 60.0
TRIES = 2
_TOKEN_HINT = "name a file with a token of the server, --token-file FILE, or set CONVEYOR_TOKEN"  # noqa: S105 - words
Parameters = Mapping[str, Any]


def part(name: str) -> str:
    """A name as a part of a path."""
    return quote(name, safe="")


@contextmanager
def open_connection(
    server: str, token: str | None, transport: httpx.BaseTransport | None = None
) -> Iterator[Connection]:
    """A server that was seen to be a Conveyor, let go of at the end.

    Raises:
        UserError: it is no Conveyor server.
        NetworkError: it cannot be reached.
    """
    connection = Connection(server, token, transport)
    try:
        connection.check()
        yield connection
    finally:
        connection.close()


class Connection:
    """A server.

    Args:
        server: its URL, without /api/v1.
        token: shows it who asks; None for nobody.
        transport: what carries requests; None for the network.

    Raises:
        UserError: the URL is none.
    """

    def __init__(self, server: str, token: str | None, transport: httpx.BaseTransport | None = None) -> None:
        self._server = server.rstrip("/")
        headers = {"User-Agent": f"conveyor/{__version__}", "Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        self._client = httpx.Client(
            headers=headers, timeout=httpx.Timeout(LIMIT, connect=CONNECT_LIMIT), transport=transport
        )
        if not _is_url(self._server):
            raise UserError(f"{server!r} is no URL of a server", hint="such as https://conveyor.example.org")

    def close(self) -> None:
        """Let go of it."""
        self._client.close()

    def check(self) -> None:
        """See that it is a Conveyor with this API.

        Raises:
            UserError: it is none.
            NetworkError: it cannot be reached.
        """
        found = self.get("/server")
        if found.get("name") != "conveyor" or found.get("api") != 1:
            raise self._strange("it is another program")

    def get(self, path: str, **parameters: Any) -> Mapping[str, Any]:  # noqa: ANN401 - any parameter
        """A document.

        Raises:
            ConveyorError: what the server says is wrong.
            NetworkError: it cannot be reached.
        """
        return self._ask("GET", path, parameters, None, {})

    def act(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        **parameters: Any,  # noqa: ANN401 - any parameter
    ) -> Mapping[str, Any]:
        """Have something done, once: it is asked again where no answer came.

        Raises:
            ConveyorError, NetworkError: see `get`.
        """
        return self._ask(method, path, parameters, body, {"Idempotency-Key": uuid.uuid4().hex})

    def _ask(
        self,
        method: str,
        path: str,
        parameters: Parameters,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str],
    ) -> Mapping[str, Any]:
        content = None if body is None else json.dumps(body).encode()
        headers = {**headers, **({"Content-Type": "application/json"} if content else {})}
        for tries_left in reversed(range(TRIES)):
            try:
                answered = self._client.request(
                    method, self._url(path), params=_given(parameters), content=content, headers=headers
                )
                return self._document(answered)
            except httpx.ConnectError as error:
                raise self._unreachable(error) from error
            except httpx.HTTPError as error:
                if not tries_left:
                    raise self._unreachable(error) from error
        raise AssertionError(TRIES)

    def content(self, path: str, offset: int) -> Iterator[bytes]:
        """A file from an offset on, in pieces; nothing where it has no more.

        Raises:
            ConveyorError, NetworkError: see `get`.
        """
        headers = {"Range": f"bytes={offset}-", "Accept": "*/*", "Accept-Encoding": "identity"}
        try:
            with self._client.stream("GET", self._url(path), headers=headers) as answered:
                if answered.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    return
                if answered.status_code not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
                    answered.read()
                    self._document(answered)
                yield from answered.iter_bytes()
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def stream(self, path: str, after: int, **parameters: Any) -> Iterator[Mapping[str, Any]]:  # noqa: ANN401
        """Documents as they come; it has no end, and goes on where a connection breaks.

        Raises:
            ConveyorError, NetworkError: see `get`.
        """
        while True:
            limits = httpx.Timeout(SILENCE, connect=CONNECT_LIMIT)
            try:
                with self._client.stream(
                    "GET", self._url(path), params=_given({**parameters, "after": after}), timeout=limits
                ) as answered:
                    if answered.status_code != HTTPStatus.OK:
                        answered.read()
                        self._document(answered)
                    for line in answered.iter_lines():
                        if line.startswith("data:"):
                            document = json.loads(line.removeprefix("data:"))
                            after = document["number"]
                            yield document
            except httpx.ConnectError as error:
                raise self._unreachable(error) from error
            except httpx.HTTPError:
                continue

    def _url(self, path: str) -> str:
        return f"{self._server}{PREFIX}{path}"

    def _document(self, answered: httpx.Response) -> Mapping[str, Any]:
        found: Any = None
        with suppress(ValueError):
            found = answered.json()
        if answered.status_code in {HTTPStatus.OK, HTTPStatus.ACCEPTED} and isinstance(found, dict):
            if found.get("format_version") != FORMAT_VERSION:
                raise self._strange(f"it answers in the format {found.get('format_version')!r}")
            return found
        if isinstance(found, dict) and "title" in found and "status" in found:
            raise self._error(found)
        raise self._strange(f"it answered {answered.status_code} {answered.reason_phrase}")

    def _error(self, problem: Mapping[str, Any]) -> ConveyorError:
        """The error that the server told of, as if it had happened here."""
        if problem["status"] == HTTPStatus.NOT_FOUND and "kind" not in problem:
            return self._strange("it does not know what was asked of it")
        if problem["status"] == HTTPStatus.TOO_MANY_REQUESTS:
            return NetworkError(f"the server {self._server} is asked too often", cause=str(problem["title"]))
        hint = _TOKEN_HINT if problem["status"] == HTTPStatus.UNAUTHORIZED else str(problem.get("hint", ""))
        return error_named(
            str(problem.get("kind")),
            str(problem.get("fault")),
            str(problem["title"]),
            cause=str(problem.get("detail", "")),
            hint=hint,
            details=[*map(str, problem.get("details", ())), *_mistakes(problem)],
        )

    def _strange(self, cause: str) -> UserError:
        return UserError(
            f"{self._server} is no Conveyor server that this Conveyor understands",
            cause=cause,
            hint=f"check the URL, and that the server runs the version {__version__} or a newer one",
        )

    def _unreachable(self, error: httpx.HTTPError) -> NetworkError:
        return NetworkError(
            f"the server {self._server} cannot be reached",
            cause=str(error) or type(error).__name__,
            hint="check the URL, and that the server runs",
        )


def _is_url(text: str) -> bool:
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, UnicodeError):
        return False
    return url.scheme in {"http", "https"} and bool(url.host)


def _given(parameters: Parameters) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None}


def _mistakes(problem: Mapping[str, Any]) -> Iterator[str]:
    for each in problem.get("mistakes", ()):
        yield f"{'.'.join(each['where'])}: {each['what']}"
