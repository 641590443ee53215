"""The published tree over HTTP: what is served, and what never is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.support.web import serving

TARGET = "debian-12-amd64"
FOR_EVER = "public, max-age=31536000, immutable"
DEB = "application/vnd.debian.binary-package"
COMMIT = f"{'ab' * 20}_12345678"
SNAPSHOT = f"{TARGET}/ab/ab/{COMMIT}"
FILE = f"{TARGET}/pool/01/{'01' * 32}/hello_1_all.deb"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "data/repos"
    for path, content in {
        FILE: b"a package",
        f"{SNAPSHOT}/dists/trunk/InRelease": b"signed",
        f"{SNAPSHOT}/commit.yaml": b"commits: []\n",
        f"{TARGET}/.lock": b"",
        f"{TARGET}/.redated/1/Release": b"of now",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    (root / SNAPSHOT / "pool").symlink_to("../../../pool")
    (root / TARGET / "current").symlink_to(f"ab/ab/{COMMIT}")
    (root / TARGET / "back").symlink_to(".redated/1")
    (tmp_path / "data/secret").write_text("secret")
    (root / TARGET / "out").symlink_to(tmp_path / "data")
    (root / TARGET / "up").symlink_to("../../secret")
    (root / TARGET / "round").symlink_to("round")
    (root / TARGET / "odd <b>&name").write_text("odd")
    return root


@pytest.fixture
def client(tree: Path) -> Iterator[TestClient]:
    with serving(tree.parents[1]) as made:
        made.follow_redirects = False
        yield made


@pytest.mark.parametrize(
    ("path", "media_type", "kept"),
    [
        (FILE, DEB, FOR_EVER),
        (f"{SNAPSHOT}/commit.yaml", "text/plain; charset=utf-8", FOR_EVER),
        (f"{SNAPSHOT}/pool/01/{'01' * 32}/hello_1_all.deb", DEB, FOR_EVER),
        (f"{TARGET}/current/dists/trunk/InRelease", "text/plain; charset=utf-8", "no-cache"),
        (f"{TARGET}/back/Release", "text/plain; charset=utf-8", "no-cache"),
        (f"{TARGET}/odd%20%3Cb%3E&name", "application/octet-stream", "no-cache"),
    ],
)
def test_files_come_with_their_type_and_how_long_they_may_be_kept(
    client: TestClient, path: str, media_type: str, kept: str
) -> None:
    answer = client.get(f"/repos/{path}")
    assert answer.status_code == 200
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == (media_type, kept)
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["x-content-type-options"] == "nosniff"
    head = client.head(f"/repos/{path}")
    assert head.content == b""
    assert head.headers["content-length"] == str(len(answer.content))


def test_parts_and_what_has_not_changed(client: TestClient) -> None:
    whole = client.get(f"/repos/{FILE}")
    assert client.get(f"/repos/{FILE}", headers={"range": "bytes=2-4"}).content == b"pac"
    several = client.get(f"/repos/{FILE}", headers={"range": "bytes=0-0,2-4"})
    assert several.status_code == 206
    assert several.headers["content-type"].startswith("multipart/byteranges")
    assert client.get(f"/repos/{FILE}", headers={"range": "bytes=9-"}).status_code == 416
    tag, changed = whole.headers["etag"], whole.headers["last-modified"]
    for same in ({"if-none-match": tag}, {"if-none-match": f'"x", W/{tag}'}, {"if-modified-since": changed}):
        assert client.get(f"/repos/{FILE}", headers=same).status_code == 304
    for since in ("Thu, 01 Jan 1970 00:00:00 GMT", "soon"):
        assert client.get(f"/repos/{FILE}", headers={"if-modified-since": since}).status_code == 200
    assert client.get(f"/repos/{FILE}", headers={"if-none-match": '"x"'}).status_code == 200
    old = {"range": "bytes=0-1", "if-range": '"other"'}
    assert client.get(f"/repos/{FILE}", headers=old).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "..%2fsecret",
        "%2e%2e/secret",
        "%2e%2e%2f%2e%2e%2f%2e%2e%2fetc/passwd",
        "%2fetc/passwd",
        "/etc/passwd",
        f"{TARGET}/../../secret",
        f"{TARGET}/..%5c..%5csecret",
        f"{TARGET}/%00",
        f"{TARGET}/current%00.deb",
        f"{TARGET}/.lock",
        f"{TARGET}/.redated/1/Release",
        f"{TARGET}//pool",
        f"{TARGET}/out/secret",
        f"{TARGET}/out/",
        f"{TARGET}/up",
        f"{TARGET}/round",
        f"{TARGET}/nothing",
        f"{TARGET}/{'x' * 5000}",
        f"{FILE}/more",
        "%ff%fe",
    ],
)
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    answer = client.get(f"/repos/{path}")
    assert answer.status_code == 404, answer.text
    assert "secret" not in answer.json().get("detail", "")
    assert "root:" not in answer.text


def test_folders_are_listed(client: TestClient) -> None:
    assert client.get("/repos").headers["location"] == "/repos/"
    assert client.get(f"/repos/{TARGET}").headers["location"] == f"/repos/{TARGET}/"
    assert f'<a href="./{TARGET}/">' in client.get("/repos/").text
    page = client.get(f"/repos/{TARGET}/")
    assert page.headers["cache-control"] == "no-cache"
    assert '<a href="./odd%20%3Cb%3E%26name">odd &lt;b&gt;&amp;name</a>' in page.text
    assert '<a href="./current/">' in page.text
    assert ".lock" not in page.text
    assert client.head(f"/repos/{TARGET}/").status_code == 200
    assert client.post(f"/repos/{TARGET}/").status_code == 405


def test_what_was_never_published_to_is_told(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        assert client.get("/repos/").status_code == 404


def test_a_closed_site_lets_nobody_read(tree: Path) -> None:
    with serving(tree.parents[1], settings="[web]\nopen = false\n") as closed:
        assert closed.get(f"/repos/{FILE}").status_code == 401


@pytest.mark.parametrize("path", [f"{TARGET}/at/never", f"{TARGET}/at/2026-13-01", f"{TARGET}/at/9999999999d ago"])
def test_what_is_no_time_is_said(client: TestClient, path: str) -> None:
    answer = client.get(f"/repos/{path}")
    assert answer.status_code == 422
    assert "is no time" in answer.json()["title"]


def test_a_time_before_all_has_no_snapshot(client: TestClient) -> None:
    before = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT%H:%MZ")
    answer = client.get(f"/repos/{TARGET}/at/{before}/dists/trunk/InRelease")
    assert answer.status_code == 404
    assert f"{TARGET} had no current" in answer.json()["title"]
    assert client.get(f"/repos/nowhere/at/{before}").status_code == 404
