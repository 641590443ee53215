"""Logs over HTTP: whole, in parts, searched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from fastapi.testclient import TestClient

from tests.support.logs import Logging
from tests.support.web import serving


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with serving(tmp_path) as made:
        yield made


@pytest.fixture
def log(client: TestClient, tmp_path: Path) -> Logging:
    state: SimpleNamespace = client.app.state  # type: ignore[attr-defined]
    made = Logging(state.sites.current().conveyor.store, tmp_path / "data")
    made.write("".join(f"line {number}\n" for number in range(1, 2001)))
    return made


def test_the_whole_log_comes_as_text_and_in_parts(client: TestClient, log: Logging) -> None:
    page = "/builds/1/attempts/1/log"
    whole = client.get(page)
    assert whole.content == log.path.read_bytes()
    assert whole.headers["content-type"] == "text/plain; charset=utf-8"
    assert whole.headers["x-content-type-options"] == "nosniff"
    assert whole.headers["cache-control"] == "no-cache"
    assert whole.headers["content-disposition"] == 'inline; filename="nova-debian-12-amd64-1-1.log"'
    saved = client.get(log.url, params={"download": True})
    assert saved.headers["content-disposition"].startswith("attachment")

    part = client.get(page, headers={"range": "bytes=-10"})
    assert (part.status_code, part.content) == (206, b"line 2000\n")
    assert client.get(page, headers={"range": "bytes=999999-"}).status_code == 416
    assert int(client.head(page).headers["content-length"]) == log.path.stat().st_size
    same = {"if-none-match": whole.headers["etag"]}
    assert client.get(page, headers=same).status_code == 304
    assert client.get(page, headers={"if-modified-since": whole.headers["last-modified"]}).status_code == 304
    log.write("more\n")
    assert client.get(page, headers=same).status_code == 200
    old = {"range": "bytes=0-3", "if-range": whole.headers["etag"]}
    assert client.get(page, headers=old).status_code == 200


def test_windows_are_found_by_line_by_byte_and_from_the_end(client: TestClient, log: Logging) -> None:
    def lines(**parameters: int) -> tuple[list[int], int]:
        answer = client.get(f"{log.url}/lines", params=parameters).json()
        return [line["number"] for line in answer["lines"]], answer["next"]

    assert lines(count=2) == ([1, 2], 14)
    assert lines(offset=14, count=1) == ([3], 21)
    assert lines(offset=15, count=1) == ([3], 21)
    assert lines(line=1999)[0] == [1999, 2000]
    assert lines(last=2)[0] == [1999, 2000]
    assert lines(line=2**53 - 1) == ([], log.path.stat().st_size)
    answer = client.get(f"{log.url}/lines", params={"last": 1}).json()
    assert answer["lines"] == [{"number": 2000, "offset": log.path.stat().st_size - 10, "text": "line 2000"}]
    assert (answer["total"], answer["size"], answer["outcome"]) == (2000, log.path.stat().st_size, None)


def test_the_lines_of_the_cause_are_marked_once_it_has_failed(client: TestClient, log: Logging) -> None:
    log.fail("line 1999")
    answer = client.get(f"{log.url}/lines", params={"last": 2}).json()
    assert [line.get("mark") for line in answer["lines"]] == ["cause", None]
    assert answer["outcome"] == "failed"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("lines?line=0", 422),
        ("lines?count=1001", 422),
        ("lines?line=1&offset=2", 422),
        ("lines?offset=99999999999999999999", 422),
        ("search", 422),
        ("search?query=(&regex=true", 422),
        (f"search?query={'x' * 501}", 422),
        ("events?offset=-1", 422),
    ],
)
def test_what_makes_no_sense_is_refused(client: TestClient, log: Logging, query: str, status: int) -> None:
    assert client.get(f"{log.url}/{query}").status_code == status


def test_a_search_finds_lines(client: TestClient, log: Logging) -> None:
    found = client.get(f"{log.url}/search", params={"query": "LINE 200"}).json()
    assert found["complete"]
    assert [match["number"] for match in found["matches"]] == [200, 2000]


@pytest.mark.parametrize("kind", ["", "/lines", "/search?query=x", "/events"])
def test_what_has_no_log_is_not_found(client: TestClient, log: Logging, kind: str) -> None:
    for number, attempt in [(1, 2), (2, 1), (2**31 - 1, 1)]:
        answer = client.get(f"/api/v1/builds/{number}/attempts/{attempt}/log{kind}")
        assert answer.status_code == 404
        assert answer.json()["kind"] == "UnknownName"
    log.path.unlink()
    if not kind.startswith("/search"):
        assert client.get(f"{log.url}{kind}").json()["title"] == "the log is gone"


def test_a_log_elsewhere_is_not_served(client: TestClient, log: Logging, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret\n")
    log.path.unlink()
    log.path.parent.rmdir()
    log.path.parent.symlink_to(tmp_path)
    (tmp_path / "log").write_text("secret\n")
    assert client.get(log.url).status_code == 404


def test_those_who_may_not_look_see_no_log(tmp_path: Path) -> None:
    with serving(tmp_path, settings="[web]\nopen = false\n") as closed:
        for path in ("", "/lines", "/search?query=x", "/events"):
            assert closed.get(f"/api/v1/builds/1/attempts/1/log{path}").status_code == 401


def test_events_of_a_log_that_has_ended_come_whole_and_from_anywhere(client: TestClient, log: Logging) -> None:
    log.write("and the rest")
    log.fail()
    whole = client.get(f"{log.url}/events")
    assert whole.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert whole.headers["cache-control"] == "no-store"
    events = whole.text.split("\n\n")
    assert events[-3].startswith("event: partial\n")
    assert "and the rest" in events[-3]
    assert events[-2] == 'event: end\ndata: {"outcome":"failed"}'
    resumed = client.get(f"{log.url}/events", headers={"last-event-id": str(len("line 1\n") * 9)}).text
    assert '"lines":[{"number":10,' in resumed
    assert "line 2000" in resumed
    assert client.get(f"{log.url}/events", headers={"last-event-id": "9" * 99}).text.startswith(
        "id: 0\nevent: replaced"
    )
