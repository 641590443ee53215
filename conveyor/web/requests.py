"""Counts requests, for Prometheus: docs/metrics.md."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conveyor.web.routes import template_of

# What has no route is one of all: paths are whatever somebody sends, and each would be kept for ever.
NO_ROUTE = "none"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, math.inf)


class Requests(Collector):
    """How many requests there were, and what they took. For any thread."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._answered = Counter(
            "conveyor_web_requests",
            "Requests, by route and class of the status.",
            ["route", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "conveyor_web_request_seconds",
            "From a request to the beginning of its answer.",
            ["route"],
            buckets=BUCKETS,
            registry=self._registry,
        )

    def count(self, route: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            route: the template of its path; empty for none.
            status: of the answer.
            seconds: from the request to the beginning of the answer.
        """
        name = route or NO_ROUTE
        self._answered.labels(name, f"{status // 100}xx").inc()
        self._seconds.labels(name).observe(seconds)

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        yield from self._registry.collect()


class Counting:
    """Counts each request. It is the outermost, so that what others refuse or spoil counts too.

    Args:
        app: what answers.
        requests: counts.
    """

    def __init__(self, app: ASGIApp, requests: Requests) -> None:
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.monotonic()
        status: int | None = None

        def count(given: int) -> None:
            nonlocal status
            status = given
            self._requests.count(template_of(scope), given, time.monotonic() - begun)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                count(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            if status is None:  # a defect, which is answered further out
                count(500)
