"""Styles, scripts and pictures: each at an address that changes with its content, so that browsers keep it for ever."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Response

from conveyor.errors import UnknownName

DIGITS = 12
_FOR_EVER = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A file that pages need.

    Attributes:
        content: its bytes.
        media_type: what it is.
        url: where it is served.
    """

    content: bytes
    media_type: str
    url: str


@cache
def assets() -> Mapping[str, Asset]:
    """All of them, by name."""
    folder = files(__package__) / "static"
    return {each.name: _asset(each.name, each.read_bytes()) for each in folder.iterdir() if each.is_file()}


def url_of(name: str) -> str:
    """Where a file of the static folder is served."""
    return assets()[name].url


@router.get("/static/{digest}/{name}")
def static(digest: str, name: str) -> Response:
    """A file. One of another version of Conveyor is not there any more."""
    found = assets().get(name)
    if found is None or found.url != f"/static/{digest}/{name}":
        raise UnknownName(f"there is no file {name!r} of this version", hint="load the page anew")
    return Response(found.content, media_type=found.media_type, headers={"cache-control": _FOR_EVER})


def _asset(name: str, content: bytes) -> Asset:
    digest = hashlib.sha256(content).hexdigest()[:DIGITS]
    guessed = mimetypes.guess_type(name)[0] or "application/octet-stream"
    media_type = "text/javascript" if name.endswith(".js") else guessed
    return Asset(content=content, media_type=media_type, url=f"/static/{digest}/{name}")
