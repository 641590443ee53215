"""All that is answered, put together."""

from __future__ import annotations

from fastapi import FastAPI

from conveyor import __version__
from conveyor.web import health, problems
from conveyor.web.access import sign_in
from conveyor.web.access.auditing import Auditing
from conveyor.web.access.door import Door
from conveyor.web.dlrn import router as dlrn
from conveyor.web.dlrn.aggregates import Aggregates
from conveyor.web.headers import SafeHeaders
from conveyor.web.live import routes as live
from conveyor.web.overview import Overview
from conveyor.web.pages import router as pages
from conveyor.web.pages.kept import Kept
from conveyor.web.site import Sites


def make_app(sites: Sites) -> FastAPI:
    """What answers requests.

    Args:
        sites: what it answers from; the caller closes it.
    """
    app = FastAPI(
        title="Conveyor",
        version=__version__,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.sites = sites
    app.state.overview = _overview(sites)
    app.state.live = live.make_live()
    app.state.door = Door()
    app.state.kept = Kept()
    app.state.aggregates = Aggregates()
    app.add_middleware(Auditing, sites=sites)
    app.add_middleware(SafeHeaders)
    problems.register(app)
    app.include_router(health.router)
    app.include_router(sign_in.router)
    app.include_router(dlrn.router)
    app.include_router(live.router)
    app.include_router(pages.router)
    return app


def _overview(sites: Sites) -> Overview:
    conveyor = sites.current().conveyor
    return Overview(conveyor.lookup, conveyor.queue, conveyor.events, conveyor.ledger)
