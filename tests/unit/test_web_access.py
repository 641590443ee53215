"""Who asks, and whether it may."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from conveyor.errors import TooManyTries
from conveyor.model.access import Means, Permission, Result
from conveyor.pipeline.access import secrets
from conveyor.web.access import tries
from tests.support.access import (
    OWN,
    PASSWORD,
    add_probes,
    add_session,
    add_token,
    add_user,
    app_of,
    audited,
    bearer,
    conveyor_of,
    now_of,
    quicken,
    session_headers,
)
from tests.support.web import serving

VOTE = "/probe/vote"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with serving(tmp_path) as opened:
        quicken(opened)
        add_probes(opened)
        yield opened


def basic(name: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()}


class TestTokens:
    def test_who_has_one_may_do_what_it_allows(self, client: TestClient) -> None:
        headers = bearer(add_token(client, "ci", Permission.VOTE))

        assert client.post(VOTE, headers=headers).json() == {"name": "ci", "means": "token", "csrf": ""}
        assert client.get("/probe/read", headers=headers).status_code == 200
        refused = client.post("/probe/promote", headers=headers)
        assert refused.status_code == 403
        assert refused.json()["title"] == "ci may not do this"

    def test_admin_may_do_everything(self, client: TestClient) -> None:
        headers = bearer(add_token(client, "root", Permission.ADMIN))
        assert {client.post(f"/probe/{one}", headers=headers).status_code for one in Permission} == {200}

    def test_it_is_the_password_of_its_name(self, client: TestClient) -> None:
        secret = add_token(client, "ci", Permission.VOTE)

        assert client.post(VOTE, auth=("ci", secret)).json()["means"] == "token"
        assert client.post(VOTE, auth=("other", secret)).status_code == 401
        assert client.post(VOTE, auth=("", secret)).status_code == 401

    def test_one_that_is_nobodys_is_refused_even_where_all_may_look(self, client: TestClient) -> None:
        answer = client.get("/probe/read", headers=bearer("cvy_" + 43 * "x"))
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["title"] == "nobody has this token"

    def test_one_that_was_revoked_or_has_expired_says_so(self, client: TestClient) -> None:
        secret = add_token(client, "ci", Permission.VOTE)
        conveyor_of(client).tokens.revoke("ci", now_of(client))
        old = add_token(client, "old", Permission.VOTE, lasts=timedelta(0))

        for headers, why in ((bearer(secret), "revoked"), (bearer(old), "good until")):
            answer = client.get("/probe/read", headers=headers)
            assert answer.status_code == 401
            assert why in answer.json()["detail"]

    def test_when_it_was_used_is_noted_once_a_minute(self, client: TestClient) -> None:
        secret = add_token(client, "ci", Permission.VOTE)
        tokens = conveyor_of(client).tokens
        client.post(VOTE, headers=bearer(secret))
        first = tokens.all()[0].used_at
        client.post(VOTE, headers=bearer(secret))
        assert first is not None
        assert tokens.all()[0].used_at == first
        tokens.used(secrets.digest(secret), first - timedelta(seconds=61))
        client.post(VOTE, headers=bearer(secret))
        used = tokens.all()[0].used_at
        assert used is not None
        assert used >= first

    @pytest.mark.parametrize(
        "header",
        ["", "Bearer", "Bearer ", "Basic", "Basic !!!", "Basic bm9jb2xvbg==", "Basic /////w==", "Digest x", "cvy_x"],
    )
    def test_what_says_nothing(self, client: TestClient, header: str) -> None:
        assert client.get("/probe/read", headers={"Authorization": header}).status_code == 401


class TestPasswords:
    def test_a_local_user_may_send_its_password(self, client: TestClient) -> None:
        add_user(client, "ada", Permission.VOTE)

        assert client.post(VOTE, auth=("ada", PASSWORD)).json()["means"] == "password"
        assert client.post(VOTE, auth=("ada", PASSWORD)).status_code == 200
        assert client.post(VOTE, auth=("ada", PASSWORD + "x")).status_code == 401
        assert client.post(VOTE, auth=("grace", PASSWORD)).status_code == 401

    def test_what_fitted_once_fits_no_more_when_it_has_changed(self, client: TestClient) -> None:
        add_user(client, "ada", Permission.VOTE)
        client.post(VOTE, auth=("ada", PASSWORD))
        conveyor_of(client).users.set_disabled("ada", now_of(client), disabled=True)
        assert client.post(VOTE, auth=("ada", PASSWORD)).status_code == 401

    def test_the_answer_does_not_tell_names(self, client: TestClient) -> None:
        add_user(client, "ada", Permission.VOTE)
        wrong, unknown = (client.post(VOTE, auth=(name, "x")) for name in ("ada", "grace"))
        assert wrong.json() == unknown.json()

    def test_too_many_wrong_ones_have_to_wait(self, client: TestClient) -> None:
        door = quicken(client)
        add_user(client, "ada", Permission.VOTE)
        add_user(client, "grace", Permission.VOTE)
        assert client.post(VOTE, auth=("grace", PASSWORD)).status_code == 200
        for _ in range(tries.PER_NAME):
            assert client.post(VOTE, auth=("ada", "wrong")).status_code == 401
        refused = client.post(VOTE, auth=("ada", PASSWORD))

        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "300"
        assert client.post(VOTE, auth=("grace", PASSWORD)).status_code == 200
        door._now = door.tries._now = lambda: 1000.0 + tries.WITHIN
        assert client.post(VOTE, auth=("ada", PASSWORD)).status_code == 200

    def test_too_many_from_one_address_have_to_wait_but_not_who_has_a_token(self, client: TestClient) -> None:
        secret = add_token(client, "ci", Permission.VOTE)
        answers = [client.get("/probe/read", headers=bearer(f"cvy_{one}")).status_code for one in range(40)]

        assert answers == [401] * (tries.PER_ADDRESS - 1) + [429] * 11
        assert client.post(VOTE, auth=("ada", PASSWORD)).status_code == 429
        assert client.get("/probe/read").status_code == 200
        assert client.post(VOTE, headers=bearer(secret)).status_code == 200

    def test_who_failed_long_ago_is_forgotten(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tries, "REMEMBERED", 4)
        failed = tries.FailedTries(lambda: 0.0)
        for number in range(10):
            failed.failed(f"10.0.0.{number}", "name")
        assert len(failed._failed) == 4

    def test_a_network_of_ipv6_counts_as_one(self) -> None:
        failed = tries.FailedTries(lambda: 0.0)
        for number in range(tries.PER_ADDRESS):
            failed.failed(f"2001:db8::{number:x}")
        with pytest.raises(TooManyTries):
            failed.require_room("2001:db8::ffff")
        failed.require_room("2001:db8:0:1::1")


class TestSessions:
    def test_it_is_known_by_its_cookie(self, client: TestClient) -> None:
        secret = add_session(client, "ada", Permission.VOTE)
        answer = client.post(VOTE, headers=session_headers(secret))
        assert answer.json() == {"name": "ada", "means": "session", "csrf": secrets.csrf_of(secret)}

    def test_one_that_ended_is_nobodys(self, client: TestClient) -> None:
        expired = add_session(client, "ada", Permission.VOTE, lasts=timedelta(0))
        for secret in (expired, "other"):
            assert client.post(VOTE, headers=session_headers(secret)).status_code == 401
            assert client.get("/probe/read", headers=session_headers(secret)).json()["name"] == ""

    def test_a_local_user_may_what_it_may_now(self, client: TestClient) -> None:
        add_user(client, "ada", Permission.VOTE)
        headers = session_headers(add_session(client, "ada", Permission.ADMIN, issuer=""))
        assert client.post(VOTE, headers=headers).status_code == 200
        assert client.post("/probe/promote", headers=headers).status_code == 403
        conveyor_of(client).users.set_password("ada", "$argon2id$x", now_of(client))
        assert client.post(VOTE, headers=headers).status_code == 401

    def test_one_of_a_user_that_is_gone_or_disabled(self, client: TestClient) -> None:
        headers = session_headers(add_session(client, "ada"))
        assert client.post(VOTE, headers=headers).status_code == 401

    def test_one_that_a_provider_vouched_for_ends_with_the_provider(self, tmp_path: Path) -> None:
        settings = '[web]\nurl = "http://testserver"\n[web.oidc]\nissuer = "https://id.example.org"\nclient_id = "x"\n'
        with serving(tmp_path, settings=settings) as client:
            add_probes(client)
            for issuer, status in (("https://id.example.org", 200), ("https://other.example.org", 401)):
                headers = session_headers(add_session(client, "ada", Permission.VOTE, issuer=issuer))
                assert client.post(VOTE, headers=headers).status_code == status

    def test_when_it_was_seen_is_noted_once_a_minute(self, client: TestClient) -> None:
        secret = add_session(client, "ada", Permission.VOTE)
        sessions = conveyor_of(client).sessions
        before = sessions.of_user("ada")[0].seen_at
        client.get("/probe/read", headers=session_headers(secret))
        assert sessions.of_user("ada")[0].seen_at == before
        sessions.seen(secrets.digest(secret), before - timedelta(seconds=61))
        client.get("/probe/read", headers=session_headers(secret))
        assert sessions.of_user("ada")[0].seen_at >= before

    def test_over_https_the_cookie_is_of_this_host_alone(self, tmp_path: Path) -> None:
        with serving(tmp_path, settings='[web]\nurl = "https://conveyor.example.org"\n') as client:
            add_probes(client)
            secret = add_session(client, "ada", Permission.VOTE)
            headers = session_headers(secret)
            assert client.get("/probe/read", headers=headers).json()["name"] == ""
            headers |= {"Cookie": f"__Host-conveyor-session={secret}"}
            assert client.get("/probe/read", headers=headers).json()["name"] == "ada"
            assert client.post(VOTE, headers=headers).status_code == 403
            headers |= {"Origin": "https://conveyor.example.org"}
            assert client.post(VOTE, headers=headers).status_code == 200


class TestForeignPages:
    """Another site's page makes a browser send what the browser has of ours."""

    @pytest.mark.parametrize(
        "changed",
        [
            {"Origin": "https://evil.example.org"},
            {"Origin": "null"},
            {"Origin": OWN + ":8080"},
            {"Origin": OWN + ".example.org"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"X-CSRF-Token": "x"},
            {"X-CSRF-Token": ""},
        ],
    )
    def test_it_cannot_act_with_a_session(self, client: TestClient, changed: dict[str, str]) -> None:
        headers = session_headers(add_session(client, "ada", Permission.VOTE))
        assert client.post(VOTE, headers=headers).status_code == 200
        answer = client.post(VOTE, headers=headers | changed)
        assert answer.status_code == 403
        assert answer.json()["kind"] == "ForeignPage"

    def test_a_request_that_says_nothing_of_its_page_is_none_of_ours(self, client: TestClient) -> None:
        headers = session_headers(add_session(client, "ada", Permission.VOTE))
        del headers["Origin"]
        assert client.post(VOTE, headers=headers).status_code == 403
        assert client.post(VOTE, headers=headers | {"Sec-Fetch-Site": "same-origin"}).status_code == 200

    def test_the_token_of_another_session_will_not_do(self, client: TestClient) -> None:
        headers = session_headers(add_session(client, "ada", Permission.VOTE))
        other = session_headers(add_session(client, "grace", Permission.VOTE))
        assert client.post(VOTE, headers=headers | {"X-CSRF-Token": other["X-CSRF-Token"]}).status_code == 403

    def test_a_form_sends_it_as_a_field(self, client: TestClient) -> None:
        headers = session_headers(add_session(client, "ada", Permission.VOTE))
        sent = {"csrf": headers.pop("X-CSRF-Token")}
        assert client.post(VOTE, headers=headers, data=sent).status_code == 200
        assert client.post(VOTE, headers=headers, files={"csrf": (None, sent["csrf"])}).status_code == 200
        assert client.post(VOTE, headers=headers, files={"csrf": ("file", sent["csrf"])}).status_code == 403
        assert client.post(VOTE, headers=headers, data={"csrf": "x"}).status_code == 403
        assert client.post(VOTE, headers=headers, json=sent).status_code == 403

    @pytest.mark.parametrize("changed", [{"Origin": "https://evil.example.org"}, {"Sec-Fetch-Site": "cross-site"}])
    def test_it_cannot_act_with_a_password_that_the_browser_remembers(
        self, client: TestClient, changed: dict[str, str]
    ) -> None:
        add_user(client, "ada", Permission.VOTE)
        headers = basic("ada", PASSWORD)
        assert client.post(VOTE, headers=headers).status_code == 200
        assert client.post(VOTE, headers=headers | {"Origin": OWN}).status_code == 200
        assert client.post(VOTE, headers=headers | changed).status_code == 403
        assert (
            client.post(VOTE, headers=basic("ci", add_token(client, "ci", Permission.VOTE)) | changed).status_code
            == 403
        )

    def test_a_token_needs_no_page(self, client: TestClient) -> None:
        headers = bearer(add_token(client, "ci", Permission.VOTE))
        assert client.post(VOTE, headers=headers | {"Origin": "https://elsewhere.example.org"}).status_code == 200


class TestClosedSite:
    def test_who_may_do_anything_may_look(self, tmp_path: Path) -> None:
        with serving(tmp_path, settings="[web]\nopen = false\n") as client:
            add_probes(client)
            assert client.get("/probe/read").status_code == 401
            assert (
                client.get("/probe/read", headers=bearer(add_token(client, "ci", Permission.VOTE))).status_code == 200
            )
            headers = session_headers(add_session(client, "ada", Permission.READ))
            assert client.get("/probe/read", headers=headers).status_code == 200
            assert client.post(VOTE, headers=headers).status_code == 403
            assert client.get("/healthz").status_code == 200


class TestAudit:
    def test_what_somebody_does_is_recorded(self, client: TestClient) -> None:
        headers = bearer(add_token(client, "ci", Permission.VOTE))
        client.post("/probe/of/nova?x=y", headers=headers)
        (entry,) = audited(client)

        assert (entry.number, entry.deed.actor, entry.deed.means) == (1, "ci", Means.TOKEN)
        assert (entry.deed.action, entry.deed.subject) == ("POST /probe/of/{name}", "the nova")
        assert (entry.deed.result, entry.deed.detail) == (Result.DONE, {"status": 200, "told": "more"})

    def test_it_is_called_as_its_route_with_all_prefixes(self, client: TestClient) -> None:
        headers = bearer(add_token(client, "ci", Permission.VOTE))
        client.post("/within/here/probe/promote", headers=headers)
        (entry,) = audited(client)
        assert (entry.deed.action, entry.deed.subject) == ("POST /within/{place}/probe/promote", "here")

    def test_so_is_what_was_refused_or_failed(self, client: TestClient) -> None:
        token, session = bearer(add_token(client, "ci", Permission.VOTE)), add_session(client, "ada", Permission.VOTE)
        client.post("/probe/promote", headers=token)
        client.post("/api/v1/probe/refuses", headers=token)
        client.post(VOTE, headers=session_headers(session) | {"Origin": "https://evil.example.org"})
        with pytest.raises(ZeroDivisionError):
            client.post("/probe/breaks", headers=token)

        deeds = [(one.deed.actor, one.deed.result, one.deed.detail) for one in audited(client)]
        assert deeds == [
            ("ci", Result.REFUSED, {"status": 403, "error": "ci may not do this: it needs the permission 'promote'"}),
            ("ci", Result.REFUSED, {"status": 409, "error": "it is closed: on Sundays"}),
            ("ada", Result.REFUSED, {"status": 403, "error": "no page of this site sent this request"}),
            ("ci", Result.FAILED, {"status": 500}),
        ]

    def test_who_only_looks_or_is_not_known_is_not(self, client: TestClient) -> None:
        client.get("/probe/read", headers=bearer(add_token(client, "ci", Permission.VOTE)))
        client.post(VOTE)
        client.post(VOTE, headers=bearer("cvy_x"))
        client.post("/healthz")
        assert audited(client) == ()

    def test_what_cannot_be_recorded_is_no_success(self, client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
        secret = add_token(client, "ci", Permission.VOTE)
        assert client.post(VOTE, headers=bearer(secret)).status_code == 200
        with conveyor_of(client).books.store._database.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE audit RENAME TO lost")
        with caplog.at_level("ERROR"):
            answer = client.post(VOTE, headers=bearer(secret))
        assert answer.status_code == 500
        assert answer.json()["title"] == "what was asked for is not in the audit log"
        assert "the audit log lacks what was done: Deed(" in caplog.text
        assert "POST /probe/vote" in caplog.text

    def test_where_it_came_from(self, tmp_path: Path) -> None:
        settings = '[web]\ntrusted_proxies = ["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"]\n'
        cases = {
            ("127.0.0.1", "192.0.2.7"): "192.0.2.7",
            ("127.0.0.1", "1.2.3.4, 192.0.2.7, 10.1.1.1"): "192.0.2.7",
            ("192.0.2.9", "1.2.3.4"): "192.0.2.9",
            ("127.0.0.1", "evil"): "127.0.0.1",
            ("127.0.0.1", "1.2.3.4, evil, 10.0.0.1"): "10.0.0.1",
            ("127.0.0.1", ""): "127.0.0.1",
            ("10.0.0.1", "10.0.0.2"): "10.0.0.2",
            ("2001:db8::1", "2001:db9::7"): "2001:db9::7",
            ("::ffff:127.0.0.1", "192.0.2.7"): "192.0.2.7",
            ("testclient", "192.0.2.7"): "",
        }
        with serving(tmp_path, settings=settings) as client:
            add_probes(client)
            headers = bearer(add_token(client, "ci", Permission.VOTE))
            for peer, said in cases:
                nearby = TestClient(app_of(client), client=(peer, 1))
                nearby.post(VOTE, headers=headers | ({"X-Forwarded-For": said} if said else {}))
            assert [entry.deed.address for entry in audited(client)] == list(cases.values())

    def test_nobody_else_is_believed(self, client: TestClient) -> None:
        headers = bearer(add_token(client, "ci", Permission.VOTE)) | {"X-Forwarded-For": "192.0.2.7"}
        TestClient(app_of(client), client=("127.0.0.1", 1)).post(VOTE, headers=headers)
        assert audited(client)[0].deed.address == "127.0.0.1"
