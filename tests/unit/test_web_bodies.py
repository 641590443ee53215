"""What is too large is not read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from conveyor.model.access import Permission
from conveyor.web.app import LARGEST_BODY
from tests.support.access import add_probes, add_token, bearer
from tests.support.web import serving

CHUNK = 64 * 1024
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with serving(tmp_path_factory.mktemp("site")) as opened:
        add_probes(opened)
        yield opened


def test_a_body_that_says_so_is_refused(client: TestClient) -> None:
    answer = client.post("/sign-in", content=b"name=" + b"x" * LARGEST_BODY, headers={"Content-Type": FORM})
    assert answer.status_code == 413


def test_one_that_says_nothing_of_its_size_is_read_as_far_as_that(client: TestClient) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(2 * LARGEST_BODY // CHUNK):
            yield b"x" * CHUNK

    assert client.post("/sign-in", content=endless(), headers={"Content-Type": FORM}).status_code == 413


def test_what_is_not_too_large_is_read(client: TestClient) -> None:
    headers = bearer(add_token(client, "ci", Permission.VOTE))
    assert client.post("/probe/vote", content=b"x" * (LARGEST_BODY - 1), headers=headers).status_code == 200
