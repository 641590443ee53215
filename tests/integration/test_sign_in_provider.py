"""People sign in with a real OpenID Connect provider."""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from conveyor.model.access import Permission, Result
from tests.support.access import OWN, add_probes, add_user, audited, conveyor_of
from tests.support.provider import PASSWORD, SECRET
from tests.support.web import serving

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".cache/provider/bin/python"
ANSWER_TO = f"{OWN}/sign-in/provider/answer"
MOST_PAGES = 10


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not PYTHON.exists():
        pytest.skip("no provider: 'make .cache/provider' installs one")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("provider") / "log"
    arguments = [str(PYTHON), "-P", str(ROOT / "tests/support/provider.py"), str(port), ANSWER_TO]
    with log.open("wb") as out, subprocess.Popen(arguments, cwd=ROOT, stdout=out, stderr=out) as process:
        try:
            _wait_for(f"http://localhost:{port}", process, log)
            yield f"http://localhost:{port}"
        finally:
            process.kill()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            httpx2.get(f"{url}/.well-known/openid-configuration").raise_for_status()
        except httpx2.HTTPError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        else:
            return


@pytest.fixture
def settings(issuer: str, tmp_path: Path) -> str:
    (tmp_path / "secret").write_text(SECRET + "\n")
    return f"""
[web]
url = "{OWN}"
[web.oidc]
issuer = "{issuer}"
client_id = "conveyor"
client_secret_file = "{tmp_path}/secret"
name_claim = "sub"
allowed_groups = ["packagers"]
[web.oidc.groups]
packagers = ["vote"]
release = ["promote"]
"""


@pytest.fixture
def client(settings: str, tmp_path: Path) -> Iterator[TestClient]:
    with serving(tmp_path, settings=settings) as opened:
        add_probes(opened)
        yield opened


def begin(client: TestClient, next_: str = "/queue") -> str:
    """Where the provider asks who it is."""
    answer = client.get("/sign-in/provider", params={"next": next_}, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def show_who(url: str, name: str, password: str = PASSWORD) -> str:
    """What a person does in a browser at the provider; the URL that it sends the browser to."""
    with closing(httpx2.Client(timeout=30)) as browser:
        answer = browser.get(url)
        for _ in range(MOST_PAGES):
            if answer.next_request is None:
                fields = dict(re.findall(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"', answer.text))
                fields |= {"login": name} if "login" in fields else {"password": password}
                answer = browser.post(answer.url, data=fields)
            elif str(answer.next_request.url).startswith(OWN):
                return str(answer.next_request.url)
            else:
                answer = browser.send(answer.next_request)
    raise AssertionError(f"the provider asks on and on: {answer.url}")


def sign_in(client: TestClient, name: str) -> Response:
    return client.get(show_who(begin(client), name), follow_redirects=False)


def test_who_is_let_in_may_what_its_groups_may(client: TestClient, issuer: str) -> None:
    answer = sign_in(client, "ada")
    assert (answer.status_code, answer.headers["location"]) == (303, "/queue")
    (session,) = conveyor_of(client).sessions.of_user("ada")
    assert session.permissions == {Permission.READ, Permission.VOTE, Permission.PROMOTE}
    assert session.issuer == issuer

    found = re.search(r'name="csrf" value="(\w+)"', client.get("/account").text)
    assert found
    headers = {"Origin": OWN, "X-CSRF-Token": found[1]}
    assert client.post("/probe/promote", headers=headers).json()["name"] == "ada"
    assert client.post("/probe/admin", headers=headers).status_code == 403
    client.post("/sign-out", headers=headers)
    assert client.get("/account", follow_redirects=False).status_code == 303


def test_another_group_may_other_things(client: TestClient) -> None:
    sign_in(client, "grace")
    (session,) = conveyor_of(client).sessions.of_user("grace")
    assert session.permissions == {Permission.READ, Permission.VOTE}


def test_who_is_in_no_group_is_not_let_in(client: TestClient) -> None:
    answer = sign_in(client, "mallory")
    assert answer.status_code == 403
    assert "mallory is none of those who may sign in here." in answer.text
    assert conveyor_of(client).sessions.of_user("mallory") == ()
    (entry,) = audited(client)
    assert (entry.deed.actor, entry.deed.result) == ("mallory", Result.REFUSED)


def test_nobody_comes_in_under_the_name_of_a_local_user(client: TestClient) -> None:
    add_user(client, "local", Permission.ADMIN)
    answer = sign_in(client, "local")
    assert answer.status_code == 403
    assert "Somebody else is called local here." in answer.text


def test_an_answer_is_good_once_and_in_the_browser_that_asked(client: TestClient) -> None:
    back = show_who(begin(client), "ada")
    cookie = client.cookies["conveyor-sign-in"]
    client.cookies.clear()
    assert client.get(back, follow_redirects=False).status_code == 400
    client.cookies.set("conveyor-sign-in", cookie)
    assert client.get(back, follow_redirects=False).status_code == 303
    client.cookies.clear()
    client.cookies.set("conveyor-sign-in", cookie)
    assert client.get(back, follow_redirects=False).status_code == 401


def test_a_code_for_another_sign_in_is_refused(client: TestClient) -> None:
    """PKCE and the nonce: what one browser got is nothing to another."""
    owners = show_who(begin(client), "ada")
    cookie = client.cookies["conveyor-sign-in"]
    stolen = parse_qs(urlsplit(owners).query)["code"][0]
    mine = parse_qs(urlsplit(begin(client)).query)["state"][0]
    answer = client.get("/sign-in/provider/answer", params={"code": stolen, "state": mine}, follow_redirects=False)
    assert answer.status_code == 401
    assert conveyor_of(client).sessions.of_user("ada") == ()
    client.cookies.clear()
    client.cookies.set("conveyor-sign-in", cookie)
    # Canaille's memory takes any code of a client for any other: none may be left over.
    assert client.get(owners, follow_redirects=False).status_code == 303


def test_what_is_asked_for_is_as_it_should_be(client: TestClient) -> None:
    url = urlsplit(begin(client))
    asked = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert (asked["response_type"], asked["redirect_uri"]) == ("code", ANSWER_TO)
    assert asked["code_challenge_method"] == "S256"
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3
    assert SECRET not in url.geturl()


def test_the_page_after_is_one_of_this_site(client: TestClient) -> None:
    back = show_who(begin(client, "//evil.example.org"), "ada")
    answer = client.get(back, follow_redirects=False)
    assert (answer.status_code, answer.headers.get("location")) == (303, "/"), answer.text


def test_a_wrong_secret_of_this_site_lets_nobody_in(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("wrong\n")
    assert sign_in(client, "ada").status_code == 401
    (tmp_path / "secret").unlink()
    answer = client.get("/sign-in/provider", follow_redirects=False)
    assert answer.status_code == 503
    assert "secret" not in answer.text
