"""How many builds there are, for Prometheus, under DLRN's names."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from conveyor.model.tally import Totals
from conveyor.web.access.guard import Reader
from conveyor.web.site import Here, Site

_NOTHING = Totals(all=0, succeeded=0, failed=0, errored=0)

router = APIRouter()


@router.get("/metrics")
def metrics(_who: Reader, site: Here) -> Response:
    """Builds of the trunk by target; `baseurl` is what DLRN calls where a target's repositories are."""
    registry = CollectorRegistry()
    registry.register(_Builds(site))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Builds(Collector):
    def __init__(self, site: Site) -> None:
        self._site = site

    def describe(self) -> Iterator[Metric]:
        """Nothing: the store is asked once only."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        totals = self._site.conveyor.books.tally.totals()
        counted = {target: totals.get(target, _NOTHING) for target in self._site.repos.targets}
        for name, told, values in (
            ("dlrn_builds", "Builds.", {target: each.all for target, each in counted.items()}),
            ("dlrn_builds_succeeded", "Builds that succeeded.", {t: each.succeeded for t, each in counted.items()}),
            ("dlrn_builds_failed", "Builds that failed.", {t: each.failed for t, each in counted.items()}),
            ("dlrn_builds_retry", "Builds that errored.", {t: each.errored for t, each in counted.items()}),
        ):
            family = CounterMetricFamily(name, told, labels=["baseurl", "target"])
            for target, value in values.items():
                family.add_metric([f"{self._site.settings.base_url}/{target}", target], value)
            yield family
