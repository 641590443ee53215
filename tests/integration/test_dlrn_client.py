"""DLRN's own client, as a command and as Python classes, against the server as a process, on a published site."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from conveyor.model.access import AuditQuery
from conveyor.model.published import Retention
from conveyor.wiring import make_collect
from tests.fakes.store_samples import end
from tests.support.published import DAY_ONE, PACKAGING_SHA, make_deb, make_rpms, sha_of
from tests.support.publisher import DEB, REPOS, RPM, UNSIGNED, Release, make_site, opened, publish
from tests.support.webprocess import ROOT, WebProcess, web_process

pytestmark = pytest.mark.integration
dlrnapi_client = pytest.importorskip("dlrnapi_client", reason="DLRN's client is not installed")

CLIENT = Path(sysconfig.get_path("scripts")) / "dlrnapi"
SITE = (
    REPOS.replace("    format: rpm\n", "    format: rpm\n    component_repositories: true\n").replace(
        '/hello"}', '/hello", component: greetings}'
    )
    + f"""
promotions:
  tested: {{targets: [{RPM}, {DEB}]}}
  released: {{targets: [{RPM}], votes: [full]}}
  older: {{targets: [{RPM}]}}
  verified: {{targets: [{RPM}], votes: [smoke], automatic: true}}
"""
)
BASE = "https://trunk.example.org/repos"
GOOD, BAD = 0, 1


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the client said.

    Attributes:
        code: its exit code.
        json: what it printed; None where it is no JSON.
        error: what it said of an error.
    """

    code: int
    json: Any
    error: str

    @property
    def status(self) -> int:
        """The server's status code, as the client tells it."""
        found = re.search(r"^\((\d{3})\)$", self.error, re.MULTILINE) or re.search(r"\((\d{3})\)\nReason", self.error)
        assert found, self.error
        return int(found[1])


@dataclass(frozen=True, kw_only=True)
class There:
    """A site that is served.

    Attributes:
        server: the server.
        site: the site's folder.
        token: the secret of a token that may vote and promote, called ci.
        operator: of one that may retry.
    """

    server: WebProcess
    site: Path
    token: str
    operator: str

    def call(
        self, *arguments: str, user: str = "ci", password: str | None = None, place: str = "", auth: bool = True
    ) -> Said:
        """Run the client's command."""
        who = ["--username", user, "--password", password or self.token] if auth else []
        done = subprocess.run(
            [sys.executable, str(CLIENT), "--url", f"{self.server.url}{place}", *who, *arguments],
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        try:
            told = json.loads(done.stdout)
        except ValueError:
            told = None
        return Said(code=done.returncode, json=told, error=done.stdout + done.stderr)

    def good(self, *arguments: str, **how: Any) -> Any:  # noqa: ANN401 - any JSON
        """What a command that succeeds prints."""
        said = self.call(*arguments, **how)
        assert said.code == GOOD, said.error
        assert said.json is not None, said.error
        return said.json

    def ask(
        self, method: str, path: str, body: bytes | None = None, *, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """The status and JSON of a bare request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        try:
            kind = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
            connection.request(method, path, body, {**kind, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


def hashes(number: int) -> list[str]:
    return ["--commit-hash", sha_of(number), "--distro-hash", PACKAGING_SHA]


def repo_id(number: int) -> str:
    return f"{sha_of(number)}_{PACKAGING_SHA[:8]}"


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[There]:
    """Of RPMs hello 1.1, other 1.1, hello 1.2 and hello 1.3 (collected: hello 1.1), of debs hello 1.1."""
    folder = tmp_path_factory.mktemp("dlrn")
    site = make_site(folder / "site", repos=SITE, base_url=BASE)
    made = [("hello", "1.1"), ("other", "1.1"), ("hello", "1.2"), ("hello", "1.3")]
    releases = [
        Release(
            target=RPM, package=package, number=number, files=tuple(make_rpms(folder / str(number), package, version))
        )
        for number, (package, version) in enumerate(made, 1)
    ]
    publish(site, releases[:2])
    keep_newest(site)
    publish(site, releases[2:])
    deb = make_deb(folder, "hello", "1.1-1")
    publish(site, [Release(target=DEB, package="hello", number=1, files=(deb,))])
    fail(site, "other", 7)
    with web_process(site, repos=SITE, settings=f'base_url = "{BASE}"\n{UNSIGNED}') as server:
        token = made_token(site, "ci", "vote", "promote")
        yield There(server=server, site=site, token=token, operator=made_token(site, "op", "retry"))


def made_token(site: Path, name: str, *permissions: str) -> str:
    """The secret of a new token."""
    may = [word for permission in permissions for word in ("--may", permission)]
    done = subprocess.run(
        [sys.executable, "-m", "conveyor.cli.main", "token", "create", name, *may],
        cwd=site,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "CONVEYOR_DATA_DIR": str(site / "data")},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def keep_newest(site: Path) -> None:
    """Remove all snapshots but the newest, at once."""
    with opened(site) as conveyor:
        repos = replace(conveyor.repos, retention={RPM: Retention(newest=1, grace=0)})
        removal = make_collect(replace(conveyor, repos=repos)).run(RPM, dry_run=False)
        assert removal is not None
        assert [each.commit for each in removal.snapshots] == [repo_id(1)]


def fail(site: Path, package: str, number: int) -> None:
    """A build that does not succeed."""
    with opened(site) as conveyor:
        what = Release(target=RPM, package=package, number=number, files=()).commit
        end(conveyor.store, what, conveyor.clock.now(), target=RPM)


def aggregate(site: Path) -> str:
    """The md5 of the newest aggregated repository file."""
    return (site / "data/repos" / RPM / "current/conveyor.repo.md5").read_text()


class TestCommands:
    """All ten of them, in the order in which a test of some repository uses them."""

    def test_a_test_takes_a_repository_says_what_it_found_and_has_it_promoted(self, there: There) -> None:
        # Nobody has voted: the consistent one.
        first = there.good("repo-get", "--max-age", "0", auth=False)
        assert (first["commit_hash"], first["distro_hash"], first["job_id"]) == (sha_of(4), PACKAGING_SHA, "consistent")
        used = there.good("repo-use", "--max-age", "0", "--reporting-job-id", "smoke")
        assert (used["commit_hash"], used["in_progress"], used["success"], used["user"]) == (
            sha_of(4),
            True,
            False,
            "ci",
        )
        result = ["report-result", "--job-id", "smoke", *hashes(4), "--info-url", "https://ci.example.org/1"]
        noted = ["--timestamp", "1431949433", "--success", "true", "--notes", "<b>fine</b>"]
        reported = there.good(*result, *noted)
        assert (reported["timestamp"], reported["success"], reported["notes"]) == (1431949433, True, "<b>fine</b>")
        votes = there.good("repo-status", *hashes(4), auth=False)
        assert [(vote["job_id"], vote["in_progress"], vote["success"]) for vote in votes] == [
            ("smoke", True, False),
            ("smoke", False, True),
        ]
        assert votes[1]["component"] == "greetings"
        # The vote was what "verified" waited for.
        (verified,) = there.good("promotion-get", "--promote-name", "verified", auth=False)
        assert (verified["commit_hash"], verified["user"]) == (sha_of(4), "conveyor")

        promoted = there.good("repo-promote", *hashes(4), "--promote-name", "tested")
        place = f"{sha_of(4)[:2]}/{sha_of(4)[2:4]}/{repo_id(4)}"
        expected = {
            "commit_hash": sha_of(4),
            "distro_hash": PACKAGING_SHA,
            "extended_hash": None,
            "aggregate_hash": aggregate(there.site),
            "promote_name": "tested",
            "repo_hash": repo_id(4),
            "repo_url": f"{BASE}/{RPM}/{place}",
            "component": "greetings",
            "user": "ci",
        }
        assert promoted == {**expected, "timestamp": promoted["timestamp"]}
        assert (there.site / "data/repos" / RPM / "tested").resolve().name == repo_id(4)
        listed = there.good("promotion-get", "--promote-name", "tested", "--limit", "1", auth=False)
        assert listed == [promoted]
        with opened(there.site) as conveyor:
            deeds = [entry.deed for entry in conveyor.audit.newest(AuditQuery(limit=2))]
        assert [(deed.actor, deed.action, deed.subject) for deed in deeds] == [
            ("ci", "POST /api/promote", "tested"),
            ("ci", "POST /api/report_result", repo_id(4)),
        ]
        # Once more changes nothing.
        assert there.good("repo-promote", *hashes(4), "--promote-name", "tested") == promoted

    def test_an_aggregate_is_voted_on_by_its_md5(self, there: There) -> None:
        md5 = aggregate(there.site)
        result = ["report-result", "--job-id", "full", "--info-url", "https://ci.example.org/2", "--timestamp", "7"]
        there.good(*result, "--agg-hash", md5, "--success", "false")
        (vote,) = there.good("agg-status", "--agg-hash", md5, auth=False)
        assert (vote["aggregate_hash"], vote["job_id"], vote["success"]) == (md5, "full", False)
        assert there.good("agg-status", "--agg-hash", md5, "--success", "true", auth=False) == []
        assert there.call(*result, "--agg-hash", "0" * 32, "--success", "true").status == 400

    def test_a_batch_is_one_move_to_the_repository_that_holds_all(self, there: There) -> None:
        pairs = ",".join(f"{sha_of(number)}_{PACKAGING_SHA}" for number in (2, 3))
        moved = there.good("repo-promote-batch", "--hash-pairs", pairs, "--promote-name", "older")
        assert (moved["repo_hash"], moved["promote_name"]) == (repo_id(3), "older")
        pairs = ",".join(f"{sha_of(number)}_{PACKAGING_SHA[:8]}" for number in (3, 4))
        torn = there.call("repo-promote-batch", "--hash-pairs", pairs, "--promote-name", "older")
        assert torn.status == 409
        assert f"hello at {repo_id(4)}, not at {repo_id(3)}" in torn.error
        missing = f"{sha_of(4)}_{PACKAGING_SHA},{sha_of(9)}_{PACKAGING_SHA}"
        assert there.call("repo-promote-batch", "--hash-pairs", missing, "--promote-name", "older").status == 400
        now = there.good("promotion-get", "--promote-name", "older", auth=False)
        assert [each["repo_hash"] for each in now] == [repo_id(3)]

    def test_builds_are_counted(self, there: There) -> None:
        day = f"{DAY_ONE:%Y-%m-%d}"
        counted = there.good("build-metrics", "--start-date", day, "--end-date", "2999-01-01", auth=False)
        assert counted == {"succeeded": 4, "failed": 1, "total": 5}
        of_other = ["build-metrics", "--start-date", day, "--end-date", "2999-01-01", "--package-name", "other"]
        assert there.good(*of_other, auth=False) == {"succeeded": 1, "failed": 1, "total": 2}

    def test_an_import_says_what_to_do_instead(self, there: There) -> None:
        asked = ["commit-import", "--repo-url", "https://example.org/ab/cd/x"]
        said = there.call(*asked, user="op", password=there.operator)
        assert said.status == 501
        assert "conveyor build PACKAGE" in said.error

    def test_each_target_has_a_place_of_its_own(self, there: There) -> None:
        place = f"/dlrn/{DEB}"
        assert there.good("repo-get", "--max-age", "0", auth=False, place=place)["commit_hash"] == sha_of(1)
        there.good("repo-promote", *hashes(1), "--promote-name", "tested", place=place)
        (entry,) = there.good("promotion-get", "--promote-name", "tested", auth=False, place=place)
        assert (entry["repo_hash"], entry["aggregate_hash"]) == (repo_id(1), None)
        assert entry["repo_url"].startswith(f"{BASE}/{DEB}/")
        assert there.call("repo-promote", *hashes(4), "--promote-name", "tested", place=place).status == 400
        nowhere = there.call("repo-get", "--max-age", "0", auth=False, place="/dlrn/nowhere")
        assert nowhere.code == BAD
        assert "404" in nowhere.error

    @pytest.mark.parametrize(
        "arguments",
        [
            ["repo-get", "--max-age", "0"],
            ["repo-status", *hashes(4)],
            ["agg-status", "--agg-hash", "0" * 32],
            ["promotion-get"],
            ["build-metrics", "--start-date", "2020-01-01", "--end-date", "2020-01-02"],
        ],
        ids=lambda arguments: arguments[0],
    )
    def test_those_that_look_may_sign_in_too(self, there: There, arguments: list[str]) -> None:
        assert there.good("--force-auth", *arguments) == there.good(*arguments, auth=False)
        assert there.call("--force-auth", *arguments, password="wrong").status == 401


class TestRefusals:
    RESULT = ("--info-url", "https://ci.example.org/1", "--timestamp", "1", "--success", "true")

    @pytest.mark.parametrize(
        ("arguments", "status"),
        [
            (["repo-status", *hashes(9)], 400),
            (["repo-status", "--commit-hash", "x", "--distro-hash", "y"], 400),
            (["repo-get", "--max-age", "0", "--sequential-mode"], 400),
            (["repo-get", "--max-age", "0", "--sequential-mode", "--previous-job-id", "never"], 400),
            (["report-result", "--job-id", "smoke", *hashes(9), *RESULT], 400),
            (["report-result", "--job-id", "no name", *hashes(4), *RESULT], 400),
            (["repo-promote", *hashes(9), "--promote-name", "tested"], 400),
            (["repo-promote", *hashes(1), "--promote-name", "tested"], 410),
            (["repo-promote", *hashes(4), "--promote-name", "current"], 403),
            (["repo-promote", *hashes(4), "--promote-name", "consistent"], 403),
            (["repo-promote", *hashes(4), "--promote-name", "../tested"], 403),
            (["repo-promote", *hashes(4), "--promote-name", "unheard-of"], 403),
            (["repo-promote", *hashes(3), "--promote-name", "released"], 409),
            (["promotion-get", *hashes(9)], 400),
            (["build-metrics", "--start-date", "x", "--end-date", "y"], 400),
        ],
        ids=lambda value: "-".join(map(str, value))[:60] if isinstance(value, list) else str(value),
    )
    def test_what_cannot_be_is_told_with_dlrns_status(self, there: There, arguments: list[str], status: int) -> None:
        said = there.call(*arguments)
        assert (said.code, said.status) == (BAD, status)
        assert "message" in said.error

    def test_what_a_promotion_lacks_is_told(self, there: There) -> None:
        said = there.call("repo-promote", *hashes(3), "--promote-name", "released")
        assert f"{RPM}: no vote of full" in said.error

    @pytest.mark.parametrize(
        "command", ["repo-use", "report-result", "repo-promote", "repo-promote-batch", "commit-import"]
    )
    def test_who_acts_has_to_be_known_and_allowed(self, there: There, command: str) -> None:
        arguments = {
            "repo-use": ["--reporting-job-id", "smoke"],
            "report-result": ["--job-id", "smoke", *hashes(4), *self.RESULT],
            "repo-promote": [*hashes(4), "--promote-name", "tested"],
            "repo-promote-batch": ["--hash-pairs", f"{sha_of(4)}_{PACKAGING_SHA}", "--promote-name", "tested"],
            "commit-import": ["--repo-url", "https://example.org/x"],
        }[command]
        assert there.call(command, *arguments, password="wrong").status == 401
        allowed = ("ci", there.token) if command == "commit-import" else ("op", there.operator)
        assert there.call(command, *arguments, user=allowed[0], password=allowed[1]).status == 403

    def test_what_the_client_never_sends_is_refused_too(self, there: There) -> None:
        nobody = {"Authorization": ""}
        assert there.ask("POST", "/api/health", b"{}")[1] == {"result": "ok"}
        status, answer = there.ask("POST", "/api/promote", b"{}", headers=nobody)
        assert (status, list(answer)) == (401, ["message"])
        for path in ("promote", "promote-batch", "report_result", "last_tested_repo"):
            for body in (b"", b"{", b"[{}]", b"{}", b"\xff", b'"x"', b"[" * 50_000):
                status, answer = there.ask("POST", f"/api/{path}", body)
                assert (status, list(answer)) == (400, ["message"]), (path, body[:9])
            status, answer = there.ask("POST", f"/api/{path}", b'{"x": "' + b"x" * (4 << 20) + b'"}')
            assert (status, list(answer)) == (413, ["message"])
            status, _ = there.ask("POST", f"/api/{path}", b"x=1", headers={"Content-Type": "text/plain"})
            assert status == 415
        assert there.ask("POST", "/api/recheck_package", b'{"package_name": "other"}')[0] == 403

    def test_what_failed_is_rechecked_by_who_may(self, there: There) -> None:
        who = {"Authorization": f"Bearer {there.operator}"}
        assert there.ask("POST", "/api/recheck_package", b'{"package_name": "hello"}', headers=who)[0] == 409
        assert there.ask("POST", "/api/recheck_package", b'{"package_name": "x"}', headers=who)[0] == 400
        again = there.ask("POST", "/api/recheck_package", b'{"package_name": "other"}', headers=who)
        assert again == (201, {"result": "ok"})
        assert there.ask("POST", "/api/recheck_package", b'{"package_name": "other"}', headers=who)[0] == 400


class TestClasses:
    """The client's Python, as the jobs of its users have it."""

    def test_they_answer_with_its_own_models(self, there: There) -> None:
        client = dlrnapi_client.ApiClient(host=there.server.url)
        dlrnapi_client.configuration.username = "ci"
        dlrnapi_client.configuration.password = there.token
        api = dlrnapi_client.DefaultApi(api_client=client)

        vote = dlrnapi_client.Params3()
        vote.job_id, vote.success, vote.url, vote.timestamp = "classes", True, "https://ci.example.org/3", 1431949433
        vote.commit_hash, vote.distro_hash = sha_of(3), PACKAGING_SHA
        assert api.api_report_result_post(vote).success is True
        asked = dlrnapi_client.Params2()
        asked.commit_hash, asked.distro_hash, asked.success = sha_of(3), PACKAGING_SHA, True
        assert [each.job_id for each in api.api_repo_status_get(asked)] == ["classes"]
        last = dlrnapi_client.Params()
        last.max_age, last.job_id, last.sequential_mode = 0, "classes", False
        found = api.api_last_tested_repo_get(last)
        assert (found.commit_hash, found.distro_hash, found.timestamp) == (sha_of(3), PACKAGING_SHA, 1431949433)
        data, status, _ = api.api_promotions_get_with_http_info(dlrnapi_client.PromotionQuery())
        assert status == 200
        assert all(isinstance(each, dlrnapi_client.Promotion) for each in data)
