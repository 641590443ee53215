"""People sign in and out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from conveyor.model.access import Means, Permission, Result
from conveyor.pipeline.access import secrets
from conveyor.web.access import tries
from conveyor.web.access.sessions import own_page
from tests.support.access import (
    OWN,
    PASSWORD,
    add_probes,
    add_user,
    audited,
    conveyor_of,
    now_of,
    quicken,
)
from tests.support.web import serving


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with serving(tmp_path) as opened:
        quicken(opened)
        add_probes(opened)
        add_user(opened, "ada", Permission.VOTE)
        yield opened


def sign_in(client: TestClient, password: str = PASSWORD, name: str = "ada", **more: str) -> Response:
    sent = {"name": name, "password": password, **more}
    return client.post("/sign-in", data=sent, headers={"Origin": OWN}, follow_redirects=False)


def test_the_form_can_be_used_by_everybody(client: TestClient) -> None:
    answer = client.get("/sign-in?next=/queue")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    for field in ("name", "password"):
        assert re.search(rf'<label>\w+ <input name="{field}"', answer.text)
    assert 'name="next" value="/queue"' in answer.text
    assert 'autocomplete="current-password"' in answer.text
    assert "<script>" not in answer.text


def test_who_signs_in_may_act(client: TestClient) -> None:
    answer = sign_in(client, next="/queue?x=1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/queue?x=1")
    cookie = answer.headers["set-cookie"]
    assert re.fullmatch(
        r"conveyor-session=[\w-]{43}; HttpOnly; Max-Age=43200; Path=/; SameSite=lax", cookie, flags=re.IGNORECASE
    )
    assert client.post("/probe/vote", headers={"Origin": OWN}).status_code == 403

    page = client.get("/account").text
    found = re.search(r'name="csrf" value="(\w+)"', page)
    assert found
    assert "You may read, vote." in page
    assert client.post("/probe/vote", headers={"Origin": OWN}, data={"csrf": found[1]}).json()["name"] == "ada"


def test_the_secret_is_new_each_time_and_the_one_before_is_nobodys(client: TestClient) -> None:
    first = sign_in(client).cookies["conveyor-session"]
    second = sign_in(client).cookies["conveyor-session"]
    assert first != second
    assert [one.digest for one in conveyor_of(client).sessions.of_user("ada")] == [secrets.digest(second)]


def test_who_signs_out_is_nobody(client: TestClient) -> None:
    secret = sign_in(client).cookies["conveyor-session"]
    assert client.post("/sign-out", headers={"Origin": OWN}, follow_redirects=False).status_code == 403
    sent = {"csrf": secrets.csrf_of(secret)}
    answer = client.post("/sign-out", headers={"Origin": OWN}, data=sent, follow_redirects=False)

    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert conveyor_of(client).sessions.of_user("ada") == ()
    assert client.get("/account", follow_redirects=False).headers["location"] == "/sign-in?next=/account"


def test_a_wrong_password_or_name_is_told_alike(client: TestClient) -> None:
    wrong, unknown = sign_in(client, "wrong"), sign_in(client, name="grace")
    assert (wrong.status_code, unknown.status_code) == (401, 401)
    assert "The name or the password is wrong.</p>" in wrong.text
    assert wrong.text.replace('value="ada"', 'value="grace"') == unknown.text
    assert "wrong" not in wrong.text.replace("is wrong.", "")
    assert "set-cookie" not in wrong.headers


def test_too_many_tries_have_to_wait(client: TestClient) -> None:
    for _ in range(tries.PER_NAME):
        sign_in(client, "wrong")
    answer = sign_in(client)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "300")
    assert "Wait 300 seconds" in answer.text


def test_one_that_is_disabled_does_not_come_in(client: TestClient) -> None:
    conveyor_of(client).users.set_disabled("ada", now_of(client), disabled=True)
    assert sign_in(client).status_code == 401


def test_another_sites_page_cannot_sign_somebody_in(client: TestClient) -> None:
    for headers in ({"Origin": "https://evil.example.org"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = client.post("/sign-in", data={"name": "ada", "password": PASSWORD}, headers=headers)
        assert answer.status_code == 403


def test_what_was_typed_is_text_to_the_page(client: TestClient) -> None:
    hostile = '"><script>alert(1)</script>'
    for answer in (sign_in(client, name=hostile), client.get("/sign-in", params={"next": "/" + hostile})):
        assert hostile not in answer.text
        assert "&lt;script&gt;" in answer.text


def test_what_is_no_form_of_ours_is_refused(client: TestClient) -> None:
    assert sign_in(client, name="x" * 3000).status_code == 422
    assert client.post("/sign-in").status_code == 422


@pytest.mark.parametrize(
    "text",
    [
        "https://evil.example.org/",
        "//evil.example.org/",
        "///evil.example.org",
        "/\\evil.example.org",
        "\\\\evil.example.org",
        "/\t/evil.example.org",
        "/\n/evil.example.org",
        "javascript:alert(1)",
        "evil.example.org",
        "http:/evil.example.org",
        "",
        " //evil.example.org",
    ],
)
def test_nobody_is_led_elsewhere(client: TestClient, text: str) -> None:
    assert own_page(text) == "/"
    assert sign_in(client, next=text).headers["location"] == "/"
    assert 'name="next" value="/"' in client.get("/sign-in", params={"next": text}).text


@pytest.mark.parametrize("text", ["/", "/queue", "/search?q=a%20b#x", "/packages/a:b/@c"])
def test_pages_of_this_site_are_shown_next(text: str) -> None:
    assert own_page(text) == text


def test_the_audit_log_tells_of_it(client: TestClient) -> None:
    sign_in(client, "wrong")
    sign_in(client, name=PASSWORD)
    secret = sign_in(client).cookies["conveyor-session"]
    client.post("/sign-out", headers={"Origin": OWN}, data={"csrf": secrets.csrf_of(secret)})

    deeds = [(one.deed.actor, one.deed.means, one.deed.action, one.deed.result) for one in audited(client)]
    assert deeds == [
        ("ada", Means.NOBODY, "POST /sign-in", Result.REFUSED),
        ("ada", Means.SESSION, "POST /sign-in", Result.DONE),
        ("ada", Means.SESSION, "POST /sign-out", Result.DONE),
    ]
    assert PASSWORD not in repr(audited(client))
