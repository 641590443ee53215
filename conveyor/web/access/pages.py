"""The pages to sign in and out."""

from __future__ import annotations

from starlette.responses import HTMLResponse, Response

from conveyor.web.pages.answer import alone
from conveyor.web.pages.environment import environment

NO_STORE = {"cache-control": "no-store"}


def page(template: str, status: int = 200, **context: object) -> Response:
    """A page that no cache keeps."""
    text = environment().get_template(template).render({**alone(""), **context})
    return HTMLResponse(text, status, headers=NO_STORE)
