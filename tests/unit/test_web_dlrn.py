"""DLRN's API on a store: what it asks for, which repository it chooses, and how it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response

from conveyor.model.access import Means, Permission, Principal
from conveyor.model.build import Build, Outcome
from conveyor.model.commit import Commit
from conveyor.model.promotion import Move, MoveKind, Step, Vote
from conveyor.web.access import guard
from conveyor.wiring import Conveyor
from tests.fakes.store_samples import OTHER_TARGET as RPM
from tests.fakes.store_samples import TARGET as DEB
from tests.fakes.store_samples import artifact, commit, end, entry, start
from tests.support.web import serving

REPOS = f"""
defaults: {{targets: [{DEB}, {RPM}]}}
targets:
  {DEB}: {{format: deb, suite: trixie}}
  {RPM}: {{format: rpm, release: "10", repositories: [{{name: here, url: "http://127.0.0.1:9/", key: none}}]}}
packages:
  nova: {{upstream: "https://git.example.org/nova", packaging: "https://git.example.org/n", component: compute}}
  heat:
    upstream: https://git.example.org/heat
    packaging: https://git.example.org/h
    component: network
    targets: [{RPM}]
promotions:
  tested: {{}}
"""
COMPONENTS = {"nova": "compute", "heat": "network"}
NOW = datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True, kw_only=True)
class Served:
    client: TestClient
    conveyor: Conveyor

    def get(self, path: str, target: str = "", /, **parameters: Any) -> Response:  # noqa: ANN401 - any JSON
        """The answer to what newer clients send."""
        return self.client.get(f"{target and f'/dlrn/{target}'}/api/{path}", params=parameters)

    def post(self, path: str, target: str = "", /, **parameters: Any) -> Response:  # noqa: ANN401 - any JSON
        return self.client.post(f"{target and f'/dlrn/{target}'}/api/{path}", json=parameters)

    def vote(self, build: Build, job: str, *, success: bool | None, hours: float, target: str = RPM) -> None:
        """A vote of so many hours ago."""
        at = NOW - timedelta(hours=hours)
        self.conveyor.votes.add(
            Vote(subject=build.commit.id, target=target, job=job, success=success, user="ci", at=at)
        )


@contextmanager
def open_to_all(folder: Path) -> Iterator[Served]:
    """A site on which everybody may do everything."""
    with serving(folder, repos=REPOS) as client:
        app = cast(FastAPI, client.app)
        who = Principal(name="ci", permissions=frozenset(Permission), means=Means.TOKEN)
        app.dependency_overrides[guard.principal] = lambda: who
        yield Served(client=client, conveyor=app.state.sites.current().conveyor)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with open_to_all(tmp_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def firm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A site with one published commit, which tests leave as it is."""
    with open_to_all(tmp_path_factory.mktemp("firm")) as opened:
        build = published(opened, "1")
        yield opened
        assert opened.conveyor.votes.of(build.commit.id) == ()
        assert opened.conveyor.ledger.entries() == ()


ONE = commit("1")


def published(served: Served, name: str, *, package: str = "nova", target: str = RPM, extended: str = "") -> Build:
    store, what = served.conveyor.store, commit(name, package=package, extended=extended)
    build = start(store, what, f"{package} {name} {extended} {target}", target=target)
    made = artifact(f"{package}-{name}{extended}.rpm", name=f"{package}-{name}{extended}")
    brought = replace(entry(build, NOW, made), component=COMPONENTS[package])
    store.finish(
        build.id,
        f"{package} {name} {extended} {target}",
        outcome=Outcome.SUCCEEDED,
        at=NOW,
        version="1-1",
        cause=None,
        stages=(),
        entry=brought,
    )
    return store.mark_published(build.id, 0.1)


def hashes(of: Build | Commit) -> dict[str, str]:
    what = of if isinstance(of, Commit) else of.commit
    return {"commit_hash": what.upstream.sha, "distro_hash": what.packaging_sha}


def found(answer: Response) -> str:
    """The commit of a repository that was chosen."""
    assert answer.status_code == 200, answer.text
    return str(answer.json()["commit_hash"])


def refused(answer: Response, status: int) -> str:
    """Why something was refused."""
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["message"]
    return str(answer.json()["message"])


class TestWhichRepository:
    def test_the_last_one_that_its_job_tested_then_any_job_then_the_consistent_one(self, served: Served) -> None:
        one, two, three = (published(served, name) for name in "123")
        ledger = served.conveyor.ledger
        step = Step(target=RPM, pointer="consistent", before=None, after=three.commit.id)
        at = NOW - timedelta(hours=5)
        ledger.complete(ledger.begin(Move(kind=MoveKind.PUBLISHED, actor="conveyor", at=at, steps=(step,))), at)
        consistent = served.get("last_tested_repo", max_age=0, job_id="a", success=True).json()
        assert (consistent["commit_hash"], consistent["job_id"]) == (three.commit.upstream.sha, "consistent")
        assert consistent["timestamp"] == int(at.timestamp())
        refused(served.get("last_tested_repo", max_age=4), 400)
        refused(served.get("last_tested_repo", max_age=0, success=False), 400)
        served.vote(one, "a", success=True, hours=3)
        served.vote(two, "b", success=False, hours=2)

        assert found(served.get("last_tested_repo", max_age=0)) == two.commit.upstream.sha
        assert found(served.get("last_tested_repo", max_age=0, job_id="a")) == one.commit.upstream.sha
        assert found(served.get("last_tested_repo", max_age=0, job_id="c")) == two.commit.upstream.sha
        assert found(served.get("last_tested_repo", max_age=0, success=True)) == one.commit.upstream.sha
        assert found(served.get("last_tested_repo", max_age=0, success=False)) == two.commit.upstream.sha
        assert found(served.get("last_tested_repo", max_age=0, job_id="b", success=True)) == one.commit.upstream.sha
        assert found(served.get("last_tested_repo", max_age=0, job_id="a")) == one.commit.upstream.sha
        assert refused(served.get("last_tested_repo", max_age=1, success=True), 400) == "No vote found"

    def test_in_sequence_it_is_the_one_of_the_job_before_or_none(self, served: Served) -> None:
        one, two = published(served, "1"), published(served, "2")
        served.vote(one, "before", success=True, hours=2)
        served.vote(two, "other", success=True, hours=1)
        asked = {"max_age": 0, "sequential_mode": "True"}

        assert found(served.get("last_tested_repo", **asked, previous_job_id="before")) == one.commit.upstream.sha
        assert refused(served.get("last_tested_repo", **asked, previous_job_id="never"), 400) == "No vote found"
        assert refused(served.get("last_tested_repo", max_age=1, sequential_mode=True, previous_job_id="before"), 400)
        assert refused(served.get("last_tested_repo", **asked), 400) == "Missing parameter previous_job_id"
        not_sequential = served.get("last_tested_repo", max_age=0, sequential_mode="False", previous_job_id="before")
        assert found(not_sequential) == two.commit.upstream.sha

    def test_only_of_the_component_and_the_target_and_what_is_still_there(self, served: Served) -> None:
        nova, heat = published(served, "1"), published(served, "2", package="heat")
        gone, deb = published(served, "3"), published(served, "4", target=DEB)
        served.conveyor.store.mark_collected([gone.id], NOW)
        served.vote(nova, "a", success=True, hours=4)
        served.vote(heat, "a", success=True, hours=3)
        served.vote(gone, "a", success=True, hours=2)
        served.vote(deb, "a", success=True, hours=1, target="")

        assert found(served.get("last_tested_repo", max_age=0)) == heat.commit.upstream.sha
        assert found(served.get("last_tested_repo", max_age=0, component="compute")) == nova.commit.upstream.sha
        assert found(served.get("last_tested_repo", DEB, max_age=0)) == deb.commit.upstream.sha
        refused(served.get("last_tested_repo", max_age=0, component="nothing"), 400)

    def test_who_takes_it_votes_that_it_runs(self, served: Served) -> None:
        one = published(served, "1")
        served.vote(one, "a", success=True, hours=1)
        answer = served.post("last_tested_repo", max_age="0", reporting_job_id="b", job_id="a")

        assert answer.status_code == 201
        told = answer.json()
        assert told | {"timestamp": 0} == {
            "commit_hash": one.commit.upstream.sha,
            "distro_hash": one.commit.packaging_sha,
            "extended_hash": None,
            "timestamp": 0,
            "job_id": "b",
            "success": False,
            "in_progress": True,
            "user": "ci",
            "component": "compute",
        }
        assert told["timestamp"] >= int(NOW.timestamp())
        assert [vote.success for vote in served.conveyor.votes.of(one.commit.id)] == [True, None]
        assert "reporting_job_id" in refused(served.post("last_tested_repo", max_age=0), 400)


class TestVotes:
    def test_a_result_is_a_vote_with_the_time_that_its_test_says(self, served: Served) -> None:
        one = published(served, "1")
        given = {"job_id": "full/smoke:1", "url": "https://ci.example.org/1", "notes": "<script>\x00"}
        sent = {**hashes(one), **given, "success": "true", "timestamp": "1431949433", "extended_hash": "None"}
        answer = served.client.post(
            "/api/report_result", content=json.dumps(sent), headers={"content-type": "application/json"}
        )
        assert answer.status_code == 201, answer.text
        expected = {
            **hashes(one),
            **given,
            "notes": "<script>\ufffd",
            "extended_hash": None,
            "timestamp": 1431949433,
            "success": True,
            "in_progress": False,
            "user": "ci",
            "component": "compute",
        }
        assert answer.json() == {**expected, "aggregate_hash": None}
        assert served.get("repo_status", **hashes(one)).json() == [expected]
        assert served.get("repo_status", **hashes(one), success="false").json() == []

    def test_the_future_is_now(self, served: Served) -> None:
        one = published(served, "1")
        given = {**hashes(one), "job_id": "a", "url": "", "success": False, "timestamp": 253402300799}
        told = served.post("report_result", **given).json()["timestamp"]
        assert told <= datetime.now(UTC).timestamp()

    @pytest.mark.parametrize("digits", [8, 12, 40])
    def test_the_packaging_is_known_by_as_many_digits_as_are_given(self, firm: Served, digits: int) -> None:
        short = hashes(ONE)["distro_hash"][:digits]
        assert firm.get("repo_status", commit_hash=ONE.upstream.sha, distro_hash=short).json() == []

    def test_of_rebuilds_the_latest_is_meant_or_the_one_that_is_named(self, served: Served) -> None:
        one, again = published(served, "1"), published(served, "1", extended="r1")
        served.vote(one, "first", success=True, hours=1)
        served.vote(again, "second", success=True, hours=1)
        latest = served.get("repo_status", **hashes(one)).json()
        assert [(each["job_id"], each["extended_hash"]) for each in latest] == [("second", "r1")]
        assert served.get("repo_status", **hashes(one), extended_hash="r1").json() == latest
        refused(served.get("repo_status", **hashes(one), extended_hash="r"), 400)

    @pytest.mark.parametrize(
        "change",
        [
            {"commit_hash": "f" * 40},
            {"commit_hash": commit("1").upstream.sha[:39]},
            {"commit_hash": commit("1").upstream.sha.upper()},
            {"distro_hash": "0" * 40},
            {"distro_hash": commit("1").packaging_sha[:7]},
            {"distro_hash": commit("1").packaging_sha[:39] + "x"},
            {"extended_hash": "../.."},
            {"commit_hash": "current"},
            {"commit_hash": "' OR 1=1 --\x00"},
        ],
    )
    def test_what_was_never_published_is_not_found(self, firm: Served, change: dict[str, str]) -> None:
        given = {**hashes(ONE), "job_id": "a", "url": "", "success": True, "timestamp": 1}
        content = json.dumps({**given, **change})
        answer = firm.client.post("/api/report_result", content=content, headers={"content-type": "application/json"})
        assert "not found" in refused(answer, 400)

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"job_id": None}, "job_id"),
            ({"job_id": 7}, "job_id"),
            ({"job_id": "a b"}, "no name of a job"),
            ({"notes": "\ud800"}, "notes"),
            ({"job_id": "x" * 1001}, "job_id"),
            ({"success": "perhaps"}, "success"),
            ({"timestamp": -1}, "timestamp"),
            ({"timestamp": 10**12}, "timestamp"),
            ({"timestamp": 1.5}, "timestamp"),
            ({"url": "javascript:alert(1)"}, "no URL"),
            ({"url": None}, "url"),
            ({"notes": "x" * 10_001}, "notes"),
            ({"distro_hash": None}, "must be given"),
            ({"commit_hash": None}, "must be given"),
            ({"commit_hash": None, "distro_hash": None}, "must be given"),
            ({"aggregate_hash": "0" * 32}, "cannot be combined"),
            ({"commit_hash": None, "distro_hash": None, "aggregate_hash": "0" * 32}, "aggregate_hash not found"),
            ({"commit_hash": None, "distro_hash": None, "aggregate_hash": "../.."}, "aggregate_hash not found"),
        ],
    )
    def test_what_is_no_vote_is_refused(self, firm: Served, change: dict[str, Any], why: str) -> None:
        given = {**hashes(ONE), "job_id": "a", "url": "", "success": True, "timestamp": 1, "notes": ""}
        content = json.dumps({**given, **change})
        kind = {"content-type": "application/json"}
        assert why in refused(firm.client.post("/api/report_result", content=content, headers=kind), 400)


class TestPromotions:
    @pytest.mark.parametrize("name", ["current", "consistent", "consistent-compute", "../up", "ab", "pool", "", "new"])
    def test_nobody_promotes_to_some_names(self, firm: Served, name: str) -> None:
        assert "Invalid promote_name" in refused(firm.post("promote", **hashes(ONE), promote_name=name), 403)
        batch = [{**hashes(ONE), "promote_name": "tested"}, {**hashes(ONE), "promote_name": name}]
        refused(firm.client.post("/api/promote-batch", json=batch), 403)

    def test_what_retention_removed_is_gone(self, served: Served) -> None:
        one = published(served, "1")
        served.conveyor.store.mark_collected([one.id], NOW)
        message = refused(served.post("promote", **hashes(one), promote_name="tested"), 410)
        assert "purged" in message
        batch = [{**hashes(one), "promote_name": "tested"}]
        assert refused(served.client.post("/api/promote-batch", json=batch), 410) == message

    @pytest.mark.parametrize("batch", [[], {}, [1], None, "x", [{"promote_name": "tested"}]])
    def test_what_is_no_batch_is_refused(self, firm: Served, batch: object) -> None:
        kind = {"content-type": "application/json"}
        refused(firm.client.post("/api/promote-batch", content=json.dumps(batch), headers=kind), 400)

    def test_they_are_filtered(self, served: Served) -> None:
        one, two, heat = published(served, "1"), published(served, "2"), published(served, "3", package="heat")
        ledger = served.conveyor.ledger
        moves = [(one, "tested"), (two, "tested"), (heat, "other"), (one, "tested")]
        for number, (build, pointer) in enumerate(moves):
            step = Step(target=RPM, pointer=pointer, before=None, after=build.commit.id)
            kind = MoveKind.ROLLED_BACK if number == 3 else MoveKind.PROMOTED
            move = Move(kind=kind, actor="ada", at=NOW, steps=(step,))
            ledger.complete(ledger.begin(move), NOW)

        def listed(**parameters: Any) -> list[str]:  # noqa: ANN401 - any JSON
            return [each["repo_hash"] for each in served.get("promotions", **parameters).json()]

        ids = [build.commit.id for build, _ in reversed(moves)]
        assert listed() == listed(limit=10**9) == ids
        assert listed(offset=1, limit=2) == ids[1:3]
        assert listed(limit=0) == []
        assert listed(promote_name="other") == listed(component="network") == [heat.commit.id]
        assert listed(**hashes(two)) == [two.commit.id]
        assert listed(**hashes(two), promote_name="other") == listed(aggregate_hash="0" * 32) == []
        assert served.get("promotions", DEB).json() == []
        assert served.get("promotions", limit=1).json() == [
            {
                **hashes(one),
                "extended_hash": None,
                "aggregate_hash": None,
                "repo_hash": one.commit.id,
                "repo_url": served.conveyor.tree.url(RPM, f"{one.commit.id[:2]}/{one.commit.id[2:4]}/{one.commit.id}"),
                "promote_name": "tested",
                "component": "compute",
                "timestamp": int(NOW.timestamp()),
                "user": "ada",
            }
        ]
        refused(served.get("promotions", commit_hash=one.commit.upstream.sha), 400)
        refused(served.get("promotions", commit_hash="f" * 40, distro_hash="f" * 40), 400)
        refused(served.get("promotions", offset=-1), 400)


class TestBuilds:
    def test_they_are_counted_by_day(self, served: Served) -> None:
        published(served, "1")
        end(served.conveyor.store, commit("2", package="heat"), NOW, target=RPM)
        days = {"start_date": f"{NOW:%Y-%m-%d}", "end_date": f"{NOW + timedelta(days=1):%Y-%m-%d}"}
        assert served.get("metrics/builds", **days).json() == {"succeeded": 1, "failed": 1, "total": 2}
        of_heat = served.get("metrics/builds", **days, package_name="heat").json()
        assert of_heat == {"succeeded": 0, "failed": 1, "total": 1}
        before = served.get("metrics/builds", start_date="2020-01-01", end_date=days["start_date"]).json()
        assert before["total"] == 0
        refused(served.get("metrics/builds", start_date="yesterday", end_date="2020-01-01"), 400)
        refused(served.get("metrics/builds", start_date="2020-01-01"), 400)

    @pytest.mark.parametrize(
        ("outcome", "status"), [(None, 400), (Outcome.SUCCEEDED, 409), (Outcome.FAILED, 201), (Outcome.ERRORED, 201)]
    )
    def test_what_did_not_succeed_is_rechecked(self, served: Served, outcome: Outcome | None, status: int) -> None:
        store, what = served.conveyor.store, commit("1")
        if outcome is None:
            build = start(store, what, "runs", target=RPM)
        elif outcome is Outcome.SUCCEEDED:
            build = published(served, "1")
        else:
            build = end(store, what, NOW, outcome, target=RPM)
        answer = served.post("recheck_package", package_name="nova")
        assert answer.status_code == status
        if status == 201:
            assert answer.json() == {"result": "ok"}
            assert store.build(build.id).outcome is None
            refused(served.post("recheck_package", package_name="nova"), 400)
        else:
            assert f"build {build.id}" in refused(answer, status)

    @pytest.mark.parametrize("name", ["nothing", "' --", "\x00"])
    def test_what_was_never_built_is_not_rechecked(self, firm: Served, name: str) -> None:
        assert "no build" in refused(firm.post("recheck_package", package_name=name), 400)

    def test_prometheus_is_told_how_many_there_are(self, served: Served) -> None:
        published(served, "1")
        end(served.conveyor.store, commit("2"), NOW, Outcome.ERRORED, target=RPM)
        answer = served.client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        where = f'{{baseurl="{served.conveyor.settings.base_url}/{RPM}",target="{RPM}"}}'
        for line in ("builds_total 2", "builds_succeeded_total 1", "builds_failed_total 0", "builds_retry_total 1"):
            name, number = line.split()
            assert f"dlrn_{name}{where} {number}.0" in answer.text.splitlines()

    def test_what_graphql_told_has_other_places(self, firm: Served) -> None:
        assert "/api/v1/builds" in refused(firm.get("graphql", query="{ commits { id } }"), 501)

    def test_nothing_is_imported_and_the_answer_says_what_to_do(self, firm: Served) -> None:
        message = refused(firm.post("remote/import", repo_url="https://example.org/ab/cd/abcd_01234567"), 501)
        assert "conveyor build PACKAGE --commit SHA" in message
        refused(firm.post("remote/import", repo_url="file:///etc/passwd"), 400)
        refused(firm.post("remote/import"), 400)


class TestWhatIsAsked:
    def test_there_is_a_place_for_each_target_and_one_for_the_first_of_rpms(self, firm: Served) -> None:
        assert firm.get("components").json() == {"components": ["compute", "network"]}
        assert firm.get("components", DEB).json() == {"components": ["compute"]}
        assert "nowhere" in refused(firm.get("components", "nowhere"), 404)
        refused(firm.get("components", "..%2f.."), 404)
        assert firm.client.get("/repos/nowhere/report.html").status_code == 404

    def test_the_site_may_choose_the_target(self, tmp_path: Path) -> None:
        with serving(tmp_path, repos=REPOS, settings=f'[web]\ndlrn_target = "{DEB}"\n') as client:
            assert client.get("/api/components").json() == {"components": ["compute"]}
        with serving(tmp_path, repos=REPOS, settings='[web]\ndlrn_target = "nowhere"\n') as client:
            assert "nowhere" in refused(client.get("/api/components"), 404)

    def test_parameters_come_in_the_body_in_the_query_or_in_both(self, firm: Served) -> None:
        by_body = firm.client.request("GET", "/api/repo_status", json=hashes(ONE))
        by_both = firm.client.request("GET", "/api/repo_status", json={"x": 1, **hashes(ONE)}, params=hashes(ONE))
        assert by_body.json() == by_both.json() == []
        wrong = {**hashes(ONE), "distro_hash": "x"}
        assert firm.client.request("GET", "/api/repo_status", json=wrong, params=hashes(ONE)).json() == []

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b"", 400),
            (b"{", 400),
            (b"[]", 400),
            (b"null", 400),
            (b"\xff\xfe", 400),
            (b"[" * 100_000, 400),
            (b'{"max_age": ' + b"9" * 5000 + b"}", 400),
            (b'{"max_age": NaN}', 400),
            (b'{"max_age": -1}', 400),
            (b'{"max_age": 99999999999}', 400),
            (b'{"x": "' + b"x" * (1 << 20) + b'"}', 413),
        ],
    )
    def test_what_is_no_body_is_refused(self, firm: Served, body: bytes, status: int) -> None:
        kind = {"content-type": "application/json"}
        refused(firm.client.post("/api/last_tested_repo", content=body, headers=kind), status)
        refused(firm.client.request("GET", "/api/last_tested_repo", content=body, headers=kind), status)

    def test_only_json_is_posted(self, firm: Served) -> None:
        answer = firm.client.post("/api/promote", data={"promote_name": "tested"})
        assert "JSON" in refused(answer, 415)

    def test_errors_are_told_as_dlrn_tells_them_but_for_conveyors_own_api(self, served: Served) -> None:
        assert refused(served.get("nothing"), 404) == "Not Found"
        assert refused(served.client.put("/api/health"), 405) == "Method Not Allowed"
        assert served.client.get("/api/v1/nothing").json()["title"] == "Not Found"
        assert served.get("health").json() == {"result": "ok, no commits in DB"}
        published(served, "1")
        assert served.post("health").json() == served.get("health").json() == {"result": "ok"}


class TestReports:
    @pytest.mark.parametrize(
        ("path", "to"),
        [
            ("/api/report.html", f"/search?target={RPM}"),
            (
                "/api/report.html?package=nova&success=True&offset=100",
                f"/search?target={RPM}&package=nova&state=succeeded",
            ),
            ("/api/report.html?success=false&component=compute", f"/search?target={RPM}&state=failed"),
            (f"/dlrn/{DEB}/api/report.html", f"/search?target={DEB}"),
            ("/repos/report.html", f"/search?target={RPM}"),
            (f"/repos/{DEB}/status_report.html", f"/?target={DEB}"),
            (f"/dlrn/{DEB}/queue.html", f"/queue?target={DEB}"),
        ],
    )
    def test_old_names_lead_to_pages_with_the_same_filters(self, firm: Served, path: str, to: str) -> None:
        answer = firm.client.get(path, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (302, to)

    def test_the_csv_has_dlrns_columns(self, served: Served) -> None:
        one = published(served, "1")
        two = end(served.conveyor.store, commit("2", package="heat"), NOW, target=RPM)
        start(served.conveyor.store, commit("3", package="heat"), "runs", target=RPM)
        at = int(NOW.timestamp())
        lines = [
            "Project,Source Sha,Dist Sha,Extended Sha,Component,Status,Timestamp,Packages",
            f"heat,{two.commit.upstream.sha},{two.commit.packaging_sha},,network,FAILED,{at},",
            f"nova,{one.commit.upstream.sha},{one.commit.packaging_sha},,compute,SUCCESS,{at},nova-1.rpm",
        ]
        for path in ("/repos/status_report.csv", f"/repos/{RPM}/status_report.csv", f"/dlrn/{RPM}/status_report.csv"):
            answer = served.client.get(path)
            assert answer.headers["content-type"] == "text/csv; charset=utf-8"
            assert answer.text.splitlines() == lines


class TestPagesOfVotes:
    def test_they_list_votes_as_text(self, served: Served) -> None:
        one, heat = published(served, "1"), published(served, "2", package="heat")
        for number in range(101):
            served.vote(one, f"job-{number}", success=number % 2 == 0, hours=number)
        served.vote(heat, "of-heat", success=None, hours=200)
        hostile = "<script>alert(1)</script>"
        for subject in (one.commit.id, "0" * 32):
            vote = Vote(subject=subject, target="", job="hostile", success=False, user="ci", at=NOW, notes=hostile)
            served.conveyor.votes.add(replace(vote, url='https://x.example.org/"><img>'))

        first = served.get("civotes.html")
        assert (first.status_code, first.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "job-98" in first.text
        assert "job-99" not in first.text
        assert '"/api/civotes.html?offset=100"' in first.text
        assert "of-heat" in served.get("civotes.html", offset=100).text
        of_heat = served.get("civotes_detail.html", component="network").text
        assert "of-heat" in of_heat
        assert "job-1" not in of_heat
        of_job = served.get("civotes_detail.html", ci_name="job-7").text
        assert "job-7" in of_job
        assert "job-8" not in of_job
        assert "No test has voted" in served.get("civotes_detail.html", ci_name="job-7", success="True").text
        pages = [first, served.get("civotes_agg.html"), served.get("civotes_agg_detail.html", ref_hash="0" * 32)]
        for page in pages:
            assert "&lt;script&gt;alert(1)" in page.text
            assert "<script>alert" not in page.text
            assert "<img>" not in page.text
        assert "No test has voted" in served.get("civotes_agg_detail.html", ci_name="other").text

    def test_that_of_a_commit_is_that_of_its_snapshot(self, firm: Served) -> None:
        path = f"/api/civotes_detail.html?commit_hash={ONE.upstream.sha}&distro_hash={ONE.packaging_sha}"
        answer = firm.client.get(path, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (302, f"/targets/{RPM}/snapshots/{ONE.id}")
        refused(firm.get("civotes_detail.html", commit_hash="x", distro_hash="y"), 400)
        refused(firm.get("civotes_detail.html"), 400)
        refused(firm.get("civotes_agg_detail.html"), 400)
        refused(firm.get("civotes.html", offset="x"), 400)
