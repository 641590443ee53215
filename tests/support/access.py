"""Tokens, users and sessions on the site of a test, and routes that need each permission."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, cast

from argon2 import PasswordHasher
from fastapi import APIRouter, Depends, FastAPI
from fastapi.testclient import TestClient

from conveyor.errors import NotPossible
from conveyor.model.access import AuditEntry, AuditQuery, Permission, Session, Token, User
from conveyor.pipeline.access import secrets
from conveyor.pipeline.access.passwords import Passwords
from conveyor.web.access.auditing import Noting
from conveyor.web.access.door import Door
from conveyor.web.access.guard import Asking, may
from conveyor.wiring import Conveyor

PASSWORD = "correct horse battery"
# Not for real: it takes no time and no memory.
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
OWN = "http://testserver"


def app_of(client: TestClient) -> FastAPI:
    return cast(FastAPI, client.app)


def conveyor_of(client: TestClient) -> Conveyor:
    return cast(Conveyor, app_of(client).state.sites.current().conveyor)


def now_of(client: TestClient) -> datetime:
    return conveyor_of(client).clock.now()


def quicken(client: TestClient) -> Door:
    """A door whose passwords take no time, and whose clock stands still."""
    door = Door(Passwords(QUICK), now=lambda: 1000.0)
    app_of(client).state.door = door
    return door


def add_token(client: TestClient, name: str, *permissions: Permission, lasts: timedelta | None = None) -> str:
    secret = secrets.new_token()
    now = now_of(client)
    token = Token(
        name=name,
        digest=secrets.digest(secret),
        permissions=frozenset(permissions),
        created_at=now,
        created_by="root",
        expires_at=now + lasts if lasts is not None else None,
    )
    conveyor_of(client).tokens.add(token)
    return secret


def add_user(client: TestClient, name: str, *permissions: Permission) -> None:
    now = now_of(client)
    kept = QUICK.hash(PASSWORD)
    user = User(name=name, password=kept, permissions=frozenset(permissions), created_at=now, changed_at=now)
    conveyor_of(client).users.add(user)


def add_session(
    client: TestClient,
    user: str,
    *permissions: Permission,
    issuer: str = "",
    lasts: timedelta = timedelta(hours=1),
) -> str:
    """A session of a user, who is made where nobody is called so."""
    if permissions and not issuer and conveyor_of(client).users.find(user) is None:
        add_user(client, user, *permissions)
    secret = secrets.new_secret()
    now = now_of(client)
    session = Session(
        digest=secrets.digest(secret),
        user=user,
        issuer=issuer,
        permissions=frozenset(permissions),
        created_at=now,
        seen_at=now,
        expires_at=now + lasts,
    )
    conveyor_of(client).sessions.add(session)
    return secret


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def session_headers(secret: str) -> dict[str, str]:
    """What a page of ours sends with a request that acts."""
    return {"Cookie": f"conveyor-session={secret}", "Origin": OWN, "X-CSRF-Token": secrets.csrf_of(secret)}


def audited(client: TestClient) -> tuple[AuditEntry, ...]:
    """The audit log, the oldest first."""
    return conveyor_of(client).audit.newest(AuditQuery(limit=1000))[::-1]


def add_probes(client: TestClient) -> None:
    """Routes /probe/PERMISSION to look (GET) and to act (POST), and some that go wrong."""
    router = APIRouter()
    for permission in Permission:
        router.add_api_route(f"/probe/{permission}", _who, methods=["GET", "POST"], dependencies=[_needs(permission)])
    router.add_api_route("/probe/of/{name}", _tells, methods=["POST"], dependencies=[_needs(Permission.VOTE)])
    router.add_api_route("/api/v1/probe/refuses", _refuses, methods=["POST"], dependencies=[_needs(Permission.VOTE)])
    router.add_api_route("/probe/breaks", _breaks, methods=["POST"], dependencies=[_needs(Permission.VOTE)])
    app_of(client).include_router(router)
    app_of(client).include_router(router, prefix="/within/{place}")


def _needs(permission: Permission) -> Any:  # noqa: ANN401 - FastAPI has no type for it
    return Depends(may(permission))


def _who(asking: Asking) -> dict[str, str]:
    return {"name": asking.name, "means": asking.means, "csrf": asking.csrf}


def _tells(name: str, noting: Noting, more: Annotated[str, Depends(lambda: "more")]) -> None:
    noting.about(f"the {name}", told=more)


def _refuses() -> None:
    raise NotPossible("it is closed", cause="on Sundays")


def _breaks() -> None:
    raise ZeroDivisionError
