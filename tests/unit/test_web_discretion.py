"""Where the server's files are stays with the server."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from conveyor.errors import DiskFull, StoreUnusable, UnknownName
from conveyor.model.access import Permission
from conveyor.model.event import EventKind, NewEvent
from conveyor.store.access import SqlTokens
from conveyor.web import site as site_module
from conveyor.web.discretion import Discretion
from tests.support.access import add_token, app_of, bearer, conveyor_of, now_of
from tests.support.web import serving

PLACES = Discretion(
    {
        "/etc/conveyor": ("the folder of repos.yaml", ""),
        "/etc/conveyor/repos.yaml": ("repos.yaml", "repos.yaml/"),
        "/srv": ("data_dir", "data_dir/"),
    }
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What has a mark of HTML in its name, and one that JSON writes otherwise."""
    made = tmp_path / "a&b ü"
    made.mkdir()
    return made


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    with serving(folder, settings=f"[web.hooks]\ngithub = {json.dumps(str(folder / 'github-secret'))}\n") as opened:
        yield opened


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("packages of /etc/conveyor/repos.yaml: nova", "packages of repos.yaml: nova"),
        ("/etc/conveyor/specs/nova does not exist", "specs/nova does not exist"),
        ("nothing below /etc/conveyor.", "nothing below the folder of repos.yaml."),
        ("'/srv/conveyor.db' is locked", "'data_dir/conveyor.db' is locked"),
        ("written below /srv", "written below data_dir"),
        ("/srv/", "data_dir/"),
        ("/etc/conveyor2/x and /etc/conveyor-old", "/etc/conveyor2/x and /etc/conveyor-old"),
        (
            "https://example.org/srv/x file:///srv/x git@host:/srv/x",
            "https://example.org/srv/x file:///srv/x git@host:/srv/x",
        ),
        ("/usr/srv/x", "/usr/srv/x"),
        ("the store postgresql+psycopg://ci@10.0.0.5/c cannot be used", "the store postgresql cannot be used"),
    ],
)
def test_what_is_left_out(text: str, told: str) -> None:
    assert PLACES.told(text) == told


@pytest.mark.parametrize("path", ["/api/v1/why?name=nvoa", "/packages/nvoa", "/?target=nothing", "/api/agg_status"])
def test_what_is_not_known_is_told_without_paths(client: TestClient, folder: Path, path: str) -> None:
    for accept in ("text/html", "application/json"):
        answer = client.get(path, headers={"accept": accept})
        assert folder.name not in answer.text
        assert str(folder.parent) not in answer.text


def test_the_command_line_tells_the_path(client: TestClient, folder: Path) -> None:
    with pytest.raises(UnknownName) as raised:
        app_of(client).state.sites.known.repos.package("nvoa")
    assert raised.value.hint == f"did you mean 'nova'? packages of {folder}/repos.yaml: nova"
    token = add_token(client, "ci", Permission.RETRY)
    problem = client.post("/api/v1/polls", json={"packages": ["nvoa"]}, headers=bearer(token)).json()
    assert problem["title"] == "unknown package 'nvoa'"
    assert problem["hint"] == "did you mean 'nova'? packages of repos.yaml: nova"


def test_a_configuration_that_cannot_be_read_is_told_by_its_name(
    client: TestClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_module, "LOOK_EVERY", 0.0)
    (folder / "repos.yaml").unlink()
    (folder / "repos.yaml").mkdir()
    client.get("/readyz")  # what changes between two looks may still be being written
    assert client.get("/readyz").json()["reasons"] == ["repos.yaml cannot be read: Is a directory"]
    page = client.get("/queue", headers={"accept": "text/html"}).text
    assert "repos.yaml cannot be read: Is a directory" in page
    for text in (page, client.get("/api/v1/health").text):
        assert folder.name not in text
        assert str(folder.parent) not in text


@pytest.mark.parametrize("kind", [StoreUnusable, DiskFull])
def test_what_is_wrong_with_the_machine_is_in_its_log(
    client: TestClient,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: type[StoreUnusable | DiskFull],
) -> None:
    token = add_token(client, "ci", Permission.ADMIN)
    database = f"{folder}/data/conveyor.db"

    def fails(_tokens: SqlTokens) -> None:
        raise kind(f"the store {database} cannot be used", cause="user conveyor, host 10.0.0.5", hint="look at it")

    monkeypatch.setattr(SqlTokens, "all", fails)
    with caplog.at_level(logging.ERROR, "conveyor.web"):
        answer = client.get("/api/v1/tokens", headers=bearer(token))
    assert answer.status_code == 500
    assert answer.json() == {
        "type": "about:blank",
        "status": 500,
        "title": "the store data_dir/conveyor.db cannot be used",
        "kind": kind.__name__,
        "detail": "the server's log says more",
        "hint": "look at it",
        "fault": "ours",
    }
    assert f"GET /api/v1/tokens: the store {database} cannot be used: user conveyor, host 10.0.0.5" in caplog.text


def test_events_and_causes_are_told_without_paths(client: TestClient, folder: Path) -> None:
    line = f"{folder}/repos.yaml:3: packages.nova: is empty"
    event = NewEvent(kind=EventKind.CONFIGURATION_BROKEN, summary=line, detail={"mistakes": [line]})
    conveyor_of(client).events.record([event], now_of(client))
    (told,) = client.get("/api/v1/events").json()["events"]
    expected = "repos.yaml:3: packages.nova: is empty"
    assert (told["summary"], told["detail"]) == (expected, {"mistakes": [expected]})
    page = client.get("/events", headers={"accept": "text/html"}).text
    assert expected in page
    assert folder.name not in page


def test_a_webhook_is_not_told_where_its_secret_should_be(client: TestClient, folder: Path) -> None:
    answer = client.post("/hooks/github", json={"repository": {"clone_url": "https://git.example.org/nova"}})
    assert answer.json()["title"] == "the secret in github-secret cannot be read"
    assert folder.name not in answer.text
