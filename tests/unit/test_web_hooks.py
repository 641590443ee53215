"""Webhooks in: who may send them, what they say, and which packages they are about."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from fastapi.testclient import TestClient
from standardwebhooks.webhooks import Webhook

from conveyor.model.access import AuditQuery
from conveyor.web.hooks.matching import place_of
from conveyor.web.hooks.routes import MOST_BYTES
from tests.support.access import conveyor_of
from tests.support.web import serving

REPOS = """
targets:
  debian-12-amd64: {format: deb, suite: bookworm}
packages:
  nova:
    upstream: https://git.example.org/openstack/nova
    branch: master
    packaging: {url: "git@Git.Example.org:packaging/nova.git", branch: rpm-master}
    targets: [debian-12-amd64]
  nova-stable:
    upstream: https://git.example.org/openstack/nova.git
    branch: stable
    packaging: {url: "https://git.example.org/packaging/nova", branch: rpm-stable}
    targets: [debian-12-amd64]
"""
SECRET = "topsecret"
STANDARD = "whsec_" + base64.b64encode(b"s" * 32).decode()
SETTINGS = "[web]\nopen = false\n[web.hooks]\n{}"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    lines = ""
    for kind, secret in {"github": SECRET, "gitlab": SECRET, "gitea": f"old\n{SECRET}", "plain": STANDARD}.items():
        (tmp_path / kind).write_text(f"{secret}\n")
        lines += f'{kind} = "{tmp_path / kind}"\n'
    with serving(tmp_path, repos=REPOS, settings=SETTINGS.format(lines)) as made:
        yield made


def digest(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def standard(body: bytes, name: str = "msg_1", at: datetime | None = None, secret: str = STANDARD) -> dict[str, str]:
    moment = at or datetime.now(UTC)
    return {
        "webhook-id": name,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign(name, moment, body.decode()),
    }


# As the forges' public documentation has them, shortened.
GITHUB: dict[str, Any] = {
    "ref": "refs/heads/master",
    "before": "0" * 40,
    "after": "1" * 40,
    "repository": {
        "name": "nova",
        "full_name": "openstack/nova",
        "html_url": "https://git.example.org/openstack/nova",
        "clone_url": "https://git.example.org/openstack/nova.git",
        "ssh_url": "git@git.example.org:openstack/nova.git",
        "git_url": "git://git.example.org/openstack/nova.git",
        "url": "https://git.example.org/openstack/nova",
        "default_branch": "master",
    },
    "commits": [{"id": "1" * 40, "message": "Do"}],
}
GITLAB: dict[str, Any] = {
    "object_kind": "push",
    "event_name": "push",
    "ref": "refs/heads/rpm-master",
    "project": {
        "path_with_namespace": "packaging/nova",
        "git_http_url": "https://git.example.org/packaging/nova.git",
        "git_ssh_url": "git@git.example.org:packaging/nova.git",
        "web_url": "https://git.example.org/packaging/nova",
    },
}
GITEA: dict[str, Any] = {
    "ref": "refs/heads/stable",
    "repository": {
        "full_name": "openstack/nova",
        "html_url": "https://git.example.org/openstack/nova",
        "ssh_url": "ssh://git@git.example.org:2222/openstack/nova.git",
        "clone_url": "https://git.example.org/openstack/nova.git",
    },
}
PLAIN: dict[str, Any] = {"repository": "https://git.example.org/openstack/nova"}


def post(client: TestClient, kind: str, payload: Any, headers: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401
    """Send one, signed as the forge does."""
    body = json.dumps(payload).encode()
    signed: dict[str, dict[str, str]] = {
        "github": {"x-hub-signature-256": f"sha256={digest(body)}", "x-github-event": "push"},
        "gitlab": {"x-gitlab-token": SECRET, "x-gitlab-event": "Push Hook"},
        "gitea": {"x-gitea-signature": digest(body), "x-gitea-event": "push"},
        "plain": standard(body),
    }
    return client.post(f"/hooks/{kind}", content=body, headers={**signed[kind], **(headers or {})})


def poked(client: TestClient) -> list[tuple[str, str]]:
    return [(poke.package, poke.actor) for poke in conveyor_of(client).watch.pokes()]


@pytest.mark.parametrize(
    ("kind", "payload", "package"),
    [
        ("github", GITHUB, "nova"),
        ("gitlab", GITLAB, "nova"),
        ("gitea", GITEA, "nova-stable"),
        ("github", {**GITHUB, "ref": "refs/heads/stable"}, "nova-stable"),
        ("plain", {**PLAIN, "ref": "refs/heads/master"}, "nova"),
    ],
)
def test_a_push_is_polled(client: TestClient, kind: str, payload: dict[str, Any], package: str) -> None:
    answer = post(client, kind, payload)
    assert answer.status_code == 202
    said = f"accepted: poll of {package} (no daemon runs: as soon as one does)"
    assert answer.json() == {"accepted": [package], "message": said}
    assert poked(client) == [(package, f"webhook of {kind}")]
    (entry,) = conveyor_of(client).audit.newest(AuditQuery(limit=5))
    assert (entry.deed.actor, entry.deed.subject) == (f"webhook of {kind}", package)


def test_a_tag_and_what_tells_no_branch_concern_all(client: TestClient) -> None:
    assert post(client, "github", {**GITHUB, "ref": "refs/tags/1.0"}).json()["accepted"] == ["nova", "nova-stable"]
    assert post(client, "plain", PLAIN).json()["accepted"] == ["nova", "nova-stable"]
    created = {**GITHUB, "ref": "stable", "ref_type": "branch"}
    assert post(client, "github", created, {"x-github-event": "create"}).json()["accepted"] == ["nova-stable"]


def test_a_form_is_read(client: TestClient) -> None:
    body = urlencode({"payload": json.dumps(GITHUB)}).encode()
    headers = {
        "x-hub-signature-256": f"sha256={digest(body)}",
        "x-github-event": "push",
        "content-type": "application/x-www-form-urlencoded",
    }
    assert client.post("/hooks/github", content=body, headers=headers).json()["accepted"] == ["nova"]


def test_what_is_not_followed_is_said(client: TestClient) -> None:
    answer = post(client, "github", {**GITHUB, "ref": "refs/heads/feature"})
    assert answer.status_code == 200
    told = "nothing to do: nova follows master, not feature; nova-stable follows stable, not feature"
    assert answer.json() == {"accepted": [], "message": told}
    ping = post(client, "github", {"zen": "x", "repository": GITHUB["repository"]}, {"x-github-event": "ping"})
    assert ping.json()["message"] == "nothing to do: ping is no push"
    other = {**GITHUB, "repository": {"clone_url": "https://git.example.org/openstack/heat\x1b[31m.git"}}
    answer = post(client, "github", other)
    assert answer.status_code == 404
    assert answer.json()["title"] == "no package has the repository https://git.example.org/openstack/heat.git"
    assert poked(client) == []


@pytest.mark.parametrize(
    ("kind", "headers"),
    [
        ("github", {"x-hub-signature-256": ""}),
        ("github", {"x-hub-signature-256": "sha256=" + "0" * 64}),
        ("github", {"x-hub-signature-256": digest(json.dumps(GITHUB).encode())}),
        ("github", {"x-hub-signature-256": "sha256=" + digest(json.dumps(GITHUB).encode(), "other")}),
        ("gitlab", {"x-gitlab-token": "wrong"}),
        ("gitlab", {"x-gitlab-token": ""}),
        ("gitlab", {"webhook-signature": "v1,AAAA"}),
        ("gitlab", {"webhook-signature": ""}),
        ("gitea", {"x-gitea-signature": "0" * 64}),
        ("gitea", {"x-forgejo-signature": "0" * 64}),
        ("gitea", {"x-gitea-signature": digest(b"other")}),
        ("plain", {"webhook-signature": "v1,AAAA v2,x"}),
        ("plain", {"webhook-id": "msg_2"}),
        ("plain", {"webhook-timestamp": "soon"}),
        ("plain", {"webhook-timestamp": "1"}),
    ],
)
def test_what_is_not_signed_rightly_is_refused(client: TestClient, kind: str, headers: dict[str, str]) -> None:
    answer = post(client, kind, GITHUB, headers)
    assert answer.status_code == 403
    assert answer.json()["kind"] == "HookRefused"
    assert poked(client) == []


def test_both_secrets_are_good_while_they_change(client: TestClient) -> None:
    body = json.dumps(GITEA).encode()
    answer = post(client, "gitea", GITEA, {"x-gitea-signature": digest(body, "old")})
    assert answer.status_code == 202
    both = {"x-forgejo-signature": digest(body), "x-gitea-signature": "0"}
    assert post(client, "gitea", GITEA, both).status_code == 202


def test_signed_times_and_names_let_no_message_in_twice(client: TestClient) -> None:
    body = json.dumps(PLAIN).encode()
    old = standard(body, at=datetime.fromtimestamp(datetime.now(UTC).timestamp() - 400, UTC))
    answer = client.post("/hooks/plain", content=body, headers=old)
    assert answer.status_code == 403
    assert answer.json()["title"] == "the message is too old, or the clocks differ"
    headers = standard(body)
    assert client.post("/hooks/plain", content=body, headers=headers).status_code == 202
    again = client.post("/hooks/plain", content=body, headers=headers)
    assert again.json() == {"accepted": [], "message": "nothing to do: this message was taken before"}


def test_gitlab_signs_as_the_standard_has_it(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "gitlab").write_text(STANDARD)
    body = json.dumps(GITLAB).encode()
    answer = client.post("/hooks/gitlab", content=body, headers=standard(body))
    assert answer.json()["accepted"] == ["nova"]
    raw = {**standard(body, "msg_2"), "x-gitlab-token": STANDARD, "webhook-signature": "v1,AAAA"}
    assert client.post("/hooks/gitlab", content=body, headers=raw).status_code == 403


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 100_000, b'{"ref": NaN'])
def test_what_is_no_webhook_is_said(client: TestClient, body: bytes) -> None:
    answer = client.post("/hooks/github", content=body, headers={"x-hub-signature-256": f"sha256={digest(body)}"})
    assert answer.status_code == 422
    assert answer.json()["title"].startswith("the webhook is no JSON")


@pytest.mark.parametrize("payload", [{}, {"repository": 1, "ref": []}, {"repository": {"clone_url": {}}, "ref": None}])
def test_what_names_no_repository_is_said(client: TestClient, payload: dict[str, Any]) -> None:
    answer = post(client, "github", payload)
    assert answer.status_code == 404
    assert "the webhook does not name" in answer.json()["title"]


def test_large_bodies_and_other_kinds_are_refused(client: TestClient, tmp_path: Path) -> None:
    assert client.post("/hooks/github", content=b"x" * (MOST_BYTES + 1)).status_code == 413
    assert client.post("/hooks/bitbucket", content=b"{}").status_code == 422
    assert client.get("/hooks/github").status_code == 405
    (tmp_path / "github").write_text("\n")
    assert post(client, "github", GITHUB).status_code == 500
    (tmp_path / "github").unlink()
    answer = post(client, "github", GITHUB)
    assert answer.status_code == 500
    assert SECRET not in answer.text


def test_those_without_a_secret_are_not_taken(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        answer = post(client, "github", GITHUB)
    assert answer.status_code == 404
    assert "'github' in [web.hooks]" in answer.json()["hint"]


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example.org/openstack/nova",
        "https://git.example.org/openstack/nova.git",
        "https://GIT.example.org:443/openstack/nova.git/",
        "http://user:password@git.example.org:80/openstack/nova",
        "git@git.example.org:openstack/nova.git",
        "git.example.org:/openstack/nova",
        "ssh://git@git.example.org:2222/openstack/nova.git",
        "git://git.example.org/openstack/nova",
    ],
)
def test_all_ways_to_a_repository_are_one_place(url: str) -> None:
    assert place_of(url) == "git.example.org/openstack/nova"


def test_other_places_are_others() -> None:
    assert place_of("https://git.example.org:8443/openstack/nova") == "git.example.org:8443/openstack/nova"
    assert place_of("file:///srv/git/nova.git") == "/srv/git/nova"
    for url in (
        "",
        "nova",
        "https://",
        "https://git.example.org/",
        "https://git.example.org:x/y",
        "https://[/y",
        "/a/b",
    ):
        assert place_of(url) == ""
