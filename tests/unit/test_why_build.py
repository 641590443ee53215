"""Why a build is as it is: from what is known of it to the words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from conveyor.errors import Fault
from conveyor.model.build import AttemptRecord, Build, Cause, Claim, Outcome, Stage, State
from conveyor.model.queue import Priority, Reason, ReasonKind
from conveyor.model.why import Subject, Why
from conveyor.pipeline.explaining.build import BuildFacts, Wait, Work, explain_build
from conveyor.pipeline.flakiness import flaky
from tests.fakes import store_samples as sample

NOW = sample.minute(60)
REQUESTED = Reason(kind=ReasonKind.REQUESTED, detail="ann@hub")
CAUSE = Cause(
    fault=Fault.PACKAGE,
    stage=Stage.BUILD,
    kind="BuildFailed",
    summary="gcc: no such file",
    hint="mend the spec",
    details=("x.c:1: error",),
)
NETWORK = replace(CAUSE, fault=Fault.NETWORK, stage=Stage.BUILDROOT, summary="no route to the mirror", hint="")
CLAIM = Claim(token="t", host="hub", pid=42, process_started=1, heartbeat_at=sample.minute(59))


def a_build(state: State = State.FINISHED, outcome: Outcome | None = None, **fields: Any) -> Build:  # noqa: ANN401 - as replace() takes them
    build = Build(
        id=7,
        commit=sample.commit(),
        target=sample.TARGET,
        state=state,
        outcome=outcome,
        attempt=0 if state is State.QUEUED else 1,
        version=None,
        cause=None,
        stages=(),
        queued_at=sample.minute(1),
        started_at=None if state is State.QUEUED else sample.minute(58),
        finished_at=sample.minute(59) if state is State.FINISHED else None,
        log=None if state is State.QUEUED else "builds/7/1/log",
        claim=CLAIM if state is State.RUNNING else None,
        published=False,
    )
    return replace(build, **fields)


def attempt(number: int, outcome: Outcome | None, buildroot: str | None = None) -> AttemptRecord:
    return AttemptRecord(
        number=number,
        outcome=outcome,
        cause=None,
        stages=(),
        queued_at=NOW,
        started_at=NOW,
        finished_at=NOW,
        log=None,
        buildroot=buildroot,
    )


def why(build: Build, **facts: Any) -> Why:  # noqa: ANN401
    known: dict[str, Any] = {
        "priority": Priority.REQUEST,
        "reason": REQUESTED,
        "attempts": (),
        "now": NOW,
        "daemon": True,
        **facts,
    }
    return explain_build(BuildFacts(build=build, **known))


def told(answer: Why) -> str:
    """All words of an answer, as one text."""
    because = [told(each) for each in answer.because]
    return "\n".join([answer.state, answer.summary, *answer.lines, *answer.log, answer.hint, *because])


QUEUED = a_build(State.QUEUED)
RUNNING = a_build(State.RUNNING)
ERRORED = a_build(outcome=Outcome.ERRORED, cause=NETWORK, errors=2)
NEWER = a_build(outcome=Outcome.SUCCEEDED, id=9)
CASES: dict[str, tuple[Build, dict[str, Any], str, list[str]]] = {
    "waits": (QUEUED, {}, "queued", ["it waits for its turn", "2026-03-01 12:01:00 UTC (59 min ago)"]),
    "waits behind": (
        QUEUED,
        {"wait": Wait(summary="behind build 3", lines=("build 3 of nova",), hint="be patient")},
        "queued",
        ["behind build 3", "build 3 of nova", "be patient"],
    ),
    "waits without a daemon": (
        QUEUED,
        {"daemon": False, "wait": Wait(summary="behind build 3")},
        "queued",
        ["no daemon is running", "behind build 3", "conveyor daemon"],
    ),
    "waits after an error": (
        replace(QUEUED, errors=2, cause=NETWORK, not_before=NOW + timedelta(minutes=4)),
        {},
        "queued",
        [
            "it errored 2 times, the last time because",
            "in buildroot: no route to the mirror",
            "not started before",
            "in 4 min",
        ],
    ),
    "waits and is not the daemon's": (
        replace(QUEUED, commit=sample.commit(trunk=False, extended="local")),
        {"daemon": False},
        "queued",
        ["the 'conveyor build' that asked for it builds it"],
    ),
    "runs": (
        RUNNING,
        {"work": Work(stage=Stage.BUILD, since=NOW - timedelta(seconds=34))},
        "running",
        ["it is in build, for 34 s", "attempt 1 runs on hub, process 42, started at", "2 min ago", "conveyor log 7"],
    ),
    "runs elsewhere": (RUNNING, {}, "running", ["it is being built"]),
    "is being cancelled": (
        replace(RUNNING, cancelled_by="ann@hub"),
        {},
        "being cancelled",
        ["it is about to end: cancelled (ann@hub)"],
    ),
    "was killed": (
        RUNNING,
        {"work": Work(gone=True), "daemon": False},
        "running",
        ["its process 42 on hub is gone", "conveyor daemon"],
    ),
    "was published": (
        a_build(outcome=Outcome.SUCCEEDED, version="1-1", published=True),
        {},
        "succeeded",
        ["built as 1-1 and published"],
    ),
    "is not published": (
        a_build(outcome=Outcome.SUCCEEDED, version="1-1"),
        {"daemon": False},
        "succeeded",
        ["not published yet", "conveyor build"],
    ),
    "is a working copy": (
        a_build(outcome=Outcome.SUCCEEDED, version="1-1", commit=sample.commit(trunk=False, extended="local")),
        {},
        "succeeded",
        ["never published"],
    ),
    "failed": (
        a_build(outcome=Outcome.FAILED, cause=CAUSE),
        {},
        "failed",
        [
            "in build: gcc: no such file",
            "the package's fault",
            "final until something changes",
            "x.c:1: error",
            "mend the spec",
        ],
    ),
    "failed and works since": (
        a_build(outcome=Outcome.FAILED, cause=CAUSE),
        {"newer": NEWER},
        "failed",
        ["there is a newer build, 9", "succeeded"],
    ),
    "failed without a cause": (a_build(outcome=Outcome.FAILED), {}, "failed", ["nobody wrote down why", "log 7"]),
    "errored": (
        ERRORED,
        {"retried": True, "retries": 5},
        "errored",
        ["the network's fault", "it errored 2 times, and is tried again, 5 times at most"],
    ),
    "errored without a daemon": (
        ERRORED,
        {"retried": True, "daemon": False},
        "errored",
        ["none is running", "conveyor daemon", "conveyor retry 7"],
    ),
    "was given up": (ERRORED, {}, "errored", ["is not tried again by itself", "conveyor retry 7"]),
    "was cancelled": (
        a_build(outcome=Outcome.CANCELLED, cancelled_by="ann@hub"),
        {},
        "cancelled",
        ["cancelled (ann@hub), at 2026", "conveyor retry 7"],
    ),
    "was cancelled while it waited": (
        a_build(
            outcome=Outcome.CANCELLED,
            cancelled_by="ann@hub",
            attempt=0,
            finished_at=None,
            ended="ann@hub cancelled it while it waited",
        ),
        {},
        "cancelled",
        ["ann@hub cancelled it while it waited"],
    ),
    "was interrupted": (a_build(outcome=Outcome.CANCELLED), {}, "cancelled", ["cancelled (by who ran it)"]),
    "was superseded": (
        a_build(outcome=Outcome.SUPERSEDED, attempt=0, ended="only the newest is built"),
        {},
        "superseded",
        ["only the newest is built", "nothing against the package"],
    ),
    "was superseded while it ran": (
        a_build(outcome=Outcome.SUPERSEDED, cause=replace(CAUSE, summary="1-1 sorts below 2-1")),
        {},
        "superseded",
        ["1-1 sorts below 2-1"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_state_has_its_words(case: str) -> None:
    build, facts, state, words = CASES[case]
    answer = why(build, **facts)
    assert (answer.subject, answer.name, answer.state) == (Subject.BUILD, "7", state)
    text = told(answer)
    assert [each for each in words if each not in text] == [], text


STATES = [
    (State.QUEUED, None),
    (State.RUNNING, None),
    *product([State.FINISHED], Outcome),
]


@pytest.mark.parametrize("kind", ReasonKind)
@pytest.mark.parametrize(("state", "outcome"), STATES)
def test_nothing_is_unknown(state: State, outcome: Outcome | None, kind: ReasonKind) -> None:
    causes = [None, *(replace(CAUSE, fault=fault) for fault in Fault)]
    for cause, priority, daemon, trunk in product(causes, Priority, [True, False], [True, False]):
        build = a_build(state, outcome, commit=sample.commit(trunk=trunk), cause=cause)
        answer = why(build, daemon=daemon, priority=priority, reason=Reason(kind=kind))
        assert answer.state
        assert answer.summary
        assert all(answer.lines)
        assert "unknown" not in told(answer).lower()
        assert "None" not in told(answer)


@pytest.mark.parametrize("kind", ReasonKind)
def test_each_reason_has_words_of_its_own(kind: ReasonKind) -> None:
    others = [why(QUEUED, reason=Reason(kind=other)).lines for other in ReasonKind if other is not kind]
    assert why(QUEUED, reason=Reason(kind=kind)).lines not in others


def test_a_rebuild_tells_the_builds_that_led_to_it() -> None:
    first = a_build(outcome=Outcome.SUCCEEDED, id=3, commit=sample.commit("3", package="oslo.utils"))
    second = a_build(outcome=Outcome.SUCCEEDED, id=5, commit=sample.commit("5", package="oslo.config"))
    dependency = Reason(kind=ReasonKind.DEPENDENCY, detail="oslo.utils 2.0", build=3, cascade=1)
    answer = why(
        QUEUED,
        reason=Reason(kind=ReasonKind.DEPENDENCY, detail="oslo.config 7.0", build=5, cascade=2),
        led_by=((second, dependency), (first, Reason(kind=ReasonKind.NEW_COMMIT))),
    )
    assert "it was rebuilt because: a build dependency changed: oslo.config 7.0 (build 5 led to it)" in answer.lines
    assert "2 builds led to one another before it" in answer.lines
    (nearer,) = answer.because
    (farther,) = nearer.because
    assert (nearer.name, nearer.state) == ("5", "succeeded")
    assert (farther.name, farther.summary, farther.because) == ("3", "the upstream has a new commit", ())


@pytest.mark.parametrize(
    ("attempts", "found"),
    [
        ([], None),
        ([attempt(1, Outcome.FAILED, "a")], None),
        ([attempt(1, Outcome.FAILED, "a"), attempt(2, Outcome.SUCCEEDED, "a")], (1, 2)),
        ([attempt(1, Outcome.FAILED, "a"), attempt(2, Outcome.SUCCEEDED, "b")], None),
        ([attempt(1, Outcome.FAILED), attempt(2, Outcome.SUCCEEDED)], None),
        ([attempt(1, Outcome.ERRORED, "a"), attempt(2, Outcome.SUCCEEDED, "a")], None),
        ([attempt(1, Outcome.CANCELLED, "a"), attempt(2, None, "a")], None),
        (
            [
                attempt(1, Outcome.FAILED, "b"),
                attempt(2, Outcome.FAILED, "a"),
                attempt(3, Outcome.FAILED, "b"),
                attempt(4, Outcome.SUCCEEDED, "b"),
            ],
            (1, 4),
        ),
    ],
)
def test_flaky_is_another_outcome_in_the_same_root(
    attempts: list[AttemptRecord], found: tuple[int, int] | None
) -> None:
    pair = flaky(attempts)
    assert (None if pair is None else (pair[0].number, pair[1].number)) == found


def test_flaky_is_told_with_the_attempts() -> None:
    attempts = (attempt(1, Outcome.FAILED, "a"), attempt(2, Outcome.SUCCEEDED, "a"))
    lines = why(a_build(outcome=Outcome.SUCCEEDED, attempt=2), attempts=attempts).lines
    assert "attempts: 1 failed, 2 succeeded" in lines
    assert any(line.startswith("flaky: attempt 1 failed and attempt 2 succeeded") for line in lines)
