"""What a policy asks of a snapshot, and what is said of one that lacks it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from conveyor.model.build import Build, Outcome, State
from conveyor.model.promotion import PromotionPolicy, Vote
from conveyor.model.published import PublishedSnapshot
from conveyor.pipeline.pointing.evidence import Facts, missing, stands_on, told_seconds
from tests.fakes.store import MemoryStore
from tests.fakes.store_samples import NOON, OTHER_TARGET, TARGET, commit, minute, succeed

COMMIT = commit("1")
SNAPSHOT = PublishedSnapshot(
    build=1,
    target=TARGET,
    commit=COMMIT.id,
    package="nova",
    version="1-1",
    published_at=NOON,
    collected_at=None,
)


def policy(**needs: object) -> PromotionPolicy:
    return replace(PromotionPolicy(name="tested", targets=(TARGET,)), **needs)  # type: ignore[arg-type]


def vote(job: str, success: bool | None, *, target: str = "", at: float = 1) -> Vote:
    return Vote(subject=COMMIT.id, target=target, job=job, success=success, user="ci", at=minute(at))


def build(target: str, outcome: Outcome | None = Outcome.SUCCEEDED, state: State = State.FINISHED) -> Build:
    built = succeed(MemoryStore(), COMMIT, NOON, target=target)
    return replace(built, id=7, outcome=outcome, state=state)


def facts(
    *,
    age: int = 3600,
    votes: Sequence[Vote] = (),
    builds: Mapping[str, Build] | None = None,
    built_for: Sequence[str] = (TARGET, OTHER_TARGET),
) -> Facts:
    return Facts(
        snapshot=SNAPSHOT, now=NOON + timedelta(seconds=age), votes=votes, builds=builds or {}, built_for=built_for
    )


@pytest.mark.parametrize(
    ("needs", "known", "lines"),
    [
        ({}, facts(age=0), []),
        ({"min_age": 3600}, facts(age=3600), []),
        ({"min_age": 3600}, facts(age=3599), [f"{TARGET}: published 59 min ago, 1 s less than it must be"]),
        ({"min_age": 7 * 86400}, facts(age=90), [f"{TARGET}: published 1 min ago, 6 d less than it must be"]),
        # A clock that was set back makes nothing older than it is.
        ({"min_age": 60}, facts(age=-500), [f"{TARGET}: published 0 s ago, 1 min less than it must be"]),
        ({"votes": ("smoke",)}, facts(), [f"{TARGET}: no vote of smoke"]),
        ({"votes": ("smoke",)}, facts(votes=[vote("other", True)]), [f"{TARGET}: no vote of smoke"]),
        ({"votes": ("smoke",)}, facts(votes=[vote("smoke", True)]), []),
        ({"votes": ("smoke",)}, facts(votes=[vote("smoke", False)]), [f"{TARGET}: smoke failed"]),
        ({"votes": ("smoke",)}, facts(votes=[vote("smoke", None)]), [f"{TARGET}: smoke is in progress"]),
        ({"votes": ("smoke",)}, facts(votes=[vote("smoke", False), vote("smoke", True, at=2)]), []),
        (
            {"votes": ("smoke",)},
            facts(votes=[vote("smoke", True), vote("smoke", None, at=2)]),
            [f"{TARGET}: smoke is in progress"],
        ),
        (
            {"votes": ("smoke",)},
            facts(votes=[vote("smoke", True), vote("smoke", False, target=TARGET, at=2)]),
            [f"{TARGET}: smoke failed"],
        ),
        (
            {"votes": ("smoke", "full", "upgrade")},
            facts(votes=[vote("full", True), vote("upgrade", False)]),
            [f"{TARGET}: no vote of smoke", f"{TARGET}: upgrade failed"],
        ),
        ({"succeeded_on": (OTHER_TARGET,)}, facts(builds={OTHER_TARGET: build(OTHER_TARGET)}), []),
        (
            {"succeeded_on": (TARGET, OTHER_TARGET)},
            facts(builds={TARGET: build(TARGET)}),
            [f"nova has not succeeded on {OTHER_TARGET}: not built"],
        ),
        (
            {"succeeded_on": (OTHER_TARGET,)},
            facts(builds={OTHER_TARGET: build(OTHER_TARGET, Outcome.FAILED)}),
            [f"nova has not succeeded on {OTHER_TARGET}: build 7 failed"],
        ),
        (
            {"succeeded_on": (OTHER_TARGET,)},
            facts(builds={OTHER_TARGET: build(OTHER_TARGET, None, State.RUNNING)}),
            [f"nova has not succeeded on {OTHER_TARGET}: build 7 is running"],
        ),
        # What is not built for a target cannot succeed there.
        ({"succeeded_on": (TARGET, OTHER_TARGET)}, facts(builds={TARGET: build(TARGET)}, built_for=[TARGET]), []),
        (
            {"min_age": 7200, "votes": ("smoke",), "succeeded_on": (TARGET,)},
            facts(),
            [
                f"{TARGET}: published 1 h ago, 1 h less than it must be",
                f"nova has not succeeded on {TARGET}: not built",
                f"{TARGET}: no vote of smoke",
            ],
        ),
    ],
)
def test_each_missing_thing_is_a_line(needs: dict[str, object], known: Facts, lines: list[str]) -> None:
    assert list(missing(policy(**needs), known)) == lines


def test_what_it_stands_on_is_told_to_the_ledger() -> None:
    known = facts(votes=[vote("smoke", False), vote("other", True), vote("smoke", True, at=2)])
    known = replace(known, builds={OTHER_TARGET: build(OTHER_TARGET)})
    asked = policy(votes=("smoke",), min_age=60, succeeded_on=(OTHER_TARGET,))
    assert stands_on(asked, known) == {
        "commit": COMMIT.id,
        "published_at": NOON.isoformat(),
        "age": 3600,
        "min_age": 60,
        "votes": [
            {"job": "smoke", "success": True, "target": None, "user": "ci", "url": "", "at": minute(2).isoformat()}
        ],
        "succeeded_on": {OTHER_TARGET: 7},
    }


@pytest.mark.parametrize(
    ("seconds", "told"), [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3600, "1 h"), (86399, "23 h"), (864000, "10 d")]
)
def test_times_are_told_in_their_largest_unit(seconds: int, told: str) -> None:
    assert told_seconds(seconds) == told
