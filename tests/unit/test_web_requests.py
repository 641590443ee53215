"""What the page tells Prometheus of its requests: by route and never by path, and that docs/metrics.md says so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from conveyor.errors import StoreUnusable
from conveyor.web.requests import BUCKETS
from tests.support.matrix import routes
from tests.support.web import serving

DOCUMENTED = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text().partition("## The page")[2]
LABELS = tuple[tuple[str, str], ...]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with serving(tmp_path) as client:
        yield client


def samples(client: TestClient, name: str) -> dict[LABELS, float]:
    """The values of a metric by its labels."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    found = (sample for family in families for sample in family.samples if sample.name == name)
    return {tuple(sorted(sample.labels.items())): sample.value for sample in found}


def counted(client: TestClient) -> dict[tuple[str, str], float]:
    """How many requests there were before this, by route and class."""
    found = samples(client, "conveyor_web_requests_total")
    return {(dict(labels)["route"], dict(labels)["status"]): value for labels, value in found.items()}


def test_requests_are_counted_by_route_and_class_of_their_status(client: TestClient) -> None:
    for path in ("/", "/builds/1", "/builds/2", "/packages/nova", "/packages/nova", "/api/v1/builds/7", "/healthz"):
        client.get(path)
    client.post("/api/v1/builds/7/retry")
    client.get("/packages/nova", headers={"If-None-Match": client.get("/packages/nova").headers["etag"]})
    client.delete("/queue")
    assert counted(client) == {
        ("/", "2xx"): 1,
        ("/builds/{number}", "4xx"): 2,
        ("/packages/{name}", "2xx"): 3,
        ("/packages/{name}", "3xx"): 1,
        ("/api/v1/builds/{number}", "4xx"): 1,
        ("/api/v1/builds/{number}/retry", "4xx"): 1,
        ("/healthz", "2xx"): 1,
        ("/queue", "4xx"): 1,
    }
    assert counted(client)["/metrics", "2xx"] == 1


def test_what_somebody_makes_up_adds_one_line_at_most(client: TestClient) -> None:
    made_up = ["/nothing", "/nothing/else", "/api/v1/nothing", "/static/1/x", "/hooks/nothing", "/..%2f..%2fetc/passwd"]
    made_up += [f"/repos/debian-12-amd64/{number}/x" for number in range(20)]
    made_up += [f"/packages/{number}" for number in range(20)]
    for path in made_up:
        client.get(path)
    known = {route.path for route in routes(app_of(client))} | {"none"}
    assert {route for route, _ in counted(client)} <= known
    assert counted(client)["none", "4xx"] >= 3
    assert counted(client)["/packages/{name}", "4xx"] == 20


def test_seconds_are_told_by_route(client: TestClient) -> None:
    for _ in range(3):
        client.get("/packages/nova")
    route = (("route", "/packages/{name}"),)
    assert samples(client, "conveyor_web_request_seconds_count") == {route: 3}
    assert samples(client, "conveyor_web_request_seconds_sum")[route] > 0
    buckets = samples(client, "conveyor_web_request_seconds_bucket")
    assert sum(dict(labels)["route"] == "/packages/{name}" for labels in buckets) == len(BUCKETS)


def test_a_defect_counts_too(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("conveyor.web.pages.events.query", broken)
    monkeypatch.setattr("conveyor.web.pages.events.EventKind", broken)
    with TestClient(app_of(client), raise_server_exceptions=False) as careless:
        assert careless.get("/events").status_code == 500
    assert counted(client)["/events", "5xx"] == 1


def test_they_are_told_where_the_store_does_not_answer(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise StoreUnusable("the store is locked")

    tally = app_of(client).state.sites.current().conveyor.books.tally
    monkeypatch.setattr(tally, "totals", fail)
    client.get("/")
    assert counted(client)["/", "2xx"] == 1
    assert "dlrn_builds" not in client.get("/metrics").text


def test_who_may_not_look_is_told_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, settings="[web]\nopen = false\n") as client:
        assert client.get("/metrics").status_code == 401


def test_the_documentation_says_all_of_it(client: TestClient) -> None:
    client.get("/")
    families = text_string_to_metric_families(client.get("/metrics").text)
    told = {
        f"{family.name}_total" if family.type == "counter" else family.name: (
            family.type,
            {label for sample in family.samples for label in sample.labels} - {"le"},
        )
        for family in families
        if family.name.startswith("conveyor_") and not family.name.endswith("_created")
    }
    rows = re.findall(r"^\| `(conveyor_\w+)` \| (\w+) \|([^|]*)\|", DOCUMENTED, flags=re.MULTILINE)
    assert told == {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def app_of(client: TestClient) -> FastAPI:
    app = client.app
    assert isinstance(app, FastAPI)
    return app
