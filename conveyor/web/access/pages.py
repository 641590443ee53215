"""The pages to sign in and out."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

NO_STORE = {"cache-control": "no-store"}


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("conveyor.web.access"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )


def page(template: str, status: int = 200, **context: object) -> Response:
    """A page that no cache keeps."""
    return HTMLResponse(_environment().get_template(template).render(context), status, headers=NO_STORE)
