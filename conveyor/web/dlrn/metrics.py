"""What the page tells Prometheus: how many builds there are, under DLRN's names, and what it is asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from threading import Lock
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from conveyor.errors import ConveyorError
from conveyor.model.tally import Totals
from conveyor.web.access.guard import Reader
from conveyor.web.requests import Requests
from conveyor.web.site import Here, Site

# How long what was counted is told again: to count looks at each build.
FRESH_SECONDS = 5.0
_NOTHING = Totals(all=0, succeeded=0, failed=0, errored=0)
FAMILIES: tuple[tuple[str, str, Callable[[Totals], int]], ...] = (
    ("dlrn_builds", "Builds.", lambda totals: totals.all),
    ("dlrn_builds_succeeded", "Builds that succeeded.", lambda totals: totals.succeeded),
    ("dlrn_builds_failed", "Builds that failed.", lambda totals: totals.failed),
    ("dlrn_builds_retry", "Builds that errored.", lambda totals: totals.errored),
)

router = APIRouter()


class Counted:
    """The builds of all targets, counted anew when that is old."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._at = float("-inf")
        self._totals: Mapping[str, Totals] = {}

    def of(self, site: Site) -> Mapping[str, Totals]:
        """Builds by the target's name.

        Raises:
            StoreUnusable: the store does not answer.
        """
        with self._lock:
            if time.monotonic() - self._at >= FRESH_SECONDS:
                self._totals = site.conveyor.books.tally.totals()
                self._at = time.monotonic()
            return self._totals


async def _counted(request: Request) -> Counted:
    return cast(Counted, request.app.state.counted)


async def _requests(request: Request) -> Requests:
    return cast(Requests, request.app.state.requests)


@router.get("/metrics")
def metrics(
    _who: Reader,
    site: Here,
    counted: Annotated[Counted, Depends(_counted)],
    requests: Annotated[Requests, Depends(_requests)],
) -> Response:
    """Builds of the trunk by target; `baseurl` is what DLRN calls where a target's repositories are. And requests."""
    registry = CollectorRegistry()
    registry.register(requests)
    with suppress(ConveyorError):  # that it answers with errors then is what Prometheus is to know
        registry.register(_Builds(site, counted.of(site)))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Builds(Collector):
    def __init__(self, site: Site, totals: Mapping[str, Totals]) -> None:
        self._base_url = site.settings.base_url
        self._totals = {target: totals.get(target, _NOTHING) for target in site.repos.targets}

    def collect(self) -> Iterator[Metric]:
        for name, told, value in FAMILIES:
            family = CounterMetricFamily(name, told, labels=["baseurl", "target"])
            for target, totals in self._totals.items():
                family.add_metric([f"{self._base_url}/{target}", target], value(totals))
            yield family
