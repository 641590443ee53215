"""Which site a request was sent from, as browsers tell it."""

from __future__ import annotations

from enum import Enum
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection


class Sender(Enum):
    """Who made a browser send a request."""

    OURS = "a page of ours"
    OTHER = "a page of another site"
    UNKNOWN = "it does not say, as programs do not"


def sender_of(request: HTTPConnection, url: str | None) -> Sender:
    """Who made a browser send this request.

    Sec-Fetch-Site and Origin are written by the browser, and no page can change them:
    https://www.w3.org/TR/fetch-metadata/ and RFC 6454.

    Args:
        request: the request.
        url: where people reach this site; None for wherever they ask for it.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site not in {None, "same-origin", "none"}:
        return Sender.OTHER
    if origin is not None:
        return Sender.OURS if _is_own(origin, request, url) else Sender.OTHER
    return Sender.OURS if site == "same-origin" else Sender.UNKNOWN


def origin_of(url: str) -> str:
    """The origin of a URL, as browsers write it."""
    parts = urlsplit(url)
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = "" if parts.port in {None, usual} else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def _is_own(origin: str, request: HTTPConnection, url: str | None) -> bool:
    if url is not None:
        return origin == origin_of(url)
    return origin in {f"http://{request.headers.get('host')}", f"https://{request.headers.get('host')}"}
