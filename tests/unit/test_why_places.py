"""Why packages, commits, targets and pointers are as they are: from what is known to the words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conveyor.model.event import Event, EventKind
from conveyor.model.lease import DAEMON, Lease
from conveyor.model.order import NewOrder, Order
from conveyor.model.promotion import LedgerEntry, MoveKind, PromotionPolicy, Step
from conveyor.model.published import PublishedSnapshot
from conveyor.model.queue import Pause, Scope, ScopeKind
from conveyor.model.watch import Side
from conveyor.model.why import Subject, Why
from conveyor.pipeline.explaining.places import (
    MissingFacts,
    PackageFacts,
    PointerFacts,
    TargetFacts,
    explain_commit,
    explain_missing,
    explain_package,
    explain_pointer,
    explain_pointers,
    explain_target,
)
from conveyor.pipeline.explaining.polling import Followed, Sighting, Whereabouts
from conveyor.pipeline.holders import DaemonState
from conveyor.pipeline.pointing.standings import Standing
from tests.fakes import store_samples as sample
from tests.support.workshop import package_of
from tests.unit.test_why_polling import GOOD, NEW, SILENT

NOW = sample.minute(60)
NOVA = package_of("nova")
LEASE = Lease(
    name=DAEMON,
    token="t",
    host="hub",
    pid=42,
    process_started=1,
    since=sample.minute(0),
    heartbeat_at=sample.minute(50),
)
RUNS = DaemonState(lease=LEASE, runs=True)
PAUSE = Pause(scope=Scope(kind=ScopeKind.PACKAGE, name="nova"), actor="ann@hub", note="gate", at=sample.minute(30))


def built(state: str, target: str = sample.TARGET) -> Why:
    return Why(subject=Subject.BUILD, name="7", about=f"nova 1234567 for {target}", state=state, summary="it is so")


def told(answer: Why) -> str:
    return "\n".join([answer.state, answer.summary, *answer.lines, answer.hint, *map(told, answer.because)])


PACKAGE = PackageFacts(
    name="nova",
    package=NOVA,
    followed=(GOOD,),
    poke=None,
    pauses=(),
    moved_tags=(),
    daemon=True,
    builds=(built("succeeded"),),
    pointers=(),
    now=NOW,
)


def ordered(number: int, revision: str = "", *targets: str) -> Order:
    wanted = NewOrder(package="nova", revision=revision, targets=targets, actor="ann", at=sample.minute(59))
    return Order(number=number, wanted=wanted)


def test_what_orders_wait_for() -> None:
    since = f"by ann at {sample.minute(59):%Y-%m-%d %H:%M:%S} UTC (1 min ago), waits: "
    facts = replace(PACKAGE, orders=(ordered(7, "v1", sample.TARGET), ordered(9)))
    why = explain_package(facts)
    assert why.summary == "its latest build succeeded: it is so; 2 orders wait"
    assert why.lines[:2] == (
        f"order 7 of v1 for {sample.TARGET}, {since}the daemon looks for the commit, and asks {GOOD.shown}",
        f"order 9 of the newest commit for all of its targets, {since}order 7 comes first",
    )
    both = explain_package(replace(facts, followed=(GOOD, replace(SILENT, side=Side.PACKAGING))))
    assert f"asks {GOOD.shown} and {replace(SILENT, side=Side.PACKAGING).shown}" in both.lines[0]

    alone = explain_package(replace(facts, daemon=False))
    assert alone.lines[0].endswith(f"{since}no daemon is running to look for the commit")
    assert alone.hint == "start one: conveyor daemon"
    gone = explain_package(replace(facts, package=None, followed=()))
    assert gone.lines[0].endswith("the daemon looks at it within seconds")
    assert gone.hint == "add it to repos.yaml to have it built again"


@pytest.mark.parametrize(
    ("facts", "state", "words"),
    [
        (PACKAGE, "succeeded", ["its latest build succeeded: it is so", "answered at"]),
        (
            replace(PACKAGE, builds=(built("succeeded"), built("failed", "t"))),
            "failed",
            ["of its latest builds on 2 targets, 1 failed, 1 succeeded"],
        ),
        (replace(PACKAGE, builds=()), "not built", ["nothing was ever built"]),
        (
            replace(PACKAGE, package=None, followed=()),
            "not followed",
            ["repos.yaml does not have it", "what is published of it stays"],
        ),
        (
            replace(PACKAGE, pauses=(PAUSE,)),
            "paused",
            ["package nova was paused by ann@hub at", ": gate", "conveyor resume --package nova"],
        ),
        (
            replace(PACKAGE, followed=(SILENT,)),
            "not polled",
            ["its upstream repository does not answer", "Could not resolve host", "conveyor poll nova"],
        ),
        (
            replace(PACKAGE, followed=(SILENT,), builds=(built("failed"),)),
            "failed",
            ["its latest build failed: it is so; its upstream repository does not answer"],
        ),
        (replace(PACKAGE, followed=(SILENT,), daemon=False), "succeeded", ["nothing is polled"]),
    ],
)
def test_packages(facts: PackageFacts, state: str, words: list[str]) -> None:
    answer = explain_package(facts)
    assert (answer.subject, answer.name, answer.state) == (Subject.PACKAGE, "nova", state)
    assert [each for each in words if each not in told(answer)] == [], told(answer)


def test_a_package_rests_on_its_builds_and_on_what_consistent_lacks() -> None:
    pointer = Why(subject=Subject.POINTER, name="t/consistent", state="held back", summary="x")
    assert explain_package(replace(PACKAGE, pointers=(pointer,))).because == (*PACKAGE.builds, pointer)


def test_a_commit_stands_as_the_worst_of_its_builds() -> None:
    lacking = Why(subject=Subject.PACKAGE, name="nova", about="nova for other", state="not built", summary="x")
    answer = explain_commit("ab12", "nova: Do it", [built("succeeded"), built("queued", "t")], [lacking])
    assert answer.state == "not built"
    assert answer.summary == f"{sample.TARGET}: succeeded, t: queued, other: not built"
    assert len(answer.because) == 3


MISSING = MissingFacts(
    named="abcd",
    sightings=(),
    followed={},
    silent=(),
    looked=3,
    packages=3,
    daemon=True,
    pokes={},
    now=NOW,
)


def sighting(where: Whereabouts, name: str = "nova") -> Sighting:
    return Sighting(package=package_of(name), where=where, sha=sample.sha1("1"))


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (MISSING, ["no build has such a commit", "not in what was fetched of the 3 packages", "--package PACKAGE"]),
        (replace(MISSING, looked=0, packages=2000), ["2000 packages are too many to search them all"]),
        (replace(MISSING, silent=(SILENT,)), ["upstream https://git.example.org/nova has not answered since"]),
        (replace(MISSING, daemon=False), ["nothing is polled"]),
        (
            replace(MISSING, sightings=(sighting(Whereabouts.BEHIND),), followed={"nova": (GOOD,)}),
            ["was in master before that was followed", "answered at"],
        ),
        (
            replace(MISSING, sightings=(sighting(Whereabouts.UNKNOWN),), followed={"nova": (NEW,)}),
            ["nothing that was fetched of nova begins with", "was never polled", "conveyor poll nova"],
        ),
        (
            replace(MISSING, sightings=(sighting(Whereabouts.BEHIND), sighting(Whereabouts.ELSEWHERE, "glance"))),
            ["it was never built; nova, glance have it", "is not in master"],
        ),
    ],
)
def test_commits_without_a_build(facts: MissingFacts, words: list[str]) -> None:
    answer = explain_missing(facts)
    assert (answer.subject, answer.state) == (Subject.COMMIT, "not built")
    assert [each for each in words if each not in told(answer)] == [], told(answer)


TARGET = TargetFacts(
    name="t",
    packages=2,
    pauses=(),
    daemon=RUNS,
    disk=None,
    stale=(),
    waiting=0,
    running=(),
    first=None,
    polled_at=sample.minute(59),
    published=PublishedSnapshot(
        build=7,
        target="t",
        commit=sample.commit().id,
        package="nova",
        version="1-1",
        published_at=sample.minute(58),
        collected_at=None,
    ),
    pointers=(),
    now=NOW,
)
LOW = Event(kind=EventKind.DISK_LOW, summary="2 GiB are free, 5 GiB are needed", number=1, at=sample.minute(55))
EVERYTHING = replace(PAUSE, scope=Scope(kind=ScopeKind.ALL))


@pytest.mark.parametrize(
    ("facts", "state", "words"),
    [
        (
            TARGET,
            "idle",
            ["nothing waits", "the daemon runs on hub, process 42, started at", "last published: nova", "1 min ago"],
        ),
        (replace(TARGET, packages=0), "unused", ["no package of repos.yaml"]),
        (
            replace(TARGET, pauses=(EVERYTHING,), waiting=4),
            "paused",
            ["everything was paused by ann@hub", "0 builds running, 4 waiting", "conveyor resume"],
        ),
        (
            replace(TARGET, daemon=DaemonState(lease=None, runs=False), waiting=4),
            "stands still",
            ["no daemon is running", "4 waiting", "conveyor daemon"],
        ),
        (
            replace(TARGET, daemon=DaemonState(lease=LEASE, runs=False)),
            "stands still",
            ["that on hub, process 42 was last heard of at 2026-03-01 12:50:00 UTC (10 min ago)"],
        ),
        (
            replace(TARGET, daemon=DaemonState(lease=None, runs=False), running=(built("running"),)),
            "works",
            ["1 build running, 0 waiting"],
        ),
        (replace(TARGET, disk=LOW), "stands still", ["the disk is low", "2 GiB are free", "conveyor collect"]),
        (
            replace(TARGET, stale=(replace(LOW, kind=EventKind.STALE, summary="nothing was built for 2 h"),)),
            "idle",
            ["nothing was built for 2 h, said the daemon at", "5 min ago"],
        ),
        (replace(TARGET, running=(built("running"),), waiting=2), "works", ["1 build running, 2 waiting"]),
        (replace(TARGET, first=built("queued"), waiting=2), "waits", ["the next one: it is so"]),
        (replace(TARGET, polled_at=None, published=None), "idle", ["were never polled", "nothing was ever published"]),
    ],
)
def test_targets(facts: TargetFacts, state: str, words: list[str]) -> None:
    answer = explain_target(facts)
    assert (answer.subject, answer.name, answer.state) == (Subject.TARGET, "t", state)
    assert [each for each in words if each not in told(answer)] == [], told(answer)


OLD, NEWEST = sample.sha1("old"), sample.sha1("new")
POLICY = PromotionPolicy(name="tested", targets=("t",), votes=("smoke",))
STANDING = Standing(
    target="t",
    pointer="tested",
    commit=OLD,
    published_at=sample.minute(0),
    held_back=("t: no vote of smoke",),
)
POINTER = PointerFacts(standing=STANDING, newest=NEWEST, policy=POLICY, last=None, builds=(), now=NOW)
FIT = replace(POINTER, standing=replace(STANDING, held_back=()))
ENTRY = LedgerEntry(
    number=3,
    move=2,
    kind=MoveKind.PROMOTED,
    actor="ann",
    note="looks good",
    evidence={},
    keep=False,
    at=sample.minute(30),
    step=Step(target="t", pointer="tested", before=None, after=OLD),
    previous="",
    hash="",
)


@pytest.mark.parametrize(
    ("facts", "state", "words"),
    [
        (POINTER, "held back", ["t: no vote of smoke", f"it leads to {OLD[:7]}, published at"]),
        (
            replace(POINTER, standing=replace(STANDING, held_back=("a", "b", "c"))),
            "held back",
            ["a, and 2 more", "b", "c"],
        ),
        (replace(POINTER, newest=None, standing=replace(STANDING, commit=None)), "not there", ["nothing is published"]),
        (replace(POINTER, standing=replace(STANDING, commit=NEWEST, held_back=())), "newest", ["the newest snapshot"]),
        (FIT, "behind", ["waits for somebody to promote it", "conveyor promote current tested --target t"]),
        (replace(FIT, policy=replace(POLICY, together=True)), "behind", ["fit on all its targets"]),
        (replace(FIT, policy=replace(POLICY, automatic=True)), "behind", ["the next publication or the daemon moves"]),
        (replace(FIT, policy=None), "behind", ["only people move it"]),
        (replace(FIT, policy=replace(POLICY, targets=("u",))), "behind", ["leaves t out"]),
        (
            replace(FIT, standing=replace(STANDING, pointer="consistent", held_back=())),
            "behind",
            ["the next good build moves it"],
        ),
        (replace(FIT, standing=replace(STANDING, commit=None, held_back=())), "not there", ["waits for somebody"]),
        (replace(POINTER, last=ENTRY), "held back", ["by ann (promoted, ledger 3): looks good", "30 min ago"]),
    ],
)
def test_pointers(facts: PointerFacts, state: str, words: list[str]) -> None:
    answer = explain_pointer(facts)
    assert (answer.subject, answer.name) == (Subject.POINTER, f"t/{facts.standing.pointer}")
    assert answer.state == state
    assert [each for each in words if each not in told(answer)] == [], told(answer)


def test_a_pointer_of_several_targets_stands_as_the_worst() -> None:
    newest = Why(subject=Subject.POINTER, name="a/tested", state="newest", summary="x")
    held = replace(newest, name="b/tested", state="held back")
    answer = explain_pointers("tested", [newest, held])
    assert (answer.state, answer.summary) == ("held back", "a: newest, b: held back")
    assert answer.because == (newest, held)


def test_both_repositories_of_a_package_are_told() -> None:
    packaging = Followed(side=Side.PACKAGING, url="https://git.example.org/p", ref="rpm", head=None, remote=None)
    text = told(explain_package(replace(PACKAGE, followed=(GOOD, packaging))))
    assert "upstream https://git.example.org/nova answered" in text
    assert "packaging https://git.example.org/p was never polled" in text
