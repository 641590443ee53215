"""Commands that ask a server print and do what they print and do at the site itself."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner

from conveyor.cli import order
from conveyor.cli.main import app
from conveyor.client import logs
from conveyor.errors import ConveyorError, Fault
from conveyor.model.build import Cause, Outcome
from tests.fakes.store_samples import CAUSE, NOON
from tests.support.api import TARGET, Served, served

pytestmark = pytest.mark.integration

LOOKS = [
    ["status"],
    ["status", "nova"],
    ["why", "nova"],
    ["why", "4"],
    ["why", "tested"],
    ["queue"],
    ["queue", "--package", "glance", "--limit", "1"],
    ["events"],
    ["events", "--kind", "queued", "--limit", "2"],
    ["events", "--limit", "0"],
    ["votes", "3"],
    ["ledger"],
    ["ledger", "--pointer", "tested", "--limit", "1"],
    ["snapshot", "list"],
    ["snapshot", "list", "--target", TARGET, "--package", "nova"],
    ["snapshot", "show", "tested"],
    ["snapshot", "show", "1"],
    ["snapshot", "diff", "1", "3"],
    ["snapshot", "at", "2200-01-01T00:00:00Z"],
    ["snapshot", "at", "2200-01-01T00:00:00Z", "--pointer", "tested", "--target", TARGET],
    ["votes", "--target", TARGET],
    ["notices"],
    ["token", "list"],
    ["user", "list"],
]
# What is told in seconds, and what only the machine itself knows.
PASSING = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.+]+|\b[0-9]+(?= |$)|\b\d+s\b")


@dataclass(frozen=True)
class Commands:
    """Runs commands here and from afar."""

    site: Served
    token: Path

    def here(self, *arguments: str) -> str:
        return self._run(["--repos", f"{self.site.folder}/repos.yaml", "--settings", str(self.settings)], arguments)

    def afar(self, *arguments: str, token: Path | None = None) -> str:
        return self._run(["--server", self.site.url, "--token-file", str(token or self.token)], arguments)

    def ended(self, *arguments: str) -> tuple[int, str]:
        """The exit code of a command from afar, and all that it prints."""
        done = CliRunner().invoke(
            app, ["--server", self.site.url, "--token-file", str(self.token), *arguments], env={"CONVEYOR_TOKEN": ""}
        )
        assert isinstance(done.exception, SystemExit | None), done.exception
        return done.exit_code, done.output

    @property
    def settings(self) -> Path:
        return self.site.folder / "conveyor.toml"

    def _run(self, options: list[str], arguments: tuple[str, ...]) -> str:
        return run([*options, *arguments])


def run(arguments: list[str]) -> str:
    """What a command prints; of one that fails what is told of it, with its exit code."""
    done = CliRunner().invoke(app, arguments, env={"CONVEYOR_TOKEN": ""})
    if isinstance(done.exception, ConveyorError):
        error = done.exception
        return "\n".join([f"{error.exit_code} {type(error).__name__}", error.summary, *error.details, error.hint])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """Commands that only look."""
    folder = tmp_path_factory.mktemp("server")
    with served(folder, http=True) as site:
        yield Commands(site, token_file(folder))


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    with served(tmp_path, http=True) as site:
        yield Commands(site, token_file(tmp_path))


def token_file(folder: Path, token: str = "admin") -> Path:
    path = folder / f"token-{token}"
    path.write_text(f"{token}\n")
    return path


@pytest.mark.parametrize("arguments", LOOKS, ids=" ".join)
def test_they_print_the_same(looked_at: Commands, arguments: list[str]) -> None:
    for options in ([], ["--json"]):
        here, afar = looked_at.here(*arguments, *options), looked_at.afar(*arguments, *options)
        assert PASSING.sub("", afar) == PASSING.sub("", here)
        assert here.strip() or arguments[-1] == "0"


def test_the_ledger_is_verified(looked_at: Commands) -> None:
    assert looked_at.afar("ledger", "verify") == looked_at.here("ledger", "verify")
    broken = f"1:{64 * '0'}"
    told = looked_at.afar("ledger", "verify", "--expect", broken)
    assert told == looked_at.here("ledger", "verify", "--expect", broken)
    assert told.startswith("1 LedgerBroken")


@pytest.mark.parametrize(
    "arguments",
    [
        ["status", "nothing"],
        ["why", "nothing"],
        ["queue", "--target", "nothing"],
        ["votes", "nothing"],
        ["snapshot", "show", "nothing"],
        ["snapshot", "diff", "1", "nothing"],
        ["snapshot", "at", "2000-01-01"],
        ["snapshot", "at", "today"],
        ["votes", "--target", "nothing"],
        ["votes"],
        ["token", "revoke", "nothing"],
        ["token", "create", ":", "--may", "vote"],
        ["user", "disable", "nothing"],
        ["retry", "4711"],
        ["retry", "6"],
        ["retry", "nothing"],
        ["rebuild", "4"],
        ["cancel", "1"],
        ["prioritize", "1"],
        ["pause", "--target", "nothing"],
        ["poll", "nothing"],
        ["promote", "3", "current"],
        ["promote", "nothing", "stable"],
        ["rollback", "nothing"],
        ["vote", "nothing", "tempest", "success"],
    ],
    ids=" ".join,
)
def test_errors_are_told_as_they_are_here(looked_at: Commands, arguments: list[str]) -> None:
    afar, here = looked_at.afar(*arguments), looked_at.here(*arguments)
    assert afar.splitlines()[:2] == here.splitlines()[:2]


def test_they_act(commands: Commands) -> None:
    afar, store = commands.afar, commands.site.conveyor.store
    daemon = "conveyor: no daemon is running: nothing happens until one does (conveyor daemon)\n"
    glance = f"build 4 of glance {store.build(4).commit.short} for {TARGET}"
    assert afar("retry", "4") == f"{glance} waits to be tried again, attempt 2\n{daemon}"
    assert "has the priority urgent now" in afar("prioritize", "4")
    assert "is cancelled" in afar("cancel", "4")
    assert "is cancelled" in afar("cancel", "--package", "glance", "--waiting")
    assert afar("cancel", "--package", "glance") == "nothing of glance waits or runs\n"
    assert "waits to be built anew, as build 3 was" in afar("rebuild", "nova", "--target", TARGET)
    (rebuild,) = json.loads(afar("rebuild", "3", "--json").partition("\nconveyor:")[0])["rebuilds"]
    assert (rebuild["of"], rebuild["is_new"]) == (3, False)
    assert "package nova was paused by the admin" in afar("pause", "--package", "nova", "--note", "why")
    assert "nothing changed" in afar("pause", "--package", "nova")
    assert "package nova is resumed" in afar("resume", "--package", "nova")
    assert afar("poll", "--all") == f"to be polled now: nova, glance\n{daemon}"
    commit = store.build(3).commit.id
    assert afar("vote", "3", "tempest", "success") == f"tempest on {commit}: success\n"
    assert afar("promote", "3", "stable", "--dry-run") == f"would move stable of {TARGET}: - -> {commit}\n"
    assert afar("promote", "3", "stable").startswith(f"moved stable of {TARGET}: - -> {commit} (ledger ")
    assert afar("promote", "3", "stable") == "stable is there already, nothing was moved\n"
    assert afar("rollback", "tested").startswith(f"moved tested of {TARGET}: ")
    assert commands.site.conveyor.votes.of(commit)[0].user == "the admin"


def test_logs_are_printed(commands: Commands) -> None:
    data = commands.site.conveyor.settings.data_dir
    log = data / str(commands.site.conveyor.store.build(5).log)
    log.write_bytes("== build ==\n\x1b[31mr\u00e9d\x1b[0m\nno end ".encode() + b"\xff\xc3")
    assert commands.afar("log", "5") == commands.here("log", "5")
    assert commands.here("log", "nova").endswith(commands.afar("log", "nova"))
    assert "\x1b" not in commands.afar("log", "5")
    for wrong in ("6", "4711", "nothing"):
        assert commands.afar("log", wrong).startswith("2 UnknownName")
    log.write_bytes(b"")
    assert commands.afar("log", "5") == ""
    log.unlink()
    assert commands.afar("log", "5").startswith("2 UnknownName")


def test_a_log_is_followed_until_the_build_has_ended(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "FOLLOW_SECONDS", 0.05)
    store = commands.site.conveyor.store
    log = commands.site.conveyor.settings.data_dir / str(store.build(5).log)
    log.write_text("one\n")
    with ThreadPoolExecutor() as threads:
        printed = threads.submit(commands.afar, "log", "5", "--follow")
        time.sleep(0.2)
        with log.open("a") as more:
            more.write("two\nthr")
            more.flush()
            more.write("ee\n")
        store.finish(5, "runs", outcome=Outcome.FAILED, at=NOON, version=None, cause=CAUSE, stages=(), entry=None)
        assert printed.result(60) == "one\ntwo\nthree\n"


def test_tokens_and_users_are_looked_after(commands: Commands) -> None:
    afar, site = commands.afar, commands.site.conveyor
    password = commands.site.folder / "password"
    password.write_text("correct horse battery\n")

    assert afar("token", "create", "ci", "--may", "vote", "--expires", "1d").startswith("cvy_")
    assert (site.tokens.all()[0].name, site.tokens.all()[0].created_by) == ("ci", "the admin")
    assert re.search(r"ci +vote +works", afar("token", "list"))
    assert afar("token", "revoke", "ci") == "token ci works no more\n"
    assert afar("user", "create", "ada", "--password-file", str(password)) == "user ada may read\n"
    assert afar("user", "password", "ada", "--password-file", str(password)) == "user ada has another password\n"
    assert afar("user", "disable", "ada") == "user ada may not sign in any more\n"
    assert json.loads(afar("user", "list", "--json"))["users"][0]["disabled"]
    assert afar("user", "enable", "ada") == "user ada may sign in again\n"
    assert afar("user", "sign-out", "ada") == "ada was signed in 0 times, and is no more\n"
    assert afar("user", "permit", "ada", "--may", "vote", "--may", "retry") == "user ada may retry, vote\n"
    assert afar("user", "delete", "ada") == "user ada is kept no more\n"
    assert afar("user", "delete", "ada").startswith("2 UnknownName")
    told = json.loads(afar("audit", "--action", "user ", "--limit", "4", "--json"))["entries"]
    assert [each["action"] for each in told] == ["user sign-out", "user permit", "user delete", "user delete"]
    assert afar("audit", "--actor", "nobody") == "nothing of that has been done yet\n"
    assert afar("token", "list", token=token_file(commands.site.folder, "retry")).startswith("2 Forbidden")


def test_builds_are_ordered_and_followed_to_their_ends(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "LOOK_SECONDS", 0.05)
    book, queue = commands.site.conveyor.order_book, commands.site.conveyor.queue

    def carry_out(package: str, *builds: int, cause: Cause | None = None) -> None:
        """As the daemon does."""
        while not (mine := [each for each in book.waiting() if each.wanted.package == package]):
            time.sleep(0.05)
        book.settle(mine[0].number, datetime.now(UTC), builds=builds, cause=cause)

    def built(*arguments: str, builds: Sequence[int] = (), cause: Cause | None = None) -> tuple[int, str]:
        with ThreadPoolExecutor() as threads:
            done = threads.submit(carry_out, arguments[0], *builds, cause=cause)
            found = commands.ended("build", *arguments)
            done.result()
        return found

    code, told = built("nova", "--target", TARGET, "--commit", "v1", builds=[3])
    assert (code, "order 1: nova v1 is to be built" in told) == (0, True)
    assert re.search(rf"nova +{TARGET} +2-1 +succeeded \(before\) +- +file:///", told)
    code, told = built("glance", "--json", builds=[4])
    (result,) = json.loads(told[told.index("{") :])["results"]
    assert (code, result["outcome"], result["build"]["id"]) == (1, "failed", 4)
    assert result["log"] == f"{commands.site.url}/api/v1/builds/4/attempts/1/log"
    cause = Cause(fault=Fault.USER, stage=None, kind="RevisionMissing", summary="no x", hint="look", details=())
    code, told = built("nova", "--commit", "x", cause=cause)
    assert (code, "no x" in told, "next: look" in told) == (2, True, True)
    queue.cancel(6, "ada", NOON)
    code, told = built("glance", builds=[6])
    assert (code, "was cancelled" in told) == (2, True)


def test_builds_are_ordered_only(commands: Commands) -> None:
    code, told = commands.ended("build", "nova", "nothing", "--no-wait")
    assert (code, "there is no package 'nothing'" in told or "nothing" in told) == (2, True)
    assert "no daemon is running there" in told
    (waiting,) = commands.site.conveyor.order_book.waiting()
    assert (waiting.wanted.package, waiting.wanted.actor) == ("nova", "the admin")
    code, told = commands.ended("build", "glance", "--no-wait", "--json")
    assert json.loads(told[told.index("{") :])["orders"][0]["package"] == "glance"
    assert "--local does not go with --server" in commands.afar("build", "nova", "--local", ".")
    assert "--no-wait goes with --server only" in commands.here("build", "nova", "--no-wait")


def test_who_may_not_is_told_so(looked_at: Commands, tmp_path: Path) -> None:
    strange = looked_at.afar("retry", "4", token=token_file(tmp_path, "strange"))
    assert strange.startswith("2 SignInNeeded")
    assert "--token-file" in strange
    assert looked_at.afar("retry", "4", token=token_file(tmp_path, "read")).startswith("2 Forbidden")
    assert looked_at.afar("retry", "4", token=tmp_path / "nothing").startswith("2 UserError\nthe token's file")
    assert "the token says who you are" in looked_at.afar("retry", "4", "--actor", "eve")


def test_what_is_no_server_is_told_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    assert run(["--server", nobody, "status"]).startswith(f"3 NetworkError\nthe server {nobody} cannot be reached")
    for wrong in ("nowhere", "ftp://example.org", "http://", "\x00"):
        assert "is no URL of a server" in run(["--server", wrong, "status"])
    with Answering(b"<html>") as other:
        assert "is no Conveyor server that this Conveyor understands" in run(["--server", other, "status"])
    with Answering(b'{"format_version": 2}') as newer:
        assert "it answers in the format 2" in run(["--server", newer, "status"])
    with Answering(b'{"status": 404, "title": "Not Found"}', 404) as older:
        assert "it does not know what was asked of it" in run(["--server", older, "status"])


def test_commands_of_the_machine_itself_say_so(tmp_path: Path) -> None:
    for command in (["collect"], ["doctor"], ["render", "nova"]):
        assert "works on its own machine only" in run(["--server", "http://example.org", *command])
    assert "--token-file goes with --server" in run(["--token-file", str(tmp_path), "status"])


class Answering:
    """A server that gives one answer to everything."""

    def __init__(self, body: bytes, status: int = 200) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever)

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
