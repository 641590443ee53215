"""How often somebody may ask."""

from __future__ import annotations

from pathlib import Path

import pytest

from conveyor.web.api import limits
from conveyor.web.api.limits import BURST, Buckets
from tests.support.web import serving


class Seconds:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_comes_at_once_is_limited_and_comes_back_with_time() -> None:
    clock = Seconds()
    buckets = Buckets(clock)

    assert [buckets.take("ada", 60) for _ in range(BURST)] == [0.0] * BURST
    assert buckets.take("ada", 60) == 1.0
    clock.now = 0.5
    assert buckets.take("ada", 60) == 0.5
    clock.now = 1.0
    assert buckets.take("ada", 60) == 0.0
    assert buckets.take("ada", 60) == 1.0


def test_each_asks_for_itself() -> None:
    buckets = Buckets(Seconds())
    while not buckets.take("ada", 60):
        pass

    assert buckets.take("grace", 60) == 0.0


def test_many_a_minute_may_come_at_once_in_proportion() -> None:
    buckets = Buckets(Seconds())

    assert sum(not buckets.take("ada", 6000) for _ in range(2000)) == 1000


def test_strangers_cost_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REMEMBERED", 10)
    buckets = Buckets(Seconds())
    for number in range(100):
        buckets.take(f"at {number}", 60)

    assert len(buckets._left) == 10


@pytest.mark.parametrize("path", ["/api/health", "/dlrn/debian-12-amd64/api/health", "/api/report.html"])
def test_dlrns_clients_are_limited_too_and_told_in_their_way(tmp_path: Path, path: str) -> None:
    with serving(tmp_path, settings="[web]\nrate_limit = 60\n") as client:
        client.app.state.buckets = Buckets(Seconds())  # type: ignore[attr-defined] # a Starlette application has a state
        answers = [client.get(path) for _ in range(3 * BURST)]
        own = client.get("/api/v1/server")

    assert [answer.status_code for answer in answers] == BURST * [200] + 2 * BURST * [429]
    assert answers[-1].json() == {"message": "more than 60 requests a minute"}
    assert answers[-1].headers["retry-after"] == "1"
    assert own.status_code == 429


def test_the_published_tree_and_pages_are_not_limited(tmp_path: Path) -> None:
    with serving(tmp_path, settings="[web]\nrate_limit = 60\n") as client:
        client.app.state.buckets = Buckets(Seconds())  # type: ignore[attr-defined]
        assert {client.get("/queue").status_code for _ in range(3 * BURST)} == {200}
        assert client.get("/repos/nothing").status_code == 404
