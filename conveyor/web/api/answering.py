"""How the API answers: with JSON, a tag that tells whether anything has changed, and once to a request with a key."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response

from conveyor.documents.text import text_of
from conveyor.errors import NotPossible, UserError
from conveyor.model.access import KeyedRequest
from conveyor.web.access.guard import Asking
from conveyor.web.site import Here, Site, known_site

JSON = "application/json"
KEY = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
LONGEST_KEY = 200
# For how long a key is remembered.
KEPT = timedelta(days=1)
# Numbers of changes say nothing to who has seen those of another process: the store may be another one.
_PROCESS = secrets.token_hex(6)


def answer(
    request: Request, document: Mapping[str, Any], *, tag: str = "", ready: Mapping[str, Sequence[str]] | None = None
) -> Response:
    """A document, or that nothing has changed.

    Args:
        request: what is answered.
        document: the document.
        tag: what changes whenever the document may; empty for the document's own hash.
        ready: see `text_of`.
    """
    body = known_site(request).discretion.told(text_of(document, ready or {})).encode()
    tag = tag or f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    return unchanged(request, tag) or Response(body, media_type=JSON, headers=_headers(tag))


def unchanged(request: Request, tag: str) -> Response | None:
    """That nothing has changed for who has seen this tag; None where it has."""
    seen = {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}
    if tag.removeprefix("W/") not in seen:
        return None
    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=_headers(tag))


def _headers(tag: str) -> dict[str, str]:
    return {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Authorization, Cookie"}


def _changes(site: Here) -> str:
    """A tag that changes with the queue, with events and with the configuration."""
    conveyor = site.conveyor
    newest = conveyor.events.newest(limit=1)
    # More changes than there can be: only the number is wanted.
    number = conveyor.queue.changes(2**62).number
    return f'W/"{_PROCESS}-{number}-{newest[0].number if newest else 0}-{id(site.repos):x}"'


# What a route takes whose answer changes with builds and events only.
Changes = Annotated[str, Depends(_changes)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """Answers a request that acts; one that comes again under its key is answered as before, and does nothing.

    Attributes:
        site: the site.
        keyed: the request under its key; None where it has none.
    """

    site: Site
    keyed: KeyedRequest | None

    def __call__(
        self, act: Callable[[], Mapping[str, Any]], *, place: Callable[[Mapping[str, Any]], str] | None = None
    ) -> Response:
        """Act, and answer with what came of it.

        Args:
            act: acts.
            place: where to look for what comes of it later, of what `act` gave; None where all is done by then.

        Raises:
            NotPossible: the same request is being carried out.
            UserError: another request has the key.
        """
        if self.keyed is None:
            return _told(self._done(act), place)
        keys = self.site.conveyor.idempotency
        before = keys.begin(self.keyed, self.site.conveyor.clock.now())
        if before is not None and before.digest != self.keyed.digest:
            raise UserError(f"the {KEY} was used for another request", hint="make a new key for each request")
        if before is not None and before.status is None:
            raise NotPossible("the same request is being carried out", hint="ask again in a moment, with the same key")
        if before is not None:
            return _told(before.body.encode(), place, {REPLAYED: "true"})
        done = False
        try:
            body = self._done(act)
            done = True
        finally:
            if not done:
                keys.release(self.keyed)
        keys.complete(self.keyed, HTTPStatus.OK if place is None else HTTPStatus.ACCEPTED, body.decode())
        keys.forget(self.site.conveyor.clock.now() - KEPT)
        return _told(body, place)

    def _done(self, act: Callable[[], Mapping[str, Any]]) -> bytes:
        return self.site.discretion.told(text_of(act())).encode()


def _told(
    body: bytes, place: Callable[[Mapping[str, Any]], str] | None, headers: Mapping[str, str] | None = None
) -> Response:
    headers = {"Cache-Control": "no-store", **(headers or {})}
    if place is None:
        return Response(body, media_type=JSON, headers=headers)
    return Response(body, HTTPStatus.ACCEPTED, {**headers, "Location": place(json.loads(body))}, JSON)


def told(document: Mapping[str, Any]) -> Response:
    """What came of a request that acts, and that nothing remembers."""
    return _told(text_of(document).encode(), None)


async def _once(
    request: Request,
    site: Here,
    asking: Asking,
    key: Annotated[
        str | None,
        Header(
            alias=KEY,
            description="Any text of your own. A request that comes again with it is answered as before, and does "
            "nothing more.",
            max_length=LONGEST_KEY,
        ),
    ] = None,
) -> Once:
    if not key:
        return Once(site=site, keyed=None)
    body = await request.body()
    asked = f"{request.method} {request.url.path}?{request.url.query}\n".encode() + body
    keyed = KeyedRequest(key=key, actor=asking.name, digest=hashlib.sha256(asked).hexdigest())
    return Once(site=site, keyed=keyed)


# What a route takes that acts.
Acting = Annotated[Once, Depends(_once)]
