"""Which snapshots retention takes, as a function of history, policy and time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.model.published import PublishedSnapshot, Retention
from conveyor.pipeline.keeping.retention import Held, outdated

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = 3600


def snapshot(number: int, *, commit: str = "", collected: bool = False) -> PublishedSnapshot:
    """The one that was published in this hour."""
    at = START + timedelta(hours=number)
    return PublishedSnapshot(
        build=number,
        target="debian-13-amd64",
        commit=commit or f"commit {number}",
        package="nova",
        version=f"1.{number}-1",
        published_at=at,
        collected_at=at if collected else None,
    )


FIVE = [snapshot(number) for number in (1, 2, 3, 4, 5)]


def taken(
    snapshots: Sequence[PublishedSnapshot], policy: Retention, *, at: float, held: Held | None = None
) -> list[int]:
    """Numbers of what is taken at an hour."""
    now = START + timedelta(hours=at)
    return [each.build for each in outdated(snapshots, policy, held or Held(), now)]


@pytest.mark.parametrize(
    ("policy", "at", "gone"),
    [
        (Retention(), 1000, []),
        (Retention(younger_than=HOUR, grace=0), 1000, []),  # not given how many: all of them
        (Retention(newest=2, grace=0), 5, [1, 2, 3]),
        (Retention(newest=5, grace=0), 5, []),
        (Retention(newest=99, grace=0), 1000, []),
        (Retention(newest=0, grace=0), 5, [1, 2, 3, 4]),  # the newest stays in any case
        (Retention(newest=1, younger_than=2 * HOUR, grace=0), 5, [1, 2, 3]),
        (Retention(newest=0, younger_than=3 * HOUR, grace=0), 5.5, [1, 2]),
        (Retention(newest=4, younger_than=HOUR, grace=0), 9, [1]),
        # Of the newest two, 3 was pushed out when 5 was published, in hour 5.
        (Retention(newest=2, grace=HOUR), 5, [1, 2]),
        (Retention(newest=2, grace=HOUR), 5.9, [1, 2]),
        (Retention(newest=2, grace=HOUR), 6, [1, 2, 3]),
        (Retention(newest=0, younger_than=2 * HOUR, grace=2 * HOUR), 5, [1]),
    ],
)
def test_what_a_policy_takes(policy: Retention, at: float, gone: list[int]) -> None:
    assert taken(FIVE, policy, at=at) == gone
    assert taken(FIVE[::-1], policy, at=at) == gone


def test_what_is_held_stays() -> None:
    held = Held(commits=frozenset({"commit 1", "commit 3"}))
    assert taken(FIVE, Retention(newest=1, grace=0), at=99, held=held) == [2, 4]


def test_a_pointer_s_place_stays_for_the_grace_after_it_has_moved_away() -> None:
    policy = Retention(newest=1, grace=2 * HOUR)
    held = Held(left={"commit 1": START + timedelta(hours=10)})
    assert taken(FIVE, policy, at=11.9, held=held) == [2, 3, 4]
    assert taken(FIVE, policy, at=12, held=held) == [1, 2, 3, 4]


def test_what_was_collected_neither_goes_again_nor_counts() -> None:
    snapshots = [snapshot(1), snapshot(2), snapshot(3, collected=True), snapshot(4)]
    assert taken(snapshots, Retention(newest=2, grace=0), at=9) == [1]


def test_a_folder_that_two_builds_share_goes_when_neither_keeps_it() -> None:
    snapshots = [snapshot(1, commit="shared"), snapshot(2), snapshot(3, commit="shared"), snapshot(4)]
    assert taken(snapshots, Retention(newest=2, grace=0), at=9) == [2]
    assert taken(snapshots, Retention(newest=1, grace=0), at=9) == [1, 2, 3]


commits = st.integers(1, 12).map(lambda number: f"commit {number}")


@given(
    numbers=st.sets(st.integers(1, 40), max_size=12),
    newest=st.integers(0, 12),
    age=st.integers(0, 40),
    grace=st.integers(0, 10),
    kept=st.sets(commits),
    at=st.integers(40, 90),
)
def test_what_is_taken_once_is_all_that_is_ever_taken_then(
    numbers: set[int], newest: int, age: int, grace: int, kept: set[str], at: int
) -> None:
    snapshots = [snapshot(number) for number in sorted(numbers)]
    policy = Retention(newest=newest, younger_than=age * HOUR, grace=grace * HOUR)
    held = Held(commits=frozenset(kept))
    gone = set(taken(snapshots, policy, at=at, held=held))
    for each in snapshots:
        younger = each.published_at > START + timedelta(hours=at) - timedelta(seconds=policy.younger_than)
        among_newest = each in snapshots[-max(newest, 1) :]
        if younger or among_newest or each.commit in kept:
            assert each.build not in gone
        elif grace == 0:
            assert each.build in gone
    after = [replace(each, collected_at=START) if each.build in gone else each for each in snapshots]
    assert taken(after, policy, at=at, held=held) == []
    assert gone <= set(taken(snapshots, policy, at=at + 1, held=held))
