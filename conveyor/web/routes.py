"""Which route a request has come to."""

from __future__ import annotations

from starlette.types import Scope


def template_of(scope: Scope) -> str:
    """The path as the route has it, with the names of its parameters and its prefix; empty where there is no route."""
    included = scope.get("fastapi", {}).get("effective_route_context")
    return str(getattr(included or scope.get("route"), "path", ""))
