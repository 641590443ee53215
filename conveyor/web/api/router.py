"""The API, put together."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from conveyor.web.api import access, acting, builds, published, standing, stream
from conveyor.web.api.limits import limited
from conveyor.web.api.parts import PREFIX, PROBLEMS

TAGS = [
    {"name": "standing", "description": "How everything stands."},
    {"name": "builds", "description": "Builds, commits and packages."},
    {"name": "snapshots", "description": "What was published."},
    {"name": "pointers", "description": "Pointers, promotions, votes, and the ledger of what moved."},
    {"name": "events", "description": "What happened, and what happens."},
    {"name": "acting", "description": "What can be done from afar, with a token."},
    {"name": "access", "description": "Tokens, users, and the audit log; for administrators."},
]

router = APIRouter(prefix=PREFIX, dependencies=[Depends(limited)], responses=PROBLEMS)
for part in (standing.router, builds.router, published.router, stream.router, acting.router, access.router):
    router.include_router(part)
