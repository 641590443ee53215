"""The API, in the process and over HTTP: what it tells, what it does, and how it refuses."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import jsonschema_rs
import pytest

from conveyor.documents.status import status_as_json
from conveyor.model.build import Outcome, State
from conveyor.model.event import EventKind, NewEvent
from conveyor.web.api.stream import Hub
from tests.fakes.store_samples import CAUSE, NOON, commit
from tests.support.api import TARGET, Served, as_, served

PASSWORD = "correct horse battery"
READS = [
    "/server",
    "/status",
    "/status?package=nova",
    "/queue",
    "/targets",
    "/pointers",
    "/promotions",
    "/mirrors",
    "/why?name=nova",
    "/why?name=4",
    "/health",
    "/builds",
    "/builds/1",
    "/builds/4",
    "/builds/5",
    "/builds/1/attempts",
    "/builds/5/attempts",
    "/builds/1/artifacts",
    "/builds/4/artifacts",
    f"/commits/{commit('nova1-1').upstream.sha[:8]}",
    "/packages",
    "/packages/nova",
    "/snapshots",
    "/snapshots/at?time=2200-01-01T00:00:00Z&pointer=tested",
    "/snapshots/1",
    "/snapshots/diff?before=1&after=3",
    "/votes/1",
    "/ledger",
    "/ledger/verification",
    "/events",
    "/notices",
    f"/votes?target={TARGET}",
    "/tokens",
    "/users",
    "/audit",
]


@pytest.fixture(scope="module", params=["in process", "over HTTP"])
def looked_at(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A site that tests only look at."""
    with served(tmp_path_factory.mktemp("api"), http=request.param == "over HTTP") as site:
        yield site


@pytest.fixture(params=["in process", "over HTTP"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    """A site of a test's own."""
    with served(tmp_path, http=request.param == "over HTTP") as site:
        yield site


def described(site: Served) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each method, path and operation of the description."""
    for path, operations in site.json("/openapi.json")["paths"].items():
        yield from ((method, path, operation) for method, operation in operations.items())


def test_every_answer_is_what_its_description_says(looked_at: Served) -> None:
    description = looked_at.json("/openapi.json")
    by_pattern = {
        re.sub(r"{\w+}", "[^/]+", path): operation
        for method, path, operation in described(looked_at)
        if method == "get"
    }
    for path in READS:
        answer = looked_at.client.get(f"/api/v1{path}", headers=as_("admin"))
        assert answer.status_code == 200, (path, answer.text)
        assert answer.headers["content-type"] == "application/json"
        plain = f"/api/v1{path.partition('?')[0]}"
        fitting = min((each for each in by_pattern if re.fullmatch(each, plain)), key=lambda each: each.count("[^/]+"))
        schema = by_pattern[fitting]["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema_rs.validate({**schema, "components": description["components"]}, answer.json())
        assert answer.json()["format_version"] == 1


def test_the_status_is_that_of_the_command(looked_at: Served) -> None:
    desk = looked_at.app.state.sites.current().desk
    expected = json.loads(json.dumps(status_as_json(desk.status(None))))
    told = looked_at.json("/status")
    assert list(told) == list(expected)
    assert [told[part] for part in ("builds", "working_copies", "flaky", "standings")] == [
        expected[part] for part in ("builds", "working_copies", "flaky", "standings")
    ]
    assert len(told["builds"]) > 1


def test_nothing_changed_is_told_without_a_body(looked_at: Served) -> None:
    for path in ("/status?package=nova", "/builds", "/builds/1", "/events", "/ledger", "/packages/nova"):
        first = looked_at.client.get(f"/api/v1{path}")
        again = looked_at.client.get(f"/api/v1{path}", headers={"If-None-Match": f'"x", {first.headers["etag"]}'})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]


def test_a_change_is_told(site: Served) -> None:
    tags = {path: site.client.get(f"/api/v1{path}").headers["etag"] for path in ("/builds", "/events", "/builds/4")}
    site.act("post", "/builds/4/retry")
    site.conveyor.events.record([NewEvent(kind=EventKind.STARTED, summary="s")], NOON)

    for path, tag in tags.items():
        assert site.client.get(f"/api/v1{path}", headers={"If-None-Match": tag}).status_code == 200


class TestBuilds:
    def test_they_are_searched(self, looked_at: Served) -> None:
        def found(**wanted: str) -> list[int]:
            return [build["id"] for build in looked_at.json("/builds", **wanted)["builds"]]

        assert found() == [6, 5, 4, 3, 2, 1]
        assert found(maintainer="ADA@") == [5, 3, 1]
        assert found(maintainer="ada", package="glance") == []
        assert found(version="2") == [3]
        assert found(file="glance_") == [2]
        assert found(state="running", target="debian-12-amd64") == [5]
        assert found(outcome="failed") == [4]
        assert found(trunk="false") == [7]
        assert found(until="1999-01-01") == []
        assert found(commit=commit("bad").upstream.sha[:10]) == [4]

    def test_pages_follow_one_another(self, looked_at: Served) -> None:
        numbers, cursor = [], None
        while True:
            page = looked_at.json("/builds", limit=4, **({"cursor": cursor} if cursor else {}))
            numbers += [build["id"] for build in page["builds"]]
            cursor = page["next"]
            if cursor is None:
                break
        assert numbers == [6, 5, 4, 3, 2, 1]

    def test_one_has_its_log_commit_reason_and_snapshot(self, looked_at: Served) -> None:
        published, running = looked_at.json("/builds/3"), looked_at.json("/builds/5")

        assert published["snapshot"].startswith("file:///")
        assert published["reason"]["kind"] == "requested"
        assert running["log"] == {"url": "/api/v1/builds/5/attempts/1/log", "size": 12}
        assert running["commit"]["subject"] == "Do runs"
        (made,) = looked_at.json("/builds/3/artifacts")["artifacts"]
        assert made["url"].startswith(published["snapshot"])

    def test_packages_keep_addresses_to_themselves(self, looked_at: Served) -> None:
        (package,) = [each for each in looked_at.json("/packages")["packages"] if each["name"] == "nova"]
        assert (package["upstream"], package["maintainers"]) == ("https://git.example.org/nova", ["Ada"])
        assert [build["id"] for build in package["builds"]] == [3, 5]
        assert "ada@" not in json.dumps(looked_at.json("/packages"))
        first = looked_at.json("/packages", limit=1)
        assert (first["packages"][0]["name"], first["next"]) == ("glance", "glance")
        assert looked_at.json("/packages", cursor="glance")["packages"] == [package]


class TestActs:
    def test_a_build_is_retried_and_prioritized_and_cancelled(self, site: Served) -> None:
        (retried,) = site.act("post", "/builds/4/retry")["builds"]
        assert (retried["id"], retried["state"]) == (4, "queued")
        assert site.conveyor.store.reason(4)[1].detail == "the admin"
        site.act("put", "/builds/4/priority", {"priority": "backlog"})
        assert {each["build"]: each["priority"] for each in site.json("/queue")["waiting"]}[4] == "backlog"
        cancelled = site.act("post", "/builds/4/cancel")
        assert (cancelled["ending"], cancelled["cancelled_by"]) == ("ended", "the admin")
        assert site.conveyor.store.build(4).outcome is Outcome.CANCELLED
        assert site.act("post", "/builds/4/cancel", status=409)["kind"] == "NotPossible"

    def test_a_package_is_retried_and_rebuilt(self, site: Served) -> None:
        assert site.act("post", "/packages/glance/retry", status=409)["title"].startswith("no build of glance")
        (rebuilt,) = site.act("post", "/packages/nova/rebuild", {"target": TARGET})["rebuilds"]
        assert (rebuilt["of"], rebuilt["is_new"]) == (3, True)
        assert site.conveyor.store.build(rebuilt["build"]["id"]).state is State.QUEUED
        assert site.act("post", "/packages/7/rebuild", status=422)["title"] == "'7' is no package"
        assert site.act("post", "/packages/nothing/retry", status=404)["kind"] == "UnknownName"

    def test_the_queue_is_paused_and_resumed(self, site: Served) -> None:
        paused = site.act("post", "/pauses", {"scope": "package", "name": "nova", "note": "why"})
        assert (paused["is_new"], paused["pause"]["actor"]) == (True, "the admin")
        assert not site.act("post", "/pauses", {"scope": "package", "name": "nova"})["is_new"]
        assert site.json("/queue")["pauses"] == [paused["pause"]]
        assert site.act("post", "/pauses", {"scope": "target", "name": "t"}, status=404)["kind"] == "UnknownName"
        assert site.act("post", "/pauses", {"scope": "all", "name": "t"}, status=422)["kind"] == "UserError"
        assert site.act("delete", "/pauses?scope=package&name=nova") == {
            "format_version": 1,
            "resumed": True,
            "pauses": [],
        }

    def test_packages_are_polled(self, site: Served) -> None:
        assert site.act("post", "/polls", {"packages": ["nova"]})["packages"] == ["nova"]
        assert site.act("post", "/polls", {})["packages"] == ["nova", "glance"]
        assert [poke.package for poke in site.conveyor.watch.pokes()] == ["glance", "nova"]

    def test_builds_are_ordered(self, site: Served) -> None:
        answer = site.client.post(
            "/api/v1/packages/nova/builds", headers=as_("retry"), json={"commit": "v1", "targets": [TARGET]}
        )
        assert (answer.status_code, answer.headers["location"]) == (202, "/api/v1/orders/1")
        ordered = answer.json()
        assert ordered["order"] | {"at": ""} == {
            "number": 1,
            "package": "nova",
            "commit": "v1",
            "targets": [TARGET],
            "actor": "the retry",
            "at": "",
            "state": "waiting",
            "settled_at": None,
            "cause": None,
        }
        assert not ordered["daemon"]["runs"]
        assert site.json("/orders/1") == ordered
        assert site.conveyor.order_book.waiting()[0].wanted.revision == "v1"
        assert f"order 1 of v1 for {TARGET}, by the retry at " in site.json("/why", name="nova")["why"]["lines"][0]

        site.conveyor.order_book.settle(1, NOON, builds=[3, 4])
        taken = site.json("/orders/1")
        assert taken["order"]["state"] == "taken"
        assert [each["build"]["id"] for each in taken["builds"]] == [3, 4]
        assert taken["builds"][0]["repository"].startswith("file:///")
        assert taken["builds"][1]["repository"] is None
        newest = site.act("post", "/packages/glance/builds", {}, status=202)["order"]
        site.conveyor.order_book.settle(newest["number"], NOON, cause=CAUSE)
        assert site.json(f"/orders/{newest['number']}")["order"]["cause"]["summary"] == CAUSE.summary

    def test_what_cannot_be_ordered_is_refused_at_once(self, site: Served) -> None:
        for path, body, status, kind in (
            ("/packages/nothing/builds", {}, 404, "UnknownName"),
            ("/packages/nova/builds", {"targets": ["nothing"]}, 404, "UnknownName"),
            ("/packages/nova/builds", {"commit": "--upload-pack=x"}, 422, "UserError"),
            ("/packages/1/builds", {}, 422, "UserError"),
        ):
            assert site.act("post", path, body, status=status)["kind"] == kind
        assert site.client.post("/api/v1/packages/nova/builds", headers=as_("vote")).status_code == 403
        assert site.client.get("/api/v1/orders/1").status_code == 404
        assert site.conveyor.order_book.waiting() == ()

    def test_votes_are_taken_and_promotions_moved_and_rolled_back(self, site: Served) -> None:
        voted = site.act("post", "/votes/3", {"job": "tempest", "success": True, "notes": "<script>"})
        assert (voted["vote"]["user"], voted["vote"]["notes"]) == ("the admin", "<script>")
        assert site.json(f"/votes/{voted['commit']}")["votes"] == [voted["vote"]]
        plan = site.act("post", "/promotions/stable", {"commit": "3", "dry_run": True})["plan"]
        assert plan == [{"target": TARGET, "before": None, "after": voted["commit"]}]
        (moved,) = site.act("post", "/promotions/stable", {"commit": "3", "note": "n", "keep": True})["entries"]
        assert (moved["actor"], moved["note"], moved["keep"]) == ("the admin", "n", True)
        assert site.act("post", "/promotions/current", {"commit": "3"}, status=409)["kind"] == "PromotionRefused"
        (back,) = site.act("post", "/pointers/tested/rollback", {})["entries"]
        assert (back["kind"], back["pointer"]) == ("rolled back", "tested")
        assert site.json("/ledger/verification")["entries"] == back["number"]

    def test_votes_on_all_commits_are_paged(self, site: Served) -> None:
        for job, build in (("a", "1"), ("b", "3"), ("a", "3")):
            site.act("post", f"/votes/{build}", {"job": job, "success": job == "a"})

        def said(**wanted: str | int) -> list[tuple[str, str]]:
            return [(each["job"], each["commit"][:8]) for each in site.json("/votes", target=TARGET, **wanted)["votes"]]

        first, last = commit("nova1-1").upstream.sha[:8], commit("nova2-1").upstream.sha[:8]
        assert said() == [("a", last), ("b", last), ("a", first)]
        assert said(job="a") == [("a", last), ("a", first)]
        assert said(success="false") == [("b", last)]
        page = site.json("/votes", target=TARGET, limit=2)
        assert (len(page["votes"]), page["next"]) == (2, "2")
        assert said(cursor="2") == [("a", first)]
        assert site.client.get("/api/v1/votes?target=nothing").status_code == 404
        assert site.client.get("/api/v1/votes").status_code == 422


class TestAccess:
    def test_tokens_are_made_and_revoked_and_told_without_secrets(self, site: Served) -> None:
        made = site.act("post", "/tokens", {"name": "ci", "may": ["vote"], "lasts": 60})
        assert re.fullmatch(r"cvy_[A-Za-z0-9_-]{43}", made["secret"])
        kept = site.conveyor.tokens.all()[0]
        assert (kept.name, kept.created_by, sorted(kept.permissions)) == ("ci", "the admin", ["vote"])
        assert site.act("post", "/tokens", {"name": "ci", "may": ["vote"]}, status=409)["kind"] == "NotPossible"
        assert site.act("post", "/tokens", {"name": ":", "may": ["vote"]}, status=422)["kind"] == "UserError"
        assert site.act("post", "/tokens", {"name": "x", "may": []}, status=422)["title"]
        (shown,) = site.client.get("/api/v1/tokens", headers=as_("admin")).json()["tokens"]
        assert (shown["name"], shown["may"], shown["state"]) == ("ci", ["vote"], "works")
        site.act("delete", "/tokens/ci")
        assert site.act("delete", "/tokens/ci", status=404)["kind"] == "UnknownName"
        assert made["secret"] not in site.client.get("/api/v1/audit", headers=as_("admin")).text

    def test_users_are_made_changed_disabled_and_deleted(self, site: Served) -> None:
        site.act("post", "/users", {"name": "ada", "may": ["retry"], "password": PASSWORD})
        (kept,) = site.conveyor.users.all()
        assert site.act("post", "/users", {"name": "eve", "password": "short"}, status=422)["kind"] == "UserError"
        site.act("put", "/users/ada/password", {"password": PASSWORD + "!"})
        assert site.conveyor.users.all()[0].password != kept.password
        site.act("put", "/users/ada/disabled", {"disabled": True})
        assert site.client.get("/api/v1/users", headers=as_("admin")).json()["users"][0]["disabled"]
        assert site.act("delete", "/users/ada/sessions")["ended"] == 0
        assert site.act("put", "/users/nobody/disabled", {"disabled": True}, status=404)["kind"] == "UnknownName"
        site.act("put", "/users/ada/permissions", {"may": ["vote", "promote"]})
        assert site.client.get("/api/v1/users", headers=as_("admin")).json()["users"][0]["may"] == ["promote", "vote"]
        assert site.act("put", "/users/ada/permissions", {"may": []}, status=422)["title"]
        assert site.act("put", "/users/nobody/permissions", {"may": ["vote"]}, status=404)["kind"] == "UnknownName"
        site.act("delete", "/users/ada")
        assert site.act("delete", "/users/ada", status=404)["kind"] == "UnknownName"
        everything = site.client.get("/api/v1/users", headers=as_("admin")).text
        everything += site.client.get("/api/v1/audit?limit=500", headers=as_("admin")).text
        assert PASSWORD not in everything
        assert "argon2" not in everything

    def test_nothing_secret_is_kept_for_a_request_that_comes_again(self, site: Served) -> None:
        key = {"Idempotency-Key": "secret"}
        made = site.act("post", "/tokens", {"name": "ci", "may": ["vote"]}, headers=key)
        site.act("post", "/users", {"name": "ada", "password": PASSWORD}, headers={"Idempotency-Key": "another"})
        assert site.act("post", "/tokens", {"name": "ci", "may": ["vote"]}, status=409, headers=key)
        store = b"".join(path.read_bytes() for path in site.conveyor.settings.data_dir.glob("*.db*"))
        assert made["secret"].encode() not in store
        assert hashlib.sha256(PASSWORD.encode()).hexdigest().encode() not in store

    def test_the_audit_log_is_paged_and_filtered(self, site: Served) -> None:
        for number in range(3):
            site.act("post", "/tokens", {"name": f"t{number}", "may": ["vote"]})

        def told(**wanted: str | int) -> dict[str, Any]:
            answer = site.client.get("/api/v1/audit", params=wanted, headers=as_("admin"))
            assert answer.status_code == 200, answer.text
            return cast(dict[str, Any], answer.json())

        made = told(action="token create")["entries"]
        assert [each["subject"] for each in made] == ["t0", "t1", "t2"]
        assert {(each["actor"], each["means"], each["result"]) for each in made} == {("the admin", "token", "done")}
        page = told(action="token create", limit=2)
        assert [each["subject"] for each in page["entries"]] == ["t1", "t2"]
        (last,) = told(action="token create", limit=2, cursor=page["next"])["entries"]
        assert (last["subject"], last["detail"]["may"]) == ("t0", ["vote"])
        assert told(subject="t1", result="refused")["entries"] == []
        assert told(since="2999-01-01")["entries"] == []

    def test_all_of_it_is_for_administrators(self, site: Served) -> None:
        for path in ("/tokens", "/users", "/audit"):
            for token in ("read", "vote", "retry", "promote"):
                assert site.client.get(f"/api/v1{path}", headers=as_(token)).status_code == 403


class TestKeys:
    def test_what_comes_again_is_done_once(self, site: Served) -> None:
        key = {"Idempotency-Key": "7"}
        first = site.client.post("/api/v1/builds/4/retry", headers=as_("admin") | key)
        again = site.client.post("/api/v1/builds/4/retry", headers=as_("admin") | key)

        assert (first.status_code, again.status_code) == (200, 200)
        assert again.content == first.content
        assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (None, "true")
        assert site.act("post", "/builds/4/cancel", status=422, headers=key)["kind"] == "UserError"
        another = site.client.post("/api/v1/builds/4/retry", headers=as_("retry") | key)
        assert another.status_code == 409

    def test_an_order_that_comes_again_is_the_same_order(self, site: Served) -> None:
        key = as_("admin") | {"Idempotency-Key": "9"}
        first, again = (site.client.post("/api/v1/packages/nova/builds", headers=key) for _ in range(2))
        assert (first.status_code, again.status_code) == (202, 202)
        assert again.headers["location"] == first.headers["location"] == "/api/v1/orders/1"
        assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
        assert len(site.conveyor.order_book.waiting()) == 1

    def test_what_was_refused_may_come_again(self, site: Served) -> None:
        key = {"Idempotency-Key": "8"}
        site.act("post", "/builds/6/retry", status=409, headers=key)
        site.act("post", "/builds/6/cancel")
        site.act("post", "/builds/6/retry", headers=key)


class TestRefusals:
    def test_they_are_problem_documents(self, looked_at: Served) -> None:
        for path, status in (
            ("/builds/4711", 404),
            ("/builds/99999999999", 422),
            ("/builds?limit=0", 422),
            ("/builds?cursor=x", 422),
            ("/packages/nothing", 404),
            ("/commits/zzzz", 404),
            ("/commits/1", 404),
            ("/votes/nothing", 404),
            ("/snapshots/nothing", 404),
            ("/ledger/verification?expect=x", 422),
            ("/nothing", 404),
        ):
            answer = looked_at.client.get(f"/api/v1{path}")
            assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), path
            assert answer.json()["status"] == status

    def test_who_acts_needs_the_permission(self, looked_at: Served) -> None:
        acts = [
            (method, path) for method, path, _ in described(looked_at) if method != "get" and path.startswith("/api/v1")
        ]
        assert len(acts) >= 11
        for method, template in acts:
            path = template.replace("{number}", "6").replace("{name}", "nova").replace("{commit}", "3")
            ask = getattr(looked_at.client, method)
            assert ask(path).status_code == 401
            assert ask(path, headers=as_("read")).status_code == 403
        assert looked_at.client.get("/api/v1/notices").status_code == 401

    def test_each_request_has_an_id(self, looked_at: Served) -> None:
        mine = looked_at.client.get("/api/v1/server", headers={"X-Request-ID": "a-1"})
        assert mine.headers["x-request-id"] == "a-1"
        assert len(looked_at.client.get("/nothing", headers={"X-Request-ID": "<a>"}).headers["x-request-id"]) == 16

    def test_who_asks_too_often_is_told_when_to_come_again(self, tmp_path: Path) -> None:
        with served(tmp_path, http=False, settings="[web]\nrate_limit = 60\n") as site:
            answers = [site.client.get("/api/v1/server") for _ in range(30)]
            assert {answer.status_code for answer in answers} == {200, 429}
            assert answers[-1].headers["retry-after"] == "1"
            assert answers[-1].json()["title"] == "more than 60 requests a minute"
            assert site.client.get("/api/v1/server", headers=as_("read")).status_code == 200


class TestStream:
    @pytest.fixture
    def far(self, tmp_path: Path) -> Iterator[Served]:
        with served(tmp_path, http=True) as site:
            yield site

    def test_it_tells_what_happens_and_resumes(self, far: Served) -> None:
        before = far.conveyor.events.newest(limit=1)[0].number
        path = "/api/v1/events/stream"
        with far.client.stream("GET", path, params={"package": "heat"}) as answer:
            assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
            lines = answer.iter_lines()
            assert next(lines) == "retry: 2000"
            _record(far, "nova", "heat", "heat")
            first = _next(lines)
        assert (first["number"], first["package"]) == (before + 2, "heat")
        headers = {"Last-Event-ID": str(first["number"])}
        with far.client.stream("GET", path, headers=headers) as answer:
            assert _next(answer.iter_lines())["number"] == first["number"] + 1
        with far.client.stream("GET", path, params={"after": 0}) as answer:
            lines = answer.iter_lines()
            assert [_next(lines)["number"] for _ in range(3)] == [1, 2, 3]

    def test_many_readers_cost_one_look(self, far: Served) -> None:
        hub = cast(Hub, far.app.state.hub)
        opened = [far.client.stream("GET", "/api/v1/events/stream") for _ in range(20)]
        answers = [each.__enter__() for each in opened]
        assert len(hub._listeners) == 20
        assert hub._watching is not None
        _record(far, "heat")
        for answer in answers:
            assert _next(answer.iter_lines())["package"] == "heat"
        for each in opened:
            each.__exit__(None, None, None)

    def test_it_ends_when_the_server_stops(self, far: Served) -> None:
        with far.client.stream("GET", "/api/v1/events/stream") as answer:
            lines = answer.iter_lines()
            next(lines)
            cast(Hub, far.app.state.hub).stop()
            assert not any(line.startswith("data") for line in lines)

    def test_too_many_are_refused(self, far: Served, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("conveyor.web.api.stream.LISTENERS", 0)
        answer = far.client.get("/api/v1/events/stream")
        assert (answer.status_code, answer.json()["kind"]) == (409, "NotPossible")


def _record(site: Served, *packages: str) -> None:
    told = [NewEvent(kind=EventKind.QUEUED, summary="it", package=package) for package in packages]
    site.conveyor.events.record(told, datetime.now(NOON.tzinfo))


def _next(lines: Iterator[str]) -> dict[str, Any]:
    data = next(line for line in lines if line.startswith("data: "))
    return cast(dict[str, Any], json.loads(data.removeprefix("data: ")))
