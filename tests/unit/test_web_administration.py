"""The pages of those who look after tokens, users and the audit log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from pathlib import Path
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from conveyor.model.access import Deed, Means, Permission, Result
from tests.support.access import (
    OWN,
    PASSWORD,
    add_session,
    add_token,
    add_user,
    audited,
    bearer,
    conveyor_of,
    now_of,
    quicken,
    session_headers,
)
from tests.support.web import serving

HOSTILE = "<script>alert(1)</script>\u202e\x1b[31m"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with serving(tmp_path) as opened:
        quicken(opened)
        opened.headers["accept"] = "text/html"
        yield opened


class Admin:
    """An administrator's browser.

    Args:
        client: what it asks.
    """

    def __init__(self, client: TestClient) -> None:
        cookie = session_headers(add_session(client, "ada", Permission.ADMIN))["Cookie"]
        self.headers = {"Cookie": cookie, "Origin": OWN}
        self._client = client

    def get(self, path: str) -> str:
        answer = self._client.get(path, headers=self.headers)
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        return unescape(answer.text)

    def post(self, path: str, **fields: str | list[str]) -> Response:
        """Send a form of the page."""
        csrf = re.findall(r'name="csrf" value="([^"]+)"', self.get("/access"))
        return self._client.post(path, data={"csrf": csrf[0], **fields}, headers=self.headers, follow_redirects=False)

    def done(self, path: str, **fields: str | list[str]) -> str:
        """Send a form whose act is done; the page that is shown then."""
        answer = self.post(path, **fields)
        assert answer.status_code == 303, answer.text
        return self.get(answer.headers["location"])


@pytest.fixture
def admin(client: TestClient) -> Admin:
    return Admin(client)


def test_only_administrators_see_them(client: TestClient) -> None:
    for path in ("/access", "/access/audit"):
        assert client.get(path).status_code == 401
        promoter = session_headers(add_session(client, "grace", Permission.PROMOTE))
        assert client.get(path, headers=promoter).status_code == 403
    assert 'href="/access"' not in client.get("/queue", headers=promoter).text


def test_they_are_in_the_navigation_of_administrators(client: TestClient) -> None:
    headers = session_headers(add_session(client, "ada", Permission.ADMIN))
    assert 'href="/access"' in client.get("/queue", headers=headers).text
    assert 'href="/access"' not in client.get("/queue").text


def test_a_token_is_made_and_its_secret_shown_once(client: TestClient, admin: Admin) -> None:
    answer = admin.post("/access/tokens", name="ci", may=["vote", "promote"], expires="90d")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    (secret,) = re.findall(r"cvy_[A-Za-z0-9_-]{43}", answer.text)
    token = conveyor_of(client).tokens.all()[0]
    assert (token.permissions, token.created_by) == (frozenset([Permission.VOTE, Permission.PROMOTE]), "ada")
    assert token.expires_at == token.created_at + timedelta(days=90)
    assert client.get("/account", headers=bearer(secret)).status_code == 200
    page = admin.get("/access")
    assert secret not in page
    assert "promote, vote" in page
    (entry,) = audited(client)
    deed = entry.deed
    assert (deed.actor, deed.means, deed.action, deed.subject) == ("ada", Means.SESSION, "token create", "ci")
    assert deed.detail == {"status": 200, "may": ["promote", "vote"], "lasts": 90 * 86400}
    assert secret not in str(deed)


def test_a_token_is_revoked(client: TestClient, admin: Admin) -> None:
    secret = add_token(client, "ci", Permission.VOTE)
    assert "<b>ci</b> works no more" in admin.done("/access/tokens/ci/revoke")
    assert client.get("/account", headers=bearer(secret)).status_code == 401
    assert "revoked" in admin.get("/access")
    assert audited(client)[0].deed.action == "token revoke"


def test_a_user_is_made_signed_out_disabled_and_enabled(client: TestClient, admin: Admin) -> None:
    said = admin.done("/access/users", name="grace", password=PASSWORD, may="retry")
    assert "<b>grace</b> may sign in now" in said
    assert PASSWORD not in said
    user = conveyor_of(client).users.find("grace")
    assert user is not None
    assert user.permissions == {Permission.RETRY}
    theirs = session_headers(add_session(client, "grace"))
    assert client.get("/account", headers=theirs).url.path == "/account"
    assert "<b>grace</b> is signed in nowhere any more" in admin.done("/access/sign-outs", name="grace")
    assert client.get("/account", headers=theirs).url.path == "/sign-in"
    assert "may not sign in any more" in admin.done("/access/users/grace/disable")
    assert client.get("/account", auth=("grace", PASSWORD)).status_code == 401
    assert "may sign in again" in admin.done("/access/users/grace/enable")
    assert client.get("/account", auth=("grace", PASSWORD)).status_code == 200
    other = "another horse battery"
    assert "has another password" in admin.done("/access/users/grace/password", password=other)
    assert client.get("/account", auth=("grace", PASSWORD)).status_code == 401
    assert client.get("/account", auth=("grace", other)).status_code == 200
    deeds = [entry.deed.action for entry in audited(client)]
    assert deeds == ["user create", "user sign-out", "user disable", "user enable", "user password"]
    assert PASSWORD not in str(audited(client))


def test_what_a_user_may_do_changes_at_its_next_request(client: TestClient, admin: Admin) -> None:
    theirs = session_headers(add_session(client, "grace", Permission.RETRY))
    assert client.get("/access", headers=theirs).status_code == 403
    page = admin.get("/access/users/grace")
    assert re.findall(r'value="(\w+)" checked', page) == ["retry"]
    assert "Signed in</dt><dd>1 time, last seen" in page
    said = admin.done("/access/users/grace/permissions", may=["admin", "vote"])
    assert "<b>grace</b> may do that from now on" in said
    assert re.findall(r'value="(\w+)" checked', said) == ["vote", "admin"]
    assert client.get("/access", headers=theirs).status_code == 200
    admin.done("/access/users/grace/permissions", may="read")
    assert client.get("/access", headers=theirs).status_code == 403
    deed = audited(client)[-1].deed
    assert (deed.action, deed.subject, deed.detail["may"]) == ("user permit", "grace", ["read"])
    assert deed.detail["before"] == ["admin", "vote"]


def test_a_user_is_deleted_and_its_deeds_stay(client: TestClient, admin: Admin) -> None:
    theirs = session_headers(add_session(client, "grace", Permission.ADMIN))
    client.post("/api/v1/tokens", json={"name": "hers", "may": ["vote"]}, headers=theirs)
    assert "<b>grace</b> is kept no more" in admin.done("/access/users/grace/delete")
    assert client.get("/account", headers=theirs).url.path == "/sign-in"
    assert client.get("/account", auth=("grace", PASSWORD)).status_code == 401
    assert client.get("/access/users/grace", headers={**theirs, **admin.headers}).status_code == 404
    assert "grace" in admin.get("/access/audit?actor=grace")
    deed = audited(client)[-1].deed
    assert (deed.actor, deed.action, deed.subject) == ("ada", "user delete", "grace")
    assert deed.detail["may"] == ["admin"]
    add_user(client, "grace", Permission.ADMIN)
    assert client.get("/account", headers=theirs).url.path == "/sign-in", "another one of the name is not signed in"


def test_who_signs_in_with_a_provider_is_told_to_be_elsewhere(client: TestClient, admin: Admin) -> None:
    add_session(client, "linus", Permission.RETRY, issuer="https://id.example.org")
    answer = admin.post("/access/users/linus/permissions", may="vote")
    assert answer.status_code == 404
    assert "linus signs in with a provider, https://id.example.org" in answer.text
    assert "[web.oidc.groups]" in answer.text


def test_the_page_of_oneself_has_no_way_to_lock_oneself_out(admin: Admin) -> None:
    page = admin.get("/access/users/ada")
    assert "/access/users/ada/delete" not in page
    assert "/access/users/ada/disable" not in page
    assert "another administrator can" in page


def test_who_may_nothing_else_may_look(client: TestClient, admin: Admin) -> None:
    admin.post("/access/users", name="grace", password=PASSWORD)
    user = conveyor_of(client).users.find("grace")
    assert user is not None
    assert user.permissions == {Permission.READ}


@pytest.mark.parametrize(
    ("path", "fields", "status", "told"),
    [
        ("/access/tokens", {"name": "ci"}, 422, "it would be allowed nothing"),
        ("/access/tokens", {"name": "a b", "may": "vote"}, 422, "'a b' is no name"),
        ("/access/tokens", {"name": "ci", "may": "vote", "expires": "soon"}, 422, "'soon' is no duration"),
        ("/access/tokens", {"name": "ada", "may": "vote"}, 409, "a user is called 'ada'"),
        ("/access/tokens/none/revoke", {}, 404, "none"),
        ("/access/users", {"name": "grace", "password": "short"}, 422, "the password"),
        ("/access/users", {"name": "ada", "password": PASSWORD}, 409, "ada"),
        ("/access/users/nobody/password", {"password": PASSWORD}, 404, "nobody"),
        ("/access/users/nobody/delete", {}, 404, "nobody"),
        ("/access/users/ada/password", {"password": "short"}, 422, "the password"),
        ("/access/users/ada/permissions", {}, 422, "it would be allowed nothing"),
        ("/access/users/ada/permissions", {"may": "vote"}, 409, "ada is who asks"),
        ("/access/users/ada/disable", {}, 409, "ada is who asks"),
        ("/access/users/ada/delete", {}, 409, "ada is who asks"),
        ("/access/users/nobody/disable", {}, 404, "nobody"),
    ],
)
def test_a_mistake_is_told_with_what_was_typed(
    client: TestClient, admin: Admin, path: str, fields: dict[str, str], status: int, told: str
) -> None:
    answer = admin.post(path, **fields)
    assert answer.status_code == status
    page = unescape(answer.text)
    assert told in re.findall(r'role="alert">.*', page)[0]
    assert PASSWORD not in page
    if "name" in fields:
        assert f'value="{fields["name"]}"' in page
    entry = audited(client)[0]
    assert (entry.deed.actor, entry.deed.result) == ("ada", Result.REFUSED)
    assert told in str(entry.deed.detail["error"])


def test_nothing_is_done_without_the_proof_of_a_page(client: TestClient) -> None:
    headers = session_headers(add_session(client, "ada", Permission.ADMIN))
    foreign = {**headers, "Origin": "https://evil.example.org"}
    del headers["X-CSRF-Token"]
    fields = {"name": "evil", "may": "admin"}
    for sent in (headers, foreign):
        assert client.post("/access/tokens", data=fields, headers=sent).status_code == 403
    assert client.post("/access/tokens", data={**fields, "csrf": "guessed"}, headers=headers).status_code == 403
    assert conveyor_of(client).tokens.all() == ()


def test_the_audit_log_is_filtered_and_goes_on(client: TestClient, admin: Admin) -> None:
    audit = conveyor_of(client).audit
    for number in range(250):
        audit.record(
            Deed(
                at=now_of(client),
                actor="ci" if number % 2 else "grace",
                means=Means.TOKEN,
                address="192.0.2.7",
                action="POST /api/v1/builds/{number}/retry",
                subject=str(number),
                result=Result.REFUSED if number % 50 == 0 else Result.DONE,
                detail={"error": HOSTILE, "may": ["vote"]},
            )
        )
    seen: list[int] = []
    path = "/access/audit?actor=grace"
    while path:
        page = admin.get(path)
        seen += [int(number) for number in re.findall(r'<td class="number">(\d+)</td>', page)]
        following = re.search(r'href="(/access/audit\?[^"]+)" rel="next"', page)
        path = following[1] if following else ""
    assert seen == list(range(249, 0, -2))
    refused = admin.get("/access/audit?result=refused&action=retry&since=1d ago")
    assert len(re.findall("<tr><td", refused)) == 5
    assert len(re.findall("<tr><td", admin.get("/access/audit?subject=7"))) == 1
    assert "Change the filter" in admin.get("/access/audit?actor=nobody")
    wrong = client.get("/access/audit?result=faild", headers=admin.headers)
    assert (wrong.status_code, "did you mean &#39;failed&#39;?" in wrong.text) == (404, True)


def test_what_others_wrote_stays_text(client: TestClient) -> None:
    deed = Deed(
        at=now_of(client),
        actor=HOSTILE,
        means=Means.SESSION,
        action=HOSTILE,
        subject=HOSTILE,
        result=Result.DONE,
        detail={HOSTILE: HOSTILE},
    )
    conveyor_of(client).audit.record(deed)
    add_user(client, "grace")
    headers = session_headers(add_session(client, "ada", Permission.ADMIN))
    for path in ("/access/audit", f"/access?done=made&name={quote(HOSTILE)}", "/access?done=<b>&name=x"):
        text = client.get(path, headers=headers).text
        assert "<script>alert" not in text
        assert "\u202e" not in text
        assert "\x1b" not in text
