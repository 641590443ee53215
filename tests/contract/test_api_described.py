"""The API does what its own description says, whatever it is asked: schemathesis asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.support.api import Served, as_, served

ASKED = 20
# The stream has no end.
WITHOUT = ["/api/v1/events/stream"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, http=False, settings="[web]\nrate_limit = 0\n") as site:
        yield site


class Case(Protocol):
    """A request that fits the description."""

    def call_and_validate(self, *, headers: dict[str, str], excluded_checks: list[object]) -> object: ...


def operations(site: Served) -> Iterator[Any]:
    described = schemathesis.openapi.from_asgi("/api/v1/openapi.json", site.app)
    for found in described.include(path_regex="^/api/v1/").exclude(path=WITHOUT).get_all_operations():
        assert isinstance(found, Ok)
        yield found.ok()


# A schema cannot say all that makes no sense, such as the name of a pause of everything.
def test_whatever_is_asked_is_answered_as_described(site: Served) -> None:
    asked = 0
    for operation in operations(site):

        @settings(
            max_examples=ASKED,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
        )
        @given(case=operation.as_strategy())
        def ask(case: Case) -> None:
            case.call_and_validate(headers=as_("admin"), excluded_checks=[positive_data_acceptance])

        ask()
        asked += 1
    assert asked >= 40
