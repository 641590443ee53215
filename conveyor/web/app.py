"""All that is answered, put together."""

from __future__ import annotations

from fastapi import FastAPI

from conveyor import __version__
from conveyor.web import health, problems
from conveyor.web.access import provided, sign_in
from conveyor.web.access.auditing import Auditing
from conveyor.web.access.door import Door
from conveyor.web.api.limits import Buckets
from conveyor.web.api.parts import PROBLEMS
from conveyor.web.api.router import TAGS
from conveyor.web.api.router import router as api
from conveyor.web.api.stream import Hub
from conveyor.web.dlrn import router as dlrn
from conveyor.web.dlrn.aggregates import Aggregates
from conveyor.web.dlrn.metrics import Counted
from conveyor.web.headers import SafeHeaders
from conveyor.web.hooks import routes as hooks
from conveyor.web.hooks.signatures import Signatures
from conveyor.web.live import routes as live
from conveyor.web.overview import Overview
from conveyor.web.pages import router as pages
from conveyor.web.pages.kept import Kept
from conveyor.web.requestid import RequestIds
from conveyor.web.requests import Counting, Requests
from conveyor.web.site import Sites
from conveyor.web.tree import routes as tree

# Of what is sent, more is not read: webhooks are the largest of it, and are told so in their own words.
LARGEST_BODY = 5 * 2**20


def make_app(sites: Sites) -> FastAPI:
    """What answers requests.

    Args:
        sites: what it answers from; the caller closes it.
    """
    app = FastAPI(
        title="Conveyor",
        version=__version__,
        openapi_url="/api/v1/openapi.json",
        max_body_size=LARGEST_BODY,
        docs_url=None,
        redoc_url=None,
        openapi_tags=TAGS,
        summary="What Conveyor has built, builds, and can be asked to do.",
    )
    app.state.sites = sites
    app.state.overview = _overview(sites)
    app.state.hub = Hub(lambda: sites.current().conveyor.events)
    app.state.buckets = Buckets()
    app.state.live = live.make_live()
    app.state.signatures = Signatures()
    app.state.door = Door()
    app.state.kept = Kept()
    app.state.aggregates = Aggregates()
    app.state.sign_ins = provided.SignIns()
    app.state.counted = Counted()
    app.state.requests = Requests()
    app.add_middleware(Auditing, sites=sites)
    app.add_middleware(SafeHeaders)
    app.add_middleware(RequestIds)
    app.add_middleware(Counting, requests=app.state.requests)
    problems.register(app)
    app.include_router(health.router)
    # Early, because a request is compared with one route after the other until it fits.
    app.include_router(pages.router)
    app.include_router(sign_in.router)
    app.include_router(provided.router)
    app.include_router(api)
    # Before the published tree, whose paths below /repos/ it has some of.
    app.include_router(dlrn.router)
    app.include_router(live.router, responses=PROBLEMS)
    app.include_router(tree.router)
    app.include_router(hooks.router)
    return app


def _overview(sites: Sites) -> Overview:
    conveyor = sites.current().conveyor
    return Overview(conveyor.lookup, conveyor.queue, conveyor.events, conveyor.ledger)
