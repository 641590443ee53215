"""docs/json.md says what the code does: every field and every word is there, and no other."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from conveyor.buildroot.stock import StockItem, StockKind
from conveyor.cli.buildroot import stock_as_json
from conveyor.cli.collect import Collected, collected_as_json, scrubbed_as_json
from conveyor.cli.key import ALSO, RETIRED, SIGNS, key_as_json
from conveyor.cli.main import app
from conveyor.cli.results import Result, as_json
from conveyor.cli.verify import as_json as verification_as_json
from conveyor.documents import FORMAT_VERSION
from conveyor.documents.access import audit_as_json, tokens_as_json, users_as_json
from conveyor.documents.acts import rebuilds_as_json
from conveyor.documents.events import event_as_json
from conveyor.documents.ledger import entries_as_json
from conveyor.documents.mirrors import standing_as_json
from conveyor.documents.notices import notices_as_json
from conveyor.documents.orders import orders_as_json
from conveyor.documents.queue import queue_as_json
from conveyor.documents.votes import votes_as_json
from conveyor.documents.why import why_as_json
from conveyor.errors import Fault, UpstreamUnreachable
from conveyor.model import chain
from conveyor.model.access import AuditEntry, Means, Permission
from conveyor.model.access import Result as DeedResult
from conveyor.model.artifact import ArtifactKind
from conveyor.model.build import Build, Cause, Claim, Outcome, Stage, StageTime, State
from conveyor.model.commit import Commit, CommitInfo
from conveyor.model.event import Event, EventKind
from conveyor.model.lease import DAEMON, Lease
from conveyor.model.mirror import MirrorState
from conveyor.model.notice import Channel, Notice
from conveyor.model.order import NewOrder, Order, OrderState
from conveyor.model.promotion import Move, MoveKind, Step, Vote
from conveyor.model.published import Flaw, PoolFinding, PoolReport, PublishedSnapshot, Removal, Retention
from conveyor.model.queue import Pause, Priority, QueueItem, Scope, ScopeKind
from conveyor.model.signing import KeyState, SigningKey
from conveyor.model.target import BuilderKind
from conveyor.model.waiting import Cycle
from conveyor.model.why import Subject as SubjectOfWhy
from conveyor.model.why import Why
from conveyor.pipeline.controls import Rebuilt
from conveyor.pipeline.desk import Ordered
from conveyor.pipeline.explaining.build import Work
from conveyor.pipeline.explaining.queueview import QueueState, RunningBuild, WaitingBuild
from conveyor.pipeline.holders import DaemonState
from conveyor.pipeline.keeping.mirror import MirrorStanding
from conveyor.pipeline.keeping.repair import Repaired
from conveyor.pipeline.verifying.compare import Comparison, Difference, Likeness, Part
from conveyor.pipeline.verifying.rebuild import Replaced
from conveyor.pipeline.verifying.verify import Check, Subject, Verdict, Verification
from conveyor.repository.records import MANIFEST_VERSION, manifest_json, manifest_line
from tests.fakes import access_samples
from tests.support.published import entry_of, plain_artifact, snapshot_of

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
AT = datetime(2026, 3, 7, tzinfo=UTC)
REPOS = """\
targets:
  debian-13-amd64: {format: deb, suite: trixie}
packages:
  nova: {upstream: "https://opendev.org/openstack/nova", targets: [debian-13-amd64]}
"""


def table(heading: str) -> dict[str, str]:
    """The fields of the table below a heading, each with what is said of it."""
    match = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^#|\Z)", TEXT, flags=re.MULTILINE | re.DOTALL)
    assert match, f"no heading {heading!r}"
    return dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", match[1], flags=re.MULTILINE))


def words(said: str) -> set[str]:
    return set(re.findall(r"`([a-z]+)`", said))


def a_build() -> Build:
    upstream = CommitInfo(sha="a" * 40, committed_at=AT, author="", subject="")
    return Build(
        id=7,
        commit=Commit(package="nova", upstream=upstream, packaging_sha="b" * 40),
        target="debian-13-amd64",
        state=State.FINISHED,
        outcome=Outcome.FAILED,
        attempt=1,
        version="1.0.0-1~deb13",
        cause=Cause(fault=Fault.PACKAGE, stage=Stage.BUILD, kind="BuildFailed", summary="s", hint="h", details=("d",)),
        stages=(StageTime(stage=Stage.RENDER, seconds=0.25),),
        queued_at=AT,
        started_at=AT,
        finished_at=AT,
        log="builds/7/1/log",
        claim=None,
        published=False,
    )


@pytest.fixture
def document() -> dict[str, Any]:
    """What `conveyor build --json` prints, parsed."""
    result = Result(
        package="nova",
        target="debian-13-amd64",
        build=a_build(),
        ran=True,
        repository="",
        log=Path("/log"),
        error=UpstreamUnreachable("it cannot be fetched"),
    )
    parsed: dict[str, Any] = json.loads(json.dumps(as_json([result])))
    return parsed


def test_the_document_of_build_is_described(document: dict[str, Any]) -> None:
    (result,) = document["results"]
    assert list(table("conveyor build --json")) == list(document)
    assert list(table("A result")) == list(result)
    assert list(table("An error")) == list(result["error"])
    assert list(table("A build")) == list(result["build"])
    assert list(table("A stage")) == list(result["build"]["stages"][0])
    assert list(table("A cause")) == list(result["build"]["cause"])


def test_the_document_of_status_is_described(tmp_path: Path) -> None:
    (tmp_path / "specs/nova").mkdir(parents=True)
    (tmp_path / "repos.yaml").write_text(REPOS)
    arguments = ["--repos", str(tmp_path / "repos.yaml"), "--data-dir", str(tmp_path), "status", "--json"]
    shown = CliRunner().invoke(app, arguments, env={"CONVEYOR_DATABASE": ""})
    document = json.loads(shown.stdout)
    assert list(table("conveyor status --json")) == list(document)
    (pointers,) = document["pointers"].values()
    assert words(table("conveyor status --json")["pointers"]) == set(pointers)
    assert [standing["pointer"] for standing in document["standings"]] == list(pointers)
    for standing in document["standings"]:
        assert list(table("A standing")) == list(standing)


def test_the_document_of_votes_is_described() -> None:
    vote = Vote(subject="a", target="", job="smoke", success=None, user="ann", at=AT)
    document = json.loads(json.dumps(votes_as_json("a", (vote,))))
    assert list(table("conveyor votes --json")) == list(document)
    (shown,) = document["votes"]
    assert list(table("A vote")) == list(shown)
    assert (shown["target"], shown["success"], shown["url"], shown["notes"]) == (None, None, None, "")


def test_the_answers_of_why_are_described() -> None:
    answer = why_as_json(Why(subject=SubjectOfWhy.BUILD, name="7", state="failed", summary="s"))
    assert list(table("conveyor why --json")) == ["format_version", "why"]
    assert list(table("An answer")) == list(answer)
    assert words(table("An answer")["subject"]) == set(SubjectOfWhy)


def test_the_document_of_the_queue_is_described() -> None:
    build = replace(a_build(), claim=Claim(token="t", host="h", pid=1, process_started=1, heartbeat_at=AT))
    item = QueueItem(
        build=7,
        package="nova",
        target="t",
        state=State.QUEUED,
        priority=Priority.FRESH,
        queued_at=AT,
    )
    lease = Lease(name=DAEMON, token="t", host="h", pid=1, process_started=1, since=AT, heartbeat_at=AT)
    state = QueueState(
        at=AT,
        daemon=DaemonState(lease=lease, runs=True),
        pauses=(Pause(scope=Scope(kind=ScopeKind.ALL), actor="ann", note="", at=AT),),
        cycles=(Cycle(target="t", packages=("a",), way=("a",), bootstrap=(), unordered=()),),
        running=(RunningBuild(build=build, work=Work()),),
        waiting=(WaitingBuild(build=build, item=item, place=1, why=""),),
        count=1,
    )
    document = json.loads(json.dumps(queue_as_json(state)))
    assert list(table("conveyor queue --json")) == list(document)
    assert list(table("A daemon")) == list(document["daemon"])
    for heading, name in {
        "A pause": "pauses",
        "A cycle": "cycles",
        "A running build": "running",
        "A waiting build": "waiting",
    }.items():
        (shown,) = document[name]
        assert list(table(heading)) == list(shown)
    assert words(table("A pause")["scope"]) == set(ScopeKind)
    assert words(table("A waiting build")["priority"]) == {priority.name.lower() for priority in Priority}


def test_the_document_of_rebuilds_is_described() -> None:
    document = json.loads(json.dumps(rebuilds_as_json([Rebuilt(good=a_build(), rebuild=a_build(), is_new=True)])))
    assert list(table("conveyor rebuild --json")) == list(document)
    (shown,) = document["rebuilds"]
    assert list(table("A rebuild")) == list(shown)


def test_the_document_of_orders_is_described() -> None:
    wanted = NewOrder(package="nova", revision="v1", targets=(), actor="ada", at=AT)
    ordered = Ordered(order=Order(number=1, wanted=wanted), builds=(), daemon=DaemonState(lease=None, runs=False))
    (order,) = json.loads(json.dumps(orders_as_json([ordered])))["orders"]
    assert list(table("An order")) == list(order)
    assert words(table("An order")["state"]) == set(OrderState)


def test_who_may_come_in_and_what_was_done_is_described() -> None:
    tokens = tokens_as_json([access_samples.token("ci")], AT)
    assert list(table("conveyor token list --json")) == list(tokens)
    assert list(table("A token")) == list(tokens["tokens"][0])
    assert words(table("A token")["may"]) == set(Permission)
    assert words(table("A token")["state"]) == {"works", "expired", "revoked"}
    users = users_as_json([access_samples.user("ada")])
    assert list(table("conveyor user list --json")) == list(users)
    assert list(table("A user")) == list(users["users"][0])
    audit = audit_as_json([AuditEntry(number=1, deed=access_samples.deed())])
    assert list(table("conveyor audit --json")) == list(audit)
    assert list(table("A deed")) == list(audit["entries"][0])
    assert words(table("A deed")["means"]) == set(Means)
    assert words(table("A deed")["result"]) == set(DeedResult)


def test_events_are_described() -> None:
    event = Event(kind=EventKind.STARTED, summary="s", number=1, at=AT)
    assert list(table("conveyor events --json")) == ["format_version", "events"]
    assert list(table("An event")) == list(event_as_json(event))


def test_how_a_mirror_stands_is_described() -> None:
    standing = MirrorStanding(state=MirrorState(mirror="eu", target="t"), behind=True, next_try=None)
    assert list(table("A mirror")) == list(standing_as_json(standing))


def test_the_document_of_the_stock_is_described() -> None:
    item = StockItem(
        builder=BuilderKind.OVERLAY,
        target="",
        kind=StockKind.BASE,
        name="1f",
        size=1,
        made_at=AT.timestamp(),
        used_at=None,
        users=(7,),
        current=True,
    )
    document = json.loads(json.dumps(stock_as_json([item], 5)))
    assert list(table("conveyor buildroot list --json")) == list(document)
    (shown,) = document["items"]
    assert list(table("An item")) == list(shown)
    assert (shown["target"], shown["made_at"], shown["used_at"]) == (None, "2026-03-07T00:00:00+00:00", None)
    assert set(re.findall(r"`([a-z ]+)`", table("An item")["kind"])) == set(StockKind)
    assert words(table("An item")["builder"]) == set(BuilderKind)


def test_the_manifest_is_described(tmp_path: Path) -> None:
    _, artifact = plain_artifact(tmp_path, "x.rpm", b"content")
    snapshot = snapshot_of("t", "x86_64", 1, entry_of("nova", 1, (artifact,)))
    document = json.loads(manifest_json(snapshot, map(manifest_line, snapshot.entries)))
    assert list(table("manifest.json of a snapshot")) == list(document)
    (package,) = document["packages"]
    assert list(table("A package of a manifest")) == list(package)
    assert list(table("A file of a manifest")) == list(package["artifacts"][0])
    assert set(re.findall(r"`(\w+)` \(", table("A file of a manifest")["kind"])) == set(ArtifactKind)
    assert table("manifest.json of a snapshot")["format_version"] == str(MANIFEST_VERSION)
    assert f"is its own, and is {MANIFEST_VERSION}." in TEXT


def test_the_document_of_the_keys_is_described(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["--data-dir", str(tmp_path), "key", "show", "--json"])
    document = json.loads(shown.stdout)
    assert list(table("conveyor key show --json")) == list(document)
    key = SigningKey(fingerprint="A" * 40, owner="Conveyor", state=KeyState.GOOD, made_at=AT, expires_at=AT)
    shown_key = json.loads(json.dumps(key_as_json(key, SIGNS)))
    assert list(table("A key")) == list(shown_key)
    assert set(re.findall(r"`([a-z ]+)`", table("A key")["role"])) == {SIGNS, ALSO, RETIRED}
    assert set(re.findall(r"`([a-z ]+)`", table("A key")["state"])) == set(KeyState)


def test_the_document_of_the_ledger_is_described() -> None:
    step = Step(target="debian-13-amd64", pointer="tested", before=None, after="a")
    move = Move(kind=MoveKind.PROMOTED, actor="ada", evidence={"age": 3}, at=AT, steps=(step,))
    document = json.loads(json.dumps(entries_as_json(chain.follow(None, 1, move, AT))))
    assert list(table("conveyor ledger --json")) == list(document)
    (entry,) = document["entries"]
    assert list(table("An entry")) == list(entry)
    assert set(re.findall(r"`([a-z ]+)`", table("An entry")["kind"])) == set(MoveKind)


def a_snapshot() -> PublishedSnapshot:
    return PublishedSnapshot(
        build=7,
        target="debian-13-amd64",
        commit="a" * 40 + "_" + "b" * 8,
        package="nova",
        version="1.0.0-1~deb13",
        published_at=AT,
        collected_at=None,
    )


def test_the_document_of_retention_is_described() -> None:
    removal = Removal(target="t", snapshots=(a_snapshot(),), files=("ab/abc", "ab/abc/x.deb"), builds=(7,), size=5)
    error = UpstreamUnreachable("it cannot be fetched")
    results = [
        Collected(target="t", removal=removal),
        Collected(target="u", removal=None, error=error),
    ]
    policies = {"t": Retention(newest=3), "u": Retention(newest=3)}
    document = json.loads(json.dumps(collected_as_json(results, policies, dry_run=True)))
    assert list(table("conveyor collect --json")) == list(document)
    target, failed = document["targets"]
    assert list(table("What goes of a target")) == list(target)
    assert list(table("A snapshot that goes")) == list(target["snapshots"][0])
    assert (target["files"], document["size"]) == (["ab/abc/x.deb"], 5)
    assert list(table("An error")) == list(failed["error"])


def test_the_document_of_reading_the_pool_is_described() -> None:
    finding = PoolFinding(target="t", path="pool/x", flaw=Flaw.FOREIGN, package="")
    report = PoolReport(target="t", files=1, size=5, findings=(finding,))
    repaired = Repaired(finding=finding, build=None, good=False, detail="no build made it")
    document = json.loads(json.dumps(scrubbed_as_json([report], [repaired])))
    assert list(table("conveyor scrub --json")) == list(document)
    (target,) = document["targets"]
    assert list(table("A pool that was read")) == list(target)
    assert list(table("A finding")) == list(target["findings"][0])
    assert words(table("A finding")["flaw"]) == set(Flaw)
    assert list(table("A repair")) == list(target["repairs"][0])


def test_the_document_of_a_verification_is_described() -> None:
    difference = Difference(part=Part.FIELD, name="Version", recorded="1", rebuilt=None)
    done = Verification(
        build=a_build(),
        checks=(Check(subject=Subject.FILES, good=True, detail="d"),),
        notes=("n",),
        replaced=(Replaced(name="gcc", recorded=None, used="1"),),
        files=(Comparison(filename="x.deb", likeness=Likeness.DIFFERS, offset=1, differences=(difference,)),),
        error=UpstreamUnreachable("it cannot be fetched"),
    )
    document = json.loads(json.dumps(verification_as_json(done)))
    assert list(table("conveyor verify --json")) == list(document)
    assert list(table("A check")) == list(document["checks"][0])
    assert list(table("A replaced package")) == list(document["replaced"][0])
    assert list(table("A compared file")) == list(document["files"][0])
    assert list(table("A difference")) == list(document["files"][0]["differences"][0])
    assert list(table("An error")) == list(document["error"])
    assert set(re.findall(r"`([a-z ]+)`", table("conveyor verify --json")["verdict"])) == set(Verdict)
    assert words(table("A check")["subject"]) == set(Subject)
    assert words(table("A compared file")["likeness"]) == set(Likeness)
    assert words(table("A difference")["part"]) == set(Part)


def test_the_document_of_notices_is_described() -> None:
    notice = Notice(
        channel=Channel.MAIL,
        recipient="ann@example.org",
        event=7,
        package="",
        subject="s",
        body="b",
        id=1,
        created_at=AT,
        due_at=AT,
        tries=1,
        sent_at=None,
        given_up_at=AT,
        cause="550 no such user",
    )
    document = json.loads(json.dumps(notices_as_json([notice], [notice])))
    assert list(table("conveyor notices --json")) == list(document)
    assert list(table("A notice")) == list(document["waiting"][0]) == list(document["given_up"][0])
    assert words(table("A notice")["channel"]) == set(Channel)
    assert document["given_up"][0]["package"] is None


def test_the_words_are_those_of_the_model() -> None:
    assert words(table("A result")["outcome"]) == set(Outcome)
    assert words(table("An error")["fault"]) == set(Fault)
    assert words(table("A build")["state"]) == set(State)
    assert words(table("A stage")["stage"]) == set(Stage)


def test_the_format_version_is_the_code_s() -> None:
    assert f"`format_version` is {FORMAT_VERSION}." in TEXT
    commands = (
        "build",
        "verify",
        "status",
        "ledger",
        "key show",
        "votes",
        "buildroot list",
        "collect",
        "scrub",
        "notices",
    )
    for heading in (f"conveyor {command} --json" for command in commands):
        assert table(heading)["format_version"] == str(FORMAT_VERSION)
