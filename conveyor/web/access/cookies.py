"""Cookies that only this site can read, and that no page's script can."""

from __future__ import annotations

from starlette.requests import HTTPConnection
from starlette.responses import Response

from conveyor.config import Settings

SESSION = "conveyor-session"


def is_secure(settings: Settings) -> bool:
    """Whether people reach the site over https, as far as the settings say."""
    return (settings.web.url or "").startswith("https://")


def read(request: HTTPConnection, settings: Settings, name: str) -> str:
    """A cookie's value; empty where there is none."""
    return request.cookies.get(_full(settings, name), "")


def put(answer: Response, settings: Settings, name: str, value: str, seconds: int) -> None:
    """Let the browser have a cookie, for so long."""
    answer.set_cookie(
        _full(settings, name),
        value,
        max_age=seconds,
        path="/",
        secure=is_secure(settings),
        httponly=True,
        samesite="lax",
    )


def drop(answer: Response, settings: Settings, name: str) -> None:
    """Let the browser forget a cookie."""
    put(answer, settings, name, "", 0)


def _full(settings: Settings, name: str) -> str:
    """With the prefix, browsers take it from this host over https only: RFC 6265bis, 4.1.3.2."""
    return f"__Host-{name}" if is_secure(settings) else name
