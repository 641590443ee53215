"""Every route of the application, and what it needs.

`python -m tests.support.matrix` prints the table of docs/web.md.
"""

from __future__ import annotations

import inspect
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from conveyor.model.access import Permission
from conveyor.web.access.guard import GUARDS
from tests.support.access import app_of
from tests.support.web import serving

# Routes that need nothing even where the site is not open, and why.
OPEN = {
    "/healthz": "whether the server is alive; it tells nothing else",
    "/readyz": "whether the store can be read, and what is wrong with the configuration",
    "/api/v1/openapi.json": "what the API is; it tells nothing of the site",
    "/static/{digest}/{name}": "styles and scripts, the same on every site",
    "/hooks/{kind}": "what comes in is signed, with a secret that forges have",
    "/sign-in": "who signs in is nobody yet",
    "/sign-in/provider": "who signs in is nobody yet",
    "/sign-in/provider/answer": "who signs in is nobody yet",
    "/sign-out": "who is nobody stays so",
    "/account": "one sees oneself only",
}
# From the least to the most.
ORDER = (Permission.READ, Permission.VOTE, Permission.RETRY, Permission.PROMOTE, Permission.ADMIN)
VALUES = {"kind": "github", "target": "debian-12-amd64", "package": "nova", "name": "nova"}


@dataclass(frozen=True, kw_only=True)
class Known:
    """A route with one of its methods.

    Attributes:
        method: the method.
        path: its path, with the names of its parameters.
        needs: what it says it needs; None where it says nothing.
    """

    method: str
    path: str
    needs: Permission | None

    @property
    def url(self) -> str:
        """A path that leads to it."""
        return re.sub(r"\{(\w+)(:\w+)?\}", lambda found: VALUES.get(found[1], "1"), self.path)


def routes(app: FastAPI) -> tuple[Known, ...]:
    """All of them, by path."""
    found = set(_routes(app))
    return tuple(sorted(found, key=lambda one: (one.path, one.method)))


def _routes(app: FastAPI) -> Iterator[Known]:
    for context in iter_route_contexts(app.routes):
        needs = _needs(getattr(context, "dependant", None))
        for method in context.methods or {"*"}:
            yield Known(method=method, path=context.path or "?", needs=needs)


def disarm(app: FastAPI) -> None:
    """Let all routes do nothing, once all that they depend on is there; the routes must be the application's own."""
    for context in iter_route_contexts(app.routes):
        dependant: Dependant | None = getattr(context, "dependant", None)
        if dependant is not None and dependant.call is not None:
            dependant.call = _nothing_like(dependant.call)


def _nothing_like(endpoint: Callable[..., object]) -> Callable[..., object]:
    """What does nothing, and is called in the same way."""

    def nothing(**_given: object) -> Response:
        return Response(status_code=204)

    async def nothing_soon(**_given: object) -> Response:
        return Response(status_code=204)

    def none(**_given: object) -> Iterator[object]:
        yield from ()

    async def none_soon(**_given: object) -> AsyncIterator[object]:
        for each in tuple[object, ...]():
            yield each

    if inspect.isasyncgenfunction(endpoint):
        return none_soon
    if inspect.isgeneratorfunction(endpoint):
        return none
    return nothing_soon if inspect.iscoroutinefunction(endpoint) else nothing


def _needs(dependant: Dependant | None) -> Permission | None:
    found = set(_guards(dependant)) if dependant else set()
    return max(found, key=ORDER.index, default=None)


def _guards(dependant: Dependant) -> Iterator[Permission]:
    permission = getattr(dependant.call, GUARDS, None)
    if permission is not None:
        yield permission
    for each in dependant.dependencies:
        yield from _guards(each)


def table(app: FastAPI) -> str:
    """What each route needs, for docs/web.md."""
    lines = ["| method | path | needs |", "|---|---|---|"]
    for known in routes(app):
        if known.method == "HEAD":  # as GET, or it is no route of a page
            continue
        needs = f"`{known.needs}`" if known.needs else "nothing"
        lines.append(f"| {known.method} | `{known.path}` | {needs} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as client:
        print(table(app_of(client)))  # noqa: T201 - what it is for
